use std::time::Duration;

use baton_core::run::Lapse;
use baton_core::tool::Outcome;
use baton_ports::clock::Clock as _;
use baton_ports::tools::{Checked, Needed, PermittedCall as _, Tools as _};
use serde_json::{Value, json};

use super::Leave;
use crate::check;
use crate::gates::Gates;
use crate::permit::Permit;
use crate::rules::Rules;
use crate::testing::World;
use crate::{Config, Registry};

/// What a call of this workflow needs.
async fn needed(settings: Value, workflow: &str, tool: &str, arguments: Value) -> Option<Needed> {
    let world = World::with(settings);
    let mut call = world.call("k", tool, arguments);
    call.workflow = workflow.to_owned();
    match world.registry.check(&call, None).await {
        Checked::NeedsApproval(needed) => Some(*needed),
        Checked::Permitted(_) => None,
        _ => panic!("neither asked nor permitted"),
    }
}

async fn charge(settings: Value) -> Option<Needed> {
    needed(settings, "booking", "charge_payment", json!({"amount": 5})).await
}

#[tokio::test]
async fn a_tool_a_workflow_a_tenant_or_a_risk_may_ask_for_it() {
    for settings in [
        json!({"tool": {"charge_payment": {"approval": true}}}),
        json!({"workflows": {"booking": {"approval": true}}}),
        json!({"workflows": {"booking": {"approval_from": "high"}}}),
        json!({"tenants": {"clinic": {"approval_from": "high"}}}),
        json!({"tenants": {"clinic": {"workflows": {"booking": {"approval": true}}}}}),
        json!({"approval_from": "high"}),
    ] {
        assert!(charge(settings.clone()).await.is_some(), "{settings}");
    }
    for settings in [
        json!({}),
        json!({"workflows": {"another": {"approval": true}}}),
        json!({"tenants": {"salon": {"approval_from": "high"}}}),
        json!({"tool": {"charge_payment": {"approval": false}}, "approval_from": "low"}),
    ] {
        assert!(charge(settings.clone()).await.is_none(), "{settings}");
    }
    let workflow = json!({"workflows": {"booking": {"approval": true}}});
    let asks = needed(workflow, "booking", "calculator", json!({"expression": "1"})).await;
    assert!(asks.is_none(), "what does not act needs nobody");
}

#[tokio::test]
async fn the_narrowest_word_says_who_may_and_until_when() {
    let general = json!({"need": 1, "from": ["ana"]});
    let own = json!({"need": 2, "from": ["eve", "bob"], "deadline_seconds": 60, "on_deadline": "approve"});
    let settings =
        json!({"approval_from": "high", "approvers": general, "tool": {"charge_payment": {"approvers": own}}});
    let asked = charge(settings).await.unwrap();
    assert_eq!(
        (asked.need, asked.from, asked.deadline, asked.then),
        (2, vec!["eve".to_owned(), "bob".to_owned()], Some(Duration::from_secs(60)), Lapse::Approve)
    );
    let settings = json!({"approval_from": "high", "approvers": general, "workflows": {"booking": {"approvers": own}}});
    assert_eq!(charge(settings).await.unwrap().need, 2, "the workflow's before everybody's");
    let asked = charge(json!({"approval_from": "high"})).await.unwrap();
    assert_eq!((asked.need, asked.from.len(), asked.deadline, asked.then), (1, 0, None, Lapse::Reject));
}

#[tokio::test]
async fn the_request_shows_what_would_be_sent() {
    let settings = json!({
        "approval_from": "high",
        "tool": {"charge_payment": {"defaults": {"currency": "EUR"}, "overrides": {"method": "cash"}}}
    });
    let asked = charge(settings).await.unwrap();
    assert_eq!(asked.arguments["amount"], 5);
    assert_eq!((&asked.arguments["currency"], &asked.arguments["method"]), (&json!("EUR"), &json!("cash")));
}

#[tokio::test]
async fn another_definition_under_the_same_name_is_asked_about_anew() {
    let send = |description: &str| {
        json!([{"name": "send", "kind": "script", "class": "keyed", "irreversible": "sent",
                "description": description, "results": [{"output": {}}]}])
    };
    let hash = async |description: &str| {
        let world = World::defining(json!({"tool": {"send": {"approval": true}}}), send(description));
        match world.registry.check(&world.call("k", "send", json!({})), None).await {
            Checked::NeedsApproval(needed) => needed.hash,
            _ => panic!("is not asked about"),
        }
    };
    assert_eq!(hash("sends").await, hash("sends").await);
    assert_ne!(hash("sends").await, hash("sends more").await);
}

#[test]
fn more_people_than_are_named_can_never_allow_anything() {
    let world = World::new();
    let config: Config = serde_json::from_value(json!({
        "tenants": {"clinic": {"tool": {"charge_payment": {"approvers": {"need": 3, "from": ["a", "b"]}}}}}
    }))
    .unwrap();
    let refused = Registry::new(config, &world.services()).err().map(|error| error.to_string());
    assert_eq!(refused.as_deref(), Some("the settings under `tools`: `approvers` needs 3 people and names 2"));
}

#[tokio::test]
async fn a_leave_for_something_else_lets_nothing_out() {
    let world = World::new();
    let call = world.call("k", "charge_payment", json!({"amount": 5}));
    let gates = std::sync::Arc::new(Gates::new());
    let rules = Rules::new(&Config::default());
    let admitted = check::admit(&world.registry.catalogue(), &rules, &gates, &call, None, world.clock.now()).await;
    let Ok(mut admitted) = admitted else { panic!("is let through") };
    admitted.leave = Some(Leave::of_something_else());
    let permit = Box::new(Permit::new(admitted, gates, world.clock.clone()));
    let performed = permit.perform(Duration::from_secs(1)).await;
    let Outcome::NotDone { fault, retryable: true, .. } = performed.outcome else { panic!("{:?}", performed.outcome) };
    assert_eq!(fault.code, "APPROVAL_REQUIRED");
    assert!(!performed.audit.sent, "nobody was asked");
}
