//! Subworkflows: child runs under derived ids; a child's whole saga is one entry in its parent's saga.

use serde_json::json;

use super::fixture::{check, fails};
use super::flow::{child, each, flow, only, secs, tool};
use crate::run::{NodeWait, RunEvent, RunState};

fn started(w: &super::fixture::RunFixture) -> Vec<String> {
    let began = w.events().filter_map(|event| match event {
        RunEvent::Began { wait, .. } => match &**wait {
            NodeWait::Child { run, .. } => Some(run.to_string()),
            _ => None,
        },
        _ => None,
    });
    began.collect()
}

#[test]
fn a_child_runs_under_a_derived_id_and_gives_its_output() {
    check(
        flow([child("sub"), tool("z")], "sub>z"),
        |w| {
            w.starts().assert_state(RunState::Waiting);
            w.child_ends("sub", "run/sub", RunState::Completed, false)
        },
        |w| {
            assert_eq!(started(w), ["run/sub"]);
            assert_eq!(w.run.cost().as_f64(), 0.5);
            w.assert_state(RunState::Completed)
                .output_of("sub", json!({"from": "run/sub"}))
                .undone(&[("z", "irreversible")])
        },
    );
}

#[test]
fn a_child_in_a_body_has_the_path_in_its_id() {
    check(
        flow([each("each", json!([1, 2]), 2, only(child("sub")))], ""),
        |w| {
            w.starts().child_ends("each[1]/sub", "run/each[1]/sub", RunState::Completed, false);
            w.child_ends("each[0]/sub", "run/each[0]/sub", RunState::Completed, false)
        },
        |w| {
            assert_eq!(started(w), ["run/each[0]/sub", "run/each[1]/sub"]);
            w.assert_state(RunState::Completed)
        },
    );
}

#[test]
fn a_child_that_fails_fails_its_node() {
    check(
        only(child("sub")),
        |w| w.starts().child_ends("sub", "run/sub", RunState::Compensated, false),
        |w| w.assert_state(RunState::Failed).failed_with("CHILD_FAILED"),
    );
}

#[test]
fn a_child_that_ends_twice_or_is_not_known_is_refused() {
    check(
        flow([child("sub"), tool("z")], "sub>z"),
        |w| {
            w.answers("z", [super::fixture::FixtureReply::StaysOut]).starts();
            w.child_ends("sub", "run/other", RunState::Completed, false).refused_with("RUN-005");
            w.child_ends("sub", "run/sub", RunState::Completed, false).accepted();
            w.child_ends("sub", "run/sub", RunState::Completed, false)
        },
        |w| w.refused_with("RUN-005").assert_state(RunState::Running),
    );
}

#[test]
fn what_a_child_did_is_undone_as_one() {
    check(
        flow([tool("a").undo("un_a"), child("sub"), tool("b")], "a>sub sub>b"),
        |w| {
            w.answers("b", [fails("NO")]).starts();
            w.child_ends("sub", "run/sub", RunState::Completed, true);
            w.assert_state(RunState::Compensating).recorded("child_undoing", 1).asked("a b");
            w.child_undone("run/sub")
        },
        |w| w.assert_state(RunState::Compensated).asked("a b un_a").undone(&[("sub", "undone"), ("a", "undone")]),
    );
}

#[test]
fn a_child_that_could_not_be_undone_leaves_its_parent_failed() {
    check(
        flow([child("sub"), tool("b")], "sub>b"),
        |w| {
            w.answers("b", [fails("NO")]).starts().child_ends("sub", "run/sub", RunState::Completed, true);
            let fault = Some(crate::fault::Fault::new("NOT_UNDONE", "stuck"));
            w.submit(crate::run::RunCommand::ChildUndone { run: "run/sub".into(), fault })
        },
        |w| w.assert_state(RunState::Failed).failed_with("NO").undone(&[("sub", "not_undone")]),
    );
}

