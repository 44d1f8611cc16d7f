use std::time::Duration;

use baton_core::run::OnExpiry;
use baton_core::tool::ToolOutcome;
use baton_ports::clock::Clock as _;
use baton_ports::tools::{ApprovalRequirement, CheckResult, PermittedCall as _, ToolGateway as _};
use serde_json::{Value, json};

use super::GrantedApproval;
use crate::call_state::ToolCallState;
use crate::check;
use crate::permit::Permit;
use crate::rules::ToolRules;
use crate::testing::ToolsFixture;
use crate::{ToolRegistry, ToolsConfig};

/// The approval that a call of this workflow needs.
async fn needed(settings: Value, workflow: &str, tool: &str, arguments: Value) -> Option<ApprovalRequirement> {
    let world = ToolsFixture::with(settings);
    let mut call = world.call("k", tool, arguments);
    call.workflow = workflow.to_owned();
    match world.registry.check(&call, None).await {
        CheckResult::NeedsApproval(needed) => Some(*needed),
        CheckResult::Permitted(_) => None,
        _ => panic!("neither asked nor permitted"),
    }
}

async fn charge(settings: Value) -> Option<ApprovalRequirement> {
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
        (asked.approvals_needed, asked.approvers, asked.deadline, asked.on_expiry),
        (2, vec!["eve".to_owned(), "bob".to_owned()], Some(Duration::from_secs(60)), OnExpiry::Approve)
    );
    let settings = json!({"approval_from": "high", "approvers": general, "workflows": {"booking": {"approvers": own}}});
    assert_eq!(charge(settings).await.unwrap().approvals_needed, 2, "the workflow's before everybody's");
    let asked = charge(json!({"approval_from": "high"})).await.unwrap();
    assert_eq!(
        (asked.approvals_needed, asked.approvers.len(), asked.deadline, asked.on_expiry),
        (1, 0, None, OnExpiry::Reject)
    );
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
        let world = ToolsFixture::with_definitions(json!({"tool": {"send": {"approval": true}}}), send(description));
        match world.registry.check(&world.call("k", "send", json!({})), None).await {
            CheckResult::NeedsApproval(needed) => needed.hash,
            _ => panic!("is not asked about"),
        }
    };
    assert_eq!(hash("sends").await, hash("sends").await);
    assert_ne!(hash("sends").await, hash("sends more").await);
}

/// A tool's settings with one account, the same settings with others, and a call of it.
fn accounts() -> Vec<(&'static str, Vec<Value>, Value)> {
    let stripe = |key: &str, url: &str| {
        let method = json!({"card": {"payment_method": "pm_1"}});
        json!({"payment": {"provider": "stripe", "currency": "EUR", "stripe": {"secret_key": key, "base_url": url, "methods": method}}})
    };
    let twilio = |sid: &str, token: &str| json!({"message": {"twilio": {"account_sid": sid, "auth_token": token, "from": "+14155552345"}}});
    let rest = |kind: &str, url: &str, token: &str| json!({kind: {"rest": {"base_url": url, "token": token}}});
    let smtp = |host: &str, user: &str, from: &str| json!({"email": {"smtp": {"host": host, "username": user, "password": "p4ss", "from": from}}});
    let sendgrid = |key: &str, from: &str| json!({"email": {"sendgrid": {"api_key": key, "from": from}}});
    let google = |token: &str, calendar: &str| {
        json!({"calendar": {"provider": "google", "google": {
            "client_id": "c", "client_secret": "s3cr3t", "refresh_token": token, "calendars": {"main": calendar},
        }}})
    };
    let caldav = |url: &str, user: &str, path: &str| {
        json!({"calendar": {"provider": "caldav", "caldav": {
            "url": url, "username": user, "password": "p4ss", "calendars": {"main": path},
        }}})
    };
    let calendly = |token: &str| json!({"calendar": {"provider": "calendly", "calendly": {"token": token, "event_types": [{"uri": "https://c.example/e"}]}}});
    let booking = || json!({"date": "2025-01-20", "time": "10:00", "email": "ana@example.com"});
    let mail = || json!({"to": "ana@example.com", "subject": "x", "body": "y"});
    let (one, two) = ("https://one.example", "https://two.example");
    vec![
        (
            "charge_payment",
            vec![stripe("sk_test_s3cr3t", one), stripe("sk_test_2", one), stripe("sk_test_s3cr3t", two)],
            json!({"amount": 5}),
        ),
        (
            "send_sms",
            vec![twilio("AC1", "s3cr3t"), twilio("AC2", "s3cr3t")],
            json!({"to": "+34612345678", "message": "x"}),
        ),
        (
            "update_crm",
            vec![rest("crm", one, "s3cr3t"), rest("crm", two, "s3cr3t"), rest("crm", one, "other")],
            json!({"contact_id": "ana", "fields": {"city": "x"}}),
        ),
        (
            "create_ticket",
            vec![rest("tickets", one, "s3cr3t"), rest("tickets", two, "s3cr3t")],
            json!({"subject": "x"}),
        ),
        (
            "send_email",
            vec![
                smtp("a", "u", "a@x.example"),
                smtp("b", "u", "a@x.example"),
                smtp("a", "v", "a@x.example"),
                smtp("a", "u", "b@x.example"),
            ],
            mail(),
        ),
        (
            "send_email",
            vec![
                sendgrid("SG.s3cr3t", "a@x.example"),
                sendgrid("SG.2", "a@x.example"),
                sendgrid("SG.s3cr3t", "b@x.example"),
            ],
            mail(),
        ),
        ("create_booking", vec![google("s3cr3t", "a"), google("other", "a"), google("s3cr3t", "b")], booking()),
        (
            "create_booking",
            vec![caldav(one, "u", "/a/"), caldav(two, "u", "/a/"), caldav(one, "v", "/a/"), caldav(one, "u", "/b/")],
            booking(),
        ),
        ("create_booking", vec![calendly("s3cr3t"), calendly("other")], booking()),
    ]
}

