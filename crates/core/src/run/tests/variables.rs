//! Variables: how writes combine, and which are refused.

use serde_json::json;

use super::fixture::{check, done};
use super::flow::{each, flow, only, tool, transform};
use crate::graph::CombineMode;
use crate::run::RunState;

fn writes(
    combine: CombineMode,
    initial: serde_json::Value,
    values: [serde_json::Value; 2],
) -> super::flow::FlowBuilder {
    let [one, two] = values;
    flow([transform("a", &[("k", one)]), transform("b", &[("k", two)])], "a>b").variable("k", combine, initial)
}

#[test]
fn the_last_write_wins_unless_declared_otherwise() {
    check(writes(CombineMode::LastWins, json!(0), [json!(1), json!(2)]), |w| w.starts(), |w| w.has("k", json!(2)));
}

#[test]
fn append_lists_every_write_in_order() {
    check(
        writes(CombineMode::Append, json!(null), [json!(1), json!([2])]),
        |w| w.starts(),
        |w| w.has("k", json!([1, [2]])),
    );
    check(
        writes(CombineMode::Append, json!([0]), [json!(1), json!(2)]),
        |w| w.starts(),
        |w| w.has("k", json!([0, 1, 2])),
    );
}

#[test]
fn merge_joins_objects_key_by_key() {
    check(
        writes(CombineMode::Merge, json!({"z": 0}), [json!({"a": 1, "b": 1}), json!({"b": 2})]),
        |w| w.starts(),
        |w| w.has("k", json!({"a": 1, "b": 2, "z": 0})),
    );
}

#[test]
fn once_is_set_once() {
    check(
        writes(CombineMode::Once, json!(null), [json!(1), json!(2)]),
        |w| w.starts(),
        |w| w.assert_state(RunState::Failed).failed_with("VARIABLE_SET_TWICE").has("k", json!(1)),
    );
}

#[test]
fn an_output_is_published_under_its_key() {
    check(
        flow([tool("a").output_key("weather"), tool("b").args(json!({"t": "{{ weather.temp }}"}))], "a>b"),
        |w| w.answers("a", [done(json!({"temp": 21}))]).starts(),
        |w| w.assert_state(RunState::Completed).has("weather", json!({"temp": 21})).asked_with("b", json!({"t": 21})),
    );
}

#[test]
fn a_node_sets_variables_from_its_output() {
    check(
        only(tool("a").sets("n", json!("{{ output.n }}")).sets("twice", json!("{{ n * 2 }}"))),
        |w| w.answers("a", [done(json!({"n": 4}))]).starts(),
        |w| w.assert_state(RunState::Completed).has("n", json!(4)).has("twice", json!(8)),
    );
}

#[test]
fn bodies_write_to_the_runs_variables() {
    let body = only(transform("t", &[("all", json!("{{ item }}"))]));
    check(
        flow([each("each", json!([1, 2, 3]), 1, body)], "").variable("all", CombineMode::Append, json!([])),
        |w| w.starts(),
        |w| w.assert_state(RunState::Completed).has("all", json!([1, 2, 3])),
    );
}

#[test]
fn every_name_is_found_and_the_inmost_first() {
    let args = json!({"node": "{{ a.n }}", "var": "{{ v }}", "key": "{{ city }}", "all": "{{ input.city }}", "shared": "{{ shared_context.v }}", "run": "{{ run.id }}"});
    check(
        flow([tool("a"), tool("b").args(args)], "a>b").variable("v", CombineMode::LastWins, json!("v")),
        |w| w.answers("a", [done(json!({"n": 1}))]).starts_with(json!({"city": "Lima", "v": "hidden"})),
        |w| {
            w.asked_with("b", json!({"node": 1, "var": "v", "key": "Lima", "all": "Lima", "shared": "v", "run": "run"}))
        },
    );
}

#[test]
fn numbers_read_back_as_they_were() {
    let odd = json!([
        0.1,
        0.30000000000000004,
        1e-7,
        123456789.12345679,
        5e-324,
        1.7976931348623157e308,
        2.2250738585072014e-308
    ]);
    check(
        only(tool("a")),
        |w| w.answers("a", [done(odd.clone())]).starts(),
        |w| w.assert_state(RunState::Completed).assert_output(odd.clone()),
    );
}
