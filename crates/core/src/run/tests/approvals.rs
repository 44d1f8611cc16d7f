//! Approvals of calls: who, how many, until when.

use serde_json::json;

use super::fixture::{FixtureReply, RunFixture, blocked, check};
use super::flow::{FlowBuilder, approval, flow, only, secs, tool};
use crate::run::event::RunEvent;
use crate::run::{Approval, BlockReason, HumanTask, OnExpiry, RunCommand, RunState};

fn one() -> FlowBuilder {
    only(tool("pay"))
}

fn asks(leave: Approval) -> FixtureReply {
    blocked(BlockReason::Approval(Box::new(leave)))
}

/// An approval by two of three people.
fn two_of_three() -> Approval {
    Approval { need: 2, from: ["ana", "eve", "bob"].map(str::to_owned).to_vec(), ..Approval::of("h") }
}

/// Starts a run on behalf of a person.
fn starts_for<'w>(w: &'w mut RunFixture, person: &str) -> &'w mut RunFixture {
    let mut command = w.start_command(json!({}));
    if let RunCommand::Start { started, .. } = &mut command {
        started.caller.user_id = Some(person.to_owned());
    }
    w.submit(command)
}

#[test]
fn as_many_people_as_are_needed_must_allow_a_call_and_none_twice() {
    check(
        one(),
        |w| {
            w.answers("pay", [asks(two_of_three())]).starts();
            w.says("pay", "ana", true, "").assert_state(RunState::Waiting).waits_for("approval:pay");
            w.says("pay", "ana", true, "").refused_with("RUN-007").waits_for("approval:pay");
            w.says("pay", "eve", true, "")
        },
        |w| w.assert_state(RunState::Completed).asked("pay pay").recorded("approved", 2).recorded("unblocked", 1),
    );
}

#[test]
fn nobody_who_is_not_asked_allows_or_rejects() {
    check(
        one(),
        |w| {
            w.answers("pay", [asks(two_of_three())]).starts();
            w.says("pay", "zoe", true, "").refused_with("RUN-015");
            w.says("pay", "zoe", false, "")
        },
        |w| w.refused_with("RUN-015").assert_state(RunState::Waiting).waits_for("approval:pay").recorded("approved", 0),
    );
}

/// A reversible effect. The fixture's commands act as `ana`.
fn undoable() -> FlowBuilder {
    only(tool("pay").undo("refund"))
}

#[test]
fn whoever_has_a_run_undone_asks_for_what_undoes_it() {
    let leave = || asks(Approval::of("h"));
    check(
        undoable(),
        |w| {
            w.answers("refund", [leave()]).starts().rolls_back().waits_for("approval:pay");
            w.says("pay", "ana", true, "").refused_with("RUN-015");
            w.says("pay", "eve", true, "")
        },
        |w| w.assert_state(RunState::Compensated),
    );
    check(
        flow([tool("pay").undo("refund"), approval("agree", 1)], "pay>agree"),
        |w| {
            w.answers("refund", [leave()]).starts().cancels(true).waits_for("approval:pay");
            w.says("pay", "ana", true, "").refused_with("RUN-015");
            w.says("pay", "eve", true, "")
        },
        |w| w.assert_state(RunState::Cancelled).undone(&[("pay", "undone")]),
    );
}

#[test]
fn whoever_cancels_a_run_asks_for_what_its_children_undo_though_it_undoes_nothing_itself() {
    check(
        flow([super::flow::child("sub"), tool("z")], "sub>z"),
        |w| w.starts().cancels(false),
        |w| {
            w.recorded("child_cancelling", 1);
            assert!(w.run.is_requested_by("ana"));
            w
        },
    );
}

#[test]
fn whoever_has_a_parent_undone_asks_for_what_undoes_its_children() {
    let rollback = || RunCommand::Rollback { by: "run parent".into(), asked_by: vec!["eve".into()] };
    check(
        undoable(),
        |w| {
            w.answers("refund", [asks(Approval::of("h"))]).starts();
            w.submit(rollback()).says("pay", "eve", true, "").refused_with("RUN-015");
            w.says("pay", "bob", true, "")
        },
        |w| w.assert_state(RunState::Compensated),
    );
}

#[test]
fn nobody_allows_what_they_asked_for_and_everybody_may_take_it_back() {
    let leave = || Approval::of("h");
    check(
        one(),
        |w| {
            starts_for(w.answers("pay", [asks(leave())]), "ana").says("pay", "ana", true, "").refused_with("RUN-015");
            w.says("pay", "eve", true, "")
        },
        |w| w.assert_state(RunState::Completed),
    );
    check(
        one(),
        |w| starts_for(w.answers("pay", [asks(two_of_three())]), "ana").says("pay", "ana", false, "a mistake"),
        |w| w.assert_state(RunState::Failed).failed_with("REJECTED"),
    );
}

