//! What the world must do now, and when to look again: derived from state, so a crash loses no effect.

use std::time::Duration;

use super::address::{Address, CallId, EffectId, Role};
use super::effect::Effect;
use super::event::{Block, Worked};
use super::state::{Activity, AgentWait, Call, Phase, Progress, Run, State};
use crate::agent::Seen;
use crate::mutant::{Mutant, planted};
use crate::time::Time;

/// The grain of [`Time`].
const MILLISECOND: Duration = Duration::from_millis(1);

impl Run {
    /// Effects that may go out at `now`. The owner knows which of them it has sent already.
    pub fn pending(&self, now: Time) -> impl Iterator<Item = Effect<'_>> {
        let sends = self.calls.iter().filter_map(move |(id, call)| {
            let effect = EffectId { call: id.clone(), generation: call.generation };
            effect_of(effect, call, now)
        });
        sends.filter(|_| !self.paused || planted(Mutant::PauseLeaks))
    }

    /// The agent whose step function is to be asked next. It is pure, so it is asked before the append.
    pub fn thinking(&self) -> Option<(Address, &crate::agent::Task, &[crate::agent::Seen])> {
        if self.paused || !matches!(self.phase, Phase::Running | Phase::Aftermath { .. }) {
            return None;
        }
        self.thinkers.iter().find_map(|at| match self.activity(at)? {
            Activity::Agent { task, seen, waits: AgentWait::Think, .. } => Some((at.clone(), &**task, seen.as_slice())),
            _ => None,
        })
    }

    /// Who works on a node, where the node is an agent's and at work.
    pub fn agent_at(&self, node: &Address) -> Option<&str> {
        let Activity::Agent { task, .. } = self.activity(node)? else { return None };
        Some(&task.agent.name)
    }

    /// An agent's work on a node, where the node is an agent's and at work.
    pub(super) fn worked(&self, node: &Address, now: Time) -> Option<Worked> {
        let Activity::Agent { task, seen, work, .. } = self.activity(node)? else { return None };
        let replies = seen.iter().filter(|seen| matches!(seen, Seen::Replied(_))).count();
        let iterations = u32::try_from(replies).unwrap_or(u32::MAX);
        Some(Worked { agent: task.agent.name.clone(), work_ms: work.until(now), iterations })
    }

    /// When the run must be looked at if nothing happens before: a deadline, also one that has passed and was not
    /// looked at yet, or a call that goes out after `now`.
    pub fn wake_at(&self, now: Time) -> Option<Time> {
        let deadline = self.timers.first().map(|(at, _)| *at);
        let first = CallId { node: Address::outer(""), call: 0, role: Role::Act };
        let mut later = self.backoffs.range((now + MILLISECOND, first)..);
        // Nothing goes out of a paused run; deadlines given to people keep running.
        let backoff = later.find(|(_, call)| !self.paused || self.is_with_people(call)).map(|(at, _)| *at);
        let missed = self.backoffs.iter().take_while(|(at, _)| *at <= now).find(|(_, call)| self.is_with_people(call));
        deadline.into_iter().chain(backoff).chain(missed.map(|(at, _)| *at)).min()
    }

    fn is_with_people(&self, call: &CallId) -> bool {
        self.calls.get(call).is_some_and(Call::is_with_people)
    }

    /// Whether an answer to this call would still be news.
    pub fn awaits(&self, effect: &EffectId) -> bool {
        let is_open = self.calls.get(&effect.call).is_some_and(|call| call.generation == effect.generation);
        is_open || self.forgotten.contains_key(effect)
    }

    /// Whether a further decision has work to do that this one left for an append's sake.
    pub fn has_more(&self) -> bool {
        !self.paused && !self.ready.is_empty() && matches!(self.phase, Phase::Running | Phase::Aftermath { .. })
    }

    pub fn state(&self) -> State {
        match &self.phase {
            Phase::New => State::Pending,
            Phase::Ended(state) => *state,
            _ if self.paused => State::Paused,
            Phase::Compensating { .. } | Phase::Aftermath { .. } => State::Compensating,
            Phase::Running | Phase::Winding { .. } => {
                if self.has_more() || self.is_working() {
                    State::Running
                } else {
                    State::Waiting
                }
            }
        }
    }

    /// Whether anything is out, or is about to be. A call that a rate limit or a circuit holds back is neither.
    fn is_working(&self) -> bool {
        let is_held = |call: &Call| match &call.progress {
            Progress::Blocked(Block::RateLimit { until } | Block::Circuit { until }) => *until > self.now,
            _ => false,
        };
        self.calls.values().any(|call| call.moves() && !is_held(call)) || self.thinking().is_some()
    }

    /// Whether anything is out, or goes out by itself.
    pub(super) fn is_moving(&self) -> bool {
        self.calls.values().any(Call::moves) || self.thinking().is_some()
    }
}

fn effect_of(effect: EffectId, call: &Call, now: Time) -> Option<Effect<'_>> {
    match call.progress {
        Progress::LookUp { at, .. } if at <= now => {
            Some(Effect::LookUp { effect, request: &call.request, timeout: call.timeout, at: call.scheduled_at })
        }
        _ if call.is_sendable(now) => Some(Effect::Send {
            effect,
            request: &call.request,
            class: call.class,
            timeout: call.timeout,
            attempt: call.attempts + 1,
            at: call.scheduled_at,
            approved: call.approved.as_deref(),
            replies: &call.replies,
        }),
        _ => None,
    }
}
