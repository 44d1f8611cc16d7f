//! When a node runs, and when it is skipped.

use serde_json::json;

use super::fixture::{check, done, fails};
use super::flow::{condition, end, flow, only, switch, tool, transform, trigger};
use crate::run::RunState;

#[test]
fn a_chain_of_tools_runs_in_order_and_gives_the_last_ones_output() {
    check(
        flow([trigger("in"), tool("a"), tool("b")], "in>a a>b"),
        |w| w.answers("b", [done(json!({"ok": 1}))]).starts(),
        |w| w.assert_state(RunState::Completed).assert_path("in a b").asked("a b").assert_output(json!({"ok": 1})),
    );
}

#[test]
fn a_node_runs_once_all_its_in_edges_are_settled() {
    check(
        flow([tool("a"), tool("b"), tool("c")], "a>c b>c"),
        |w| w.starts(),
        |w| w.assert_state(RunState::Completed).assert_path("a b c"),
    );
}

#[test]
fn a_branch_that_was_not_chosen_is_skipped_to_its_end() {
    check(
        flow(
            [condition("is", "n == `1`"), tool("yes"), tool("no"), tool("after_no"), end("end")],
            "is:true>yes is:false>no no>after_no yes>end after_no>end",
        ),
        |w| w.starts_with(json!({"n": 1})),
        |w| {
            w.assert_state(RunState::Completed).assert_path("is yes end").asked("yes");
            w.node_is("no", "skipped").node_is("after_no", "skipped")
        },
    );
}

#[test]
fn an_edge_without_a_label_follows_the_first_branch() {
    check(
        flow([condition("is", "n == `1`"), tool("yes"), tool("no")], "is>yes is:false>no"),
        |w| w.starts_with(json!({"n": 2})),
        |w| w.assert_state(RunState::Completed).assert_path("is no"),
    );
}

#[test]
fn a_switch_follows_the_first_case_that_holds() {
    let nodes = || {
        let cases = [("small", "n < `10`"), ("big", "n < `100`")];
        [switch("size", &cases, Some("huge")), tool("small"), tool("big"), tool("huge")]
    };
    let edges = "size:small>small size:big>big size:huge>huge";
    let run = |n: u32, path: &str| {
        check(flow(nodes(), edges), |w| w.starts_with(json!({"n": n})), |w| w.assert_path(path));
    };
    run(5, "size small");
    run(50, "size big");
    run(500, "size huge");
}

#[test]
fn a_switch_without_a_default_in_which_no_case_holds_kills_all_its_edges() {
    check(
        flow([switch("size", &[("small", "n < `10`")], None), tool("small"), tool("any")], "size:small>small size>any"),
        |w| w.starts_with(json!({"n": 50})),
        |w| {
            w.assert_state(RunState::Completed)
                .assert_path("size")
                .node_is("small", "skipped")
                .node_is("any", "skipped")
        },
    );
}

#[test]
fn a_false_node_condition_skips_the_node_and_kills_its_out_edges() {
    check(
        flow([tool("a"), tool("b").when("a.output.ok"), tool("c")], "a>b b>c"),
        |w| w.answers("a", [done(json!({"ok": false}))]).starts(),
        |w| w.assert_state(RunState::Completed).assert_path("a").node_is("b", "skipped").node_is("c", "skipped"),
    );
}

#[test]
fn in_steps_a_skipped_dependency_counts_as_met() {
    check(
        flow(
            [tool("a").when("`false`").all_settled(), tool("b").all_settled().args(json!({"seen": "{{ a.skipped }}"}))],
            "a>b",
        ),
        |w| w.starts(),
        |w| w.assert_state(RunState::Completed).assert_path("b").asked("b"),
    );
}

#[test]
fn in_steps_a_skipped_step_is_seen_as_skipped() {
    check(
        flow(
            [tool("a").when("`false`").all_settled(), transform("t", &[("saw", json!("{{ a }}"))]).all_settled()],
            "a>t",
        ),
        |w| w.starts(),
        |w| w.assert_state(RunState::Completed).has("saw", json!({"skipped": true})),
    );
}

