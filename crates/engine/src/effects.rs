//! Carries out one attempt: through the tool pipeline, with a model, or in the sandbox.

use std::collections::BTreeMap;
use std::time::Duration;

use baton_core::fault::{Fault, code};
use baton_core::id::{RunId, TenantId};
use baton_core::model::{ModelReply, ModelRequest};
use baton_core::money::Usd;
use baton_core::run::{Approval, BlockReason, CallOutcome, EffectId, ModelCallError};
use baton_core::time::Time;
use baton_core::tool::{self, AuditRow};
use baton_ports::budget::{ChargeCollector, PendingCharge};
use baton_ports::clock::{Clock, MonotonicTime};
use baton_ports::journal::{ProcessId, ProcessLease};
use baton_ports::models::{DELTAS_WAITING_MAX, ModelCaller, ModelService};
use baton_ports::remote_agents::{RemoteAgents, StepRequest};
use baton_ports::sandbox::{Sandbox, SandboxLimits};
use baton_ports::tools::{ApprovalRequirement, CallReport, CheckResult, PermittedCall, ToolGateway};
use tokio::sync::{mpsc, watch};

use crate::aggregate_clock::ClockReading;
use crate::consumer_keys::ConsumerKeys;
use crate::owner::{Attempt, CallRequest};
use crate::reply_stream::{ReplyChunk, ReplyStreams};

/// Permits of marked calls while their markers are being written.
pub type CallPermits = BTreeMap<EffectId, Box<dyn PermittedCall>>;

/// The result of an attempt.
pub enum AttemptResult {
    Outcome {
        effect: EffectId,
        outcome: Box<CallOutcome>,
        audit: Option<Box<AuditRow>>,
        /// The cost; it is settled once the append that records the outcome is durable.
        charges: Vec<PendingCharge>,
    },
    /// A marked call may be sent once its marker is durable.
    Permit { effect: EffectId, permit: Box<dyn PermittedCall> },
}

/// The ports that perform attempts.
pub struct EffectPorts<'a> {
    pub tools: &'a dyn ToolGateway,
    pub models: &'a dyn ModelService,
    pub sandbox: &'a dyn Sandbox,
    pub thinkers: &'a dyn RemoteAgents,
    /// The limits of any program.
    pub code: SandboxLimits,
    pub clock: &'a dyn Clock,
    pub keys: &'a ConsumerKeys,
    pub reply_streams: &'a ReplyStreams,
    /// The process that makes these calls, and until when it may.
    pub process: ProcessId,
    pub lease: &'a watch::Sender<ProcessLease>,
}

impl EffectPorts<'_> {
    /// A process that was suspended for longer than its lease is no longer the owner, and the next owner may have
    /// decided differently.
    fn is_leased(&self) -> bool {
        let lease = *self.lease.borrow();
        lease.process == self.process && ClockReading::of(self.clock).for_leases() < lease.until
    }
}

/// Makes one attempt; a marked call stops at its permit.
///
/// `tab`: where a model's attempts are charged, for a caller that drops the call before it returns.
pub async fn run_attempt(
    world: EffectPorts<'_>,
    tenant: &TenantId,
    run: &RunId,
    send: Attempt,
    tab: ChargeCollector,
) -> AttemptResult {
    let Attempt { effect, request: what, class, limit, approved } = send;
    match what {
        CallRequest::Model { key, request, cost_limit: most, workflow, agent_type, caller } => {
            let api_key = world.keys.of(tenant, run);
            let mut asker = ModelCaller {
                run: Some(run.clone()),
                workflow: Some(workflow),
                agent_type,
                key_id: caller.key_id,
                traceparent: caller.traceparent,
                cost_limit: most,
                key_is_missing: caller.own_key && api_key.is_none(),
                api_key,
                charges: Some(tab.clone()),
                accepts_reset: true,
                ..ModelCaller::of(tenant.clone(), key)
            };
            let mut reply = ask_model(&world, &asker, &request, limit, &effect).await;
            // The key may have been provided while the call found it missing: do not ask for it again.
            if asker.api_key.is_none() && matches!(&reply, Err(failed) if failed.block == Some(BlockReason::Key)) {
                asker.api_key = world.keys.of(tenant, run);
                asker.key_is_missing &= asker.api_key.is_none();
                if asker.api_key.is_some() {
                    reply = ask_model(&world, &asker, &request, limit, &effect).await;
                }
            }
            let charges = tab.take();
            let outcome = Box::new(model_outcome(reply, &charges, caller.own_key));
            AttemptResult::Outcome { effect, outcome, audit: None, charges }
        }
        CallRequest::Code { program, .. } => {
            let limits = SandboxLimits { time: world.code.time.min(limit), ..world.code };
            let ran = world.sandbox.run(&program, &limits).await;
            free_result(effect, CallOutcome::Code(ran))
        }
        CallRequest::Step { key, endpoint, task, seen } => {
            let thought = StepRequest { tenant, key: &key, endpoint: &endpoint, task: &task, seen: &seen };
            let step = world.thinkers.think(thought, limit).await;
            free_result(effect, CallOutcome::Step(step))
        }
        CallRequest::Tool(call) => match world.tools.check(&call, approved.as_deref()).await {
            CheckResult::Permitted(permit) if class.needs_marker() => AttemptResult::Permit { effect, permit },
            CheckResult::Permitted(_) if !world.is_leased() => free_result(effect, CallOutcome::NotSent),
            CheckResult::Permitted(permit) => performed_result(effect, permit.perform(limit).await),
            CheckResult::Answered(done) => answered_result(effect, *done),
            CheckResult::NeedsApproval(needed) => blocked_result(effect, approval_block(*needed, world.clock)),
            CheckResult::RateLimited { retry_after } => {
                blocked_result(effect, BlockReason::RateLimit { until: later(world.clock, retry_after) })
            }
            CheckResult::CircuitOpen { retry_after, fault } => {
                free_result(effect, CallOutcome::CircuitOpen { until: later(world.clock, retry_after), fault: *fault })
            }
        },
    }
}

