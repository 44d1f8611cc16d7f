//! The faults with which an agent gives up, and the errors of a reply that can still be corrected.

use baton_core::fault::Fault;
use baton_core::model::ToolOffer;
use baton_core::structured::{ReplySchemaError, extract};
use baton_expr::nearest;

/// Maximum number of characters of an unknown name that a message repeats.
const NAME_CHARS_MAX: usize = 80;

/// The codes with which an agent gives up. A failed model call brings its own code.
pub mod code {
    /// The token limit cut the reply off.
    pub const REPLY_TRUNCATED: &str = "REPLY_TRUNCATED";
    /// The provider or the model refused to answer.
    pub const REPLY_REFUSED: &str = "REPLY_REFUSED";
    /// The model keeps asking for tools it was not offered.
    pub const UNKNOWN_TOOL: &str = "UNKNOWN_TOOL";
    /// The model keeps sending arguments that are not a JSON object.
    pub const INVALID_ARGUMENTS: &str = "INVALID_ARGUMENTS";
    /// The same action with the same input three times running.
    pub const LOOP_DETECTED: &str = "LOOP_DETECTED";
    /// No answer within `max_iterations`.
    pub const MAX_ITERATIONS: &str = "MAX_ITERATIONS_EXCEEDED";
    /// The agent's `output_schema` is not a JSON Schema.
    pub const OUTPUT_SCHEMA_INVALID: &str = "OUTPUT_SCHEMA_INVALID";
    /// This binary has no step function for an agent of type `custom`.
    pub const KIND_UNAVAILABLE: &str = "AGENT_TYPE_UNAVAILABLE";
    /// A prompt that the agent brings cannot be rendered.
    pub use baton_core::fault::code::PROMPT_FAILED;
    /// The violations that a schema can find in a reply.
    pub use baton_core::structured::{REPLY_EMPTY, REPLY_INVALID, REPLY_NOT_JSON};
    /// The plan of a code agent cannot be executed.
    pub const PLAN_INVALID: &str = "PLAN_INVALID";
    /// A code agent did not achieve its goal in any of its attempts.
    pub const MAX_RETRIES: &str = "MAX_RETRIES_EXCEEDED";
}

/// A reply that cannot be used as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReplyError {
    pub code: &'static str,
    /// A clause without a full stop, shown to the model and to the operator.
    pub problem: String,
}

impl ReplyError {
    pub fn new(code: &'static str, problem: impl Into<String>) -> Self {
        Self { code, problem: problem.into() }
    }

    pub fn unknown_tool(name: &str, offered: &[ToolOffer]) -> Self {
        let names: Vec<&str> = offered.iter().map(|tool| tool.name.as_str()).collect();
        let near = nearest(name, names.iter().copied());
        let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
        let list = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let name = extract::clip(name, NAME_CHARS_MAX);
        Self::new(code::UNKNOWN_TOOL, format!("there is no tool `{name}` ({near}offered: {list})"))
    }

    /// Returns `true` if telling the model about the problem may help. A refusal counts as an answer: asking again
    /// only costs money.
    pub fn is_correctable(&self) -> bool {
        self.code != code::REPLY_REFUSED
    }

    pub fn fault(self, agent: &str) -> Fault {
        Fault::new(self.code, format!("agent `{agent}`: {}", self.problem))
    }
}

impl From<ReplySchemaError> for ReplyError {
    fn from(ReplySchemaError { code, problem }: ReplySchemaError) -> Self {
        Self { code, problem }
    }
}
