use std::sync::Arc;
use std::time::Duration;

use baton_core::tool::ToolOutcome;
use baton_ports::tools::ToolGateway as _;
use serde_json::{Value, json};

use crate::testing::{ToolsFixture, done, not_done, unknown};

fn world(more: Value) -> ToolsFixture {
    let mut tool = json!({"name": "t", "kind": "script"});
    tool.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ToolsFixture::with_definitions(json!({}), tool)
}

#[tokio::test]
async fn the_first_result_that_matches_answers_and_says_that_it_is_scripted() {
    let world = world(json!({"class": "read", "results": [
        {"when": {"location": "London"}, "output": {"temp": 11}},
        {"when": {"location": null}, "output": "nowhere"},
        {"when": "arguments.location in ['Paris', 'Rome']", "output": {"temp": 20, "where": "{{ arguments.location }}"}},
        {"when": {"at": {"x": 1.0}}, "output": {"temp": 0}},
    ]}));
    assert_eq!(
        world.done("k", "t", json!({"location": "London", "more": 1})).await,
        json!({"temp": 11, "scripted": true})
    );
    assert_eq!(
        world.done("k", "t", json!({"location": "Rome"})).await,
        json!({"temp": 20, "where": "Rome", "scripted": true})
    );
    assert_eq!(world.done("k", "t", json!({"location": 1, "at": {"x": 1, "y": 2}})).await["temp"], 0);
    assert_eq!(world.done("k", "t", json!({})).await, json!("nowhere"));
    assert_eq!(world.refused("k", "t", json!({"location": "Oslo"})).await.0, "NO_SCRIPTED_RESULT");
}

#[tokio::test]
async fn a_result_without_a_hole_is_the_same_one_for_all_who_ask_and_one_with_a_hole_is_each_ones_own() {
    let world = world(json!({"class": "read", "results": [
        {"when": {"who": "all"}, "output": {"list": [1, 2]}}, {"output": {"who": "{{ arguments.who }}"}},
    ]}));
    let ask = async |key: &str, who: &str| match world.send(&world.call(key, "t", json!({"who": who}))).await.outcome {
        ToolOutcome::Done { output, .. } => output,
        other => panic!("{other:?}"),
    };
    let first = ask("a", "all").await;
    assert_eq!(*first, json!({"list": [1, 2], "scripted": true}));
    assert!(Arc::ptr_eq(&first, &ask("b", "all").await));
    assert_eq!(*ask("c", "ana").await, json!({"who": "ana", "scripted": true}));
    assert_eq!(*ask("d", "ben").await, json!({"who": "ben", "scripted": true}));
}

#[tokio::test]
async fn a_result_that_is_too_large_is_refused_when_it_is_asked_for() {
    let world = world(json!({"class": "read", "results": [{"output": {"text": "x".repeat(300 * 1024)}}]}));
    let (code, message) = world.refused("k", "t", json!({})).await;
    assert_eq!(code, "EXPRESSION_FAILED");
    assert!(message.contains("larger than"), "{message}");
}

#[tokio::test]
async fn an_acting_script_acts_once_per_key() {
    let world = world(json!({"results": [{"output": {"id": "{{ id }}"}}]}));
    let first = world.done("k1", "t", json!({})).await;
    assert_eq!(world.done("k1", "t", json!({})).await, first);
    assert_ne!(world.done("k2", "t", json!({})).await["id"], first["id"]);
    assert_eq!(world.records.space("effects").len(), 2);
}

#[tokio::test]
async fn turns_are_counted_by_run_and_do_not_move_when_a_key_is_sent_again() {
    let world = world(json!({"class": "read", "results": [
        {"turn": 1, "output": {"n": "{{ turn }}"}}, {"turn": 2, "output": {"n": 2}}, {"output": {"n": "more"}},
    ]}));
    let mut seen = Vec::new();
    for key in ["a", "a", "b", "c"] {
        seen.push(world.done(key, "t", json!({})).await["n"].clone());
    }
    assert_eq!(seen, [json!(1), json!(1), json!(2), json!("more")]);
    let mut other = world.call("d", "t", json!({}));
    other.run = "run-2".into();
    assert_eq!(done(world.send(&other).await.outcome)["n"], 1);
}

