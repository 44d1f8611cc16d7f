//! The settings of a tool apply, whatever name it is called by.

use baton_ports::tools::{CheckResult, ToolGateway};
use serde_json::{Value, json};

use crate::config::ToolPermission;
use crate::testing::{ToolsFixture, not_done};

/// Equivalent names, with a call under each name.
fn names() -> Vec<Vec<(&'static str, Value)>> {
    let pay = json!({"amount": 5});
    let booking = json!({"date": "2025-01-20", "time": "11:00"});
    let book = json!({"action": "create_booking", "date": "2025-01-20", "time": "11:00"});
    let asked = json!({"date": "2025-01-20"});
    let ask = json!({"action": "check_availability", "date": "2025-01-20"});
    let letter = json!({"to": "ana@clinic.example", "subject": "x", "body": "y"});
    vec![
        ["charge_payment", "make_payment", "process_payment"].map(|name| (name, pay.clone())).into(),
        vec![("google_calendar", book), ("create_booking", booking.clone()), ("execute_booking", booking)],
        vec![("google_calendar", ask), ("check_availability", asked)],
        vec![("send_email", letter.clone()), ("send_notification", letter)],
        ["web_search", "search_web"].map(|name| (name, json!({"query": "x"}))).into(),
    ]
}

/// The outcome of a call: the code of the refusal, or what it waits for.
async fn comes_to(world: &ToolsFixture, key: &str, tool: &str, arguments: &Value) -> String {
    match world.registry.check(&world.call(key, tool, arguments.clone()), None).await {
        CheckResult::Permitted(_) => "permitted".to_owned(),
        CheckResult::Answered(performed) => not_done(performed.outcome).0,
        CheckResult::NeedsApproval(needed) => format!("approval by {}", needed.approvals_needed),
        CheckResult::RateLimited { .. } => "rate".to_owned(),
        CheckResult::CircuitOpen { .. } => "circuit".to_owned(),
    }
}

fn ruled(name: &str, rule: &Value, of_tenant: bool) -> ToolsFixture {
    ToolsFixture::with(match of_tenant {
        true => json!({"zone": "Europe/Madrid", "tenants": {"clinic": {"tool": {name: rule}}}}),
        false => json!({"zone": "Europe/Madrid", "tool": {name: rule}}),
    })
}

