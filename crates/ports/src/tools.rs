//! Performs tools. `check` returns the permitted call itself, and its one method consumes it: there is no other way to
//! perform a tool.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::fault::Fault;
use baton_core::id::TenantId;
use baton_core::run::OnExpiry;
use baton_core::tool::{AuditRow, ToolContract, ToolInvocation, ToolOutcome};
use serde_json::Value;

use crate::budget::ChargeCollector;

/// A permitted tool call. Not `Clone`, not `Deserialize`: it cannot be forged or used twice.
#[async_trait]
pub trait PermittedCall: Send {
    /// Makes one attempt, abandoned after `limit`. Never retries; never panics.
    async fn perform(self: Box<Self>, limit: Duration) -> CallReport;
}

/// The outcome of one attempt with its audit row, already redacted.
#[derive(Clone, Debug, PartialEq)]
pub struct CallReport {
    pub outcome: ToolOutcome,
    pub audit: AuditRow,
    /// The cost of its model calls, which the outcome's cost includes; the code that records the outcome settles it.
    pub charges: ChargeCollector,
}

pub enum CheckResult {
    Permitted(Box<dyn PermittedCall>),
    /// People must approve exactly this first.
    NeedsApproval(Box<ApprovalRequirement>),
    /// The limit is reached: try again after this delay.
    RateLimited {
        retry_after: Duration,
    },
    /// The provider is known to be failing.
    CircuitOpen {
        retry_after: Duration,
        /// The error, with the message for the customer.
        fault: Box<Fault>,
    },
    /// Refused, or answered without acting (a cached read).
    Answered(Box<CallReport>),
}

/// What people must approve before a call is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct ApprovalRequirement {
    /// The hash of everything that determines the call's effect; the approval is valid for that only.
    pub hash: String,
    /// The arguments as they would be sent, with overrides and defaults; secrets by reference.
    pub arguments: Value,
    /// The account that it would use, if the tool has accounts that people connect.
    pub account: Option<String>,
    /// Number of people who must approve.
    pub approvals_needed: u32,
    /// Who may approve; empty means anybody except the requester.
    pub approvers: Vec<String>,
    /// How long they have.
    pub deadline: Option<Duration>,
    /// What happens after the deadline.
    pub on_expiry: OnExpiry,
}

#[async_trait]
pub trait ToolGateway: Send + Sync {
    /// Whether this call may be sent now. `approved` is the hash that a person approved, if any.
    async fn check(&self, call: &ToolInvocation, approved: Option<&str>) -> CheckResult;

    /// Asks the service what became of a `verify` call. `Done` if it acted, `NotDone` if it certainly did not,
    /// `Unknown` if the service cannot tell or cannot be reached.
    async fn look_up(&self, call: &ToolInvocation, limit: Duration) -> ToolOutcome;

    /// Static facts of a shared tool, for bundles and checks; in an `Arc`, since there may be ten thousand tools.
    fn facts(&self, tool: &str) -> Option<Arc<ToolContract>>;

    /// Names of shared tools, for checks and "did you mean".
    fn names(&self) -> Vec<String>;

    /// The same for a tool that may be the tenant's own.
    fn facts_for(&self, _tenant: &TenantId, tool: &str) -> Option<Arc<ToolContract>> {
        self.facts(tool)
    }

    /// Names of the tenant's own tools, which no other tenant has.
    fn own_names(&self, _tenant: &TenantId) -> Vec<String> {
        Vec::new()
    }

    /// Names of a tenant's tools: the shared ones and its own.
    fn names_for(&self, tenant: &TenantId) -> Vec<String> {
        self.names().into_iter().chain(self.own_names(tenant)).collect()
    }
}
