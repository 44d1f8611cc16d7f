//! What went wrong in a node, a tool or a model call, as the journal keeps it.

use std::borrow::Cow;
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
    pub customer: Option<String>,
    /// What the operator can do about it, where there is something to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggested_action: Option<Cow<'static, str>>,
}

impl Fault {
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), customer: None, suggested_action: None }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// The codes this room itself gives. Tools and models bring their own.
pub mod code {
    pub const TIMEOUT: &str = "TIMEOUT";
    pub const EXPRESSION: &str = "EXPRESSION_FAILED";
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
    /// A tier's limits on agents.
    pub const TIER_LIMIT: &str = "TIER_LIMIT";
    /// An agent's time is over (seed 002).
    pub const EXECUTION_TIMEOUT: &str = "EXECUTION_TIMEOUT";
    /// Whoever thinks for an agent of type `custom` says what is no step.
    pub const STEP_INVALID: &str = "STEP_INVALID";
    pub const AGENT_GAVE_UP: &str = "AGENT_GAVE_UP";
    pub const SNAPSHOT_LIMIT: &str = "SNAPSHOT_LIMIT";
    pub const NOT_UNDONE: &str = "NOT_UNDONE";
    pub const NESTING_LIMIT: &str = "NESTING_LIMIT";
}
