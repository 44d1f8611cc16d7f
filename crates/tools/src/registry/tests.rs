use baton_core::id::RunId;
use baton_core::tool::{AuditStatus, EffectClass};
use serde_json::{Value, json};

use super::*;
use crate::testing::{ToolsFixture, done, not_done, unknown};
use crate::{ToolDefinition, ToolRisk};

fn add(key: &str, world: &ToolsFixture) -> ToolInvocation {
    world.call(key, "calculator", json!({"expression": "2 + 2"}))
}

#[tokio::test]
async fn a_call_goes_through_and_leaves_a_row() {
    let world = ToolsFixture::new();
    let mut call = add("run-1/add/0", &world);
    call.agent = Some("schedule_agent".to_owned());
    call.caller.user_id = Some("user_123".to_owned());
    let performed = world.send(&call).await;
    assert_eq!(done(performed.outcome), json!({"result": 4}));
    let row = performed.audit;
    assert_eq!(
        (row.action.as_str(), row.action_type.as_str(), row.status),
        ("calculator", "tool_execution", AuditStatus::Success)
    );
    assert_eq!((row.company_id.as_str(), row.run.as_ref().map(RunId::as_str)), ("clinic", Some("run-1")));
    assert_eq!((row.agent_name.as_deref(), row.user_id.as_deref()), (Some("schedule_agent"), Some("user_123")));
    assert_eq!(
        *row.details,
        json!({"parameters": {"expression": "2 + 2"}, "result": {"result": 4}, "key": "run-1/add/0", "attempt": 1,
               "provider": "built-in", "compensable": false})
    );
}

#[tokio::test]
async fn a_row_has_no_personal_data_and_no_secrets() {
    let tools = json!({
        "name": "login", "kind": "script", "results": [
            {"when": {"user": "ana@clinic.example"}, "output": {"token": "abc", "phone": "+34 612 345 678"}},
            {"fault": {"code": "NO", "message": "ana@clinic.example is unknown"}}
        ]
    });
    let world = ToolsFixture::with_definitions(json!({}), tools);
    let call = world.call("k", "login", json!({"user": "ana@clinic.example", "password": "hunter2"}));
    let details = world.send(&call).await.audit.details;
    assert_eq!(details["parameters"], json!({"user": "[REDACTED_EMAIL]", "password": "[REDACTED]"}));
    assert_eq!(details["result"], json!({"token": "[REDACTED]", "phone": "[REDACTED_PHONE]", "scripted": true}));
    let details = world.send(&world.call("k2", "login", json!({"user": "x"}))).await.audit.details;
    assert_eq!(details["error"], "scripted: [REDACTED_EMAIL] is unknown");
}

#[tokio::test]
async fn a_tool_that_there_is_not_is_named_with_what_was_meant() {
    let world = ToolsFixture::new();
    let performed = world.send(&world.call("k", "send_emial", json!({}))).await;
    assert_eq!(performed.audit.status, AuditStatus::Error);
    let (code, message) = not_done(performed.outcome);
    assert_eq!(code, "TOOL_NOT_FOUND");
    assert!(message.contains("did you mean `send_email`?"), "{message}");
}

#[tokio::test]
async fn other_names_of_the_seeds_lead_to_the_shipped_tools() {
    let world = ToolsFixture::new();
    for alias in ["make_payment", "process_payment"] {
        assert_eq!(
            world.done(alias, alias, json!({"amount": 100, "method": "credit_card"})).await["status"],
            "charged"
        );
    }
    assert_eq!(world.registry.describe_shared("search_web").unwrap().provider, "searxng");
    let own =
        json!({"name": "web_search", "kind": "script", "class": "read", "results": [{"output": {"results": []}}]});
    assert_eq!(
        ToolsFixture::with_definitions(json!({}), own).registry.describe_shared("search_web").unwrap().provider,
        "script"
    );
}

