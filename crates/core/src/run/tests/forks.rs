//! Forks: another run with the recorded past of this one.

use serde_json::json;

use super::agents::tools;
use super::fixture::{FixtureReply, blocked, check, done, fails};
use super::flow::{agent, approval, child, flow, only, secs, signal, tool, wait_for};
use crate::graph::node::OnDeadline;
use crate::run::{BlockReason, RunState};

#[test]
fn a_fork_inherits_results_and_goes_on_under_its_own_keys() {
    check(
        flow([tool("a"), approval("ask", 1), tool("b")], "a>ask ask>b"),
        |w| w.starts().forks(false, json!({})).approves("ask", "eve"),
        |w| w.assert_state(RunState::Completed).keys(&["run/a/0/0", "fork/b/0/0"]),
    );
}

#[test]
fn a_fork_may_change_variables_on_the_way() {
    check(
        flow(
            [tool("a").sets("n", json!(1)), approval("ask", 1), tool("b").args(json!({"n": "{{ n }}"}))],
            "a>ask ask>b",
        ),
        |w| w.starts().forks(false, json!({"n": 2})).approves("ask", "eve"),
        |w| w.assert_state(RunState::Completed).asked_with("b", json!({"n": 2})),
    );
}

#[test]
fn the_original_undoes_what_a_fork_inherited_unless_told() {
    let given =
        || flow([tool("a").undo("un_a"), approval("ask", 1), tool("b").undo("un_b"), tool("c")], "a>ask ask>b b>c");
    check(
        given(),
        |w| w.answers("c", [fails("NO")]).starts().forks(false, json!({})).approves("ask", "eve"),
        |w| w.assert_state(RunState::Compensated).asked("a b c un_b").undone(&[("b", "undone")]),
    );
    check(
        given(),
        |w| w.answers("c", [fails("NO")]).starts().forks(true, json!({})).approves("ask", "eve"),
        |w| w.assert_state(RunState::Compensated).asked("a b c un_b un_a").undone(&[("b", "undone"), ("a", "undone")]),
    );
}

#[test]
fn what_was_in_flight_goes_out_anew_under_the_forks_keys() {
    check(
        flow([tool("k"), tool("o").once(), tool("v").verify(), tool("p")], ""),
        |w| {
            let approval = blocked(BlockReason::approval("h"));
            for name in ["k", "o", "v"] {
                w.answers(name, [FixtureReply::StaysOut]);
            }
            w.answers("p", [approval]).starts().forks(false, json!({}))
        },
        |w| {
            w.assert_state(RunState::Completed).keys(&[
                "run/k/0/0",
                "run/o/0/0",
                "run/p/0/0",
                "run/v/0/0",
                "fork/k/0/0",
                "fork/o/0/0",
                "fork/p/0/0",
                "fork/v/0/0",
            ])
        },
    );
}

#[test]
fn a_fork_starts_its_own_children() {
    check(
        only(child("sub")),
        |w| {
            w.starts().forks(false, json!({}));
            w.child_ends("sub", "run/sub", RunState::Completed, false).refused_with("RUN-005");
            w.child_ends("sub", "fork/sub", RunState::Completed, false)
        },
        |w| w.assert_state(RunState::Completed),
    );
}

#[test]
fn a_fork_has_its_own_deadlines() {
    check(
        flow(
            [
                approval("ask", 1).deadline(secs(60), OnDeadline::Fail),
                wait_for("w", secs(60)),
                signal("go", "go").deadline(secs(60), OnDeadline::Fail),
            ],
            "",
        )
        .timeout(secs(90)),
        |w| {
            w.starts().advance_time(secs(50)).forks(false, json!({}));
            w.advance_time(secs(59)).assert_state(RunState::Waiting);
            w.approves("ask", "eve").signals("go", json!(1));
            w.advance_time(secs(1))
        },
        |w| w.assert_state(RunState::Completed),
    );
}

#[test]
fn an_agent_of_a_fork_goes_on_with_what_it_saw() {
    check(
        only(agent("who", &["book", "find"])),
        |w| {
            w.answers("find", [FixtureReply::StaysOut]).thinks("who", [tools(&["book"]), tools(&["find"])]).starts();
            w.forks(false, json!({}))
        },
        |w| w.assert_state(RunState::Completed).keys(&["run/who/0/0", "run/who/1/0", "fork/who/1/0"]),
    );
}

#[test]
fn a_fork_of_a_rollback_leaves_the_undoing_to_the_original() {
    let given = || flow([tool("a").undo("un"), tool("b")], "a>b");
    check(
        given(),
        |w| w.answers("b", [fails("NO")]).answers("un", [FixtureReply::StaysOut]).starts().forks(false, json!({})),
        |w| w.assert_state(RunState::Compensated).asked("a b un"),
    );
    check(
        given(),
        |w| w.answers("b", [fails("NO")]).answers("un", [FixtureReply::StaysOut]).starts().forks(true, json!({})),
        |w| {
            w.assert_state(RunState::Compensated).asked("a b un un").keys(&[
                "run/a/0/0",
                "run/b/0/0",
                "run/a/0/0/undo",
                "fork/a/0/0/undo",
            ])
        },
    );
}

#[test]
fn a_late_answer_to_the_original_is_not_the_forks() {
    check(
        flow([tool("a").once(), approval("ask", 1)], ""),
        |w| {
            w.answers("a", [FixtureReply::StaysOut]).starts();
            let first = w.out("a");
            w.crashes().resolves("a", crate::run::DoubtResolution::Repeat).forks(false, json!({}));
            w.deliver_outcome(first, done(json!(1)))
        },
        |w| w.refused_with("RUN-011"),
    );
}
