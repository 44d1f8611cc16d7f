//! Structured replies: whether a model's reply satisfies a schema, and what is wrong with it. Used by agents and API
//! endpoints.

pub mod extract;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// Number of times that a model receives the errors of its reply and is asked again.
pub const CORRECTIONS_MAX: u32 = 1;
/// The reply contains no JSON although a schema requires it.
pub const REPLY_NOT_JSON: &str = "REPLY_NOT_JSON";
/// The reply's JSON does not satisfy the schema.
pub const REPLY_INVALID: &str = "REPLY_INVALID";
/// The reply is empty.
pub const REPLY_EMPTY: &str = "REPLY_EMPTY";

/// Maximum number of problems of one reply that are reported; the rest is only counted.
const PROBLEMS_SHOWN_MAX: usize = 5;
/// Maximum length of one reported problem, in characters.
const PROBLEM_CHARS_MAX: usize = 300;

/// A reply, or a part of one, that does not satisfy its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplySchemaError {
    pub code: &'static str,
    /// A clause without a full stop, shown to both the model and the operator.
    pub problem: String,
}

impl ReplySchemaError {
    fn new(code: &'static str, problem: impl Into<String>) -> Self {
        Self { code, problem: problem.into() }
    }
}

/// A compiled JSON Schema. Patterns run on an engine without backtracking, and references stay inside the schema.
#[derive(Debug)]
pub struct ReplySchema(Validator);

impl ReplySchema {
    /// Compiles a schema.
    ///
    /// # Errors
    /// The value is not a JSON Schema: the position and the error there.
    pub fn compile(schema: &Value) -> Result<Self, String> {
        jsonschema::options().with_pattern_options(PatternOptions::regex()).build(schema).map(Self).map_err(|error| {
            let place = error.instance_path().to_string();
            let place = if place.is_empty() { "its top".to_owned() } else { format!("`{place}`") };
            format!("at {place}, {}", extract::clip(&error.masked().to_string(), PROBLEM_CHARS_MAX))
        })
    }

    /// Returns the first piece of JSON in the text that satisfies the schema.
    ///
    /// # Errors
    /// The errors of the most likely piece.
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

    /// Checks that a value satisfies the schema; `what` names the value in messages.
    ///
    /// # Errors
    /// What is wrong with the value.
    pub fn check(&self, what: &str, value: &Value) -> Result<(), ReplySchemaError> {
        if self.0.is_valid(value) {
            return Ok(());
        }
        let problem = format!("{what} does not satisfy the schema: {}", self.problems(value));
        Err(ReplySchemaError::new(REPLY_INVALID, problem))
    }

    /// Lists the problems of a value, sorted, so that the same reply always gives the same message. Values are left
    /// out: they may be a customer's.
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
