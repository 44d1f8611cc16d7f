//! Replies by a schema: what a model's reply must be to satisfy one, and what is wrong with it. For whoever asks models,
//! agents and doors alike.

pub mod extract;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// How often a model is told what is wrong with its reply and asked again.
pub const CORRECTIONS_MAX: u32 = 1;
/// The reply holds no JSON where a schema asks for it.
pub const REPLY_NOT_JSON: &str = "REPLY_NOT_JSON";
/// The reply's JSON does not satisfy the schema.
pub const REPLY_INVALID: &str = "REPLY_INVALID";
/// The reply says nothing.
pub const REPLY_EMPTY: &str = "REPLY_EMPTY";

/// Problems of one reply that are told; the rest are only counted.
const PROBLEMS_SHOWN_MAX: usize = 5;
/// Characters of one problem that are told.
const PROBLEM_CHARS_MAX: usize = 300;

/// A reply, or a part of one, that does not satisfy its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplySchemaError {
    pub code: &'static str,
    /// A clause without a full stop, said to the model and to the operator alike.
    pub problem: String,
}

impl ReplySchemaError {
    fn new(code: &'static str, problem: impl Into<String>) -> Self {
        Self { code, problem: problem.into() }
    }
}

/// A JSON Schema, compiled. Patterns run on an engine without backtracking, references stay inside the schema.
#[derive(Debug)]
pub struct ReplySchema(Validator);

impl ReplySchema {
    /// # Errors
    /// What is no JSON Schema: its place, and what is wrong there.
    pub fn compile(schema: &Value) -> Result<Self, String> {
        jsonschema::options().with_pattern_options(PatternOptions::regex()).build(schema).map(Self).map_err(|error| {
            let place = error.instance_path().to_string();
            let place = if place.is_empty() { "its top".to_owned() } else { format!("`{place}`") };
            format!("at {place}, {}", extract::clip(&error.masked().to_string(), PROBLEM_CHARS_MAX))
        })
    }

    /// The first piece of JSON in the text that satisfies the schema.
    ///
    /// # Errors
    /// What is wrong with the most likely one.
    pub fn parse_reply(&self, text: &str) -> Result<Value, ReplySchemaError> {
        let mut found = extract::json_candidates(text);
        if let Some(at) = found.iter().position(|value| self.0.is_valid(value)) {
            return Ok(found.swap_remove(at));
        }
        match found.iter().find(|value| value.is_object()).or(found.first()) {
            Some(value) => Err(ReplySchemaError::new(
                REPLY_INVALID,
                format!("the reply does not satisfy the schema: {}", self.problems(value)),
            )),
            None if text.trim().is_empty() => Err(ReplySchemaError::new(REPLY_EMPTY, "the reply is empty")),
            None => Err(ReplySchemaError::new(REPLY_NOT_JSON, "the reply holds no complete JSON")),
        }
    }

    /// Whether a value satisfies it; `what` is the value's name in what is said of it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, what: &str, value: &Value) -> Result<(), ReplySchemaError> {
        if self.0.is_valid(value) {
            return Ok(());
        }
        let problem = format!("{what} does not satisfy the schema: {}", self.problems(value));
        Err(ReplySchemaError::new(REPLY_INVALID, problem))
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