#[tokio::test]
async fn a_leave_that_was_given_for_one_account_lets_nothing_out_with_another() {
    for (tool, settings, arguments) in accounts() {
        let with_approval = |settings: &Value| {
            let mut all = settings.clone();
            all["tool"] = json!({tool: {"approval": true}});
            ToolsFixture::with(all)
        };
        let asks = async |settings: &Value, approved: Option<&str>| {
            let world = with_approval(settings);
            match world.registry.check(&world.call("k", tool, arguments.clone()), approved).await {
                CheckResult::NeedsApproval(needed) => Some(*needed),
                CheckResult::Permitted(_) => None,
                _ => panic!("`{tool}` is neither asked about nor permitted: {settings}"),
            }
        };
        let needed = asks(&settings[0], None).await.expect("it is asked about");
        let account = needed.account.as_deref().expect("the account is shown");
        assert!(!account.contains("s3cr3t") && !account.contains("p4ss"), "{account}");
        assert!(asks(&settings[0], Some(&needed.hash)).await.is_none(), "`{tool}` with {account}");
        for other in &settings[1..] {
            let anew = asks(other, Some(&needed.hash)).await;
            let anew = anew.unwrap_or_else(|| panic!("`{tool}` was allowed with {account}, and goes out with {other}"));
            assert_ne!((&anew.hash, &anew.account), (&needed.hash, &needed.account), "{other}");
        }
    }
    // A call that stays in this installation has no account.
    let own =
        needed(json!({"tool": {"charge_payment": {"approval": true}}}), "w", "charge_payment", json!({"amount": 5}));
    assert_eq!(own.await.unwrap().account, None);
}

#[test]
fn more_people_than_are_named_can_never_allow_anything() {
    let world = ToolsFixture::new();
    let config: ToolsConfig = serde_json::from_value(json!({
        "tenants": {"clinic": {"tool": {"charge_payment": {"approvers": {"need": 3, "from": ["a", "b"]}}}}}
    }))
    .unwrap();
    let refused = ToolRegistry::new(config, &world.services()).err().map(|error| error.to_string());
    assert_eq!(refused.as_deref(), Some("the settings under `tools`: `approvers` needs 3 people and names 2"));
}

#[tokio::test]
async fn that_people_are_asked_anew_is_no_failure_of_the_service() {
    let smtp = json!({"host": "127.0.0.1", "port": 1, "from": "clinic@clinic.example", "tls": "none"});
    let world = ToolsFixture::with(json!({"email": {"smtp": smtp}}));
    let call = world.call("k", "send_email", json!({"to": "ana@clinic.example", "subject": "a", "body": "b"}));
    let (gates, rules) = (std::sync::Arc::new(ToolCallState::new(None)), ToolRules::new(&ToolsConfig::default()));
    // More failures than it takes to open a circuit.
    for _ in 0..10 {
        let admitted = check::admit(&world.registry.catalogue(), &rules, &gates, &call, None, world.clock.now()).await;
        let Ok(mut admitted) = admitted else { panic!("is let through") };
        admitted.approval = Some(GrantedApproval::for_another_request());
        let permit = Box::new(Permit::new(admitted, gates.clone(), world.clock.clone()));
        assert_eq!(permit.perform(Duration::from_secs(1)).await.outcome.fault().unwrap().code, "APPROVAL_REQUIRED");
    }
}

#[tokio::test]
async fn a_leave_for_something_else_lets_nothing_out() {
    let world = ToolsFixture::new();
    let call = world.call("k", "charge_payment", json!({"amount": 5}));
    let gates = std::sync::Arc::new(ToolCallState::new(None));
    let rules = ToolRules::new(&ToolsConfig::default());
    let admitted = check::admit(&world.registry.catalogue(), &rules, &gates, &call, None, world.clock.now()).await;
    let Ok(mut admitted) = admitted else { panic!("is let through") };
    admitted.approval = Some(GrantedApproval::for_another_request());
    let permit = Box::new(Permit::new(admitted, gates, world.clock.clone()));
    let performed = permit.perform(Duration::from_secs(1)).await;
    let ToolOutcome::NotDone { fault, retryable: true, .. } = performed.outcome else {
        panic!("{:?}", performed.outcome)
    };
    assert_eq!(fault.code, "APPROVAL_REQUIRED");
    assert!(!performed.audit.sent, "nobody was asked");
}
