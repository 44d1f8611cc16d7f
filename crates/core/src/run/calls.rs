//! A call's way from scheduled to settled: RUNS.md §2.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::address::{Address, CallId, EffectId, Role};
use super::command::{Outcome, Resolution};
use super::decide::Draft;
use super::event::{Answer, Block, Done, Event, InDoubt, Request, Scheduled, Undo};
use super::refusal::Refusal;
use super::state::{Call, CallEnd, Progress, State};
use crate::expr::{Dialect, Params};
use crate::fault::{Fault, code};
use crate::graph::node::Kind;
use crate::money::Usd;
use crate::time::Time;
use crate::tool::{self, Class, Envelope, Facts, Retry};

/// Look-ups of one call before a person is asked.
const LOOK_UPS_MAX: u32 = 5;
/// Time-out of one attempt at a model.
const MODEL_TIMEOUT: Duration = Duration::from_secs(120);
/// What a tool nobody described may do: nothing twice, and not for long.
const UNDESCRIBED_TIMEOUT: Duration = Duration::from_secs(30);

impl Draft<'_> {
    /// Schedules one tool call of a node. The caller has rendered the arguments.
    pub fn schedule_tool(&mut self, at: &Address, tool: &str, arguments: Value, facts: &Facts, agent: Option<String>) {
        let facts = facts.of(&arguments);
        let own = self.with_node(at, |node| node.policy.timeout).flatten();
        let is_agent = agent.is_some();
        let request = Request::Tool { tool: tool.to_owned(), arguments: Arc::new(arguments), agent };
        let timeout = own.filter(|_| !is_agent).unwrap_or(facts.timeout);
        self.schedule(at, request, facts.class, timeout);
    }

    pub fn schedule_model(&mut self, at: &Address, request: crate::model::Request) {
        self.schedule(at, Request::Model(Box::new(request)), Class::Read, MODEL_TIMEOUT);
    }

    fn schedule(&mut self, at: &Address, request: Request, class: Class, timeout: Duration) {
        let call = self.run.node_state(at).map_or(0, |state| state.next_call);
        let effect = EffectId { call: CallId { node: at.clone(), call, role: Role::Act }, generation: 0 };
        self.emit(Event::Scheduled(Box::new(Scheduled { effect, request, class, timeout })));
    }

    /// The money a run or node may still spend; a fault once it is gone.
    pub fn check_cost(&self, at: &Address) -> Result<(), Fault> {
        let run_limit = self.run.workflow.as_ref().and_then(|workflow| workflow.max_cost);
        let node_limit = self.with_node(at, |node| node.policy.max_cost).flatten();
        let node_cost = self.run.node_state(at).map_or(Usd::ZERO, |state| state.cost);
        let over = [("run", self.run.cost, run_limit), ("node", node_cost, node_limit)]
            .into_iter()
            .find(|(_, spent, limit)| limit.is_some_and(|limit| *spent >= limit));
        match over {
            Some((what, spent, Some(limit))) => {
                Err(Fault::new(code::COST_LIMIT, format!("the {what} has cost {spent}, its limit is {limit}")))
            }
            _ => Ok(()),
        }
    }

    pub fn outcome(&mut self, effect: &EffectId, outcome: Outcome) -> Result<(), Refusal> {
        let call = self.run.calls.get(&effect.call).filter(|call| call.generation == effect.generation).cloned();
        let Some(call) = call else { return self.late(effect, outcome) };
        match outcome {
            Outcome::Tool(tool::Outcome::Done { output, cost, cached }) => {
                self.done(effect, &call, Answer::Tool(Arc::new(output)), cost, cached);
            }
            Outcome::Model(Ok(reply)) => {
                let cost = reply.cost;
                self.done(effect, &call, Answer::Model(Box::new(reply)), cost, false);
            }
            Outcome::Tool(tool::Outcome::NotDone { fault, retryable, retry_after }) => {
                self.not_done(effect, &call, fault, retryable, retry_after);
            }
            Outcome::Model(Err(failed)) => {
                self.not_done(effect, &call, failed.fault, failed.retryable, failed.retry_after);
            }
            Outcome::NotFound => {
                let fault = Fault::new(code::OUTCOME_UNKNOWN, "the service has no record of the call");
                self.not_done(effect, &call, fault, true, None);
            }
            Outcome::Tool(tool::Outcome::Unknown { fault }) => self.unknown(effect, &call, fault),
            Outcome::Blocked(by) => {
                if matches!(call.progress, Progress::Doubt) {
                    return Err(Refusal::Duplicate { effect: effect.to_string() });
                }
                self.emit(Event::Blocked { effect: effect.clone(), by });
            }
        }
        Ok(())
    }

    /// An answer to a call that is not open under this generation any more.
    fn late(&mut self, effect: &EffectId, outcome: Outcome) -> Result<(), Refusal> {
        let duplicate = || Refusal::Duplicate { effect: effect.to_string() };
        let call = self.run.forgotten.get(effect).cloned().ok_or_else(duplicate)?;
        let Outcome::Tool(tool::Outcome::Done { output, cost, cached }) = outcome else { return Err(duplicate()) };
        let output = Arc::new(output);
        let undo = self.undo_of(effect, &call, &output);
        let done = Done { effect: effect.clone(), output: Answer::Tool(output), cost, cached, undo };
        self.emit(Event::ArrivedLate(Box::new(done)));
        Ok(())
    }

    fn done(&mut self, effect: &EffectId, call: &Call, output: Answer, cost: Usd, cached: bool) {
        let undo = match &output {
            Answer::Tool(output) => self.undo_of(effect, call, output),
            Answer::Model(_) => None,
        };
        self.emit(Event::Done(Box::new(Done { effect: effect.clone(), output, cost, cached, undo })));
    }

    fn not_done(&mut self, effect: &EffectId, call: &Call, fault: Fault, retryable: bool, retry_after: Option<u64>) {
        let retry = self.retry_of(&effect.call, call);
        let asked_for =
            if retry.retry_on.is_empty() { retryable } else { retry.retry_on.iter().any(|c| *c == fault.code) };
        let may = asked_for && call.attempts + 1 < retry.max_attempts && self.wants(effect);
        let again_at = may.then(|| self.again_at(effect, call, &retry, retry_after));
        let is_final_undo = again_at.is_none() && effect.call.role == Role::Undo;
        if is_final_undo {
            self.emit(Event::NotUndone { effect: effect.clone(), fault });
        } else {
            self.emit(Event::NotDone { effect: effect.clone(), fault, again_at });
        }
    }

    /// Whether another attempt of a call is still wanted: not once its surroundings wind down.
    fn wants(&self, effect: &EffectId) -> bool {
        let node = self.run.node_state(&effect.call.node);
        effect.call.role == Role::Undo
            || (!self.is_cut(&effect.call.node) && node.is_some_and(|state| state.winding.is_none()))
    }

    fn unknown(&mut self, effect: &EffectId, call: &Call, fault: Fault) {
        let retry = self.retry_of(&effect.call, call);
        let next = match (call.class, &call.progress) {
            (Class::Pure | Class::Read, _) => return self.not_done(effect, call, fault, true, None),
            (Class::Keyed, _) if call.attempts + 1 < retry.max_attempts.max(2) => {
                InDoubt::SendAgain { at: self.again_at(effect, call, &retry, None) }
            }
            (Class::Verify, Progress::LookUp { tries, .. }) if *tries + 1 >= LOOK_UPS_MAX => InDoubt::Person,
            (Class::Verify, Progress::LookUp { .. }) => {
                InDoubt::LookUp { at: self.again_at(effect, call, &retry, None) }
            }
            // The service is asked only once the sender has certainly given up.
            (Class::Verify, Progress::Marked { deadline, .. }) => InDoubt::LookUp { at: *deadline },
            (Class::Verify, _) => InDoubt::LookUp { at: self.now },
            (Class::Keyed | Class::Once, _) => InDoubt::Person,
        };
        self.emit(Event::Doubted { effect: effect.clone(), fault, next });
    }

    /// A new owner cannot know what the old one's marked calls came to.
    pub fn taken_over(&mut self, epoch: u64) {
        let marked = self.run.calls.iter().filter_map(|(id, call)| match call.progress {
            Progress::Marked { epoch: of, deadline } if of < epoch => {
                Some((EffectId { call: id.clone(), generation: call.generation }, call.class, deadline))
            }
            _ => None,
        });
        for (effect, class, deadline) in marked.collect::<Vec<_>>() {
            let next = if class == Class::Verify { InDoubt::LookUp { at: deadline } } else { InDoubt::Person };
            let fault = Fault::new(code::OUTCOME_UNKNOWN, "the process that sent the call stopped before its answer");
            self.emit(Event::Doubted { effect, fault, next });
        }
    }

    pub fn resolve(&mut self, effect: &EffectId, by: String, resolution: Resolution) -> Result<(), Refusal> {
        let call = self.run.calls.get(&effect.call).filter(|call| call.generation == effect.generation);
        let call = call.ok_or_else(|| Refusal::NoSuchCall { effect: effect.to_string() })?.clone();
        if call.progress != Progress::Doubt {
            return Err(Refusal::NotInDoubt { effect: effect.to_string() });
        }
        self.emit(Event::Resolved { effect: effect.clone(), by, resolution: resolution.clone() });
        match resolution {
            Resolution::Done { output } => self.done(effect, &call, Answer::Tool(Arc::new(output)), Usd::ZERO, false),
            Resolution::NotDone => {
                let fault = Fault::new(code::OUTCOME_UNKNOWN, "a person found that the call did not act");
                self.not_done(effect, &call, fault, true, None);
            }
            Resolution::Repeat => {}
        }
        Ok(())
    }

    pub fn approve(&mut self, effect: EffectId, by: String, approved: bool) -> Result<(), Refusal> {
        let call = self.run.calls.get(&effect.call).filter(|call| call.generation == effect.generation);
        let call = call.ok_or_else(|| Refusal::NoSuchCall { effect: effect.to_string() })?.clone();
        if !matches!(call.progress, Progress::Blocked(Block::Approval { .. })) {
            return Err(Refusal::NothingWaits { node: effect.to_string() });
        }
        if approved {
            self.emit(Event::Unblocked { effect, by });
        } else {
            let fault = Fault::new(code::REJECTED, format!("`{by}` did not allow the call"));
            self.not_done(&effect, &call, fault, false, None);
        }
        Ok(())
    }

    /// When the next attempt goes out. The spread comes from the effect's key, so a replay agrees.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by `max`, never negative")]
    fn again_at(&self, effect: &EffectId, call: &Call, retry: &Retry, retry_after: Option<u64>) -> Time {
        let exponent = i32::try_from(call.attempts).unwrap_or(i32::MAX);
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
        let of_node = self.with_node(&id.node, |node| {
            node.policy.retry.clone().or_else(|| match (&node.kind, &call.request) {
                (Kind::Tool(tool), Request::Tool { tool: name, arguments, .. }) => {
                    tool.facts.get(name).map(|facts| facts.of(arguments).retry.clone())
                }
                (Kind::Agent(agent), Request::Tool { tool: name, arguments, .. }) => {
                    agent.tools.get(name).map(|facts| facts.of(arguments).retry.clone())
                }
                _ => None,
            })
        });
        of_node.flatten().unwrap_or_default()
    }

    /// How a done call is undone; rendered now, with what it answered.
    fn undo_of(&self, effect: &EffectId, call: &Call, output: &Arc<Value>) -> Option<Box<Undo>> {
        let Request::Tool { tool, arguments, agent } = &call.request else { return None };
        if !call.class.acts() || effect.call.role == Role::Undo {
            return None;
        }
        let (graph, place) = self.node(&effect.call.node)?;
        let node = graph.node(place);
        let all = match &node.kind {
            Kind::Tool(tool) => &tool.facts,
            Kind::Agent(agent) => &agent.tools,
            _ => return None,
        };
        let facts = all.get(tool).map(|facts| facts.of(arguments));
        let view = self.view(&effect.call.node.scope).with_own(&node.id, output.clone());
        let view = view.with("arguments", arguments.clone());
        let (name, rendered) = match (&node.policy.compensation, facts.and_then(|facts| facts.compensation.as_ref())) {
            (Some(own), _) if agent.is_none() => {
                (own.tool.clone(), own.parameters.render(&view).map_err(|e| e.to_string()))
            }
            (_, Some(known)) => {
                let parsed = Params::parse(&known.parameters, Dialect::Edges).map_err(|error| error.to_string());
                (known.tool_name.clone(), parsed.and_then(|params| params.render(&view).map_err(|e| e.to_string())))
            }
            (_, None) => {
                let reason = facts.and_then(|facts| facts.irreversible.clone());
                let reason = reason.unwrap_or_else(|| format!("`{tool}` names no compensation"));
                return Some(Box::new(Undo::Irreversible { reason }));
            }
        };
        Some(Box::new(match rendered {
            Ok(arguments) => {
                let facts = all.get(&name).map(|facts| facts.of(&arguments));
                Undo::Call {
                    tool: name,
                    class: facts.map_or(Class::Once, |facts| facts.class),
                    timeout: facts.map_or(UNDESCRIBED_TIMEOUT, |facts| facts.timeout),
                    retry: facts.map_or(Retry::NONE, |facts| facts.retry.clone()),
                    arguments,
                }
            }
            Err(error) => {
                Undo::Broken { fault: Fault::new(code::EXPRESSION, format!("compensation by `{name}`: {error}")) }
            }
        }))
    }

    /// Drops a call that can have changed nothing.
    pub fn abandon(&mut self, call: &CallId) {
        self.emit(Event::Abandoned { call: call.clone() });
    }

    pub fn child_undone(&mut self, run: &crate::id::RunId, fault: Option<Fault>) -> Result<(), Refusal> {
        let effect = self.run.saga.effect_of_child(run).cloned();
        let effect = effect.ok_or_else(|| Refusal::NothingWaits { node: run.to_string() })?;
        self.emit(Event::ChildUndone { effect, fault });
        Ok(())
    }

    pub fn roll_back(&mut self, by: String) -> Result<(), Refusal> {
        use super::event::Reopened;
        let state = self.run.state();
        let may = matches!(state, State::Completed | State::Failed | State::Cancelled | State::TimedOut);
        if !may || !self.run.saga.has_undoable() {
            return Err(Refusal::WrongState { state, command: "roll back" });
        }
        self.emit(Event::Reopened(Box::new(Reopened::Rollback { by })));
        Ok(())
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

/// The envelope an agent, or `tool_results`, sees of a call.
pub(super) fn envelope(tool: &str, end: &CallEnd, cost: Usd, cached: bool) -> Envelope {
    let (data, fault) = match end {
        CallEnd::Done(output) => ((**output).clone(), None),
        CallEnd::Failed(fault) => (Value::Null, Some(fault)),
    };
    Envelope {
        success: fault.is_none(),
        tool: tool.to_owned(),
        data,
        error: fault.map(|fault| fault.customer.clone().unwrap_or_else(|| fault.message.clone())),
        error_code: fault.map(|fault| fault.code.to_string()),
        error_details: fault.map(|fault| fault.message.clone()),
        suggested_action: None,
        audit_id: None,
        duration_ms: 0,
        cached,
        cost_usd: cost.as_f64(),
    }
}
