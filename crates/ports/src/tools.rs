//! Performing tools. `check` answers with the permitted call itself, and its one method consumes it: there is no
//! other way to perform a tool.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::fault::Fault;
use baton_core::id::TenantId;
use baton_core::run::OnExpiry;
use baton_core::tool::{AuditRow, ToolContract, ToolInvocation, ToolOutcome};
use serde_json::Value;

use crate::budget::ChargeCollector;

/// A tool call that was let through. Not `Clone`, not `Deserialize`: it cannot be forged or used twice.
#[async_trait]
pub trait PermittedCall: Send {
    /// One attempt, given up after `limit`. Never retries; never panics.
    async fn perform(self: Box<Self>, limit: Duration) -> CallReport;
}

/// One attempt's outcome with the row the audit keeps of it, already redacted.
#[derive(Clone, Debug, PartialEq)]
pub struct CallReport {
    pub outcome: ToolOutcome,
    pub audit: AuditRow,
    /// What it asked models for, in the outcome's cost already; whoever records the outcome settles it.
    pub charges: ChargeCollector,
}

pub enum CheckResult {
    Permitted(Box<dyn PermittedCall>),
    /// People must allow exactly this first.
    NeedsApproval(Box<ApprovalRequirement>),
    /// Full: try again after this.
    RateLimited {
        retry_after: Duration,
    },
    /// The provider is known to be failing.
    CircuitOpen {
        retry_after: Duration,
        /// What that is called, in the words for the customer.
        fault: Box<Fault>,
    },
    /// Not let through, or answered without acting (a cached read).
    Answered(Box<CallReport>),
}

/// What people must allow before a call goes out.
#[derive(Clone, Debug, PartialEq)]
pub struct ApprovalRequirement {
    /// Of everything that decides what the call does; the leave is for that and for nothing else.
    pub hash: String,
    /// The arguments as they would be sent, with overrides and defaults; secrets by reference.
    pub arguments: Value,
    /// The account that it would act with, where the tool has one that people connect.
    pub account: Option<String>,
    /// How many people.
    pub approvals_needed: u32,
    /// Who may; empty: anybody but who asked.
    pub approvers: Vec<String>,
    /// How long they have.
    pub deadline: Option<Duration>,
    /// What holds then.
    pub on_expiry: OnExpiry,
}

#[async_trait]
pub trait ToolGateway: Send + Sync {
    /// May this call go out now? `approved` is the hash a person approved, where one did.
    async fn check(&self, call: &ToolInvocation, approved: Option<&str>) -> CheckResult;

    /// Asks the service what became of a `verify` call. `Done` if it acted, `NotDone` if it certainly did not,
    /// `Unknown` if the service cannot tell or cannot be reached.
    async fn look_up(&self, call: &ToolInvocation, limit: Duration) -> ToolOutcome;

    /// Static facts of everybody's tool, for bundles and checks; shared, for there may be ten thousand tools.
    fn facts(&self, tool: &str) -> Option<Arc<ToolContract>>;

    /// Names of everybody's tools, for checks and "did you mean".
    fn names(&self) -> Vec<String>;

    /// The same of a tool that a tenant may have for itself.
    fn facts_for(&self, _tenant: &TenantId, tool: &str) -> Option<Arc<ToolContract>> {
        self.facts(tool)
    }

    /// Names of the tools that a tenant has for itself, and nobody else.
    fn own_names(&self, _tenant: &TenantId) -> Vec<String> {
        Vec::new()
    }

    /// Names of a tenant's tools: everybody's, and its own.
    fn names_for(&self, tenant: &TenantId) -> Vec<String> {
        self.names().into_iter().chain(self.own_names(tenant)).collect()
    }
}
