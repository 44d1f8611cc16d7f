use baton_ports::desk::Desk;
use baton_ports::journal::{DeskItem, DeskKind};
use baton_ports::read::Read;
use serde_json::json;

use super::world::{at, other_tenant, tenant};

fn item(title: &str, opened_ms: i64) -> DeskItem {
    DeskItem {
        id: "connection/shop".into(),
        tenant: tenant(),
        run: None,
        kind: DeskKind::Connection,
        title: title.into(),
        details: json!({ "app": "shop" }),
        opened_at: at(opened_ms),
        deadline: None,
    }
}

pub async fn an_item_that_is_open_is_not_opened_again(store: &(impl Desk + Read)) {
    assert!(store.open(item("expired", 1)).await.expect("opens"));
    assert!(!store.open(item("expired again", 2)).await.expect("answers"));
    assert_eq!(store.desk(&tenant(), None).await.expect("reads"), [item("expired", 1)]);
}

pub async fn an_item_is_closed_by_its_own_tenant_and_may_be_opened_anew(store: &(impl Desk + Read)) {
    store.open(item("expired", 1)).await.expect("opens");
    store.close(&other_tenant(), "connection/shop", "connected", at(2)).await.expect("closes nothing");
    assert_eq!(store.desk(&tenant(), None).await.expect("reads").len(), 1);
    store.close(&tenant(), "connection/shop", "connected", at(3)).await.expect("closes");
    store.close(&tenant(), "connection/shop", "connected", at(4)).await.expect("closes nothing");
    assert_eq!(store.desk(&tenant(), None).await.expect("reads"), []);
    assert!(store.open(item("expired again", 5)).await.expect("opens"));
    assert_eq!(store.desk(&tenant(), None).await.expect("reads"), [item("expired again", 5)]);
}
