use baton_ports::journal::{TaskItem, TaskItemKind};
use baton_ports::read::ReadModel;
use baton_ports::task_inbox::TaskInbox;
use serde_json::json;

use super::fixtures::{at, other_tenant, tenant};

fn item(title: &str, opened_ms: i64) -> TaskItem {
    TaskItem {
        id: "connection/shop".into(),
        tenant: tenant(),
        run: None,
        kind: TaskItemKind::Connection,
        title: title.into(),
        details: json!({ "app": "shop" }),
        opened_at: at(opened_ms),
        deadline: None,
    }
}

pub async fn an_item_that_is_open_is_not_opened_again(store: &(impl TaskInbox + ReadModel)) {
    assert!(store.open_task(item("expired", 1)).await.expect("opens"));
    assert!(!store.open_task(item("expired again", 2)).await.expect("answers"));
    assert_eq!(store.open_tasks(&tenant(), None).await.expect("reads"), [item("expired", 1)]);
}

pub async fn an_item_is_closed_by_its_own_tenant_and_may_be_opened_anew(store: &(impl TaskInbox + ReadModel)) {
    store.open_task(item("expired", 1)).await.expect("opens");
    store.close_task(&other_tenant(), "connection/shop", "connected", at(2)).await.expect("closes nothing");
    assert_eq!(store.open_tasks(&tenant(), None).await.expect("reads").len(), 1);
    store.close_task(&tenant(), "connection/shop", "connected", at(3)).await.expect("closes");
    store.close_task(&tenant(), "connection/shop", "connected", at(4)).await.expect("closes nothing");
    assert_eq!(store.open_tasks(&tenant(), None).await.expect("reads"), []);
    assert!(store.open_task(item("expired again", 5)).await.expect("opens"));
    assert_eq!(store.open_tasks(&tenant(), None).await.expect("reads"), [item("expired again", 5)]);
}
