//! Questions of a call to a person before it can be performed, and the replies.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Maximum number of questions that one call may ask, one after another.
pub const QUESTIONS_MAX: usize = 8;
/// The code of a call whose question was declined or not answered.
pub const INPUT_REQUIRED: &str = "INPUT_REQUIRED";

/// One question, with the form that answers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolQuestion {
    pub message: String,
    /// JSON Schema of the answer.
    pub schema: Value,
    /// Returned to the asking service with the answer; opaque to everything else.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub resume: Value,
}

impl ToolQuestion {
    /// Returns whether it is the same question, in the same words.
    pub fn is_same(&self, other: &Self) -> bool {
        self.message == other.message && self.schema == other.schema
    }
}

/// The outcome of a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuestionOutcome {
    /// The submitted form, which matches the question's schema.
    Filled { form: Value },
    /// A person declined to answer.
    Declined,
    /// There was no answer before the deadline.
    Lapsed,
}

/// A question with its outcome: it is sent with every later attempt of the call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuestionReply {
    pub question: ToolQuestion,
    pub said: QuestionOutcome,
}
