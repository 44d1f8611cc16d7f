//! Every shipped act can be undone, and undoing restores the previous state, or it states why it cannot be undone. A
//! new tool is covered too, and fails here until it does one or the other.

use baton_core::tool::ToolCompensation;
use baton_expr::{JsonContext, ParamsDialect, ParamsTemplate};
use baton_ports::tools::ToolGateway;
use serde_json::{Value, json};

use crate::testing::ToolsFixture;

/// A fixture in which some acts have already happened.
async fn lived_in() -> ToolsFixture {
    let world = ToolsFixture::with(json!({
        "zone": "Europe/Madrid", "payment": {"methods": {"card": {"balance": 500}}},
    }));
    let booking = json!({"date": "2025-01-20", "time": "09:00"});
    world.done("b", "create_booking", booking).await;
    world.done("p", "charge_payment", json!({"amount": 20, "currency": "EUR", "method": "card"})).await;
    world.done("t", "create_ticket", json!({"subject": "an older one"})).await;
    world.done("c", "update_crm", json!({"contact_id": "ana", "fields": {"city": "Madrid", "vip": true}})).await;
    world
}

/// The visible state: the calendar, the ledger, open tickets, contacts.
fn seen(world: &ToolsFixture) -> Value {
    let with = |space: &str, status: &str| {
        let all = world.records.space(space).into_iter();
        all.filter(|record| record["status"] == status).collect::<Vec<_>>()
    };
    json!({
        "held": world.records.held_ranges(),
        "booked": with("calendar", "confirmed"),
        "spent": world.records.space("payment_balances"),
        "tickets": with("tickets", "open"),
        "contacts": world.records.space("contacts"),
    })
}

/// An act that this tool undoes.
fn act(undone_by: &str, whole: bool) -> Value {
    match undone_by {
        "google_calendar" if whole => json!({"action": "create_booking", "date": "2025-01-20", "time": "11:00"}),
        "google_calendar" => json!({"date": "2025-01-20", "time": "11:00"}),
        "refund_payment" => json!({"amount": 33.33, "currency": "EUR", "method": "card"}),
        "close_ticket" => json!({"subject": "call back"}),
        "update_crm" => json!({"contact_id": "ana", "fields": {"city": "Sevilla", "vip": null, "since": 2025}}),
        other => panic!("`{other}` undoes something that is shipped: say here what"),
    }
}

async fn undone(world: &ToolsFixture, tool: &str, whole: bool, compensation: &ToolCompensation) {
    let before = seen(world);
    let arguments = act(&compensation.tool_name, whole);
    let output = world.done(&format!("{tool}/0"), tool, arguments.clone()).await;
    assert_ne!(seen(world), before, "`{tool}` has done nothing that could be seen");
    let root = json!({"output": output, "arguments": arguments});
    let parameters = ParamsTemplate::parse(&compensation.parameters, ParamsDialect::Edges).expect("templates");
    let rendered = parameters.render(&JsonContext::timeless(&root)).expect("the output has what undoing it needs");
    world.done(&format!("{tool}/0/undo"), &compensation.tool_name, rendered.clone()).await;
    assert_eq!(seen(world), before, "`{tool}` is undone, and the world is not as it was");
    // Undone again under the same key, as after a crash: nothing changes.
    world.done(&format!("{tool}/0/undo"), &compensation.tool_name, rendered).await;
    assert_eq!(seen(world), before, "undoing `{tool}` twice is more than once");
}

#[tokio::test]
async fn every_act_is_undone_whole_or_says_why_it_cannot_be() {
    let world = lived_in().await;
    let (mut walked, mut reasons) = (0, 0);
    for tool in world.registry.names() {
        let facts = world.registry.facts(&tool).expect("it is in the catalogue");
        let whole = !facts.actions.is_empty();
        for one in facts.flattened_actions().into_iter().filter(|one| one.class.has_side_effects()) {
            match (&one.compensation, &one.irreversible) {
                (Some(compensation), None) => {
                    undone(&world, &tool, whole, compensation).await;
                    walked += 1;
                }
                (None, Some(reason)) => {
                    assert!(reason.len() > 20, "`{tool}` gives no reason: {reason}");
                    reasons += 1;
                }
                (Some(_), Some(_)) => panic!("`{tool}` can be undone and says that it cannot"),
                (None, None) => panic!("`{tool}` acts, is not undone, and does not say why"),
            }
        }
    }
    assert!(walked >= 6 && reasons >= 6, "the catalogue was not walked: {walked}, {reasons}");
}
