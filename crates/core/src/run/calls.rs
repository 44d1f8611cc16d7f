//! The life of a call from scheduled to settled: `docs/concepts/effects.md`.

mod doubt;
mod outage;
mod question;
mod undo;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::address::{CallId, CallRole, EffectId, NodeAddress};
use super::command::{CallOutcome, ModelCallError};
use super::decide::RunDraft;
use super::event::{BlockReason, CallCompleted, CallOutput, CallScheduled, EffectRequest, RunEvent, UndoAction};
use super::refusal::RunRefusal;
use super::state::{CallProgress, NodeActivity, OpenCall, SpendingLimit};
use crate::agent::{ProgramOutcome, SNAPSHOT_BYTES_MAX, SandboxProgram};
use crate::fault::{Fault, code};
use crate::graph::node::NodeKind;
use crate::money::{PriceQuote, Usd};
use crate::mutant::{Mutant, planted};
use crate::time::Time;
use crate::tool::{self, EffectClass, RetryPolicy, ToolContract};

/// Time-out of one attempt of a model call.
const MODEL_TIMEOUT: Duration = Duration::from_secs(120);
/// Time-out of one segment of a program (5 minutes, as in seed 004); the sandbox has its own limits within it.
const CODE_TIMEOUT: Duration = Duration::from_secs(300);
/// Minimum time for a call by an agent, however little is left.
const AGENT_WORK_MIN: Duration = Duration::from_secs(1);
/// Time-out of one attempt at the endpoint of an agent of type `custom`.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum number of base64 characters of a paused program.
const SNAPSHOT_CHARS_MAX: usize = SNAPSHOT_BYTES_MAX.div_ceil(3) * 4;

/// Why a call certainly did not act, and what that means for another attempt.
struct AttemptError {
    fault: Fault,
    retryable: bool,
    /// Milliseconds that the other side asked to wait.
    retry_after: Option<u64>,
    /// The cost of the attempt, even though it failed.
    cost: Usd,
}

impl AttemptError {
    fn free(fault: Fault, retryable: bool) -> Self {
        Self { fault, retryable, retry_after: None, cost: Usd::ZERO }
    }
}

