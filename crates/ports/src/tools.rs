//! Performing tools. `check` answers with the permitted call itself, and its one method consumes it: there is no
//! other way to perform a tool.

use std::time::Duration;

use async_trait::async_trait;
use baton_core::tool::{AuditRow, Call, Facts, Outcome};

/// A tool call that was let through. Not `Clone`, not `Deserialize`: it cannot be forged or used twice.
#[async_trait]
pub trait PermittedCall: Send {
    /// One attempt, given up after `limit`. Never retries; never panics.
    async fn perform(self: Box<Self>, limit: Duration) -> Performed;
}

/// One attempt's outcome with the row the audit keeps of it, already redacted.
#[derive(Clone, Debug, PartialEq)]
pub struct Performed {
    pub outcome: Outcome,
    pub audit: AuditRow,
}

pub enum Checked {
    Permitted(Box<dyn PermittedCall>),
    /// A person must allow these exact arguments first.
    NeedsApproval {
        hash: String,
    },
    /// Full: try again after this.
    RateLimited {
        retry_after: Duration,
    },
    /// The provider is known to be failing.
    CircuitOpen {
        retry_after: Duration,
    },
    /// Not let through, or answered without acting (a cached read).
    Answered(Box<Performed>),
}

#[async_trait]
pub trait Tools: Send + Sync {
    /// May this call go out now? `approved` is the hash a person approved, where one did.
    async fn check(&self, call: &Call, approved: Option<&str>) -> Checked;

    /// Asks the service what became of a `verify` call. `Done` if it acted, `NotDone` if it certainly did not,
    /// `Unknown` if the service cannot tell or cannot be reached.
    async fn look_up(&self, call: &Call, limit: Duration) -> Outcome;

    /// Static facts, for bundles and checks.
    fn facts(&self, tool: &str) -> Option<Facts>;

    /// Names of all tools, for checks and "did you mean".
    fn names(&self) -> Vec<String>;
}