#[test]
fn one_no_ends_it_with_its_reason() {
    check(
        one(),
        |w| {
            w.answers("pay", [asks(two_of_three())]).starts().says("pay", "ana", true, "");
            w.says("pay", "eve", false, "too much")
        },
        |w| {
            let told = w.events().any(|event| {
                matches!(event, RunEvent::NotDone { fault, .. } if fault.message == "`eve` did not allow the call: too much")
            });
            assert!(told, "the reason is recorded");
            w.assert_state(RunState::Failed).failed_with("REJECTED").asked("pay")
        },
    );
}

#[test]
fn what_nobody_decided_in_time_is_rejected_unless_it_says_otherwise() {
    let waits = |w: &mut RunFixture, then: OnExpiry| {
        let leave = Approval { until: Some(w.now() + secs(60)), then, ..Approval::of("h") };
        w.answers("pay", [asks(leave)]).starts().advance_time(secs(59)).waits_for("approval:pay");
    };
    check(
        one(),
        |w| {
            waits(w, OnExpiry::Reject);
            w.advance_time(secs(1))
        },
        |w| w.assert_state(RunState::Failed).failed_with("REJECTED").asked("pay"),
    );
    check(
        one(),
        |w| {
            waits(w, OnExpiry::Approve);
            w.advance_time(secs(1))
        },
        |w| w.assert_state(RunState::Completed).asked("pay pay").recorded("unblocked", 1),
    );
}

#[test]
fn a_deadline_runs_on_while_the_run_is_paused() {
    check(
        one(),
        |w| {
            let leave = Approval { until: Some(w.now() + secs(60)), ..Approval::of("h") };
            w.answers("pay", [asks(leave)]).starts().pauses().advance_time(secs(60)).resumes()
        },
        |w| w.assert_state(RunState::Failed).failed_with("REJECTED"),
    );
}

#[test]
fn late_approval_is_refused() {
    check(
        one(),
        |w| {
            let leave = Approval { until: Some(w.now() + secs(60)), ..Approval::of("h") };
            w.answers("pay", [asks(leave)]).starts();
            let ask = w.asks().into_iter().find_map(|ask| match ask {
                HumanTask::Approval(effect) => Some(effect),
                _ => None,
            });
            let effect = ask.expect("it is asked about");
            w.advance_time(secs(60));
            w.submit(RunCommand::Approve { effect, by: "ana".into(), approved: true, note: String::new() })
        },
        |w| w.assert_state(RunState::Failed).refused_with("RUN-003"),
    );
}

#[test]
fn asked_anew_everybody_is_asked_anew() {
    check(
        one(),
        |w| {
            let again = Approval { hash: "h2".into(), ..two_of_three() };
            w.answers("pay", [asks(two_of_three()), asks(again)]).starts();
            w.says("pay", "ana", true, "").says("pay", "eve", true, "").waits_for("approval:pay");
            w.says("pay", "ana", true, "").waits_for("approval:pay");
            w.says("pay", "bob", true, "")
        },
        |w| w.assert_state(RunState::Completed).asked("pay pay pay"),
    );
}

#[test]
fn a_leave_of_before_is_one_persons_whoever_that_is() {
    let read: BlockReason = serde_json::from_str(r#"{"approval":{"hash":"h"}}"#).unwrap();
    assert_eq!(read, BlockReason::approval("h"));
    assert_eq!(serde_json::to_string(&read).unwrap(), r#"{"approval":{"hash":"h"}}"#);
}

#[test]
fn a_call_that_too_few_may_allow_is_refused_at_once_unless_a_deadline_decides() {
    let two_of_two = || Approval { need: 2, from: ["ana", "eve"].map(str::to_owned).to_vec(), ..Approval::of("h") };
    check(
        one(),
        |w| {
            w.answers("pay", [asks(two_of_two())]);
            starts_for(w, "ana")
        },
        |w| w.assert_state(RunState::Failed).failed_with("REJECTED").recorded("blocked", 0),
    );
    check(
        one(),
        |w| {
            w.answers("pay", [asks(two_of_two())]);
            starts_for(w, "bob")
        },
        |w| w.assert_state(RunState::Waiting).waits_for("approval:pay"),
    );
}
