//! The reference of all stable error codes.

use std::fmt::Write as _;

use baton_core::definition::DiagnosticCode;
use baton_core::fault::code as run;
use baton_core::routing;
use baton_core::run::RunRefusal;
use baton_expr::EvalErrorCode;
use baton_models::code as model;

const OPENING: &str = "\
# Codes

Written by `baton reference errors`. A code is stable; the words beside it may change.
";

/// Why a run, or a node of it, failed by itself.
const RUNS: [(&str, &str); 25] = [
    (run::INPUT_INVALID, "the input is not what the workflow declares"),
    (run::TIMEOUT, "no answer within the time limit"),
    (run::DEADLINE, "nobody answered before the deadline"),
    (run::REJECTED, "a person said no"),
    (run::EXPRESSION, "an expression or a template could not be evaluated"),
    (run::PROMPT_FAILED, "a prompt that the node, the agent or the project brings cannot be written"),
    (run::OUTCOME_UNKNOWN, "nobody knows whether a call acted"),
    (run::CANCELLED, "somebody cancelled it"),
    (run::ROLLED_BACK, "it was rolled back on request"),
    (run::NOT_UNDONE, "a compensation finally failed; a person must see to it"),
    (run::ROLLBACK_REFUSED, "a subworkflow's run could not be rolled back"),
    (run::CHILD_FAILED, "a subworkflow failed"),
    (run::AGENT_GAVE_UP, "an agent ended without an answer"),
    (run::TIER_LIMIT, "the tenant's tier does not let the agent run"),
    (run::EXECUTION_TIMEOUT, "an agent worked longer than it may"),
    (run::STEP_INVALID, "whoever thinks for an agent answered with what is no step"),
    (run::MERGE_IMPOSSIBLE, "a merge can no longer have as many branches as it needs"),
    (run::NOT_A_LIST, "a loop was given something that is no list"),
    (run::LOOP_LIMIT, "a loop reached its `max_iterations`"),
    (run::ITEM_LIMIT, "a loop was given more items than it may have"),
    (run::NESTING_LIMIT, "subworkflows are nested too deep"),
    (run::COST_LIMIT, "the run's or the node's `max_cost_usd` is used up"),
    (run::VARIABLE_SET_TWICE, "a variable declared `once` was set a second time"),
    (run::SNAPSHOT_LIMIT, "a paused program is larger than it may be"),
    (run::JOURNAL_LIMIT, "the run has as many events as it may"),
];

/// Why an agent stopped. The crate of agents cannot be a dependency here, so a test compares the lists.
const AGENTS: [(&str, &str); 13] = [
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
    ("PLAN_INVALID", "a code agent's plan cannot be executed"),
    ("MAX_RETRIES_EXCEEDED", "a code agent did not achieve its goal in all its attempts"),
    ("AGENT_TYPE_UNAVAILABLE", "no step function for an agent of type `custom`"),
];

/// Why a model call failed, or its response was unusable.
const MODELS: [(&str, &str); 19] = [
    (model::RATE_LIMIT_EXCEEDED, "too many requests, or a quota that is used up"),
    (model::TIMEOUT, "no reply, or no first token, in time"),
    (model::SERVICE_UNAVAILABLE, "the provider cannot be reached, or fails"),
    (model::AUTHENTICATION_FAILED, "the key is missing, wrong, or may not do this"),
    (model::MODEL_NOT_FOUND, "the provider does not have the model, or the base URL is not its API"),
    (model::CONTEXT_TOO_LONG, "the messages are longer than the model's context"),
    (model::CONTENT_FILTERED, "the provider refused the request for its content"),
    (model::MALFORMED_REPLY, "what came back is no reply: cut off, not JSON, too large"),
    (model::LISTENER_STALLED, "whoever listens to a streamed reply did not take it in time"),
    (model::INVALID_REQUEST, "the provider says that the request itself is wrong"),
    (model::BUDGET_EXCEEDED, "a budget of the tenant or of the API key is used up"),
    (model::PRICE_UNKNOWN, "nobody states the model's price, and something bounds what the call may cost"),
    (model::MISSING_API_KEY, "the consumer must bring its own key, and has not"),
    (model::NO_SCRIPTED_REPLY, "no scripted reply fits the request"),
    (model::SCRIPT_FAILED, "a scripted reply fits, and its match or its template cannot be evaluated"),
    (model::NO_MODEL, "no model may be asked; the message says why of each"),
    ("MODELS-001", "a setting under `[models]` cannot be used"),
    ("MODELS-002", "a file of scripted replies cannot be used"),
    ("MODELS-003", "the catalogue of models cannot be used"),
];

