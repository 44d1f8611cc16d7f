//! People: approvals, forms, deadlines.

use serde_json::json;

use super::flow::{approval, flow, form, only, secs, tool};
use super::world::check;
use crate::graph::node::AtDeadline;
use crate::run::{Command, Decider, Decision, State, Via};

fn asked(needed: u32) -> super::flow::Flow {
    flow([approval("ask", needed), tool("yes"), tool("no")], "ask:approved>yes ask:rejected>no")
}

#[test]
fn an_approval_waits_and_then_follows_its_edge() {
    check(
        asked(1),
        |w| {
            w.starts().is(State::Waiting).waits_for("human:ask");
            w.approves("ask", "eve")
        },
        |w| w.is(State::Completed).went("ask yes").output_of("ask", json!({"decision": "approved", "by": ["eve"]})),
    );
}

#[test]
fn n_people_must_approve_and_none_twice() {
    check(
        asked(2),
        |w| {
            w.starts().approves("ask", "eve").is(State::Waiting);
            w.approves("ask", "eve").refused_with("RUN-007").is(State::Waiting);
            w.approves("ask", "bob")
        },
        |w| {
            w.is(State::Completed)
                .went("ask yes")
                .output_of("ask", json!({"decision": "approved", "by": ["eve", "bob"]}))
        },
    );
}

/// Somebody with what is established of them.
fn whoever(name: &str, role: &str, skills: &[&str]) -> Decider {
    let skills = skills.iter().map(|skill| (*skill).to_owned()).collect();
    Decider { roles: [role.to_owned()].into(), skills, ..name.into() }
}

fn yes() -> Decision {
    Decision::Approve { note: String::new() }
}

fn no() -> Decision {
    Decision::Reject { note: "no".to_owned() }
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
            w.person("ask", whoever("eve", "manager", &["art", "finance"]), yes()).is(State::Waiting);
            w.person("ask", whoever("bob", "manager", &["finance"]), yes())
        },
        |w| w.is(State::Completed).went("ask yes"),
    );
}

#[test]
fn a_form_is_filled_in_by_whoever_it_asks() {
    check(
        only(form("ask", json!({})).assigned(json!({"role": "manager"}))),
        |w| {
            w.starts();
            w.person("ask", "eve", Decision::Fill { form: json!({}) }).refused_with("RUN-015");
            w.person("ask", whoever("eve", "manager", &[]), Decision::Fill { form: json!({}) })
        },
        |w| w.is(State::Completed),
    );
}

#[test]
fn nobody_decides_by_a_link_that_they_had_sent_and_not_about_their_own_request_by_any() {
    let by_link = |name: &str, asked_by: &str| {
        let via = Some(Via::Link { asked_by: asked_by.to_owned() });
        Decider { via, ..name.into() }
    };
    check(
        flow([approval("ask", 1), tool("yes")], "ask>yes"),
        |w| {
            let mut command = w.start_command(json!({}));
            if let Command::Start { started, .. } = &mut command {
                started.caller.user_id = Some("ana".to_owned());
            }
            w.does(command);
            w.person("ask", by_link("bob", "bob"), yes()).refused_with("RUN-015");
            w.person("ask", by_link("bob", "bob"), no()).refused_with("RUN-015");
            w.person("ask", by_link("ana", "bob"), no()).refused_with("RUN-015");
            w.person("ask", by_link("bob", "ana"), yes())
        },
        |w| w.is(State::Completed),
    );
}

#[test]
fn whoever_set_up_what_began_it_or_forked_it_asks_for_it_too() {
    check(
        flow([approval("ask", 1), tool("yes")], "ask>yes"),
        |w| {
            let mut command = w.start_command(json!({}));
            if let Command::Start { started, .. } = &mut command {
                started.caller.begun_by = Some("schedule daily".to_owned());
                started.caller.also_asked = vec!["eve".to_owned()];
            }
            w.does(command);
            w.approves("ask", "eve").refused_with("RUN-015");
            // By ana.
            w.forks(false, json!({}));
            w.approves("ask", "eve").refused_with("RUN-015");
            w.approves("ask", "ana").refused_with("RUN-015");
            // A fork of the fork, by somebody else, is still the request of all of them.
            w.forks_as("bob", false, json!({}));
            for asker in ["eve", "ana", "bob"] {
                w.approves("ask", asker).refused_with("RUN-015");
            }
            w.approves("ask", "rosa")
        },
        |w| w.is(State::Completed),
    );
}

