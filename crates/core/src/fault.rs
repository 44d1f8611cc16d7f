//! Failures of a node, a tool or a model call, as the journal keeps them.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A failure with a stable code. `message` is for the operator and never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Fault {
    /// A stable, documented code such as `TIMEOUT`.
    pub code: Cow<'static, str>,
    pub message: String,
    /// For the customer, in the tenant's language, where the tool that failed has such words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<Box<str>>,
    /// What the operator can do about it, where there is something to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggested_action: Option<Cow<'static, str>>,
    /// Whose word it was, where somebody's no made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Box<str>>,
}

impl Fault {
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), customer: None, suggested_action: None, by: None }
    }

    #[must_use]
    pub fn decided_by(self, who: &str) -> Self {
        Self { by: Some(who.into()), ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// Returns an error and its causes, in one line.
pub fn error_chain(error: &dyn Error) -> String {
    with_causes(error.to_string(), error)
}

/// Returns the causes of an error, without the error's own text, which may contain an address; empty if it has none.
pub fn error_causes(error: &dyn Error) -> String {
    with_causes(String::new(), error)
}

/// Appends the causes of an error, outermost first; repeated text is left out.
fn with_causes(mut text: String, error: &dyn Error) -> String {
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}

/// The codes that this crate produces. Tools and models bring their own.
pub mod code {
    pub const TIMEOUT: &str = "TIMEOUT";
    pub const EXPRESSION: &str = "EXPRESSION_FAILED";
    /// A prompt of an agent could not be rendered.
    pub const PROMPT_FAILED: &str = "PROMPT_FAILED";
    pub const INPUT_INVALID: &str = "INPUT_INVALID";
    pub const JOURNAL_LIMIT: &str = "JOURNAL_LIMIT";
    pub const LOOP_LIMIT: &str = "LOOP_LIMIT";
    pub const ITEM_LIMIT: &str = "ITEM_LIMIT";
    pub const NOT_A_LIST: &str = "NOT_A_LIST";
    pub const MERGE_IMPOSSIBLE: &str = "MERGE_IMPOSSIBLE";
    pub const REJECTED: &str = "REJECTED";
    pub const DEADLINE: &str = "DEADLINE_PASSED";
    pub const COST_LIMIT: &str = "COST_LIMIT";
    pub const OUTCOME_UNKNOWN: &str = "OUTCOME_UNKNOWN";
    pub const CANCELLED: &str = "CANCELLED";
    pub const ROLLED_BACK: &str = "ROLLED_BACK";
    pub const CHILD_FAILED: &str = "CHILD_FAILED";
    pub const VARIABLE_SET_TWICE: &str = "VARIABLE_SET_TWICE";
    pub const ROLLBACK_REFUSED: &str = "ROLLBACK_REFUSED";
    /// A limit of the tenant's tier on agents was exceeded.
    pub const TIER_LIMIT: &str = "TIER_LIMIT";
    /// An agent's working time is used up.
    pub const EXECUTION_TIMEOUT: &str = "EXECUTION_TIMEOUT";
    /// The endpoint of an agent of type `custom` returned an invalid step.
    pub const STEP_INVALID: &str = "STEP_INVALID";
    pub const AGENT_GAVE_UP: &str = "AGENT_GAVE_UP";
    pub const SNAPSHOT_LIMIT: &str = "SNAPSHOT_LIMIT";
    pub const NOT_UNDONE: &str = "NOT_UNDONE";
    pub const NESTING_LIMIT: &str = "NESTING_LIMIT";

    /// Codes of tools that end an attempt for good but do not tell the outcome of earlier attempts with the same key:
    /// the service was not reached, rejected the credentials, or found that the key had been used with other arguments.
    pub const NEVER_SENT: [&str; 8] = [
        "ADDRESS_NOT_ALLOWED",
        "CALENDAR_NOT_CONFIGURED",
        "CONNECTION_EXPIRED",
        "CONNECTION_MISSING",
        "KEY_REUSED",
        "PROVIDER_CHANGED",
        "SERVICE_DENIED",
        "SERVICE_NOT_CONFIGURED",
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct LayeredError(&'static str, #[source] Option<Box<LayeredError>>);

    #[test]
    fn causes_are_told_outermost_first_and_none_twice() {
        let inner = LayeredError("refused by 10.0.0.1", None);
        let error = LayeredError("no connection", Some(Box::new(LayeredError("refused", Some(Box::new(inner))))));
        assert_eq!(error_chain(&error), "no connection: refused: refused by 10.0.0.1");
        assert_eq!(error_causes(&error), "refused: refused by 10.0.0.1");
        let repeats = LayeredError("it was refused", Some(Box::new(LayeredError("refused", None))));
        assert_eq!((error_chain(&repeats).as_str(), error_causes(&repeats).as_str()), ("it was refused", "refused"));
        assert_eq!(error_causes(&LayeredError("alone", None)), "");
    }
}
