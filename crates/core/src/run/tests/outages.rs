//! The behaviour of a run while a service is down, by the policies of its tools.

use serde_json::json;

use super::agents::tools;
use super::fixture::{FixtureReply, check, circuit_open, done, down, fails, flaky, unknown};
use super::flow::{NodeBuilder, agent, flow, only, requests, secs, tool};
use crate::run::{DoubtResolution, EffectRequest, RunState};

const DAY: u64 = 24 * 60 * 60;

fn find() -> NodeBuilder {
    let find = tool("find").read().args(json!({"query": "hours"})).attempts(2);
    find.answering(&["query", "results", "count"], json!({"results": []}))
}

// ---- stand-in answers

#[test]
fn what_only_asks_is_answered_with_nothing() {
    let nothing = json!({
        "query": "hours", "results": [], "count": null, "degraded": true, "degraded_reason": "SERVICE_UNAVAILABLE",
    });
    check(
        only(find().when_down("empty")),
        |w| w.answers("find", [down(), down()]).starts().advance_time(secs(1)),
        |w| w.assert_state(RunState::Completed).asked("find find").output_of("find", nothing),
    );
}

#[test]
fn what_only_asks_is_answered_that_nothing_is_available() {
    let nothing = json!({
        "query": "hours", "results": [], "count": null, "available": false, "degraded": true,
        "degraded_reason": "CIRCUIT_OPEN",
    });
    check(
        only(find().when_down("unavailable")),
        |w| {
            let until = w.now + secs(60);
            w.answers("find", [circuit_open(until)]).starts()
        },
        |w| w.assert_state(RunState::Completed).asked("find").output_of("find", nothing).recorded("blocked", 0),
    );
}

#[test]
fn what_acts_is_never_answered_for() {
    for way in ["empty", "unavailable"] {
        check(
            only(tool("a").when_down(way)),
            |w| {
                let until = w.now + secs(60);
                w.answers("a", [circuit_open(until)]).starts()
            },
            |w| w.assert_state(RunState::Failed).failed_with("CIRCUIT_OPEN").asked("a"),
        );
    }
}

#[test]
fn a_service_that_refuses_or_is_busy_is_not_down() {
    for reply in [fails("SERVICE_UNAVAILABLE"), flaky("SLOT_TAKEN"), fails("DECLINED")] {
        check(
            only(find().attempts(1).when_down("empty")),
            |w| w.answers("find", [reply]).starts(),
            |w| w.assert_state(RunState::Failed).recorded("degraded", 0),
        );
    }
}

#[test]
fn attempts_are_spent_first() {
    check(
        only(find().attempts(3).when_down("empty")),
        |w| w.answers("find", [down(), down(), done(json!({"results": [1]}))]).starts().advance_time(secs(2)),
        |w| w.assert_state(RunState::Completed).asked("find find find").output_of("find", json!({"results": [1]})),
    );
}

#[test]
fn a_tool_that_says_nothing_waits_for_its_circuit_and_fails_when_attempts_are_spent() {
    check(
        only(tool("a").attempts(1)),
        |w| {
            let until = w.now + secs(60);
            w.answers("a", [circuit_open(until), down()])
                .starts()
                .assert_state(RunState::Waiting)
                .recorded("blocked", 1);
            w.advance_time(secs(60))
        },
        |w| w.assert_state(RunState::Failed).failed_with("SERVICE_UNAVAILABLE").recorded("degraded", 0),
    );
}

#[test]
fn what_may_have_acted_is_settled_before() {
    for class in [tool("a").once(), tool("a").attempts(2)] {
        check(
            only(class.when_down("manual")),
            |w| w.answers("a", [unknown(), down(), unknown()]).starts().advance_time(secs(60)),
            |w| w.assert_state(RunState::Waiting).waits_for("doubt:a").recorded("degraded", 0),
        );
    }
}

// ---- queued

#[test]
fn a_queued_call_goes_out_until_its_service_is_back() {
    check(
        only(tool("a").once().attempts(2).when_down("queue")),
        |w| {
            w.answers("a", [down(), down(), down(), done(json!({"id": 1}))]).starts().advance_time(secs(1));
            w.assert_state(RunState::Waiting).asked("a a");
            w.crashes().advance_time(secs(1)).asked("a a a");
            w.advance_time(secs(1))
        },
        |w| w.assert_state(RunState::Completed).asked("a a a a").output_of("a", json!({"id": 1, "degraded": true})),
    );
}

#[test]
fn a_queued_call_is_given_up_after_a_day() {
    let slow = |node: NodeBuilder| {
        node.retry(crate::tool::RetryPolicy { max_attempts: 1, ..crate::tool::RetryPolicy::default() })
    };
    check(
        only(slow(tool("a")).when_down("queue")),
        |w| {
            w.fate = Some(down());
            w.starts();
            for _ in 0..DAY / 60 - 1 {
                w.advance_time(secs(60));
            }
            w.assert_state(RunState::Waiting);
            w.advance_time(secs(60))
        },
        |w| w.assert_state(RunState::Failed).failed_with("SERVICE_UNAVAILABLE"),
    );
}

