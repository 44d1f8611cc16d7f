use serde_json::json;

use crate::testing::{ToolsFixture, done};

#[tokio::test]
async fn what_a_contact_was_can_be_restored() {
    let world = ToolsFixture::new();
    world.done("k1", "update_crm", json!({"contact_id": "ana", "fields": {"name": "Ana", "city": "Madrid"}})).await;
    let change = json!({"contact_id": "ana", "fields": {"city": "Sevilla", "vip": true, "name": null}});
    let changed = world.done("k2", "update_crm", change).await;
    assert_eq!(changed["previous"], json!({"city": "Madrid", "vip": null, "name": "Ana"}));
    assert_eq!(world.records.space("contacts"), vec![json!({"city": "Sevilla", "vip": true})]);
    world.done("k3", "update_crm", json!({"contact_id": "ana", "fields": changed["previous"]})).await;
    assert_eq!(world.records.space("contacts"), vec![json!({"name": "Ana", "city": "Madrid"})]);
}

#[tokio::test]
async fn a_key_that_is_sent_again_does_not_undo_what_came_after_it() {
    let world = ToolsFixture::new();
    let call = world.call("k1", "update_crm", json!({"contact_id": "ana", "fields": {"city": "Madrid"}}));
    let first = done(world.send(&call).await.outcome);
    world.done("k2", "update_crm", json!({"contact_id": "ana", "fields": {"city": "Sevilla"}})).await;
    assert_eq!(done(world.send(&call).await.outcome), first);
    assert_eq!(world.records.space("contacts"), vec![json!({"city": "Sevilla"})]);
}

#[tokio::test]
async fn updates_at_once_lose_nothing() {
    let world = ToolsFixture::new();
    let calls: Vec<_> = (0..5)
        .map(|n| {
            let fields = serde_json::Map::from_iter([(format!("field{n}"), json!(n))]);
            world.call(&format!("k{n}"), "update_crm", json!({"contact_id": "ana", "fields": fields}))
        })
        .collect();
    futures::future::join_all(calls.iter().map(|call| async { done(world.send(call).await.outcome) })).await;
    assert_eq!(world.records.space("contacts")[0].as_object().unwrap().len(), 5);
}