#[tokio::test]
async fn presets_of_the_seeds_are_one_action_of_a_tool() {
    let world = ToolsFixture::new();
    let facts = |name: &str| world.registry.facts(name).unwrap();
    let described = |name: &str| world.registry.describe_shared(name).unwrap();
    for (name, class, audit_type, compensable) in [
        ("check_availability", EffectClass::Read, "api_call", false),
        ("execute_booking", EffectClass::Keyed, "booking", true),
        ("send_notification", EffectClass::Keyed, "notification", false),
        ("create_ticket", EffectClass::Keyed, "ticket", true),
    ] {
        assert_eq!(facts(name).for_arguments(&json!({})).class, class, "{name}");
        assert_eq!((&*described(name).audit_type, described(name).compensable), (audit_type, compensable), "{name}");
    }
    assert_eq!(facts("execute_booking").parameters["required"], json!(["date", "time"]));
    let performed =
        world.send(&world.call("k", "execute_booking", json!({"date": "2025-01-20", "time": "10:00"}))).await;
    assert_eq!(performed.audit.action_type, "booking");
    let booked = done(performed.outcome);
    assert_eq!(
        world.done("k2", "cancel_booking", json!({"booking_id": booked["booking_id"]})).await["status"],
        "cancelled"
    );
}

#[tokio::test]
async fn the_facts_of_the_calendar_are_those_of_the_action() {
    let facts = ToolsFixture::new().registry.facts("google_calendar").unwrap();
    let of = |action: &str| facts.for_arguments(&json!({"action": action})).clone();
    assert_eq!(of("check_availability").class, EffectClass::Read);
    let booking = of("create_booking");
    assert_eq!(booking.class, EffectClass::Keyed);
    let undo = booking.compensation.unwrap();
    assert_eq!(undo.tool_name, "google_calendar");
    assert_eq!(undo.parameters, json!({"action": "cancel_booking", "booking_id": "{{ output.booking_id }}"}));
    assert!(booking.output_fields.contains(&"booking_id".to_owned()));
    assert!(of("cancel_booking").irreversible.is_some());
}

#[test]
fn every_tool_that_acts_can_be_undone_or_says_why_not() {
    fn check(name: &str, facts: &ToolContract) {
        if facts.actions.is_empty() && facts.class.has_side_effects() {
            assert!(facts.compensation.is_some() || facts.irreversible.is_some(), "{name}");
        }
        assert!(!facts.description.is_empty() && facts.parameters.is_object(), "{name}");
        facts.actions.iter().for_each(|(action, facts)| check(&format!("{name}.{action}"), facts));
    }
    let registry = ToolsFixture::new().registry;
    for name in registry.names() {
        check(&name, &registry.facts(&name).unwrap());
    }
}

#[test]
fn what_a_compensation_needs_is_among_the_outputs() {
    fn check(registry: &ToolRegistry, name: &str, facts: &ToolContract) {
        facts.actions.values().for_each(|facts| check(registry, name, facts));
        let Some(undo) = &facts.compensation else { return };
        assert!(registry.facts(&undo.tool_name).is_some(), "{name}");
        for value in undo.parameters.as_object().unwrap().values().filter_map(Value::as_str) {
            if let Some(field) = value.strip_prefix("{{ output.").and_then(|rest| rest.strip_suffix(" }}")) {
                assert!(facts.output_fields.iter().any(|known| known == field), "{name}: {field}");
            }
        }
    }
    let registry = ToolsFixture::new().registry;
    registry.names().iter().for_each(|name| check(&registry, name, &registry.facts(name).unwrap()));
}

#[tokio::test]
async fn a_tool_is_enabled_by_tenant() {
    let world = ToolsFixture::with(json!({
        "tool": {"calculator": {"enabled": false}}, "tenants": {"salon": {"tool": {"calculator": {"enabled": true}}}}
    }));
    let mut call = add("k", &world);
    let (code, message) = not_done(world.send(&call).await.outcome);
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("TOOL_NOT_ALLOWED", "`calculator` is not enabled for the tenant `clinic`")
    );
    call.tenant = "salon".into();
    assert_eq!(done(world.send(&call).await.outcome), json!({"result": 4}));
}

#[tokio::test]
async fn a_disabled_tool_is_disabled_under_its_other_names() {
    let world = ToolsFixture::with(
        json!({"tool": {"google_calendar": {"enabled": false}, "charge_payment": {"enabled": false}}}),
    );
    assert_eq!(world.refused("k", "check_availability", json!({"date": "2025-01-20"})).await.0, "TOOL_NOT_ALLOWED");
    assert_eq!(world.refused("k", "make_payment", json!({"amount": 1})).await.0, "TOOL_NOT_ALLOWED");
}

