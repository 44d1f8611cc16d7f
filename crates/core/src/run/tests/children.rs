//! Subworkflows: child runs under derived ids; a child's whole saga is one entry of its parent's.

use serde_json::json;

use super::flow::{child, each, flow, only, secs, tool};
use super::world::{check, fails};
use crate::run::{Began, Event, State};

fn started(w: &super::world::World) -> Vec<String> {
    let began = w.events().filter_map(|event| match event {
        Event::Began { wait, .. } => match &**wait {
            Began::Child { run, .. } => Some(run.to_string()),
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
            w.starts().is(State::Waiting);
            w.child_ends("sub", "run/sub", State::Completed, false)
        },
        |w| {
            assert_eq!(started(w), ["run/sub"]);
            assert_eq!(w.run.cost().as_f64(), 0.5);
            w.is(State::Completed).output_of("sub", json!({"from": "run/sub"})).undone(&[("z", "irreversible")])
        },
    );
}

#[test]
fn a_child_in_a_body_has_the_path_in_its_id() {
    check(
        flow([each("each", json!([1, 2]), 2, only(child("sub")))], ""),
        |w| {
            w.starts().child_ends("each[1]/sub", "run/each[1]/sub", State::Completed, false);
            w.child_ends("each[0]/sub", "run/each[0]/sub", State::Completed, false)
        },
        |w| {
            assert_eq!(started(w), ["run/each[0]/sub", "run/each[1]/sub"]);
            w.is(State::Completed)
        },
    );
}

#[test]
fn a_child_that_fails_fails_its_node() {
    check(
        only(child("sub")),
        |w| w.starts().child_ends("sub", "run/sub", State::Compensated, false),
        |w| w.is(State::Failed).failed_with("CHILD_FAILED"),
    );
}

#[test]
fn a_child_that_ends_twice_or_is_not_known_is_refused() {
    check(
        flow([child("sub"), tool("z")], "sub>z"),
        |w| {
            w.answers("z", [super::world::Reply::StaysOut]).starts();
            w.child_ends("sub", "run/other", State::Completed, false).refused_with("RUN-005");
            w.child_ends("sub", "run/sub", State::Completed, false).accepted();
            w.child_ends("sub", "run/sub", State::Completed, false)
        },
        |w| w.refused_with("RUN-005").is(State::Running),
    );
}

#[test]
fn what_a_child_did_is_undone_as_one() {
    check(
        flow([tool("a").undo("un_a"), child("sub"), tool("b")], "a>sub sub>b"),
        |w| {
            w.answers("b", [fails("NO")]).starts();
            w.child_ends("sub", "run/sub", State::Completed, true);
            w.is(State::Compensating).recorded("child_undoing", 1).asked("a b");
            w.child_undone("run/sub")
        },
        |w| w.is(State::Compensated).asked("a b un_a").undone(&[("sub", "undone"), ("a", "undone")]),
    );
}

#[test]
fn a_child_that_could_not_be_undone_leaves_its_parent_failed() {
    check(
        flow([child("sub"), tool("b")], "sub>b"),
        |w| {
            w.answers("b", [fails("NO")]).starts().child_ends("sub", "run/sub", State::Completed, true);
            let fault = Some(crate::fault::Fault::new("NOT_UNDONE", "stuck"));
            w.does(crate::run::Command::ChildUndone { run: "run/sub".into(), fault })
        },
        |w| w.is(State::Failed).failed_with("NO").undone(&[("sub", "not_undone")]),
    );
}

#[test]
fn a_child_that_could_not_be_undone_is_asked_again() {
    check(
        flow([child("sub"), tool("b")], "sub>b"),
        |w| {
            w.answers("b", [fails("NO")]).starts().child_ends("sub", "run/sub", State::Completed, true);
            let fault = Some(crate::fault::Fault::new("NOT_UNDONE", "stuck"));
            w.does(crate::run::Command::ChildUndone { run: "run/sub".into(), fault }).is(State::Failed);
            w.rolls_back().is(State::Compensating).recorded("child_undoing", 2);
            w.child_undone("run/sub")
        },
        |w| w.is(State::Compensated).undone(&[("sub", "undone")]),
    );
}

#[test]
fn a_child_that_nobody_undoes_is_refused() {
    check(
        flow([child("sub"), tool("b")], "sub>b"),
        |w| {
            w.answers("b", [super::world::Reply::StaysOut]).starts().child_ends(
                "sub",
                "run/sub",
                State::Completed,
                true,
            );
            w.child_undone("run/sub")
        },
        |w| w.refused_with("RUN-005").is(State::Running),
    );
}

#[test]
fn a_cancelled_parent_cancels_its_child_and_waits_for_its_end() {
    check(
        only(child("sub")),
        |w| {
            w.starts().cancels(true);
            w.is(State::Waiting).recorded("child_cancelling", 1);
            w.child_ends("sub", "run/sub", State::Cancelled, false)
        },
        |w| w.is(State::Cancelled),
    );
}

#[test]
fn a_child_that_completed_although_it_was_cancelled_is_undone() {
    check(
        only(child("sub")),
        |w| {
            w.starts().cancels(true).child_ends("sub", "run/sub", State::Completed, true);
            w.is(State::Compensating);
            w.child_undone("run/sub")
        },
        |w| w.is(State::Cancelled).undone(&[("sub", "undone")]),
    );
}

#[test]
fn a_child_whose_time_is_over_is_cancelled_and_its_node_fails() {
    check(
        only(child("sub").timeout(secs(60))),
        |w| {
            w.starts().passes(secs(60)).recorded("child_cancelling", 1);
            w.child_ends("sub", "run/sub", State::Cancelled, false)
        },
        |w| w.is(State::Failed).failed_with("TIMEOUT"),
    );
}

#[test]
fn a_failure_elsewhere_cancels_the_child_once() {
    check(
        flow([child("sub"), tool("a"), tool("b")], ""),
        |w| {
            w.answers("a", [fails("NO")]).answers("b", [super::world::Reply::StaysOut]).starts();
            w.is(State::Running).recorded("child_cancelling", 1);
            w.returns("b", super::world::done(json!(1)));
            w.child_ends("sub", "run/sub", State::Cancelled, false)
        },
        |w| w.is(State::Failed).failed_with("NO").recorded("child_cancelling", 1),
    );
}

#[test]
fn a_retried_child_is_another_run() {
    check(
        only(child("sub")),
        |w| {
            w.starts().child_ends("sub", "run/sub", State::Failed, false).is(State::Failed);
            w.retries().child_ends("sub", "run/sub", State::Completed, false).refused_with("RUN-005");
            w.child_ends("sub", "run/sub~1", State::Failed, false).is(State::Failed);
            w.retries().child_ends("sub", "run/sub~2", State::Completed, false)
        },
        |w| {
            assert_eq!(started(w), ["run/sub", "run/sub~1", "run/sub~2"]);
            w.is(State::Completed)
        },
    );
}

#[test]
fn runs_nest_only_so_deep() {
    use crate::run::{Command, DEPTH_MAX, Origin};
    check(
        only(child("sub")),
        |w| {
            let Command::Start { mut started, workflow } = w.start_command(json!({})) else { unreachable!() };
            let node = crate::run::Address::outer("sub");
            started.origin = Origin::Parent { run: "above".into(), node, depth: DEPTH_MAX, max_cost: None };
            w.does(Command::Start { started, workflow })
        },
        |w| w.is(State::Failed).failed_with("NESTING_LIMIT"),
    );
}
