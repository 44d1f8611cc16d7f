//! An agent's output schema, and what a reply must be to satisfy it.

use baton_core::agent::Agent;
use baton_core::fault::Fault;
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use crate::extract;
use crate::fault::{Unusable, code};

/// Problems of one reply that are told; the rest are only counted.
const PROBLEMS_SHOWN_MAX: usize = 5;
/// Characters of one problem that are told.
const PROBLEM_CHARS_MAX: usize = 300;

/// A JSON Schema, compiled. Patterns run on an engine without backtracking, references stay inside the schema.
pub(crate) struct Schema(Validator);

impl Schema {
    /// The agent's schema, where it has one.
    pub fn of(agent: &Agent) -> Result<Option<Self>, Fault> {
        agent.output_schema.as_ref().map(|schema| Self::compile(&agent.name, schema)).transpose()
    }

    fn compile(agent: &str, schema: &Value) -> Result<Self, Fault> {
        jsonschema::options().with_pattern_options(PatternOptions::regex()).build(schema).map(Self).map_err(|error| {
            let place = error.instance_path().to_string();
            let place = if place.is_empty() { "its top".to_owned() } else { format!("`{place}`") };
            let problem = extract::clip(&error.masked().to_string(), PROBLEM_CHARS_MAX);
            Fault::new(
                code::OUTPUT_SCHEMA_INVALID,
                format!("agent `{agent}`: its output_schema is not a JSON Schema: at {place}, {problem}"),
            )
        })
    }

    /// The first piece of JSON in the text that satisfies the schema, or what is wrong with the most likely one.
    pub fn read(&self, text: &str) -> Result<Value, Unusable> {
        let mut found = extract::candidates(text);
        if let Some(at) = found.iter().position(|value| self.0.is_valid(value)) {
            return Ok(found.swap_remove(at));
        }
        match found.iter().find(|value| value.is_object()).or(found.first()) {
            Some(value) => Err(Unusable::new(
                code::REPLY_INVALID,
                format!("the reply does not satisfy the schema: {}", self.problems(value)),
            )),
            None if text.trim().is_empty() => Err(Unusable::new(code::REPLY_EMPTY, "the reply is empty")),
            None => Err(Unusable::new(code::REPLY_NOT_JSON, "the reply holds no complete JSON")),
        }
    }

    /// Whether a value satisfies it.
    pub fn check(&self, value: &Value) -> Result<(), Unusable> {
        if self.0.is_valid(value) {
            return Ok(());
        }
        let problem = format!("`final_output` does not satisfy the schema: {}", self.problems(value));
        Err(Unusable::new(code::REPLY_INVALID, problem))
    }

    /// Sorted, so that the same reply is always told the same. Values are left out: they may be a customer's.
    fn problems(&self, value: &Value) -> String {
        let mut all: Vec<String> = self
            .0
            .iter_errors(value)
            .map(|error| {
                let place = error.instance_path().to_string();
                let problem = extract::clip(&error.masked().to_string(), PROBLEM_CHARS_MAX);
                if place.is_empty() { problem } else { format!("`{place}`: {problem}") }
            })
            .collect();
        all.sort();
        all.dedup();
        let more = all.len().saturating_sub(PROBLEMS_SHOWN_MAX);
        all.truncate(PROBLEMS_SHOWN_MAX);
        let told = all.join("; ");
        if more == 0 { told } else { format!("{told}; and {more} more") }
    }
}