#[tokio::test]
async fn calls_at_once_take_different_turns() {
    let world = world(json!({"class": "read", "results": [{"output": {"turn": "{{ turn }}"}}]}));
    let calls: Vec<_> = (0..10).map(|n| world.call(&format!("k{n}"), "t", json!({}))).collect();
    let outcomes = futures::future::join_all(calls.iter().map(|call| world.send(call))).await;
    let mut turns: Vec<_> =
        outcomes.into_iter().map(|performed| done(performed.outcome)["turn"].as_u64().unwrap()).collect();
    turns.sort_unstable();
    assert_eq!(turns, (1..=10).collect::<Vec<_>>());
}

#[tokio::test]
async fn faults_come_by_attempt_with_words_of_their_own() {
    let world = world(json!({"results": [
        {"attempt": 1, "fault": {"code": "BUSY", "message": "come back", "retryable": true, "retry_after_ms": 250,
                                 "customer": {"en": "Busy.", "es": "Ocupado."}}},
        {"output": {"ok": true}},
    ]}));
    let mut call = world.call("k", "t", json!({}));
    match world.send(&call).await.outcome {
        ToolOutcome::NotDone { fault, retryable: true, retry_after: Some(250) } => {
            assert_eq!((&*fault.code, fault.customer.as_deref()), ("BUSY", Some("Ocupado.")));
        }
        other => panic!("{other:?}"),
    }
    call.attempt = 2;
    assert_eq!(done(world.send(&call).await.outcome)["ok"], true);
}

#[tokio::test]
async fn a_script_that_acted_and_lost_its_answer_is_found_by_a_look_up() {
    let limit = Duration::from_secs(1);
    let lost = world(
        json!({"class": "verify", "results": [{"fault": {"code": "TIMEOUT", "unknown": true}, "output": {"id": 7}}]}),
    );
    let call = lost.call("k", "t", json!({}));
    let (code, _) = not_done(lost.registry.look_up(&call, limit).await);
    assert_eq!(code, "SERVICE_UNAVAILABLE");
    assert_eq!(unknown(lost.send(&call).await.outcome).0, "TIMEOUT");
    assert_eq!(done(lost.registry.look_up(&call, limit).await), json!({"id": 7, "scripted": true}));

    let never = world(json!({"class": "verify", "results": [{"fault": {"code": "TIMEOUT", "unknown": true}}]}));
    let call = never.call("k", "t", json!({}));
    unknown(never.send(&call).await.outcome);
    not_done(never.registry.look_up(&call, limit).await);
    never.records.unreadable.store(true, std::sync::atomic::Ordering::Relaxed);
    unknown(never.registry.look_up(&call, limit).await);
}

#[tokio::test(start_paused = true)]
async fn a_script_takes_the_time_it_says() {
    let world = world(json!({"latency_ms": 300, "results": [
        {"when": {"slow": true}, "latency_ms": 2_000, "output": {}}, {"output": {}},
    ]}));
    for (arguments, expect) in [(json!({}), 300), (json!({"slow": true}), 2_000)] {
        let performed = world.send(&world.call(&expect.to_string(), "t", arguments)).await;
        assert_eq!(performed.audit.duration_ms, expect);
    }
}

#[tokio::test]
async fn facts_are_what_the_definition_says() {
    let world = world(json!({
        "class": "once", "timeout_ms": 1_500, "description": "d", "irreversible": "r", "cost_usd": 0.25,
        "compensation": {"tool": "undo", "parameters": {"id": "{{ output.id }}"}}, "audit_type": "shipping",
        "retry": {"max_attempts": 7}, "risk": "high", "category": "logistics",
        "results": [{"output": {"id": 1, "code": 2}}, {"output": {"other": 3}}],
    }));
    let facts = world.registry.facts("t").unwrap();
    assert_eq!((facts.timeout, facts.retry.max_attempts), (Duration::from_millis(1_500), 7));
    assert_eq!(facts.compensation.as_ref().unwrap().tool_name, "undo");
    assert_eq!(facts.output_fields, ["code", "id", "other"]);
    let described = world.registry.describe_shared("t").unwrap();
    assert_eq!((described.provider, described.cost_usd, &*described.audit_type), ("script", 0.25, "shipping"));
}