#[test]
fn in_steps_an_error_edge_is_followed_only_when_taken() {
    let given = || flow([tool("a"), tool("mend").all_settled(), tool("b").all_settled()], "a>b a!>mend");
    check(given(), |w| w.starts(), |w| w.assert_path("a b").node_is("mend", "skipped"));
    // A node that depends on a step with a caught failure runs: its dependency is settled.
    check(
        given(),
        |w| w.answers("a", [fails("NO")]).starts(),
        |w| w.assert_state(RunState::Completed).assert_path("a b mend"),
    );
}

#[test]
fn an_edge_condition_sees_its_sources_output_and_all_names() {
    check(
        flow([tool("a"), tool("b"), tool("c")], "").edge_if("a", "b", "output.n > limit").edge_if(
            "a",
            "c",
            "output.n <= limit",
        ),
        |w| w.answers("a", [done(json!({"n": 3}))]).starts_with(json!({"limit": 2})),
        |w| w.assert_state(RunState::Completed).assert_path("a b").node_is("c", "skipped"),
    );
}

#[test]
fn an_edge_condition_that_fails_fails_its_source() {
    check(
        flow([tool("a"), tool("b")], "").edge_if("a", "b", "nobody.knows"),
        |w| w.starts(),
        |w| {
            w.assert_state(RunState::Failed)
                .failed_with("EXPRESSION_FAILED")
                .node_is("a", "failed")
                .node_is("b", "pending")
        },
    );
}

#[test]
fn a_node_condition_that_fails_fails_the_node() {
    check(
        flow([tool("a"), tool("b").when("nobody.knows")], "a>b"),
        |w| w.starts(),
        |w| {
            w.assert_state(RunState::Failed)
                .failed_with("EXPRESSION_FAILED")
                .node_is("a", "completed")
                .node_is("b", "failed")
        },
    );
}

#[test]
fn two_last_nodes_give_their_outputs_by_id() {
    check(
        flow([tool("a"), tool("b")], ""),
        |w| w.answers("a", [done(json!(1))]).answers("b", [done(json!(2))]).starts(),
        |w| w.assert_output(json!({"a": 1, "b": 2})),
    );
}

#[test]
fn a_workflow_without_nodes_completes_at_once() {
    check(flow([], ""), |w| w.starts(), |w| w.assert_state(RunState::Completed).assert_output(json!(null)));
}

#[test]
fn an_end_gives_the_runs_output_and_waits_for_the_rest() {
    check(
        flow([tool("a"), end("end").gives(json!({"said": "{{ a.id }}"})), tool("slow")], "a>end"),
        |w| w.answers("a", [done(json!({"id": "x"}))]).starts(),
        |w| w.assert_state(RunState::Completed).asked("a slow").assert_output(json!({"said": "x"})),
    );
}

#[test]
fn a_pure_chain_costs_one_decision() {
    let set = |id: &str| transform(id, &[("n", json!(1))]);
    check(
        flow([trigger("in"), set("a"), set("b"), condition("c", "n == `1`"), end("d")], "in>a a>b b>c c>d"),
        |w| w.starts(),
        |w| {
            w.assert_state(RunState::Completed).assert_path("in a b c d");
            w.entries(1)
        },
    );
}

#[test]
fn a_tool_chain_costs_an_entry_per_step_and_one() {
    check(
        flow((0..10).map(|n| tool(&format!("t{n}"))), "t0>t1 t1>t2 t2>t3 t3>t4 t4>t5 t5>t6 t6>t7 t7>t8 t8>t9"),
        |w| w.starts(),
        |w| w.assert_state(RunState::Completed).entries(11),
    );
}

#[test]
fn a_node_may_read_what_ran_before_it_by_name() {
    check(
        flow([tool("a"), tool("b").args(json!({"id": "{{ a.id }}", "who": "{{ input.who }}"}))], "a>b"),
        |w| w.answers("a", [done(json!({"id": 7}))]).starts_with(json!({"who": "eve"})),
        |w| w.assert_state(RunState::Completed).asked_with("b", json!({"id": 7, "who": "eve"})),
    );
}

#[test]
fn arguments_that_cannot_be_made_fail_the_node_and_nothing_is_asked() {
    check(
        only(tool("a").args(json!({"id": "{{ nobody.id }}"}))),
        |w| w.starts(),
        |w| w.assert_state(RunState::Failed).failed_with("EXPRESSION_FAILED").asked(""),
    );
}
