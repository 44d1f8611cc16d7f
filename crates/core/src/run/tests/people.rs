//! People: approvals, forms, deadlines.

use serde_json::json;

use super::fixture::check;
use super::flow::{approval, flow, form, only, secs, tool};
use crate::graph::node::OnDeadline;
use crate::run::{DecisionChannel, DecisionMaker, HumanDecision, RunCommand, RunState};

fn asked(needed: u32) -> super::flow::FlowBuilder {
    flow([approval("ask", needed), tool("yes"), tool("no")], "ask:approved>yes ask:rejected>no")
}

#[test]
fn an_approval_waits_and_then_follows_its_edge() {
    check(
        asked(1),
        |w| {
            w.starts().assert_state(RunState::Waiting).waits_for("human:ask");
            w.approves("ask", "eve")
        },
        |w| {
            w.assert_state(RunState::Completed)
                .assert_path("ask yes")
                .output_of("ask", json!({"decision": "approved", "by": ["eve"]}))
        },
    );
}

#[test]
fn n_people_must_approve_and_none_twice() {
    check(
        asked(2),
        |w| {
            w.starts().approves("ask", "eve").assert_state(RunState::Waiting);
            w.approves("ask", "eve").refused_with("RUN-007").assert_state(RunState::Waiting);
            w.approves("ask", "bob")
        },
        |w| {
            w.assert_state(RunState::Completed)
                .assert_path("ask yes")
                .output_of("ask", json!({"decision": "approved", "by": ["eve", "bob"]}))
        },
    );
}

/// A person with verified attributes.
fn whoever(name: &str, role: &str, skills: &[&str]) -> DecisionMaker {
    let skills = skills.iter().map(|skill| (*skill).to_owned()).collect();
    DecisionMaker { roles: [role.to_owned()].into(), skills, ..name.into() }
}

fn yes() -> HumanDecision {
    HumanDecision::Approve { note: String::new() }
}

fn no() -> HumanDecision {
    HumanDecision::Reject { note: "no".to_owned() }
}

#[test]
fn who_has_not_the_role_and_every_skill_may_neither_approve_nor_reject() {
    let asked = json!({"role": "manager", "skills": ["finance"]});
    check(
        flow([approval("ask", 2).assigned(asked), tool("yes"), tool("no")], "ask:approved>yes ask:rejected>no"),
        |w| {
            w.starts();
            w.approves("ask", "anybody_at_all").refused_with("RUN-015");
            w.person("ask", whoever("eve", "manager", &["art"]), yes()).refused_with("RUN-015");
            w.person("ask", whoever("eve", "operator", &["finance"]), no()).refused_with("RUN-015");
            w.person("ask", whoever("eve", "manager", &["art", "finance"]), yes()).assert_state(RunState::Waiting);
            w.person("ask", whoever("bob", "manager", &["finance"]), yes())
        },
        |w| w.assert_state(RunState::Completed).assert_path("ask yes"),
    );
}

#[test]
fn a_form_is_filled_in_by_whoever_it_asks() {
    check(
        only(form("ask", json!({})).assigned(json!({"role": "manager"}))),
        |w| {
            w.starts();
            w.person("ask", "eve", HumanDecision::Fill { form: json!({}) }).refused_with("RUN-015");
            w.person("ask", whoever("eve", "manager", &[]), HumanDecision::Fill { form: json!({}) })
        },
        |w| w.assert_state(RunState::Completed),
    );
}

#[test]
fn nobody_decides_by_a_link_that_they_had_sent_and_not_about_their_own_request_by_any() {
    let by_link = |name: &str, asked_by: &str| {
        let via = Some(DecisionChannel::Link { asked_by: asked_by.to_owned() });
        DecisionMaker { via, ..name.into() }
    };
    check(
        flow([approval("ask", 1), tool("yes")], "ask>yes"),
        |w| {
            let mut command = w.start_command(json!({}));
            if let RunCommand::Start { started, .. } = &mut command {
                started.caller.user_id = Some("ana".to_owned());
            }
            w.submit(command);
            w.person("ask", by_link("bob", "bob"), yes()).refused_with("RUN-015");
            w.person("ask", by_link("bob", "bob"), no()).refused_with("RUN-015");
            w.person("ask", by_link("ana", "bob"), no()).refused_with("RUN-015");
            w.person("ask", by_link("bob", "ana"), yes())
        },
        |w| w.assert_state(RunState::Completed),
    );
}

#[test]
fn whoever_set_up_what_began_it_or_forked_it_asks_for_it_too() {
    check(
        flow([approval("ask", 1), tool("yes")], "ask>yes"),
        |w| {
            let mut command = w.start_command(json!({}));
            if let RunCommand::Start { started, .. } = &mut command {
                started.caller.begun_by = Some("schedule daily".to_owned());
                started.caller.also_asked = vec!["eve".to_owned()];
            }
            w.submit(command);
            w.approves("ask", "eve").refused_with("RUN-015");
            // By ana.
            w.forks(false, json!({}));
            w.approves("ask", "eve").refused_with("RUN-015");
            w.approves("ask", "ana").refused_with("RUN-015");
            // A fork of the fork, made by another person, is still the request of all of them.
            w.forks_as("bob", false, json!({}));
            for asker in ["eve", "ana", "bob"] {
                w.approves("ask", asker).refused_with("RUN-015");
            }
            w.approves("ask", "rosa")
        },
        |w| w.assert_state(RunState::Completed),
    );
}