/// Asks a model, and publishes its reply to subscribers as it arrives.
async fn ask_model(
    world: &EffectPorts<'_>,
    asker: &ModelCaller,
    request: &ModelRequest,
    limit: Duration,
    effect: &EffectId,
) -> Result<ModelReply, ModelCallError> {
    let voice = asker.run.as_ref().and_then(|run| world.reply_streams.sender(&asker.tenant, run));
    let Some(voice) = voice else { return world.models.ask(asker, request, limit, None).await };
    let (sender, mut pieces) = mpsc::channel(DELTAS_WAITING_MAX);
    let asked = async move { world.models.ask(asker, request, limit, Some(&sender)).await };
    let told = async {
        while let Some(piece) = pieces.recv().await {
            // All subscribers may have left.
            voice.send(ReplyChunk { effect: effect.clone(), delta: piece }).ok();
        }
    };
    futures::join!(asked, told).0
}

/// Performs a call whose marker is durable, unless the deadline in its marker has passed.
pub async fn perform(
    clock: &dyn Clock,
    effect: EffectId,
    permit: Box<dyn PermittedCall>,
    until: MonotonicTime,
) -> AttemptResult {
    let limit = until.since(clock.monotonic());
    if limit.is_zero() {
        return free_result(effect, CallOutcome::NotSent);
    }
    performed_result(effect, permit.perform(limit).await)
}

/// What a call addresses.
#[derive(Clone, Copy, Debug)]
pub enum CallTarget {
    Tool,
    Model,
    Code,
    Thinker,
}

impl CallTarget {
    pub fn of(what: &CallRequest) -> Self {
        match what {
            CallRequest::Tool(_) => Self::Tool,
            CallRequest::Model { .. } => Self::Model,
            CallRequest::Code { .. } => Self::Code,
            CallRequest::Step { .. } => Self::Thinker,
        }
    }

    /// The outcome of a call that panicked at this cost.
    pub fn panic_outcome(self, cost: Usd) -> CallOutcome {
        let fault =
            Fault::new(code::OUTCOME_UNKNOWN, "the call broke off by a defect of this program; its log says where");
        match self {
            Self::Tool => CallOutcome::Tool(tool::ToolOutcome::Unknown { fault }),
            Self::Model => CallOutcome::Model(Err(ModelCallError { cost, ..ModelCallError::transient(fault) })),
            Self::Code => CallOutcome::Code(Err(fault)),
            Self::Thinker => CallOutcome::Step(Err(ModelCallError::transient(fault))),
        }
    }
}

/// Asks the service what became of a call.
pub async fn look_up(world: EffectPorts<'_>, send: Attempt) -> AttemptResult {
    let outcome = match send.request {
        CallRequest::Tool(call) => match world.tools.look_up(&call, send.limit).await {
            tool::ToolOutcome::NotDone { .. } => CallOutcome::NotFound,
            known => CallOutcome::Tool(known),
        },
        // These are never looked up: a model or a remote step only reads, and a program is a function of its inputs.
        CallRequest::Model { .. } | CallRequest::Code { .. } | CallRequest::Step { .. } => CallOutcome::NotFound,
    };
    free_result(send.effect, outcome)
}