#[test]
fn one_rejection_rejects() {
    check(
        asked(3),
        |w| w.starts().approves("ask", "eve").rejects("ask", "bob"),
        |w| {
            w.is(State::Completed)
                .went("ask no")
                .output_of("ask", json!({"decision": "rejected", "by": ["bob"], "note": "no"}))
        },
    );
}

#[test]
fn a_rejection_without_an_edge_fails_the_node() {
    check(
        flow([approval("ask", 1), tool("yes")], "ask>yes"),
        |w| w.starts().rejects("ask", "bob"),
        |w| w.is(State::Failed).failed_with("REJECTED").asked(""),
    );
}

#[test]
fn an_answer_after_the_answer_is_refused_and_names_the_winner() {
    check(
        flow([approval("ask", 1), tool("yes")], "ask>yes"),
        |w| {
            w.answers("yes", [super::world::Reply::StaysOut]).starts().approves("ask", "eve");
            w.rejects("ask", "bob")
        },
        |w| {
            let refusal = w.refused_with("RUN-006").refused.as_ref().map(ToString::to_string);
            assert_eq!(refusal.as_deref(), Some("`ask` was settled first: approved by eve"));
            w.is(State::Running)
        },
    );
}

#[test]
fn an_answer_after_the_deadline_is_refused_and_names_it() {
    check(
        flow([approval("ask", 1).deadline(secs(60), AtDeadline::Reject), tool("no")], "ask:rejected>no"),
        |w| {
            w.answers("no", [super::world::Reply::StaysOut]).starts().passes(secs(60));
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
        flow([approval("ask", 1).deadline(secs(60), AtDeadline::Reject), tool("yes")], "ask>yes"),
        |w| {
            w.starts();
            w.now = w.now + secs(61);
            w.approves("ask", "eve")
        },
        |w| w.is(State::Completed).asked("yes"),
    );
}

#[test]
fn what_happens_at_the_deadline_is_told() {
    let run = |then: AtDeadline, path: &str, state: State| {
        let given = flow(
            [approval("ask", 1).deadline(secs(60), then), tool("yes"), tool("no")],
            "ask:approved>yes ask:rejected>no",
        );
        check(given, |w| w.starts().passes(secs(59)).passes(secs(1)), |w| w.is(state).went(path));
    };
    run(AtDeadline::Approve, "ask yes", State::Completed);
    run(AtDeadline::Reject, "ask no", State::Completed);
    run(AtDeadline::Fail, "ask", State::Failed);
}

#[test]
fn a_missed_deadline_fails_with_its_own_code() {
    check(
        only(approval("ask", 1).deadline(secs(60), AtDeadline::Fail)),
        |w| w.starts().passes(secs(60)),
        |w| w.is(State::Failed).failed_with("DEADLINE_PASSED"),
    );
}

#[test]
fn a_form_takes_what_fits_its_schema() {
    let schema = json!({"type": "object", "required": ["size"], "properties": {"size": {"type": "integer"}}});
    check(
        flow([form("ask", schema), tool("z").args(json!({"size": "{{ ask.size }}"}))], "ask>z"),
        |w| {
            w.starts();
            w.person("ask", "eve", Decision::Fill { form: json!({"size": "big"}) }).refused_with("RUN-016");
            w.approves("ask", "eve").refused_with("RUN-008");
            w.person("ask", "eve", Decision::Fill { form: json!({"size": 3}) })
        },
        |w| w.is(State::Completed).asked_with("z", json!({"size": 3})),
    );
}

#[test]
fn a_form_nobody_filled_in_may_have_a_default() {
    check(
        flow([form("ask", json!({})).deadline(secs(60), AtDeadline::Default(json!({"size": 1}))), tool("z")], "ask>z"),
        |w| w.starts().passes(secs(60)),
        |w| w.is(State::Completed).output_of("ask", json!({"size": 1})).asked("z"),
    );
}

#[test]
fn an_approval_takes_no_form_and_a_node_that_asks_nobody_takes_no_answer() {
    check(
        asked(1),
        |w| {
            w.starts();
            w.person("ask", "eve", Decision::Fill { form: json!({}) }).refused_with("RUN-008");
            w.approves("yes", "eve").refused_with("RUN-005");
            w.approves("nobody", "eve")
        },
        |w| w.refused_with("RUN-005").waits_for("human:ask"),
    );
}