#[test]
fn a_queued_call_whose_circuit_is_open_waits_for_that() {
    check(
        only(tool("a").when_down("queue")),
        |w| {
            let until = w.now + secs(60);
            w.answers("a", [circuit_open(until)]).starts().assert_state(RunState::Waiting);
            w.advance_time(secs(59)).asked("a");
            w.advance_time(secs(1))
        },
        |w| w.assert_state(RunState::Completed).keys(&["run/a/0/0", "run/a/0/0"]),
    );
}

#[test]
fn a_queued_call_that_is_not_wanted_any_more_is_dropped() {
    check(
        only(tool("a").attempts(1).when_down("queue")),
        |w| {
            w.answers("a", [down()]).starts().assert_state(RunState::Waiting);
            w.cancels(true)
        },
        |w| w.assert_state(RunState::Cancelled).asked("a"),
    );
}

// ---- another provider

#[test]
fn another_provider_does_it_and_undoes_it() {
    check(
        flow([tool("a").attempts(1).when_down("provider other").undo("un"), tool("b")], "a>b"),
        |w| w.answers("a", [down()]).answers("b", [fails("NO")]).starts(),
        |w| {
            let providers: Vec<_> = w.events().filter_map(undone_by).collect();
            assert_eq!(providers, [Some("other".to_owned())]);
            w.assert_state(RunState::Compensated).asked("a a b un").keys(&[
                "run/a/0/0",
                "run/a/0/1",
                "run/b/0/0",
                "run/a/0/0/undo",
            ])
        },
    );
}

fn undone_by(event: &crate::run::RunEvent) -> Option<Option<String>> {
    match event {
        crate::run::RunEvent::Scheduled(scheduled) if scheduled.effect.call.role == crate::run::CallRole::Undo => {
            match &scheduled.request {
                EffectRequest::Tool { provider, .. } => Some(provider.clone()),
                _ => None,
            }
        }
        _ => None,
    }
}

#[test]
fn another_provider_has_attempts_of_its_own_and_is_the_last() {
    check(
        only(tool("a").attempts(2).when_down("provider other")),
        |w| w.answers("a", vec![down(); 5]).starts().advance_time(secs(5)),
        |w| w.assert_state(RunState::Failed).asked("a a a a").recorded("degraded", 1),
    );
}

// ---- by hand

fn by_hand() -> NodeBuilder {
    tool("a").attempts(1).when_down("manual").undo("un")
}

#[test]
fn a_person_does_by_hand_what_the_service_cannot() {
    check(
        flow([by_hand(), tool("b")], "a>b"),
        |w| {
            w.answers("a", [down()]).answers("b", [fails("NO")]).starts().waits_for("doubt:a");
            w.resolves("a", DoubtResolution::Done { output: json!({"id": 9}) })
        },
        |w| w.assert_state(RunState::Compensated).asked("a b un").asked_with("un", json!({"of": 9})),
    );
}

#[test]
fn what_a_person_does_not_do_by_hand_is_not_done() {
    check(
        only(by_hand()),
        |w| w.answers("a", [down()]).starts().resolves("a", DoubtResolution::NotDone),
        |w| w.assert_state(RunState::Failed).failed_with("SERVICE_UNAVAILABLE").asked("a"),
    );
}

#[test]
fn a_person_may_have_it_tried_again_and_is_asked_again() {
    check(
        only(by_hand()),
        |w| {
            w.answers("a", [down(), down()]).starts().resolves("a", DoubtResolution::Repeat).waits_for("doubt:a");
            w.resolves("a", DoubtResolution::Repeat)
        },
        |w| w.assert_state(RunState::Completed).asked("a a a").recorded("degraded", 2),
    );
}

// ---- agents, and requests of a selection

#[test]
fn an_agent_is_told_that_the_answer_is_degraded() {
    check(
        only(agent("who", &["find"]).read().attempts(1).when_down("empty")),
        |w| {
            w.answers("find", [down()]).thinks("who", [tools(&["find"])]);
            w.starts()
        },
        |w| w.assert_state(RunState::Completed).recorded("degraded", 1),
    );
}

#[test]
fn a_list_of_requests_says_of_each_whether_it_is_degraded() {
    let node = requests("all", &["find", "tell"]).read().attempts(1).when_down("empty");
    let wants = json!([{"tool_name": "find"}, {"tool_name": "tell"}]);
    check(
        only(node).variable("tool_requests", crate::graph::CombineMode::LastWins, wants),
        |w| w.answers("find", [down()]).answers("tell", [done(json!(1))]).starts(),
        |w| {
            let output = &w.run.outputs()["all"];
            assert_eq!((&output["find"]["degraded"], &output["find"]["success"]), (&json!(true), &json!(true)));
            assert_eq!(output["tell"].get("degraded"), None);
            w.assert_state(RunState::Completed)
        },
    );
}

#[test]
fn an_answer_to_an_attempt_before_is_late() {
    check(
        only(by_hand()),
        |w| {
            w.answers("a", [FixtureReply::StaysOut]).starts();
            let effect = w.out("a");
            w.deliver_reply("a", down()).accepted();
            w.deliver_outcome(effect, down())
        },
        |w| w.refused_with("RUN-011").recorded("degraded", 1),
    );
}
