//! May this call go out? The stages, in order; each is one file, and stops the call or lets it on.

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
    /// What people allowed, where they were asked.
    pub(crate) approval: Option<GrantedApproval>,
    /// Where its answer may be kept.
    pub(crate) cache_slot: Option<cache::ToolCacheSlot>,
    /// Hears how the attempt went.
    pub(crate) circuit: circuit::CircuitGuard,
}

/// A call that a stage stopped.
pub(crate) enum EarlyOutcome {
    Refused {
        fault: Fault,
        entry: Option<Arc<ToolEntry>>,
    },
    NeedsApproval(Box<ApprovalRequirement>),
    /// Asked before, and the answer still holds.
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

/// Runs the stages. A new one is a file beside these and a line here.
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
    // Before the rate: a turn is not spent on a service that is left alone.
    let ticket = circuit::check(&gates.circuits, &request, entry, now).await?;
    rate::check(&*gates.rate_limits, rules, permission, call, entry, now).await?;
    Ok(AdmittedToolCall { entry: entry.clone(), request, approval: leave, cache_slot: place, circuit: ticket })
}

/// The request of a call that went out before, to ask what became of it. Permission is not asked: nothing is done.
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
        // Settling asks no other stage.
        EarlyOutcome::NeedsApproval(_)
        | EarlyOutcome::CacheHit { .. }
        | EarlyOutcome::RateLimited { .. }
        | EarlyOutcome::CircuitOpen { .. } => "the call cannot be settled".to_owned(),
    })
}
