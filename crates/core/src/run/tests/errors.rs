//! The effects of a failure: an error edge, `continue`, or the end.

use serde_json::json;

use super::fixture::{check, done, fails};
use super::flow::{condition, each, flow, only, tool, transform};
use crate::run::RunState;

#[test]
fn an_error_edge_is_dead_when_its_node_succeeds() {
    check(
        flow([tool("a"), tool("b"), tool("mend")], "a>b a!>mend"),
        |w| w.starts(),
        |w| w.assert_state(RunState::Completed).assert_path("a b").node_is("mend", "skipped"),
    );
}

#[test]
fn a_taken_error_edge_kills_the_normal_ones() {
    check(
        flow([tool("a"), tool("b"), tool("mend")], "a>b a!>mend"),
        |w| w.answers("a", [fails("NO_CARD")]).starts(),
        |w| w.assert_state(RunState::Completed).assert_path("a mend").node_is("a", "caught").node_is("b", "skipped"),
    );
}

#[test]
fn behind_an_error_edge_the_error_is_a_name() {
    check(
        flow([tool("a"), tool("mend").args(json!({"why": "{{ a.error.code }}"}))], "a!>mend"),
        |w| w.answers("a", [fails("NO_CARD")]).starts(),
        |w| w.assert_state(RunState::Completed).asked_with("mend", json!({"why": "NO_CARD"})),
    );
}

#[test]
fn continue_takes_the_out_edges_with_a_null_output_and_the_error() {
    check(
        flow([tool("a").continues(), transform("t", &[("saw", json!("{{ a }}"))])], "a>t"),
        |w| w.answers("a", [fails("NO")]).starts(),
        |w| {
            let saw = json!({"output": null, "error": {"code": "NO", "message": "scripted"}});
            w.assert_state(RunState::Completed).assert_path("a t").node_is("a", "caught").has("saw", saw)
        },
    );
}

#[test]
fn the_edges_of_a_node_that_continues_see_its_error() {
    check(
        flow([tool("a").continues(), tool("b"), tool("c")], "")
            .edge_if("a", "b", "error.code == 'NO'")
            .edge_if("a", "c", "output"),
        |w| w.answers("a", [fails("NO")]).starts(),
        |w| w.assert_state(RunState::Completed).assert_path("a b").node_is("c", "skipped"),
    );
}

#[test]
fn an_edge_that_fails_behind_a_node_that_continues_fails_it_for_good() {
    check(
        flow([tool("a").continues(), tool("b")], "").edge_if("a", "b", "nobody.knows"),
        |w| w.answers("a", [fails("NO")]).starts(),
        |w| w.assert_state(RunState::Failed).failed_with("EXPRESSION_FAILED"),
    );
}

#[test]
fn a_pure_nodes_failing_expression_follows_its_error_edge() {
    check(
        flow([condition("is", "nobody.knows"), tool("mend")], "is!>mend"),
        |w| w.starts(),
        |w| w.assert_state(RunState::Completed).assert_path("is mend"),
    );
}

#[test]
fn nothing_new_begins_once_the_run_has_failed() {
    check(
        flow([tool("a"), tool("slow").read(), tool("b"), tool("c")], "slow>b a>c"),
        |w| w.answers("a", [fails("NO")]).starts(),
        |w| {
            w.assert_state(RunState::Failed)
                .failed_with("NO")
                .asked("a")
                .node_is("b", "pending")
                .node_is("c", "pending")
        },
    );
}

#[test]
fn a_failure_inside_a_body_is_caught_by_the_node_it_is_the_body_of() {
    check(
        flow([each("each", json!([1, 2]), 1, only(tool("a"))), tool("mend")], "each!>mend"),
        |w| w.answers("a", [done(json!(1)), fails("NO")]).starts(),
        |w| w.assert_state(RunState::Completed).assert_path("each[0]/a each[1]/a each mend"),
    );
}

#[test]
fn a_failure_inside_a_body_may_be_caught_there() {
    check(
        flow([each("each", json!([1, 2]), 1, flow([tool("a"), tool("mend")], "a!>mend")), tool("b")], "each>b"),
        |w| w.answers("a", [fails("NO")]).starts(),
        |w| w.assert_state(RunState::Completed).assert_path("each[0]/a each[0]/mend each[1]/a each b"),
    );
}