#[tokio::test]
async fn defaults_fill_in_and_overrides_win() {
    let world = ToolsFixture::with(json!({
        "tool": {"charge_payment": {"defaults": {"currency": "EUR"}, "overrides": {"method": "house"}}},
        "tenants": {"clinic": {"tool": {"charge_payment": {"defaults": {"currency": "GBP"}}}}}
    }));
    let charged = world.done("k", "charge_payment", json!({"amount": 5, "method": "card"})).await;
    assert_eq!((&charged["currency"], &charged["method"]), (&json!("GBP"), &json!("house")));
    let charged = world.done("k2", "charge_payment", json!({"amount": 5, "currency": "USD"})).await;
    assert_eq!(charged["currency"], "USD");
}

#[tokio::test]
async fn wrong_arguments_are_refused_in_the_customers_language() {
    let world = ToolsFixture::new();
    let mut call = world.call("k", "calculator", json!({"expresion": "1"}));
    for (language, expect) in
        [("es-MX", "Parámetros no válidos"), ("en", "Invalid parameters"), ("fr", "Invalid parameters")]
    {
        call.caller.language = Some(language.to_owned());
        match world.send(&call).await.outcome {
            ToolOutcome::NotDone { fault, retryable: false, .. } => {
                assert_eq!(fault.code, "INVALID_PARAMETERS");
                assert!(fault.message.contains("did you mean `expression`?"), "{}", fault.message);
                assert_eq!(fault.customer.as_deref(), Some(expect));
                assert!(fault.suggested_action.is_some());
            }
            other => panic!("{other:?}"),
        }
    }
}

async fn asked(world: &ToolsFixture, call: &ToolInvocation, approved: Option<&str>) -> Option<String> {
    match world.registry.check(call, approved).await {
        CheckResult::NeedsApproval(needed) => Some(needed.hash),
        CheckResult::Permitted(_) => None,
        _ => panic!("neither asked nor permitted"),
    }
}

#[tokio::test]
async fn a_risky_call_needs_a_person_who_allows_exactly_it() {
    let world = ToolsFixture::with(json!({"zone": "Europe/Madrid", "approval_from": "high"}));
    assert_eq!(asked(&world, &add("k", &world), None).await, None);
    let refund = world.call("k", "refund_payment", json!({"transaction_id": "tx_1", "amount": 5}));
    let hash = asked(&world, &refund, None).await.unwrap();
    assert_eq!(hash.len(), 64);
    assert_eq!(asked(&world, &refund, None).await, Some(hash.clone()), "asking again asks for the same");
    assert_eq!(asked(&world, &refund, Some(&hash)).await, None);
    let more = world.call("k", "refund_payment", json!({"transaction_id": "tx_1", "amount": 50}));
    assert_ne!(asked(&world, &more, Some(&hash)).await, Some(hash.clone()), "other arguments are asked for anew");
    let again = world.call("k2", "refund_payment", json!({"transaction_id": "tx_1", "amount": 5}));
    assert!(asked(&world, &again, Some(&hash)).await.is_some(), "an approval is for one effect");
    let mut salon = refund.clone();
    salon.tenant = "salon".into();
    assert!(asked(&world, &salon, Some(&hash)).await.is_some(), "and for one tenant");
}