#[test]
fn one_rejection_rejects() {
    check(
        asked(3),
        |w| w.starts().approves("ask", "eve").rejects("ask", "bob"),
        |w| {
            w.assert_state(RunState::Completed)
                .assert_path("ask no")
                .output_of("ask", json!({"decision": "rejected", "by": ["bob"], "note": "no"}))
        },
    );
}

#[test]
fn a_rejection_without_an_edge_fails_the_node() {
    check(
        flow([approval("ask", 1), tool("yes")], "ask>yes"),
        |w| w.starts().rejects("ask", "bob"),
        |w| w.assert_state(RunState::Failed).failed_with("REJECTED").asked(""),
    );
}

#[test]
fn an_answer_after_the_answer_is_refused_and_names_the_winner() {
    check(
        flow([approval("ask", 1), tool("yes")], "ask>yes"),
        |w| {
            w.answers("yes", [super::fixture::FixtureReply::StaysOut]).starts().approves("ask", "eve");
            w.rejects("ask", "bob")
        },
        |w| {
            let refusal = w.refused_with("RUN-006").refused.as_ref().map(ToString::to_string);
            assert_eq!(refusal.as_deref(), Some("`ask` was settled first: approved by eve"));
            w.assert_state(RunState::Running)
        },
    );
}

#[test]
fn an_answer_after_the_deadline_is_refused_and_names_it() {
    check(
        flow([approval("ask", 1).deadline(secs(60), OnDeadline::Reject), tool("no")], "ask:rejected>no"),
        |w| {
            w.answers("no", [super::fixture::FixtureReply::StaysOut]).starts().advance_time(secs(60));
            w.approves("ask", "eve")
        },
        |w| {
            let refusal = w.refused_with("RUN-006").refused.as_ref().map(ToString::to_string);
            assert_eq!(refusal.as_deref(), Some("`ask` was settled first: rejected by deadline"));
            w.asked("no")
        },
    );
}

#[test]
fn an_answer_taken_in_before_the_deadline_was_looked_at_is_in_time() {
    check(
        flow([approval("ask", 1).deadline(secs(60), OnDeadline::Reject), tool("yes")], "ask>yes"),
        |w| {
            w.starts();
            w.now = w.now + secs(61);
            w.approves("ask", "eve")
        },
        |w| w.assert_state(RunState::Completed).asked("yes"),
    );
}

#[test]
fn what_happens_at_the_deadline_is_told() {
    let run = |then: OnDeadline, path: &str, state: RunState| {
        let given = flow(
            [approval("ask", 1).deadline(secs(60), then), tool("yes"), tool("no")],
            "ask:approved>yes ask:rejected>no",
        );
        check(
            given,
            |w| w.starts().advance_time(secs(59)).advance_time(secs(1)),
            |w| w.assert_state(state).assert_path(path),
        );
    };
    run(OnDeadline::Approve, "ask yes", RunState::Completed);
    run(OnDeadline::Reject, "ask no", RunState::Completed);
    run(OnDeadline::Fail, "ask", RunState::Failed);
}

#[test]
fn a_missed_deadline_fails_with_its_own_code() {
    check(
        only(approval("ask", 1).deadline(secs(60), OnDeadline::Fail)),
        |w| w.starts().advance_time(secs(60)),
        |w| w.assert_state(RunState::Failed).failed_with("DEADLINE_PASSED"),
    );
}

#[test]
fn a_form_takes_what_fits_its_schema() {
    let schema = json!({"type": "object", "required": ["size"], "properties": {"size": {"type": "integer"}}});
    check(
        flow([form("ask", schema), tool("z").args(json!({"size": "{{ ask.size }}"}))], "ask>z"),
        |w| {
            w.starts();
            w.person("ask", "eve", HumanDecision::Fill { form: json!({"size": "big"}) }).refused_with("RUN-016");
            w.approves("ask", "eve").refused_with("RUN-008");
            w.person("ask", "eve", HumanDecision::Fill { form: json!({"size": 3}) })
        },
        |w| w.assert_state(RunState::Completed).asked_with("z", json!({"size": 3})),
    );
}

#[test]
fn a_form_nobody_filled_in_may_have_a_default() {
    check(
        flow([form("ask", json!({})).deadline(secs(60), OnDeadline::Default(json!({"size": 1}))), tool("z")], "ask>z"),
        |w| w.starts().advance_time(secs(60)),
        |w| w.assert_state(RunState::Completed).output_of("ask", json!({"size": 1})).asked("z"),
    );
}

#[test]
fn an_approval_takes_no_form_and_a_node_that_asks_nobody_takes_no_answer() {
    check(
        asked(1),
        |w| {
            w.starts();
            w.person("ask", "eve", HumanDecision::Fill { form: json!({}) }).refused_with("RUN-008");
            w.approves("yes", "eve").refused_with("RUN-005");
            w.approves("nobody", "eve")
        },
        |w| w.refused_with("RUN-005").waits_for("human:ask"),
    );
}
