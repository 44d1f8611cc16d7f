//! What a call needs a person to say before it can be done, and what was said.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Questions that one call may ask, one after another.
pub const QUESTIONS_MAX: usize = 8;
/// The code of a call that asked for what nobody could or would say.
pub const INPUT_REQUIRED: &str = "INPUT_REQUIRED";

/// One question, with the form that answers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolQuestion {
    pub message: String,
    /// JSON Schema of the answer.
    pub schema: Value,
    /// What whoever asked must be given back with the answer. Nobody else reads it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub resume: Value,
}

impl ToolQuestion {
    /// Whether it asks for the same, in the same words.
    pub fn is_same(&self, other: &Self) -> bool {
        self.message == other.message && self.schema == other.schema
    }
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuestionOutcome {
    /// The filled form, which fits the question's schema.
    Filled { form: Value },
    /// A person would not say.
    Declined,
    /// Nobody said anything in time.
    Lapsed,
}

/// A question with what became of it: it goes out with every later attempt of the call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuestionReply {
    pub question: ToolQuestion,
    pub said: QuestionOutcome,
}
