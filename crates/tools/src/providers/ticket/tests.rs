use serde_json::json;

use crate::testing::{ToolsFixture, done};

#[tokio::test]
async fn a_ticket_is_opened_once_and_closed_once() {
    let world = ToolsFixture::new();
    let call = world.call("k", "create_ticket", json!({"subject": "Package never arrived", "order_id": "12345"}));
    let opened = done(world.send(&call).await.outcome);
    assert_eq!((&opened["status"], &opened["priority"]), (&json!("open"), &json!("normal")));
    assert_eq!(done(world.send(&call).await.outcome), opened);
    assert_eq!(world.records.space("tickets").len(), 1);

    let close = json!({"ticket_id": opened["ticket_id"], "reason": "undone"});
    let closed = world.done("k2", "close_ticket", close.clone()).await;
    world.clock.set("2025-02-01T00:00:00Z");
    assert_eq!(world.done("k3", "close_ticket", close).await, closed);
    assert_eq!(world.records.space("tickets")[0]["reason"], "undone");
}

#[tokio::test]
async fn a_ticket_that_there_is_not_cannot_be_closed() {
    assert_eq!(
        ToolsFixture::new().refused("k", "close_ticket", json!({"ticket_id": "tk_0"})).await.0,
        "TICKET_NOT_FOUND"
    );
}