/// Converts a model's answer to an outcome for the run, with the cost of all its attempts.
fn model_outcome(reply: Result<ModelReply, ModelCallError>, charges: &[PendingCharge], own_key: bool) -> CallOutcome {
    let cost = (!charges.is_empty()).then(|| charges.iter().map(|charge| charge.spend().cost).sum());
    match reply {
        Ok(reply) => CallOutcome::Model(Ok(ModelReply { cost: cost.unwrap_or(reply.cost), ..reply })),
        Err(failed) => match failed.block {
            // Without a key of its own the run fails with this error; a run that brought a key is asked for it again.
            Some(BlockReason::Key) if !own_key => CallOutcome::Model(Err(ModelCallError { block: None, ..failed })),
            Some(by) => CallOutcome::Blocked { by, cost: cost.unwrap_or_default() },
            None => CallOutcome::Model(Err(ModelCallError { cost: cost.unwrap_or(failed.cost), ..failed })),
        },
    }
}

fn performed_result(effect: EffectId, done: CallReport) -> AttemptResult {
    audited_result(effect, CallOutcome::Tool(done.outcome), done.audit, done.charges)
}

/// The result of a call that the check answered by itself: from the cache, or with a permanent refusal for which no
/// outside service was called.
fn answered_result(effect: EffectId, done: CallReport) -> AttemptResult {
    let outcome = match done.outcome {
        tool::ToolOutcome::NotDone { fault, retryable: false, .. } => CallOutcome::Stopped { fault },
        known @ (tool::ToolOutcome::Done { .. }
        | tool::ToolOutcome::NotDone { .. }
        | tool::ToolOutcome::Unknown { .. }
        | tool::ToolOutcome::Asks { .. }) => CallOutcome::Tool(known),
    };
    audited_result(effect, outcome, done.audit, done.charges)
}

fn audited_result(effect: EffectId, outcome: CallOutcome, audit: AuditRow, tab: ChargeCollector) -> AttemptResult {
    AttemptResult::Outcome { effect, outcome: Box::new(outcome), audit: Some(Box::new(audit)), charges: tab.take() }
}

/// What a call waits for from now on if people must approve it.
fn approval_block(needed: ApprovalRequirement, clock: &dyn Clock) -> BlockReason {
    let ApprovalRequirement {
        hash,
        arguments,
        account,
        approvals_needed: need,
        approvers: from,
        deadline,
        on_expiry: then,
    } = needed;
    let until = deadline.map(|after| later(clock, after));
    BlockReason::Approval(Box::new(Approval { hash, arguments, account, need, from, until, then }))
}

fn blocked_result(effect: EffectId, by: BlockReason) -> AttemptResult {
    free_result(effect, CallOutcome::Blocked { by, cost: Usd::ZERO })
}

/// A result that costs nothing and has no audit row.
fn free_result(effect: EffectId, outcome: CallOutcome) -> AttemptResult {
    AttemptResult::Outcome { effect, outcome: Box::new(outcome), audit: None, charges: Vec::new() }
}

fn later(clock: &dyn Clock, after: Duration) -> Time {
    clock.now() + after
}

#[cfg(test)]
mod tests {
    use baton_core::fault::Fault;
    use serde_json::json;

    use super::*;

    fn what_comes_of(outcome: tool::ToolOutcome) -> CallOutcome {
        let audit = serde_json::from_value(json!({
            "at": 0, "company_id": "clinic", "action_type": "booking", "action": "book", "details": {}, "status": "error"
        }));
        let done = CallReport { outcome, audit: audit.unwrap(), charges: ChargeCollector::default() };
        match answered_result(EffectId::parse("book#0.0").unwrap(), done) {
            AttemptResult::Outcome { outcome, audit: Some(_), .. } => *outcome,
            AttemptResult::Outcome { audit: None, .. } | AttemptResult::Permit { .. } => {
                panic!("an attempt leaves a row")
            }
        }
    }

    #[test]
    fn a_no_for_good_before_anybody_was_asked_is_told_apart_from_a_services() {
        let fault = Fault::new("TOOL_NOT_ALLOWED", "switched off");
        let refused = |retryable| tool::ToolOutcome::NotDone { fault: fault.clone(), retryable, retry_after: None };
        assert_eq!(what_comes_of(refused(false)), CallOutcome::Stopped { fault: fault.clone() });
        assert_eq!(what_comes_of(refused(true)), CallOutcome::Tool(refused(true)));
        let kept = tool::ToolOutcome::Done { output: json!(1).into(), cost: Usd::ZERO, cached: true };
        assert_eq!(what_comes_of(kept.clone()), CallOutcome::Tool(kept));
    }
}
