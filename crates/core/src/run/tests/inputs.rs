//! A workflow's declared input, and the effect of an invalid input on a run.

use serde_json::json;

use super::fixture::{check, fails};
use super::flow::{only, tool, transform};
use crate::run::RunState;

#[test]
fn a_key_that_was_left_out_has_its_default_wherever_it_is_named() {
    check(
        only(transform("t", &[("seen", json!("{{ language }} {{ input.language }}"))]))
            .input(json!({ "language": { "type": "string", "default": "en" } })),
        |w| w.starts(),
        |w| w.assert_state(RunState::Completed).has("seen", json!("en en")),
    );
}

#[test]
fn an_input_that_does_not_fit_fails_the_run_before_any_node() {
    check(
        only(tool("a")).input(json!({ "n": "number" })),
        |w| w.starts_with(json!({ "n": "many" })),
        |w| w.assert_state(RunState::Failed).failed_with("INPUT_INVALID").asked("").node_is("a", "pending"),
    );
}

#[test]
fn a_run_goes_on_only_with_a_version_its_input_fits() {
    check(
        only(tool("a")).input(json!({ "n": "number" })),
        |w| {
            w.answers("a", [fails("BROKEN")]).starts_with(json!({ "n": 1 })).assert_state(RunState::Failed);
            w.retries_on(only(tool("a")).input(json!({ "n": "string" }))).refused_with("RUN-013");
            w.retries_on(only(tool("a")).input(json!({ "n": "number", "m": { "default": 1 } })))
                .refused_with("RUN-013");
            w.retries_on(only(tool("a")).input(json!({ "n": "integer" })))
        },
        |w| w.assert_state(RunState::Completed).asked("a a"),
    );
}

#[test]
fn a_run_that_failed_for_its_input_is_started_anew_not_retried() {
    check(
        only(tool("a")).input(json!({ "n": "number" })),
        |w| {
            w.starts_with(json!({})).assert_state(RunState::Failed);
            w.retries()
        },
        |w| w.refused_with("RUN-013").assert_state(RunState::Failed),
    );
}
