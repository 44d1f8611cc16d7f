//! Every stable code, as a page.

use std::fmt::Write as _;

use baton_core::definition::Code;
use baton_core::fault::code as run;
use baton_core::run::Refusal;
use baton_models::code as model;

const OPENING: &str = "\
# Codes

Written by `baton reference errors`. A code is stable; the words beside it may change.
";

/// Why a run, or a node of it, failed by itself.
const RUNS: [(&str, &str); 20] = [
    (run::TIMEOUT, "no answer within the time limit"),
    (run::DEADLINE, "nobody answered before the deadline"),
    (run::REJECTED, "a person said no"),
    (run::EXPRESSION, "an expression or a template could not be evaluated"),
    (run::OUTCOME_UNKNOWN, "nobody knows whether a call acted"),
    (run::CANCELLED, "somebody cancelled it"),
    (run::ROLLED_BACK, "it was rolled back on request"),
    (run::NOT_UNDONE, "a compensation finally failed; a person must see to it"),
    ("ROLLBACK_REFUSED", "a subworkflow's run could not be rolled back"),
    (run::CHILD_FAILED, "a subworkflow failed"),
    (run::AGENT_GAVE_UP, "an agent ended without an answer"),
    (run::MERGE_IMPOSSIBLE, "a merge can no longer have as many branches as it needs"),
    (run::STUCK, "nothing is left that could run"),
    (run::NOT_A_LIST, "a loop was given something that is no list"),
    (run::LOOP_LIMIT, "a loop reached its `max_iterations`"),
    (run::ITEM_LIMIT, "a loop was given more items than it may have"),
    (run::NESTING_LIMIT, "subworkflows are nested too deep"),
    (run::COST_LIMIT, "the run's or the node's `max_cost_usd` is used up"),
    ("VARIABLE_SET_TWICE", "a variable declared `once` was set a second time"),
    (run::JOURNAL_LIMIT, "the run has as many events as it may"),
];

/// Why an agent gave up. The room of agents cannot be named here; a test compares.
const AGENTS: [(&str, &str); 11] = [
    ("REPLY_NOT_JSON", "the reply holds no JSON where the agent's schema asks for it"),
    ("REPLY_INVALID", "the reply's JSON does not satisfy the agent's schema"),
    ("REPLY_TRUNCATED", "the token limit cut the reply off"),
    ("REPLY_EMPTY", "the reply says nothing"),
    ("REPLY_REFUSED", "the provider or the model refused to answer"),
    ("UNKNOWN_TOOL", "the model keeps asking for tools it was not offered"),
    ("INVALID_ARGUMENTS", "the model keeps sending arguments that are no JSON object"),
    ("LOOP_DETECTED", "the same action with the same input, three times running"),
    ("MAX_ITERATIONS_EXCEEDED", "no answer within `max_iterations`"),
    ("OUTPUT_SCHEMA_INVALID", "the agent's `output_schema` is no JSON Schema"),
    ("AGENT_TYPE_UNAVAILABLE", "this version cannot run agents of this type"),
];

/// Why a model could not be asked, or its answer not be used.
const MODELS: [(&str, &str); 13] = [
    (model::RATE_LIMIT_EXCEEDED, "too many requests, or a quota that is used up"),
    (model::TIMEOUT, "no reply, or no first token, in time"),
    (model::SERVICE_UNAVAILABLE, "the provider cannot be reached, or fails"),
    (model::AUTHENTICATION_FAILED, "the key is missing, wrong, or may not do this"),
    (model::MODEL_NOT_FOUND, "the provider does not have the model, or the base URL is not its API"),
    (model::CONTEXT_TOO_LONG, "the messages are longer than the model's context"),
    (model::CONTENT_FILTERED, "the provider refused the request for its content"),
    (model::MALFORMED_REPLY, "what came back is no reply: cut off, not JSON, too large"),
    (model::INVALID_REQUEST, "the provider says that the request itself is wrong"),
    (model::NO_SCRIPTED_REPLY, "no scripted reply fits the request"),
    (model::SCRIPT_FAILED, "a scripted reply fits, and its match or its template cannot be evaluated"),
    ("MODELS-001", "a setting under `[models]` cannot be used"),
    ("MODELS-002", "a file of scripted replies cannot be used"),
];

pub fn page() -> String {
    let mut page = OPENING.to_owned();
    let plain = |code: &str| format!("`{code}`");
    let definition = |code: &str| format!("[{code}](definition/{code}.md)");
    let refusal = |code: &str| format!("[{code}](run/{code}.md)");
    let tool = |code: &str| format!("[{code}](tools/{code}.md)");
    group(&mut page, "Definitions", "`baton validate` finds these.", definitions(), definition);
    group(&mut page, "Refusals", "A run was asked for something, and said no. Nothing changed.", refusals(), refusal);
    group(&mut page, "Runs", "A run, or a node of it, failed.", of(&RUNS), plain);
    group(&mut page, "Agents", "An agent gave up.", of(&AGENTS), plain);
    group(&mut page, "Models", "A model could not be asked, or its answer not be used.", of(&MODELS), plain);
    group(&mut page, "Tools", "A tool call failed. The words are what the operator is told to do.", tools(), tool);
    page
}

type Rows = Vec<(&'static str, &'static str)>;

fn group(page: &mut String, title: &str, about: &str, rows: Rows, link: impl Fn(&str) -> String) {
    // Writing to a string cannot fail.
    let _ = writeln!(page, "\n## {title}\n\n{about}\n\n| code | |\n| --- | --- |");
    for (code, words) in rows {
        let _ = writeln!(page, "| {} | {} |", link(code), words.replace('|', "\\|"));
    }
}

fn of(rows: &[(&'static str, &'static str)]) -> Rows {
    rows.to_vec()
}

fn definitions() -> Rows {
    Code::ALL.iter().map(|code| (code.as_str(), code.title())).collect()
}

fn refusals() -> Rows {
    Refusal::CODES.to_vec()
}

fn tools() -> Rows {
    let general = baton_tools::code::TEXTS.iter().filter(|text| text.category.is_none());
    general.map(|text| (text.code, text.action)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of `pub const NAME: &str = "VALUE";` in a source file.
    fn constants(source: &str) -> Vec<&str> {
        let values = source.lines().filter_map(|line| line.trim().strip_prefix("pub const "));
        values.filter_map(|line| line.split_once(": &str = \"")?.1.strip_suffix("\";")).collect()
    }

    #[track_caller]
    fn lists(rows: &[(&str, &str)], source: &str) {
        let found = constants(source);
        assert!(!found.is_empty(), "the source has no codes");
        for code in found {
            assert!(rows.iter().any(|(listed, _)| *listed == code), "{code} is not on the page");
        }
    }

    #[test]
    fn the_page_lists_every_code_of_runs_agents_and_models() {
        lists(&RUNS, include_str!("../../../../core/src/fault.rs"));
        lists(&AGENTS, include_str!("../../../../agents/src/fault.rs"));
        lists(&MODELS, include_str!("../../../../models/src/fault.rs"));
    }

    #[test]
    fn every_page_is_linked_and_every_link_has_its_page() {
        let errors = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
        let page = page();
        let links: Vec<&str> = page.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
        for link in &links {
            assert!(errors.join(link).is_file(), "{link} is not there");
        }
        for folder in ["definition", "run", "tools"] {
            for file in std::fs::read_dir(errors.join(folder)).expect("a folder of pages") {
                let name = file.expect("an entry").file_name().into_string().expect("a name");
                let link = format!("{folder}/{name}");
                assert!(name == "README.md" || links.contains(&link.as_str()), "{link} is not linked");
            }
        }
    }
}