#[test]
fn a_child_that_could_not_be_undone_is_asked_again() {
    check(
        flow([child("sub"), tool("b")], "sub>b"),
        |w| {
            w.answers("b", [fails("NO")]).starts().child_ends("sub", "run/sub", RunState::Completed, true);
            let fault = Some(crate::fault::Fault::new("NOT_UNDONE", "stuck"));
            w.submit(crate::run::RunCommand::ChildUndone { run: "run/sub".into(), fault })
                .assert_state(RunState::Failed);
            w.rolls_back().assert_state(RunState::Compensating).recorded("child_undoing", 2);
            w.child_undone("run/sub")
        },
        |w| w.assert_state(RunState::Compensated).undone(&[("sub", "undone")]),
    );
}

#[test]
fn a_child_that_nobody_undoes_is_refused() {
    check(
        flow([child("sub"), tool("b")], "sub>b"),
        |w| {
            w.answers("b", [super::fixture::FixtureReply::StaysOut]).starts().child_ends(
                "sub",
                "run/sub",
                RunState::Completed,
                true,
            );
            w.child_undone("run/sub")
        },
        |w| w.refused_with("RUN-005").assert_state(RunState::Running),
    );
}

#[test]
fn a_cancelled_parent_cancels_its_child_and_waits_for_its_end() {
    check(
        only(child("sub")),
        |w| {
            w.starts().cancels(true);
            w.assert_state(RunState::Waiting).recorded("child_cancelling", 1);
            w.child_ends("sub", "run/sub", RunState::Cancelled, false)
        },
        |w| w.assert_state(RunState::Cancelled),
    );
}

#[test]
fn a_child_that_completed_although_it_was_cancelled_is_undone() {
    check(
        only(child("sub")),
        |w| {
            w.starts().cancels(true).child_ends("sub", "run/sub", RunState::Completed, true);
            w.assert_state(RunState::Compensating);
            w.child_undone("run/sub")
        },
        |w| w.assert_state(RunState::Cancelled).undone(&[("sub", "undone")]),
    );
}

#[test]
fn a_child_whose_time_is_over_is_cancelled_and_its_node_fails() {
    check(
        only(child("sub").timeout(secs(60))),
        |w| {
            w.starts().advance_time(secs(60)).recorded("child_cancelling", 1);
            w.child_ends("sub", "run/sub", RunState::Cancelled, false)
        },
        |w| w.assert_state(RunState::Failed).failed_with("TIMEOUT"),
    );
}

#[test]
fn a_failure_elsewhere_cancels_the_child_once() {
    check(
        flow([child("sub"), tool("a"), tool("b")], ""),
        |w| {
            w.answers("a", [fails("NO")]).answers("b", [super::fixture::FixtureReply::StaysOut]).starts();
            w.assert_state(RunState::Running).recorded("child_cancelling", 1);
            w.deliver_reply("b", super::fixture::done(json!(1)));
            w.child_ends("sub", "run/sub", RunState::Cancelled, false)
        },
        |w| w.assert_state(RunState::Failed).failed_with("NO").recorded("child_cancelling", 1),
    );
}

#[test]
fn a_retried_child_is_another_run() {
    check(
        only(child("sub")),
        |w| {
            w.starts().child_ends("sub", "run/sub", RunState::Failed, false).assert_state(RunState::Failed);
            w.retries().child_ends("sub", "run/sub", RunState::Completed, false).refused_with("RUN-005");
            w.child_ends("sub", "run/sub~1", RunState::Failed, false).assert_state(RunState::Failed);
            w.retries().child_ends("sub", "run/sub~2", RunState::Completed, false)
        },
        |w| {
            assert_eq!(started(w), ["run/sub", "run/sub~1", "run/sub~2"]);
            w.assert_state(RunState::Completed)
        },
    );
}

#[test]
fn runs_nest_only_so_deep() {
    use crate::run::{RunCommand, RunOrigin, SUBWORKFLOW_DEPTH_MAX};
    check(
        only(child("sub")),
        |w| {
            let RunCommand::Start { mut started, workflow } = w.start_command(json!({})) else { unreachable!() };
            let node = crate::run::NodeAddress::outer("sub");
            started.origin =
                RunOrigin::Parent { run: "above".into(), node, depth: SUBWORKFLOW_DEPTH_MAX, max_cost: None };
            w.submit(RunCommand::Start { started, workflow })
        },
        |w| w.assert_state(RunState::Failed).failed_with("NESTING_LIMIT"),
    );
}