#[tokio::test]
async fn one_tool_may_need_a_person_and_another_may_not() {
    let world = ToolsFixture::with(json!({
        "approval_from": "high", "tool": {"calculator": {"approval": true}, "charge_payment": {"approval": false}}
    }));
    assert!(asked(&world, &add("k", &world), None).await.is_some());
    assert!(asked(&world, &world.call("k", "charge_payment", json!({"amount": 1})), None).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_unknown_if_it_may_have_acted() {
    let slow = |class: &str| json!({"name": class, "kind": "script", "class": class, "latency_ms": 60_000, "results": [{"output": {}}]});
    let world = ToolsFixture::with_definitions(
        json!({}),
        json!([slow("pure"), slow("read"), slow("keyed"), slow("verify"), slow("once")]),
    );
    for (class, certain) in [("pure", true), ("read", true), ("keyed", false), ("verify", false), ("once", false)] {
        let began = tokio::time::Instant::now();
        let performed = world.send_within(&world.call(class, class, json!({})), Duration::from_millis(1_500)).await;
        assert_eq!(began.elapsed(), Duration::from_millis(1_500), "{class}");
        assert_eq!(performed.audit.duration_ms, 1_500);
        let code = match performed.outcome {
            ToolOutcome::NotDone { fault, retryable: true, .. } if certain => fault.code,
            ToolOutcome::Unknown { fault } if !certain => fault.code,
            other => panic!("{class}: {other:?}"),
        };
        assert_eq!(code, "TIMEOUT");
    }
}

#[tokio::test]
async fn what_is_unknown_says_so_in_its_row() {
    let cut_off =
        json!({"name": "cut_off", "kind": "script", "results": [{"fault": {"code": "TIMEOUT", "unknown": true}}]});
    let world = ToolsFixture::with_definitions(json!({}), cut_off);
    let performed = world.send(&world.call("k", "cut_off", json!({}))).await;
    assert_eq!(performed.audit.details["outcome"], "unknown");
    assert_eq!(unknown(performed.outcome).0, "TIMEOUT");
}

#[tokio::test]
async fn a_price_is_charged_for_what_was_done_and_told_in_the_row() {
    let world = ToolsFixture::with(json!({"tool": {"calculator": {"cost_usd": 0.005, "timeout_ms": 250}}}));
    let performed = world.send(&add("k", &world)).await;
    assert!(matches!(performed.outcome, ToolOutcome::Done { cost, .. } if cost == Usd::from_f64(0.005)));
    assert_eq!(performed.audit.details["cost_usd"], 0.005);
    assert_eq!(world.registry.facts("calculator").unwrap().timeout, Duration::from_millis(250));
}

#[test]
fn settings_for_a_tool_that_there_is_not_are_refused() {
    let config: ToolsConfig = serde_json::from_value(json!({"tenants": {"a": {"tool": {"calculater": {}}}}})).unwrap();
    let world = ToolsFixture::new();
    let error = ToolRegistry::new(config, &world.services()).err().unwrap();
    assert_eq!(
        error.to_string(),
        "the settings speak of a tool `calculater` that there is not; did you mean `calculator`?"
    );
}

#[test]
fn settings_of_a_calendar_are_checked_as_a_whole() {
    let calendar = json!({"calendar": {"treatments": {"botox": {"resources": ["room 9"]}}}});
    let config: ToolsConfig = serde_json::from_value(calendar).unwrap();
    let world = ToolsFixture::new();
    let error = ToolRegistry::new(config, &world.services()).err().unwrap();
    assert!(error.to_string().contains("`botox` needs `room 9`"), "{error}");
}

#[tokio::test]
async fn a_projects_own_tool_stands_in_for_a_shipped_one_and_its_presets() {
    let own =
        json!({"name": "google_calendar", "kind": "script", "class": "read", "results": [{"output": {"mine": true}}]});
    let world = ToolsFixture::with_definitions(json!({}), own.clone());
    assert_eq!(world.done("k", "check_availability", json!({"date": "x"})).await["mine"], true);
    let twice = ToolDefinition::parse(json!([own, own])).unwrap().tools;
    let error = ToolRegistry::with_defined(ToolsConfig::default(), twice, &world.services()).err().unwrap();
    assert_eq!(error, ToolSetupError::DefinedTwice { name: "google_calendar".to_owned() });
}

#[test]
fn a_description_says_what_lists_show() {
    let registry = ToolsFixture::new().registry;
    let refund = registry.describe_shared("refund_payment").unwrap();
    assert_eq!((&*refund.category, refund.provider, refund.risk), ("payment", "internal", ToolRisk::High));
    assert!(registry.describe_shared("nothing").is_none());
}

#[tokio::test]
async fn a_tool_that_is_gone_cannot_be_looked_up() {
    let world = ToolsFixture::new();
    let call = world.call("k", "gone", json!({}));
    let (code, _) = unknown(world.registry.look_up(&call, Duration::from_secs(1)).await);
    assert_eq!(code, "OUTCOME_UNKNOWN");
}

/// Seed 000 defines the time-outs, seed 003 the attempts.
#[test]
fn time_outs_and_attempts_are_those_of_the_seeds() {
    let world = ToolsFixture::new();
    let facts = |tool: &str| world.registry.facts(tool).unwrap();
    for (tool, seconds) in [("google_calendar", 10), ("send_whatsapp", 5), ("send_email", 10), ("create_ticket", 30)] {
        assert_eq!(facts(tool).timeout.as_secs(), seconds, "{tool}");
    }
    let retry = facts("send_email").retry.clone();
    let waits = (retry.initial.as_secs(), retry.multiplier, retry.max.as_secs());
    assert_eq!((retry.max_attempts, waits), (3, (2, 2.0, 10)));
}

/// What delayed a call, and for how many milliseconds.
async fn held(world: &ToolsFixture, call: &ToolInvocation) -> Option<(&'static str, u128)> {
    match world.registry.check(call, None).await {
        CheckResult::RateLimited { retry_after } => Some(("rate", retry_after.as_millis())),
        CheckResult::CircuitOpen { retry_after, .. } => Some(("circuit", retry_after.as_millis())),
        CheckResult::Permitted(_) | CheckResult::Answered(_) => None,
        CheckResult::NeedsApproval(_) => panic!("needs approval"),
    }
}

/// Seed 000 defines the numbers.
#[tokio::test]
async fn bug_tl_001_a_tenant_calls_a_tool_no_more_often_than_its_rate() {
    let world = ToolsFixture::new();
    for (tool, calls, arguments) in [
        ("google_calendar", 100, json!({"action": "check_availability", "date": "2025-01-20"})),
        ("send_whatsapp", 10, json!({"to": "+34 612 345 678", "message": "hola"})),
        ("send_email", 20, json!({"to": "ana@clinic.example", "subject": "a", "body": "b"})),
    ] {
        for key in 0..calls {
            assert_eq!(
                held(&world, &world.call(&key.to_string(), tool, arguments.clone())).await,
                None,
                "{tool} {key}"
            );
        }
        let mut one_more = world.call("one more", tool, arguments);
        assert_eq!(held(&world, &one_more).await, Some(("rate", 60_000)), "{tool}");
        one_more.tenant = "salon".into();
        assert_eq!(held(&world, &one_more).await, None, "{tool}: each tenant has its own");
    }
}

#[tokio::test]
async fn a_rate_holds_under_all_names_of_a_tool_and_comes_back_with_time() {
    let world = ToolsFixture::with(json!({"zone": "Europe/Madrid", "tool": {"google_calendar": {"rate": "2/min"}}}));
    let check = |key: &str| world.call(key, "check_availability", json!({"date": "2025-01-20"}));
    let whole =
        |key: &str| world.call(key, "google_calendar", json!({"action": "check_availability", "date": "2025-01-20"}));
    assert_eq!((held(&world, &check("a")).await, held(&world, &whole("b")).await), (None, None));
    assert_eq!(held(&world, &check("c")).await, Some(("rate", 60_000)));
    world.clock.advance(Duration::from_secs(40));
    assert_eq!(held(&world, &check("c")).await, Some(("rate", 20_000)));
    world.clock.advance(Duration::from_secs(20));
    assert_eq!(held(&world, &check("c")).await, None);
}

#[tokio::test]
async fn a_tenant_has_a_rate_for_all_its_tools_and_may_have_its_own_for_one() {
    let world = ToolsFixture::with(json!({
        "rate": "3/min", "tool": {"calculator": {"rate": "1/min"}},
        "tenants": {"clinic": {"tool": {"calculator": {"rate": "none"}}}}
    }));
    for key in ["a", "b", "c"] {
        assert_eq!(held(&world, &add(key, &world)).await, None, "{key}");
    }
    assert_eq!(held(&world, &add("d", &world)).await, Some(("rate", 60_000)));
    let mut salon = add("e", &world);
    salon.tenant = "salon".into();
    assert_eq!(held(&world, &salon).await, None);
    salon.key = "f".to_owned();
    assert_eq!(held(&world, &salon).await, Some(("rate", 60_000)), "for the others one a minute");
}

#[tokio::test]
async fn an_answer_that_holds_is_given_again_for_nothing() {
    let lookup = json!({"name": "lookup", "kind": "script", "class": "read", "cost_usd": 0.25,
                        "results": [{"output": {"n": 1}}]});
    let world = ToolsFixture::with_definitions(json!({"tool": {"lookup": {"cache_seconds": 60}}}), lookup);
    let first = world.send(&world.call("a", "lookup", json!({"q": 1, "p": 2}))).await;
    let given = match first.outcome {
        ToolOutcome::Done { output, cached: false, .. } => output,
        other => panic!("{other:?}"),
    };
    let again = world.send(&world.call("b", "lookup", json!({"p": 2, "q": 1}))).await;
    match again.outcome {
        ToolOutcome::Done { output, cost: Usd::ZERO, cached: true } => {
            assert_eq!((&output, &output["n"]), (&given, &json!(1)))
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(again.audit.status, AuditStatus::Success);
    let mut salon = world.call("c", "lookup", json!({"q": 1, "p": 2}));
    salon.tenant = "salon".into();
    assert!(
        matches!(world.send(&salon).await.outcome, ToolOutcome::Done { cached: false, .. }),
        "another tenant's own"
    );
    let other = world.send(&world.call("d", "lookup", json!({"q": 2, "p": 2}))).await;
    assert!(matches!(other.outcome, ToolOutcome::Done { cached: false, .. }), "other arguments");
    world.clock.advance(Duration::from_secs(60));
    let later = world.send(&world.call("e", "lookup", json!({"q": 1, "p": 2}))).await;
    assert!(matches!(later.outcome, ToolOutcome::Done { cached: false, .. }), "it holds for a minute");
}

#[tokio::test]
async fn what_a_tool_answered_before_it_was_replaced_is_given_to_nobody() {
    let look = |name: &str, n: u8| {
        let tool = json!({"name": name, "kind": "script", "class": "read", "results": [{"output": {"n": n}}]});
        ToolDefinition::parse(tool).unwrap().tools
    };
    let first = json!({"name": "look", "kind": "script", "class": "read", "results": [{"output": {}}]});
    let world = ToolsFixture::with_definitions(json!({"tool": {"look": {"cache_seconds": 60}}}), first);
    let settings = world.registry.added_source_config(false);
    let holds = ToolPermission { cache_seconds: Some(60), ..ToolPermission::default() };
    world
        .registry
        .set_tenant_permissions(BTreeMap::from([("clinic".into(), BTreeMap::from([(Arc::from("own.look"), holds)]))]));
    let answer = async |key: &str, tool: &str| {
        let mut call = world.call(key, tool, json!({"q": 1}));
        call.class = EffectClass::Read;
        match world.send(&call).await.outcome {
            ToolOutcome::Done { output, cached, .. } => (output["n"].clone(), cached),
            other => panic!("{other:?}"),
        }
    };
    for n in [1, 2] {
        world.registry.redefine(look("look", n), Vec::new()).unwrap();
        world.registry.set_tenant_tools(&"clinic".into(), &settings, look("own.look", n), Vec::new()).unwrap();
        for tool in ["look", "own.look"] {
            assert_eq!(answer(&format!("{tool}/{n}/a"), tool).await, (json!(n), false), "{tool}");
            assert_eq!(answer(&format!("{tool}/{n}/b"), tool).await, (json!(n), true), "{tool}");
        }
    }
}

/// Cached results are counted by their size in memory, and stay within the limit.
#[tokio::test]
async fn the_answers_used_longest_ago_make_room() {
    let rows: Vec<_> = (0..2_000).map(|n| json!({"n": n})).collect();
    let lookup = json!({"name": "lookup", "kind": "script", "class": "read", "results": [
        {"output": {"rows": rows, "q": "{{ arguments.q }}"}}]});
    let world =
        ToolsFixture::with_definitions(json!({"tool": {"lookup": {"cache_seconds": 60}}, "rate": "none"}), lookup);
    let ask = async |q: usize| match world.send(&world.call("k", "lookup", json!({"q": q}))).await.outcome {
        ToolOutcome::Done { cached, .. } => cached,
        other => panic!("{other:?}"),
    };
    // Each takes more than one megabyte, of 64 for all.
    for q in 0..60 {
        assert!(!ask(q).await, "{q}");
    }
    assert!(ask(59).await && !ask(0).await);
}

#[tokio::test]
async fn what_acts_is_never_answered_from_what_is_kept() {
    let world = ToolsFixture::with(json!({"tool": {"charge_payment": {"cache_seconds": 60}}}));
    let charge = |key: &'static str| world.done(key, "charge_payment", json!({"amount": 5, "method": "card"}));
    assert_ne!(charge("a").await["transaction_id"], charge("b").await["transaction_id"]);
}

#[tokio::test]
async fn a_service_that_fails_five_times_is_left_alone_for_a_minute_then_tried_once() {
    let config = json!({"email": {"smtp": {
        "host": "127.0.0.1", "port": 1, "from": "clinic@clinic.example", "tls": "none"}}, "tool": {"send_email": {"rate": "none"}}});
    let world = ToolsFixture::with(config);
    let letter = json!({"to": "ana@clinic.example", "subject": "a", "body": "b"});
    let call = |key: &str| world.call(key, "send_email", letter.clone());
    for key in ["1", "2", "3", "4", "5"] {
        assert_eq!(not_done(world.send(&call(key)).await.outcome).0, "SERVICE_UNAVAILABLE");
    }
    assert_eq!(held(&world, &call("6")).await, Some(("circuit", 60_000)));
    assert_eq!(
        held(&world, &ToolInvocation { tenant: "salon".into(), ..call("7") }).await,
        None,
        "the others have their own server"
    );
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(held(&world, &call("8")).await, None);
    // Its permit was never used, so the next call may probe the service.
    assert_eq!(not_done(world.send(&call("9")).await.outcome).0, "SERVICE_UNAVAILABLE");
    assert_eq!(held(&world, &call("10")).await, Some(("circuit", 60_000)));
}

#[tokio::test]
async fn an_answer_for_one_person_is_not_anothers() {
    let lookup = json!({"name": "lookup", "kind": "script", "class": "read", "results": [{"output": {"n": 1}}]});
    let world = ToolsFixture::with_definitions(json!({"tool": {"lookup": {"cache_seconds": 60}}}), lookup);
    let of = |user: &str| {
        let mut call = world.call(user, "lookup", json!({"q": 1}));
        call.caller.user_id = Some(user.to_owned());
        call
    };
    for (user, expect) in [("ana", false), ("ana", true), ("ben", false)] {
        let outcome = world.send(&of(user)).await.outcome;
        assert!(matches!(outcome, ToolOutcome::Done { cached, .. } if cached == expect), "{user}: {outcome:?}");
    }
}

#[tokio::test]
async fn waiting_for_one_tool_takes_no_turn_from_the_others() {
    let world = ToolsFixture::with(json!({"rate": "2/min", "tool": {"calculator": {"rate": "1/min"}}}));
    assert_eq!(held(&world, &add("a", &world)).await, None);
    assert_eq!(held(&world, &add("b", &world)).await, Some(("rate", 60_000)));
    let other = world.call("c", "filter_list", json!({"items": [], "condition": "`true`"}));
    assert_eq!(held(&world, &other).await, None);
}

/// The circuit of a database that is down, after its minute, with one call admitted as a probe.
fn dead_database() -> ToolsFixture {
    ToolsFixture::with(json!({
        "databases": {"shop": {"url": "postgres://baton:secret@127.0.0.1:1/shop?sslmode=disable"}},
        "tool": {"query_database": {"rate": "none", "cache_seconds": 0}},
    }))
}

#[tokio::test]
async fn a_query_that_is_refused_before_the_database_is_asked_says_nothing_of_it() {
    let world = dead_database();
    let query = |key: &str, sql: &str| world.call(key, "query_database", json!({"query": sql}));
    for key in ["1", "2", "3", "4", "5"] {
        assert_eq!(not_done(world.send(&query(key, "SELECT 1")).await.outcome).0, "SERVICE_UNAVAILABLE");
    }
    assert_eq!(held(&world, &query("6", "SELECT 1")).await, Some(("circuit", 60_000)));
    world.clock.advance(Duration::from_secs(60));
    let refused = not_done(world.send(&query("7", "DELETE FROM orders")).await.outcome);
    assert_eq!(refused.0, "QUERY_REFUSED", "{}", refused.1);
    // No probe has completed: the next call probes, and the circuit opens again at its first failure.
    assert_eq!(not_done(world.send(&query("8", "SELECT 1")).await.outcome).0, "SERVICE_UNAVAILABLE");
    assert_eq!(held(&world, &query("9", "SELECT 1")).await, Some(("circuit", 60_000)));
}

#[tokio::test]
async fn refusals_of_ours_open_no_circuit() {
    let world = dead_database();
    for key in 0..10 {
        let call = world.call(&key.to_string(), "query_database", json!({"query": "DROP TABLE orders"}));
        assert_eq!(not_done(world.send(&call).await.outcome).0, "QUERY_REFUSED");
    }
    assert_eq!(held(&world, &world.call("10", "query_database", json!({"query": "SELECT 1"}))).await, None);
}