pub fn page() -> String {
    let mut page = OPENING.to_owned();
    for group in groups() {
        group.write(&mut page);
    }
    page
}

/// Codes of one kind, each with a page in the group's folder.
struct CodeGroup {
    title: &'static str,
    about: &'static str,
    folder: &'static str,
    rows: Vec<(&'static str, &'static str)>,
}

fn groups() -> [CodeGroup; 10] {
    let group = |title, folder, about, rows| CodeGroup { title, about, folder, rows };
    [
        group("Definitions", "definition", "`baton validate` finds these.", definitions()),
        group(
            "Expressions",
            "expressions",
            "An expression met data it has no meaning for. In a run the node fails with `EXPRESSION_FAILED`, and the \
             message ends with this code.",
            EvalErrorCode::ALL.iter().map(|code| (code.as_str(), code.title())).collect(),
        ),
        group("Refusals", "run", "A run was asked for something, and said no. Nothing changed.", refusals()),
        group(
            "Conversations",
            "conversation",
            "A conversation was asked for something, and said no. Nothing changed.",
            baton_core::conversation::ConversationRefusal::CODES.to_vec(),
        ),
        group(
            "The desk",
            "desk",
            "A tenant's desk was asked for something, and said no. Nothing changed.",
            routing::RoutingRefusal::CODES.to_vec(),
        ),
        group("Runs", "faults", "A run, or a node of it, failed.", RUNS.to_vec()),
        group("Agents", "agents", "An agent gave up.", AGENTS.to_vec()),
        group("Models", "models", "A model could not be asked, or its answer not be used.", MODELS.to_vec()),
        group("The API", "api", "A request over HTTP was said no to.", baton_server::code::ALL.to_vec()),
        group("Tools", "tools", "A tool call failed. The words are what the operator is told to do.", tools()),
    ]
}

type CodeRows = Vec<(&'static str, &'static str)>;

impl CodeGroup {
    fn write(&self, page: &mut String) {
        let Self { title, about, folder, rows } = self;
        // Writing to a string cannot fail.
        let _ = writeln!(page, "\n## {title}\n\n{about}\n\n| code | |\n| --- | --- |");
        for (code, words) in rows {
            let _ = writeln!(page, "| [{code}]({folder}/{code}.md) | {} |", words.replace('|', "\\|"));
        }
    }
}

fn definitions() -> CodeRows {
    DiagnosticCode::ALL.iter().map(|code| (code.as_str(), code.title())).collect()
}

fn refusals() -> CodeRows {
    RunRefusal::CODES.to_vec()
}

fn tools() -> CodeRows {
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
        lists(&baton_server::code::ALL, include_str!("../../../../server/src/code.rs"));
    }

    /// Every code, with its folder and the first line of its page.
    #[test]
    fn every_code_has_a_page_that_says_what_to_do_and_every_page_its_code() {
        let errors = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
        for CodeGroup { folder, rows, .. } in groups() {
            for (code, _) in &rows {
                let page = std::fs::read_to_string(errors.join(folder).join(format!("{code}.md"))).unwrap_or_default();
                assert!(page.starts_with(&format!("# {code}")), "docs/errors/{folder}/{code}.md");
                let does_say = page.contains("\n## What to do\n") || page.contains("- to the operator: ");
                assert!(does_say, "docs/errors/{folder}/{code}.md says no way out");
            }
            for file in std::fs::read_dir(errors.join(folder)).expect("a folder of pages") {
                let name = file.expect("an entry").file_name().into_string().expect("a name");
                let code = name.strip_suffix(".md").expect("a page");
                assert!(
                    code == "README" || rows.iter().any(|(listed, _)| *listed == code),
                    "{folder}/{name} has no code"
                );
            }
        }
    }

    /// Checks that links of the pages lead to existing files.
    #[test]
    fn every_link_of_a_page_leads_to_a_file() {
        let errors = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
        for CodeGroup { folder, rows, .. } in groups() {
            for (code, _) in rows {
                let file = errors.join(folder).join(format!("{code}.md"));
                let text = std::fs::read_to_string(&file).expect("a page");
                for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
                    let to = errors.join(folder).join(link);
                    assert!(link.starts_with("http") || to.exists(), "{folder}/{code}.md leads to {link}");
                }
            }
        }
    }
}
