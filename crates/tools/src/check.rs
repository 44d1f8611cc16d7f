//! Decides whether a call may be performed. The stages run in order; each is one file, and either stops the call or
//! passes it on.

mod approval;
mod cache;
mod circuit;
mod class;
mod enabled;
mod find;
mod parameters;
mod rate;

use std::sync::Arc;
use std::time::Duration;

use baton_core::fault::Fault;
use baton_core::time::Time;
use baton_core::tool::ToolInvocation;
use baton_ports::tools::ApprovalRequirement;
use serde_json::Value;

use crate::call_state::ToolCallState;
use crate::catalogue::{ToolEntry, ToolIndex};
use crate::request::PreparedRequest;
use crate::rules::ToolRules;

pub(crate) use approval::GrantedApproval;
pub(crate) use cache::LocalToolCache;
pub(crate) use circuit::CircuitRegistry;
pub(crate) use parameters::ArgumentSchema;
pub(crate) use rate::RateLimiters;

/// A call that passed every stage.
pub(crate) struct AdmittedToolCall {
    pub(crate) entry: Arc<ToolEntry>,
    pub(crate) request: PreparedRequest,
    /// The approval, if one was required.
    pub(crate) approval: Option<GrantedApproval>,
    /// Where the result may be cached.
    pub(crate) cache_slot: Option<cache::ToolCacheSlot>,
    /// Records the result of the attempt.
    pub(crate) circuit: circuit::CircuitGuard,
}

/// A call that a stage stopped.
pub(crate) enum EarlyOutcome {
    Refused {
        fault: Fault,
        entry: Option<Arc<ToolEntry>>,
    },
    NeedsApproval(Box<ApprovalRequirement>),
    /// An equal call was made before, and its cached result is still valid.
    CacheHit {
        output: Arc<Value>,
        entry: Arc<ToolEntry>,
    },
    RateLimited {
        retry_after: Duration,
    },
    CircuitOpen {
        retry_after: Duration,
        entry: Arc<ToolEntry>,
    },
}

impl EarlyOutcome {
    fn refused(code: &'static str, message: impl Into<String>, entry: &Arc<ToolEntry>) -> Self {
        Self::Refused { fault: Fault::new(code, message), entry: Some(entry.clone()) }
    }
}

/// Runs the stages. To add a stage, add a file to this folder and a line here.
pub(crate) async fn admit(
    catalogue: &ToolIndex,
    rules: &ToolRules,
    gates: &ToolCallState,
    call: &ToolInvocation,
    approved: Option<&str>,
    now: Time,
) -> Result<AdmittedToolCall, EarlyOutcome> {
    let entry = find::tool(catalogue, &call.tool)?;
    let rules = rules.of(&call.tenant);
    let permission = rules.tool(catalogue, call, entry);
    let permission = permission.as_deref();
    enabled::check(permission, call, entry)?;
    let mut request = parameters::settle(rules, permission, call, entry)?;
    class::check(&request, entry)?;
    let leave = approval::check(rules, permission, &request, entry, approved).await?;
    request.account = leave.as_ref().and_then(|leave| leave.account.clone());
    let place = cache::check(&*gates.cache, permission, &request, entry, now).await?;
    // Before the rate limit, so that a call to a service that is not contacted uses no quota.
    let ticket = circuit::check(&gates.circuits, &request, entry, now).await?;
    rate::check(&*gates.rate_limits, rules, permission, call, entry, now).await?;
    Ok(AdmittedToolCall { entry: entry.clone(), request, approval: leave, cache_slot: place, circuit: ticket })
}

/// Prepares the request of an earlier call, to look up its outcome. Permission is not checked, because nothing is
/// performed.
pub(crate) fn settle(
    catalogue: &ToolIndex,
    rules: &ToolRules,
    call: &ToolInvocation,
    entry: &Arc<ToolEntry>,
) -> Result<PreparedRequest, String> {
    let rules = rules.of(&call.tenant);
    let permission = rules.tool(catalogue, call, entry);
    parameters::settle(rules, permission.as_deref(), call, entry).map_err(|stopped| match stopped {
        EarlyOutcome::Refused { fault, .. } => fault.message,
        // Settling runs no other stage.
        EarlyOutcome::NeedsApproval(_)
        | EarlyOutcome::CacheHit { .. }
        | EarlyOutcome::RateLimited { .. }
        | EarlyOutcome::CircuitOpen { .. } => "the call cannot be settled".to_owned(),
    })
}
