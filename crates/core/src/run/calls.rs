//! A call's way from scheduled to settled: `docs/concepts/effects.md`.

mod doubt;
mod outage;
mod question;
mod undo;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::address::{Address, CallId, EffectId, Role};
use super::command::{ModelFault, Outcome};
use super::decide::Draft;
use super::event::{Answer, Block, Done, Event, Request, Scheduled, Undo};
use super::refusal::Refusal;
use super::state::{Activity, Call, Progress, Spending};
use crate::agent::{Program, Ran, SNAPSHOT_BYTES_MAX};
use crate::fault::{Fault, code};
use crate::graph::node::Kind;
use crate::money::{Quote, Usd};
use crate::mutant::{Mutant, planted};
use crate::time::Time;
use crate::tool::{self, Class, Facts, Retry};

/// Time-out of one attempt at a model.
const MODEL_TIMEOUT: Duration = Duration::from_secs(120);
/// Time-out of one stretch of a program (seed 004's 5 minutes); the sandbox has limits of its own within it.
const CODE_TIMEOUT: Duration = Duration::from_secs(300);
/// The least time a call of an agent's is given, whatever is left.
const WORK_MIN: Duration = Duration::from_secs(1);
/// Time-out of one attempt at whoever thinks for an agent of type `custom`.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);
/// Characters of base64 that a paused program may have.
const SNAPSHOT_CHARS_MAX: usize = SNAPSHOT_BYTES_MAX.div_ceil(3) * 4;

/// Why a call certainly did not act, and what that means for another attempt.
struct Failure {
    fault: Fault,
    retryable: bool,
    /// Milliseconds the other side asked us to wait.
    retry_after: Option<u64>,
    /// What the attempt cost all the same.
    cost: Usd,
}

impl Failure {
    fn free(fault: Fault, retryable: bool) -> Self {
        Self { fault, retryable, retry_after: None, cost: Usd::ZERO }
    }
}