impl RunDraft<'_> {
    /// Schedules one tool call of a node. The caller has rendered the arguments.
    pub fn schedule_tool(
        &mut self,
        at: &NodeAddress,
        tool: &str,
        arguments: Value,
        facts: &ToolContract,
        agent: Option<String>,
    ) {
        let facts = facts.for_arguments(&arguments);
        let own = self.with_node(at, |node| node.policy.timeout).flatten();
        let is_agent = agent.is_some();
        let request =
            EffectRequest::Tool { tool: tool.to_owned(), arguments: Arc::new(arguments), agent, provider: None };
        let timeout = own.filter(|_| !is_agent).unwrap_or(facts.timeout);
        let hold = facts.cost;
        self.schedule(at, request, facts.class, timeout, hold);
    }

    /// Schedules a model call, with the agent's remaining time as its limit.
    pub fn schedule_model(&mut self, at: &NodeAddress, request: crate::model::ModelRequest, hold: Usd) {
        let timeout = self.time_left(at).map_or(MODEL_TIMEOUT, |left| left.min(MODEL_TIMEOUT));
        self.schedule(at, EffectRequest::Model(Box::new(request)), EffectClass::Read, timeout, hold);
    }

    /// Schedules a request to the agent's endpoint for its next step; recorded steps are not requested again.
    pub fn schedule_step(&mut self, at: &NodeAddress, agent: String, endpoint: String, hold: Usd) {
        let timeout = self.time_left(at).map_or(STEP_TIMEOUT, |left| left.min(STEP_TIMEOUT));
        self.schedule(at, EffectRequest::Step { agent, endpoint }, EffectClass::Read, timeout, hold);
    }

    /// Returns an agent's remaining working time, if it is limited.
    fn time_left(&self, at: &NodeAddress) -> Option<Duration> {
        let Some(NodeActivity::Agent { task, work, .. }) = self.run.activity(at) else { return None };
        let limit = Duration::from_secs(task.agent.max_execution_time?);
        Some(limit.saturating_sub(work.elapsed()).max(AGENT_WORK_MIN))
    }

    /// Schedules a program. Its outcome depends only on itself: run again after a crash, it gives the same result.
    pub fn schedule_code(&mut self, at: &NodeAddress, program: SandboxProgram) {
        let agent = self.with_node(at, |node| match &node.kind {
            NodeKind::Agent(agent) => agent.agent.name.clone(),
            _ => String::new(),
        });
        let request = EffectRequest::Code { agent: agent.unwrap_or_default(), program: Box::new(program) };
        let timeout = self.time_left(at).map_or(CODE_TIMEOUT, |left| left.min(CODE_TIMEOUT));
        self.schedule(at, request, EffectClass::Pure, timeout, Usd::ZERO);
    }

    fn schedule(&mut self, at: &NodeAddress, request: EffectRequest, class: EffectClass, timeout: Duration, hold: Usd) {
        let call = self.run.node_state(at).map_or(0, |state| state.next_call);
        let effect = EffectId { call: CallId { node: at.clone(), call, role: CallRole::Act }, generation: 0 };
        self.emit(RunEvent::Scheduled(Box::new(CallScheduled { effect, request, class, timeout, hold })));
    }

    /// Returns the amount to reserve for a call: its maximum cost, limited to what the run and the node may still
    /// spend. Both actual costs and reservations of open calls count, so concurrent calls cannot exceed a limit
    /// together. Returns a fault if too little is left.
    pub fn cost_hold(&self, at: &NodeAddress, quote: PriceQuote) -> Result<Usd, Fault> {
        let mut hold = quote.most;
        for SpendingLimit { owner: of, spent, held, limit } in self.run.spending(at) {
            let held_here = quote.hold(limit - spent - held).filter(|_| spent < limit).ok_or_else(|| {
                let next = quote.least;
                let message = format!(
                    "the {of} has cost {spent}, calls under way may cost {held} and the next {next}; its limit is \
                     {limit}"
                );
                Fault::new(code::COST_LIMIT, message)
            })?;
            hold = hold.min(held_here);
        }
        Ok(hold)
    }

    /// Returns the lower remaining limit of the run and the node; `None` if there is no limit.
    pub fn remaining_cost(&self, at: &NodeAddress) -> Option<Usd> {
        let left = self.run.spending(at).map(|SpendingLimit { spent, held, limit, .. }| limit - spent - held);
        left.min().map(|left| left.max(Usd::ZERO))
    }

    pub fn outcome(&mut self, effect: &EffectId, outcome: CallOutcome) -> Result<(), RunRefusal> {
        let call = self.run.calls.get(&effect.call).filter(|call| call.generation == effect.generation).cloned();
        let Some(call) = call else { return self.late_outcome(effect, outcome) };
        let in_doubt = call.progress == CallProgress::Doubt;
        match outcome {
            CallOutcome::Tool(tool::ToolOutcome::Done { output, cost, cached }) => {
                let output =
                    if call.degraded { Arc::new(outage::mark_degraded(Arc::unwrap_or_clone(output))) } else { output };
                self.done(effect, &call, CallOutput::Tool(output), cost, cached);
            }
            CallOutcome::Model(Ok(reply)) => {
                let cost = reply.cost;
                self.done(effect, &call, CallOutput::Model(Box::new(reply)), cost, false);
            }
            CallOutcome::Code(Ok(ran)) => {
                self.done(effect, &call, CallOutput::Code(Box::new(bound_snapshot(ran))), Usd::ZERO, false);
            }
            CallOutcome::Step(Ok(step)) => {
                // Only the endpoint knows the actual cost, so the reserved amount is recorded, which is the configured
                // cost per step.
                self.done(effect, &call, CallOutput::Step(Box::new(step)), call.hold, false);
            }
            CallOutcome::Step(Err(failed)) => {
                let (fault, retryable) = (failed.fault, failed.retryable);
                self.not_done(
                    effect,
                    &call,
                    AttemptError { fault, retryable, retry_after: failed.retry_after, cost: Usd::ZERO },
                );
            }
            CallOutcome::Code(Err(fault)) => {
                self.not_done(effect, &call, AttemptError::free(fault, true));
            }
            CallOutcome::Tool(tool::ToolOutcome::NotDone { fault, retryable, retry_after }) => {
                let failure = AttemptError { fault, retryable, retry_after, cost: Usd::ZERO };
                return self.attempt_refused(effect, &call, failure, true);
            }
            CallOutcome::Stopped { fault } => {
                return self.attempt_refused(effect, &call, AttemptError::free(fault, false), false);
            }
            CallOutcome::Model(Err(failed)) => {
                let ModelCallError { fault, retryable, retry_after, cost, block: _ } = failed;
                self.not_done(effect, &call, AttemptError { fault, retryable, retry_after, cost });
            }
            CallOutcome::NotFound if matches!(call.progress, CallProgress::LookUp { .. }) => {
                self.not_found(effect, &call)
            }
            CallOutcome::Tool(tool::ToolOutcome::Unknown { fault }) if !in_doubt => {
                self.outcome_unknown(effect, &call, fault, None);
            }
            CallOutcome::Blocked { by: BlockReason::Approval(leave), .. }
                if !in_doubt && self.lacks_approvers(&leave) =>
            {
                let fault = self.no_approver_fault(&leave);
                return self.attempt_refused(effect, &call, AttemptError::free(fault, false), false);
            }
            CallOutcome::Tool(tool::ToolOutcome::Asks { question, within }) if !in_doubt && !call.awaits_answer() => {
                return self.ask_question(effect, &call, question, within);
            }
            CallOutcome::CircuitOpen { until, fault } if !in_doubt => self.circuit_open(effect, &call, until, &fault),
            CallOutcome::Blocked { by, cost } if !in_doubt => {
                if cost != Usd::ZERO {
                    self.emit(RunEvent::HoldLost { effect: effect.clone(), cost });
                }
                self.blocked(effect, by);
            }
            CallOutcome::NotSent if matches!(call.progress, CallProgress::Marked { .. }) => {
                self.emit(RunEvent::Unsent { effect: effect.clone() });
            }
            // The doubt is already recorded, a waiting call is not dropped, only a look-up can find nothing, and a call
            // that was never marked is sent by the current owner of the run.
            CallOutcome::Tool(tool::ToolOutcome::Unknown { .. } | tool::ToolOutcome::Asks { .. })
            | CallOutcome::Dropped { .. }
            | CallOutcome::Blocked { .. }
            | CallOutcome::CircuitOpen { .. }
            | CallOutcome::NotFound
            | CallOutcome::NotSent => {
                return Err(RunRefusal::Duplicate { effect: effect.to_string() });
            }
        }
        Ok(())
    }

    /// Handles an answer to a call that is no longer open under this generation.
    fn late_outcome(&mut self, effect: &EffectId, outcome: CallOutcome) -> Result<(), RunRefusal> {
        let duplicate = || RunRefusal::Duplicate { effect: effect.to_string() };
        if let CallOutcome::Dropped { cost } = outcome {
            if cost != Usd::ZERO && !planted(Mutant::DroppedUnpaid) {
                self.emit(RunEvent::HoldLost { effect: effect.clone(), cost });
            }
            return Ok(());
        }
        let call = self.run.forgotten.get(effect).map(|forgotten| forgotten.call.clone()).ok_or_else(duplicate)?;
        let CallOutcome::Tool(tool::ToolOutcome::Done { output, cost, cached }) = outcome else {
            return Err(duplicate());
        };
        if planted(Mutant::LateResultLost) {
            return Err(duplicate());
        }
        let undo = self.undo_of(effect, &call, &output);
        let done = CallCompleted { effect: effect.clone(), output: CallOutput::Tool(output), cost, cached, undo };
        self.emit(RunEvent::ArrivedLate(Box::new(done)));
        Ok(())
    }

    fn done(&mut self, effect: &EffectId, call: &OpenCall, output: CallOutput, cost: Usd, cached: bool) {
        let undo = match &output {
            CallOutput::Tool(output) => self.undo_of(effect, call, output),
            CallOutput::Model(_) | CallOutput::Code(_) | CallOutput::Step(_) => None,
        };
        self.emit(RunEvent::Done(Box::new(CallCompleted { effect: effect.clone(), output, cost, cached, undo })));
    }

    fn not_done(&mut self, effect: &EffectId, call: &OpenCall, failure: AttemptError) {
        let AttemptError { fault, retryable, retry_after, cost } = failure;
        let retry = self.retry_of(&effect.call, call);
        let is_asked_for =
            if retry.retry_on.is_empty() { retryable } else { retry.retry_on.iter().any(|c| *c == fault.code) };
        let attempts = call.attempts + u32::from(call.is_from_send());
        let may = is_asked_for && attempts < retry.max_attempts && self.is_still_wanted(effect);
        let again_at = may.then(|| self.next_attempt_at(effect, attempts, &retry, retry_after));
        if again_at.is_none() && retryable && self.handle_outage(effect, call, &fault, None) {
            return;
        }
        self.schedule_retry(effect, fault, again_at, cost);
    }

    fn schedule_retry(&mut self, effect: &EffectId, fault: Fault, again_at: Option<Time>, cost: Usd) {
        let effect = effect.clone();
        if again_at.is_none() && effect.call.role == CallRole::Undo {
            self.emit(RunEvent::NotUndone { effect, fault });
        } else {
            self.emit(RunEvent::NotDone { effect, fault, again_at, cost });
        }
    }

    /// Returns whether another attempt of a call is still wanted: not once its surroundings drain.
    pub(super) fn is_still_wanted(&self, effect: &EffectId) -> bool {
        effect.call.role == CallRole::Undo || !self.is_draining(&effect.call.node)
    }

    /// A blocked call waits; if it is no longer wanted, it is dropped instead.
    fn blocked(&mut self, effect: &EffectId, by: BlockReason) {
        self.emit(RunEvent::Blocked { effect: effect.clone(), by });
        let is_harmless = self.run.calls.get(&effect.call).is_some_and(|call| call.is_harmless(self.now));
        if is_harmless && !self.is_still_wanted(effect) {
            self.abandon(&effect.call);
        }
    }

    /// Releases calls that waited for the consumer's key.
    pub fn provide_key(&mut self, by: &str) -> Result<(), RunRefusal> {
        let waiting =
            self.run.calls.iter().filter(|(_, call)| call.progress == CallProgress::Blocked(BlockReason::Key));
        let waiting: Vec<EffectId> =
            waiting.map(|(id, call)| EffectId { call: id.clone(), generation: call.generation }).collect();
        if waiting.is_empty() {
            return Err(RunRefusal::WrongState { state: self.run.state(), command: "give a key" });
        }
        for effect in waiting {
            self.emit(RunEvent::Unblocked { effect, by: by.to_owned(), note: String::new() });
        }
        Ok(())
    }

    /// The call was rejected by a person, or by the deadline.
    pub(super) fn reject_call(&mut self, effect: &EffectId, call: &OpenCall, fault: Fault) {
        self.not_done(effect, call, AttemptError::free(fault, false));
    }

    pub(super) fn open_call(&self, effect: &EffectId) -> Result<&OpenCall, RunRefusal> {
        let call = self.run.calls.get(&effect.call).filter(|call| call.generation == effect.generation);
        call.ok_or_else(|| RunRefusal::NoSuchCall { effect: effect.to_string() })
    }

    /// Returns the time of the next attempt, after this number of attempts. The jitter is derived from the effect's
    /// key, so a replay agrees.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by `max`, never negative")]
    fn next_attempt_at(&self, effect: &EffectId, attempts: u32, retry: &RetryPolicy, retry_after: Option<u64>) -> Time {
        let exponent = i32::try_from(attempts.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown = retry.initial.as_secs_f64() * retry.multiplier.max(1.0).powi(exponent);
        let wait = grown.min(retry.max.as_secs_f64());
        let spread = 1.0 + retry.jitter.clamp(0.0, 1.0) * (jitter_share(&effect.to_string()) - 0.5);
        let wait = Duration::from_millis((wait * spread * 1_000.0) as u64);
        self.now + wait.max(Duration::from_millis(retry_after.unwrap_or(0)))
    }

    fn retry_of(&self, id: &CallId, call: &OpenCall) -> RetryPolicy {
        if id.role == CallRole::Undo {
            return match self.run.saga.undo_of(id) {
                Some(UndoAction::Call { retry, .. }) => retry.clone(),
                _ => RetryPolicy::NONE,
            };
        }
        let of_node = self.with_node(&id.node, |node| node.policy.retry.clone()).flatten();
        let of_tool = || self.with_facts(id, call, |facts, _| facts.retry.clone());
        of_node.or_else(of_tool).unwrap_or_default()
    }

    /// Drops a call that cannot have changed anything.
    pub fn abandon(&mut self, call: &CallId) {
        self.emit(RunEvent::Abandoned { call: call.clone() });
    }
}

/// Returns the outcome of a program, unless its paused state exceeds the limit of the journal.
fn bound_snapshot(ran: ProgramOutcome) -> ProgramOutcome {
    match ran {
        ProgramOutcome::Calls { snapshot, printed, .. } if snapshot.bytes.len() > SNAPSHOT_CHARS_MAX => {
            let message = format!(
                "the paused program takes {} KB, the limit is {}; it should hold less while it waits",
                snapshot.bytes.len() / 4 * 3 / 1_024,
                SNAPSHOT_BYTES_MAX / 1_024
            );
            ProgramOutcome::Failed { fault: Fault::new(code::SNAPSHOT_LIMIT, message), printed }
        }
        ran => ran,
    }
}

/// Returns a stable number from 0 to 1 for a text (FNV-1a), so that jitter needs no randomness.
#[expect(clippy::cast_precision_loss, reason = "a spread, not a sum")]
fn jitter_share(text: &str) -> f64 {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}