#[tokio::test]
async fn a_rule_under_any_name_holds_for_every_name() {
    for (rule, expected) in [
        (json!({"enabled": false}), "TOOL_NOT_ALLOWED"),
        (json!({"approval": true, "approvers": {"need": 2}}), "approval by 2"),
        (json!({"overrides": {"no_such_argument": 1}}), "INVALID_PARAMETERS"),
    ] {
        for same in names() {
            for (ruled_name, _) in &same {
                for of_tenant in [true, false] {
                    let world = ruled(ruled_name, &rule, of_tenant);
                    for (name, arguments) in &same {
                        let came = comes_to(&world, &format!("{name}/0"), name, arguments).await;
                        assert_eq!(came, expected, "{rule} of `{ruled_name}`, called as `{name}`");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_limit_under_any_name_counts_the_calls_under_all() {
    for same in names() {
        for (ruled_name, _) in &same {
            let world = ruled(ruled_name, &json!({"rate": "1/min"}), true);
            let mut came = Vec::new();
            for (name, arguments) in same.iter().chain(&same) {
                came.push(comes_to(&world, &format!("{name}/{}", came.len()), name, arguments).await);
            }
            assert_eq!(came.iter().filter(|came| *came != "rate").count(), 1, "`{ruled_name}`: {came:?}");
        }
    }
}

#[tokio::test]
async fn a_rule_for_one_action_leaves_the_others_alone() {
    let world = ruled("create_booking", &json!({"enabled": false}), true);
    let ask = json!({"date": "2025-01-20"});
    assert_eq!(comes_to(&world, "k", "check_availability", &ask).await, "permitted");
    let whole = json!({"action": "check_availability", "date": "2025-01-20"});
    assert_eq!(comes_to(&world, "k", "google_calendar", &whole).await, "permitted");
    let cancel = json!({"booking_id": "bk_1"});
    assert_eq!(comes_to(&world, "k", "cancel_booking", &cancel).await, "permitted");
}

#[tokio::test]
async fn a_no_under_one_name_is_not_undone_by_a_yes_under_another() {
    let rules = json!({"charge_payment": {"enabled": false}, "make_payment": {"enabled": true, "approval": false}});
    let world = ToolsFixture::with(json!({"approval_from": "high", "tenants": {"clinic": {"tool": rules}}}));
    for name in ["charge_payment", "make_payment", "process_payment"] {
        assert_eq!(comes_to(&world, "k", name, &json!({"amount": 5})).await, "TOOL_NOT_ALLOWED", "{name}");
    }
}

#[tokio::test]
async fn what_a_preset_leaves_unsaid_its_tool_says() {
    let rules = json!({
        "google_calendar": {"enabled": false, "approval": true},
        "check_availability": {"enabled": true, "cache_seconds": 60},
        "create_booking": {"rate": "9/min"},
    });
    let world = ToolsFixture::with(json!({"zone": "Europe/Madrid", "tenants": {"clinic": {"tool": rules}}}));
    let booking = json!({"date": "2025-01-20", "time": "11:00"});
    assert_eq!(comes_to(&world, "k", "create_booking", &booking).await, "TOOL_NOT_ALLOWED");
    assert_eq!(comes_to(&world, "k", "check_availability", &json!({"date": "2025-01-20"})).await, "approval by 1");
}

#[tokio::test]
async fn a_rule_for_an_app_holds_for_all_its_tools() {
    let tools = json!([
        {"name": "shopify.refund", "kind": "script", "results": [{"output": {}}]},
        {"name": "shopify.ship", "kind": "script", "results": [{"output": {}}]},
        {"name": "shop.ship", "kind": "script", "results": [{"output": {}}]},
    ]);
    let rules = json!({"shopify.*": {"approval": true}, "shopify.ship": {"approval": false}});
    let world = ToolsFixture::with_definitions(json!({"tenants": {"clinic": {"tool": rules}}}), tools);
    for (name, expected) in
        [("shopify.refund", "approval by 1"), ("shopify.ship", "permitted"), ("shop.ship", "permitted")]
    {
        assert_eq!(comes_to(&world, "k", name, &json!({})).await, expected, "{name}");
    }
}

#[tokio::test]
async fn a_projects_own_tool_of_an_aliass_name_has_its_own_rules() {
    let own = json!({"name": "make_payment", "kind": "script", "results": [{"output": {}}]});
    let rules = json!({"make_payment": {"enabled": false}});
    let world = ToolsFixture::with_definitions(json!({"tenants": {"clinic": {"tool": rules}}}), own);
    assert_eq!(comes_to(&world, "k", "make_payment", &json!({})).await, "TOOL_NOT_ALLOWED");
    assert_eq!(comes_to(&world, "k", "charge_payment", &json!({"amount": 5})).await, "permitted");
}

fn own(world: &ToolsFixture, tool: &str, rule: &Value) {
    let rule = ToolPermission::read(rule).expect("is a rule");
    world.registry.set_tenant_permissions([("clinic".into(), [(tool.into(), rule)].into())].into());
}

#[tokio::test]
async fn what_a_tenant_sets_holds_beside_the_settings_for_every_name_until_it_is_gone() {
    for same in names() {
        for (ruled_name, _) in &same {
            let world = ToolsFixture::with(json!({"zone": "Europe/Madrid"}));
            own(&world, ruled_name, &json!({"enabled": false}));
            for (name, arguments) in &same {
                let came = comes_to(&world, &format!("{name}/0"), name, arguments).await;
                assert_eq!(came, "TOOL_NOT_ALLOWED", "`{ruled_name}`, called as `{name}`");
            }
            world.registry.set_tenant_permissions(
                [("other".into(), [((*ruled_name).into(), ToolPermission::denied())].into())].into(),
            );
            let (name, arguments) = &same[0];
            let came = comes_to(&world, "again", name, arguments).await;
            assert_ne!(came, "TOOL_NOT_ALLOWED", "another tenant's rule is none of this one's");
        }
    }
}

#[tokio::test]
async fn what_a_tenant_sets_makes_nothing_possible_that_the_settings_do_not() {
    let letter = json!({"to": "ana@clinic.example", "subject": "x", "body": "y"});
    for (files, expected) in
        [(json!({"enabled": false}), "TOOL_NOT_ALLOWED"), (json!({"approval": true}), "approval by 1")]
    {
        let world = ruled("send_email", &files, false);
        own(&world, "send_email", &json!({"enabled": true}));
        assert_eq!(comes_to(&world, "k", "send_email", &letter).await, expected);
    }
    // The approvers are those of the settings, if they name any; a tenant's limit applies in addition.
    let named = json!({"approval": true, "approvers": {"need": 2, "from": ["ana", "ben"]}});
    let world = ruled("send_email", &named, false);
    own(&world, "send_email", &json!({"approvers": {"need": 1}}));
    assert_eq!(comes_to(&world, "k", "send_email", &letter).await, "approval by 2");
    let world = ruled("send_email", &json!({"rate": "1/min"}), false);
    own(&world, "send_email", &json!({"rate": "none"}));
    assert_eq!(comes_to(&world, "one", "send_email", &letter).await, "permitted");
    assert_eq!(comes_to(&world, "two", "send_email", &letter).await, "rate");
    let world = ruled("send_email", &json!({"rate": "5/min"}), false);
    own(&world, "send_email", &json!({"rate": "1/min"}));
    assert_eq!(comes_to(&world, "one", "send_email", &letter).await, "permitted");
    assert_eq!(comes_to(&world, "two", "send_email", &letter).await, "rate");
    own(&world, "send_email", &json!({"rate": "2/h"}));
    assert_eq!(comes_to(&world, "three", "send_email", &letter).await, "permitted", "set anew");
    let world = ruled("send_email", &json!({"overrides": {"subject": "from the files"}}), false);
    own(&world, "send_email", &json!({"overrides": {"subject": "the tenant's"}, "approval": true}));
    let checked = world.registry.check(&world.call("k", "send_email", letter), None).await;
    let CheckResult::NeedsApproval(needed) = checked else { panic!("it needs leave") };
    assert_eq!(needed.arguments["subject"], "from the files");
}

#[tokio::test]
async fn what_a_tenant_sets_of_a_preset_opens_nothing_that_it_shut_for_the_tool_itself() {
    let booking = json!({"date": "2025-01-20", "time": "11:00"});
    let rules = |of_tool: &Value, of_preset: &Value| {
        let world = ToolsFixture::with(json!({"zone": "Europe/Madrid"}));
        let read = |rule: &Value| ToolPermission::read(rule).expect("is a rule");
        let rules = [("google_calendar".into(), read(of_tool)), ("create_booking".into(), read(of_preset))];
        world.registry.set_tenant_permissions([("clinic".into(), rules.into())].into());
        world
    };
    let shut = rules(&json!({"enabled": false}), &json!({"enabled": true}));
    assert_eq!(comes_to(&shut, "k", "create_booking", &booking).await, "TOOL_NOT_ALLOWED");
    let of_two = json!({"approval": true, "approvers": {"need": 2, "from": ["ana", "ben"]}});
    let asked = rules(&of_two, &json!({"approvers": {"need": 1, "from": ["eve"]}}));
    assert_eq!(comes_to(&asked, "k", "create_booking", &booking).await, "approval by 2");
    let rare = rules(&json!({"rate": "1/min"}), &json!({"rate": "none"}));
    assert_eq!(comes_to(&rare, "one", "create_booking", &booking).await, "permitted");
    assert_eq!(comes_to(&rare, "two", "create_booking", &booking).await, "rate");
}

#[tokio::test]
async fn a_rate_that_a_higher_role_set_counts_on_whatever_stricter_ones_are_set_beside_it() {
    let read = |rule: Value| ToolPermission::read(&rule).expect("is a rule");
    let letter = json!({"to": "ana@clinic.example", "subject": "x", "body": "y"});
    let world = ToolsFixture::with(json!({}));
    let admins = read(json!({"rate": "3/h"}));
    for (rate, expected) in [("2/h", "permitted"), ("1/h", "permitted"), ("2/day", "permitted"), ("1/day", "rate")] {
        let rule = read(json!({"rate": rate})).with_floor(&admins);
        world.registry.set_tenant_permissions([("clinic".into(), [("send_email".into(), rule)].into())].into());
        assert_eq!(comes_to(&world, rate, "send_email", &letter).await, expected, "{rate}");
    }
    // The same for a specific rule together with a general one.
    let world = ToolsFixture::with(json!({"zone": "Europe/Madrid"}));
    let booking = json!({"date": "2025-01-20", "time": "11:00"});
    for (rate, expected) in [("2/h", "permitted"), ("1/h", "permitted"), ("2/day", "rate")] {
        let rules =
            [("google_calendar".into(), json!({"rate": "2/min"})), ("create_booking".into(), json!({"rate": rate}))];
        let rules = rules.map(|(tool, rule)| (tool, read(rule)));
        world.registry.set_tenant_permissions([("clinic".into(), rules.into())].into());
        assert_eq!(comes_to(&world, rate, "create_booking", &booking).await, expected, "{rate}");
    }
}

#[test]
fn a_rule_is_looser_where_it_lets_more_through() {
    let loosens = |to: Value, from: Value| {
        let read = |rule| ToolPermission::read(&rule).expect("is a rule");
        read(to).loosened_field(&read(from)).map(|what| what.split('`').nth(1).expect("a field").to_owned())
    };
    for (to, from, field) in [
        (json!({}), json!({"enabled": false}), "enabled"),
        (json!({"enabled": true}), json!({"enabled": false}), "enabled"),
        (json!({}), json!({"approval": true}), "approval"),
        (json!({}), json!({"approvers": {}}), "approvers"),
        (json!({"approvers": {"need": 1}}), json!({"approvers": {"need": 2}}), "approvers"),
        (json!({"approvers": {}}), json!({"approvers": {"from": ["ana"]}}), "approvers"),
        (json!({"approvers": {"from": ["eve"]}}), json!({"approvers": {"from": ["ana"]}}), "approvers"),
        (json!({"approvers": {}}), json!({"approvers": {"deadline_seconds": 60}}), "approvers"),
        (json!({"approvers": {"deadline_seconds": 61}}), json!({"approvers": {"deadline_seconds": 60}}), "approvers"),
        (json!({}), json!({"rate": "5/min"}), "rate"),
        (json!({"rate": "5/s"}), json!({"rate": "5/min"}), "rate"),
        (json!({}), json!({"cache_seconds": 0}), "cache_seconds"),
        (json!({"cache_seconds": 2}), json!({"cache_seconds": 1}), "cache_seconds"),
        (json!({"overrides": {"to": "eve"}}), json!({"overrides": {"to": "ana"}}), "overrides"),
        (json!({"defaults": {}}), json!({"defaults": {"to": "ana"}}), "defaults"),
    ] {
        assert_eq!(loosens(to.clone(), from.clone()).as_deref(), Some(field), "{to} after {from}");
    }
    let set = json!({
        "enabled": true, "approval": true, "approvers": {"need": 2, "from": ["ana", "ben", "eve"], "deadline_seconds": 60},
        "rate": "5/min", "cache_seconds": 5, "defaults": {"to": "ana"}, "overrides": {"cc": "ben"},
    });
    let stricter = json!({
        "enabled": false, "approval": true, "approvers": {"need": 2, "from": ["ana", "ben"], "deadline_seconds": 30},
        "rate": "5/h", "cache_seconds": 0, "defaults": {"to": "ana", "x": 1}, "overrides": {"cc": "ben", "y": 1},
    });
    assert_eq!(loosens(stricter, set.clone()), None);
    assert_eq!(loosens(set.clone(), set), None);
}

#[test]
fn a_rule_that_is_none_says_why() {
    for (rule, why) in [
        (json!({"enable": false}), "enable"),
        (json!({"enabled": "no"}), "bool"),
        (json!({"approvers": {"need": 2, "from": ["ana"]}}), "needs 2 people"),
        (json!({"approval": false}), "not the other way"),
        (json!({"approvers": {"on_deadline": "approve"}}), "for the settings"),
    ] {
        let refused = ToolPermission::read(&rule).expect_err("is none");
        assert!(refused.contains(why), "{rule}: {refused}");
    }
}