impl Draft<'_> {
    /// Schedules one tool call of a node. The caller has rendered the arguments.
    pub fn schedule_tool(&mut self, at: &Address, tool: &str, arguments: Value, facts: &Facts, agent: Option<String>) {
        let facts = facts.of(&arguments);
        let own = self.with_node(at, |node| node.policy.timeout).flatten();
        let is_agent = agent.is_some();
        let request = Request::Tool { tool: tool.to_owned(), arguments: Arc::new(arguments), agent, provider: None };
        let timeout = own.filter(|_| !is_agent).unwrap_or(facts.timeout);
        let hold = facts.cost;
        self.schedule(at, request, facts.class, timeout, hold);
    }

    /// A model is asked for as long as its agent may still work.
    pub fn schedule_model(&mut self, at: &Address, request: crate::model::Request, hold: Usd) {
        let timeout = self.time_left(at).map_or(MODEL_TIMEOUT, |left| left.min(MODEL_TIMEOUT));
        self.schedule(at, Request::Model(Box::new(request)), Class::Read, timeout, hold);
    }

    /// Whoever thinks for the agent is asked; what is recorded is not asked again.
    pub fn schedule_step(&mut self, at: &Address, agent: String, endpoint: String, hold: Usd) {
        let timeout = self.time_left(at).map_or(STEP_TIMEOUT, |left| left.min(STEP_TIMEOUT));
        self.schedule(at, Request::Step { agent, endpoint }, Class::Read, timeout, hold);
    }

    /// How long an agent may still work, where that is limited.
    fn time_left(&self, at: &Address) -> Option<Duration> {
        let Some(Activity::Agent { task, work, .. }) = self.run.activity(at) else { return None };
        let limit = Duration::from_secs(task.agent.max_execution_time?);
        Some(limit.saturating_sub(work.so_far()).max(WORK_MIN))
    }

    /// What a program comes to depends on itself alone: run once more after a crash, it comes to the same.
    pub fn schedule_code(&mut self, at: &Address, program: Program) {
        let agent = self.with_node(at, |node| match &node.kind {
            Kind::Agent(agent) => agent.agent.name.clone(),
            _ => String::new(),
        });
        let request = Request::Code { agent: agent.unwrap_or_default(), program: Box::new(program) };
        let timeout = self.time_left(at).map_or(CODE_TIMEOUT, |left| left.min(CODE_TIMEOUT));
        self.schedule(at, request, Class::Pure, timeout, Usd::ZERO);
    }

    fn schedule(&mut self, at: &Address, request: Request, class: Class, timeout: Duration, hold: Usd) {
        let call = self.run.node_state(at).map_or(0, |state| state.next_call);
        let effect = EffectId { call: CallId { node: at.clone(), call, role: Role::Act }, generation: 0 };
        self.emit(Event::Scheduled(Box::new(Scheduled { effect, request, class, timeout, hold })));
    }

    /// How much is held for a call: what it may cost, and no more than the run and the node may still spend. What they
    /// have cost and what their open calls may cost count both, so calls beside each other cannot overrun together what
    /// each alone would not. A fault where too little is left for it.
    pub fn check_cost(&self, at: &Address, quote: Quote) -> Result<Usd, Fault> {
        let mut hold = quote.most;
        for Spending { of, spent, held, limit } in self.run.spending(at) {
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

    /// The least that the limits of the run and the node leave; nothing where there are none.
    pub fn cost_left(&self, at: &Address) -> Option<Usd> {
        let left = self.run.spending(at).map(|Spending { spent, held, limit, .. }| limit - spent - held);
        left.min().map(|left| left.max(Usd::ZERO))
    }

    pub fn outcome(&mut self, effect: &EffectId, outcome: Outcome) -> Result<(), Refusal> {
        let call = self.run.calls.get(&effect.call).filter(|call| call.generation == effect.generation).cloned();
        let Some(call) = call else { return self.late(effect, outcome) };
        let in_doubt = call.progress == Progress::Doubt;
        match outcome {
            Outcome::Tool(tool::Outcome::Done { output, cost, cached }) => {
                let output =
                    if call.degraded { Arc::new(outage::marked(Arc::unwrap_or_clone(output))) } else { output };
                self.done(effect, &call, Answer::Tool(output), cost, cached);
            }
            Outcome::Model(Ok(reply)) => {
                let cost = reply.cost;
                self.done(effect, &call, Answer::Model(Box::new(reply)), cost, false);
            }
            Outcome::Code(Ok(ran)) => {
                self.done(effect, &call, Answer::Code(Box::new(bounded(ran))), Usd::ZERO, false);
            }
            Outcome::Step(Ok(step)) => {
                // Nobody counts what it cost but whoever thinks: what was held is what its agent says that it is.
                self.done(effect, &call, Answer::Step(Box::new(step)), call.hold, false);
            }
            Outcome::Step(Err(failed)) => {
                let (fault, retryable) = (failed.fault, failed.retryable);
                self.not_done(
                    effect,
                    &call,
                    Failure { fault, retryable, retry_after: failed.retry_after, cost: Usd::ZERO },
                );
            }
            Outcome::Code(Err(fault)) => {
                self.not_done(effect, &call, Failure::free(fault, true));
            }
            Outcome::Tool(tool::Outcome::NotDone { fault, retryable, retry_after }) => {
                let failure = Failure { fault, retryable, retry_after, cost: Usd::ZERO };
                return self.refused(effect, &call, failure, true);
            }
            Outcome::Stopped { fault } => return self.refused(effect, &call, Failure::free(fault, false), false),
            Outcome::Model(Err(failed)) => {
                let ModelFault { fault, retryable, retry_after, cost, block: _ } = failed;
                self.not_done(effect, &call, Failure { fault, retryable, retry_after, cost });
            }
            Outcome::NotFound if matches!(call.progress, Progress::LookUp { .. }) => self.not_found(effect, &call),
            Outcome::Tool(tool::Outcome::Unknown { fault }) if !in_doubt => {
                self.unknown(effect, &call, fault, None);
            }
            Outcome::Blocked { by: Block::Approval(leave), .. } if !in_doubt && self.too_few_may_allow(&leave) => {
                let fault = self.nobody_to_ask(&leave);
                return self.refused(effect, &call, Failure::free(fault, false), false);
            }
            Outcome::Tool(tool::Outcome::Asks { question, within }) if !in_doubt && !call.is_asking() => {
                return self.asked(effect, &call, question, within);
            }
            Outcome::CircuitOpen { until, fault } if !in_doubt => self.circuit_open(effect, &call, until, &fault),
            Outcome::Blocked { by, cost } if !in_doubt => {
                if cost != Usd::ZERO {
                    self.emit(Event::HoldLost { effect: effect.clone(), cost });
                }
                self.blocked(effect, by);
            }
            Outcome::NotSent if matches!(call.progress, Progress::Marked { .. }) => {
                self.emit(Event::Unsent { effect: effect.clone() });
            }
            // That nobody knows is known already, what is waited for is not dropped, only a look-up can find nothing, and
            // what was never marked is sent by whoever owns the run then.
            Outcome::Tool(tool::Outcome::Unknown { .. } | tool::Outcome::Asks { .. })
            | Outcome::Dropped { .. }
            | Outcome::Blocked { .. }
            | Outcome::CircuitOpen { .. }
            | Outcome::NotFound
            | Outcome::NotSent => {
                return Err(Refusal::Duplicate { effect: effect.to_string() });
            }
        }
        Ok(())
    }

    /// An answer to a call that is not open under this generation any more.
    fn late(&mut self, effect: &EffectId, outcome: Outcome) -> Result<(), Refusal> {
        let duplicate = || Refusal::Duplicate { effect: effect.to_string() };
        if let Outcome::Dropped { cost } = outcome {
            if cost != Usd::ZERO && !planted(Mutant::DroppedUnpaid) {
                self.emit(Event::HoldLost { effect: effect.clone(), cost });
            }
            return Ok(());
        }
        let call = self.run.forgotten.get(effect).map(|forgotten| forgotten.call.clone()).ok_or_else(duplicate)?;
        let Outcome::Tool(tool::Outcome::Done { output, cost, cached }) = outcome else { return Err(duplicate()) };
        if planted(Mutant::LateResultLost) {
            return Err(duplicate());
        }
        let undo = self.undo_of(effect, &call, &output);
        let done = Done { effect: effect.clone(), output: Answer::Tool(output), cost, cached, undo };
        self.emit(Event::ArrivedLate(Box::new(done)));
        Ok(())
    }

    fn done(&mut self, effect: &EffectId, call: &Call, output: Answer, cost: Usd, cached: bool) {
        let undo = match &output {
            Answer::Tool(output) => self.undo_of(effect, call, output),
            Answer::Model(_) | Answer::Code(_) | Answer::Step(_) => None,
        };
        self.emit(Event::Done(Box::new(Done { effect: effect.clone(), output, cost, cached, undo })));
    }

    fn not_done(&mut self, effect: &EffectId, call: &Call, failure: Failure) {
        let Failure { fault, retryable, retry_after, cost } = failure;
        let retry = self.retry_of(&effect.call, call);
        let is_asked_for =
            if retry.retry_on.is_empty() { retryable } else { retry.retry_on.iter().any(|c| *c == fault.code) };
        let attempts = call.attempts + u32::from(call.is_of_a_send());
        let may = is_asked_for && attempts < retry.max_attempts && self.wants(effect);
        let again_at = may.then(|| self.again_at(effect, attempts, &retry, retry_after));
        if again_at.is_none() && retryable && self.stand_outage(effect, call, &fault, None) {
            return;
        }
        self.put_off(effect, fault, again_at, cost);
    }

    fn put_off(&mut self, effect: &EffectId, fault: Fault, again_at: Option<Time>, cost: Usd) {
        let effect = effect.clone();
        if again_at.is_none() && effect.call.role == Role::Undo {
            self.emit(Event::NotUndone { effect, fault });
        } else {
            self.emit(Event::NotDone { effect, fault, again_at, cost });
        }
    }

    /// Whether another attempt of a call is still wanted: not once its surroundings wind down.
    pub(super) fn wants(&self, effect: &EffectId) -> bool {
        effect.call.role == Role::Undo || !self.is_winding(&effect.call.node)
    }

    /// A call that was not let out waits; where it is not wanted any more, it is dropped instead.
    fn blocked(&mut self, effect: &EffectId, by: Block) {
        self.emit(Event::Blocked { effect: effect.clone(), by });
        let is_harmless = self.run.calls.get(&effect.call).is_some_and(|call| call.is_harmless(self.now));
        if is_harmless && !self.wants(effect) {
            self.abandon(&effect.call);
        }
    }

    /// Calls that waited for the consumer's key go out.
    pub fn key_given(&mut self, by: &str) -> Result<(), Refusal> {
        let waiting = self.run.calls.iter().filter(|(_, call)| call.progress == Progress::Blocked(Block::Key));
        let waiting: Vec<EffectId> =
            waiting.map(|(id, call)| EffectId { call: id.clone(), generation: call.generation }).collect();
        if waiting.is_empty() {
            return Err(Refusal::WrongState { state: self.run.state(), command: "give a key" });
        }
        for effect in waiting {
            self.emit(Event::Unblocked { effect, by: by.to_owned(), note: String::new() });
        }
        Ok(())
    }

    /// A person, or nobody in time, said no.
    pub(super) fn not_allowed(&mut self, effect: &EffectId, call: &Call, fault: Fault) {
        self.not_done(effect, call, Failure::free(fault, false));
    }

    pub(super) fn open_call(&self, effect: &EffectId) -> Result<&Call, Refusal> {
        let call = self.run.calls.get(&effect.call).filter(|call| call.generation == effect.generation);
        call.ok_or_else(|| Refusal::NoSuchCall { effect: effect.to_string() })
    }

    /// When the next attempt goes out, after so many. The spread comes from the effect's key, so a replay agrees.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by `max`, never negative")]
    fn again_at(&self, effect: &EffectId, attempts: u32, retry: &Retry, retry_after: Option<u64>) -> Time {
        let exponent = i32::try_from(attempts.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown = retry.initial.as_secs_f64() * retry.multiplier.max(1.0).powi(exponent);
        let wait = grown.min(retry.max.as_secs_f64());
        let spread = 1.0 + retry.jitter.clamp(0.0, 1.0) * (share_of(&effect.to_string()) - 0.5);
        let wait = Duration::from_millis((wait * spread * 1_000.0) as u64);
        self.now + wait.max(Duration::from_millis(retry_after.unwrap_or(0)))
    }

    fn retry_of(&self, id: &CallId, call: &Call) -> Retry {
        if id.role == Role::Undo {
            return match self.run.saga.undo_of(id) {
                Some(Undo::Call { retry, .. }) => retry.clone(),
                _ => Retry::NONE,
            };
        }
        let of_node = self.with_node(&id.node, |node| node.policy.retry.clone()).flatten();
        let of_tool = || self.with_facts(id, call, |facts, _| facts.retry.clone());
        of_node.or_else(of_tool).unwrap_or_default()
    }

    /// Drops a call that can have changed nothing.
    pub fn abandon(&mut self, call: &CallId) {
        self.emit(Event::Abandoned { call: call.clone() });
    }
}

/// What a program came to, unless its paused state is more than a journal should hold.
fn bounded(ran: Ran) -> Ran {
    match ran {
        Ran::Calls { snapshot, printed, .. } if snapshot.bytes.len() > SNAPSHOT_CHARS_MAX => {
            let message = format!(
                "the paused program takes {} KB, the limit is {}; it should hold less while it waits",
                snapshot.bytes.len() / 4 * 3 / 1_024,
                SNAPSHOT_BYTES_MAX / 1_024
            );
            Ran::Failed { fault: Fault::new(code::SNAPSHOT_LIMIT, message), printed }
        }
        ran => ran,
    }
}

/// A stable number from 0 to 1 for a text (FNV-1a), so that jitter needs no randomness.
#[expect(clippy::cast_precision_loss, reason = "a spread, not a sum")]
fn share_of(text: &str) -> f64 {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}
