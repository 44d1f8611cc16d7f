//! The pending effects of a run, and its next wake-up: derived from state, so a crash loses no effect.

use std::time::Duration;

use super::address::{CallId, CallRole, EffectId, NodeAddress};
use super::effect::Effect;
use super::event::{AgentWork, BlockReason};
use super::state::{AgentWait, CallProgress, NodeActivity, OpenCall, Run, RunPhase, RunState};
use crate::agent::AgentObservation;
use crate::mutant::{Mutant, planted};
use crate::time::Time;

/// The resolution of [`Time`].
const MILLISECOND: Duration = Duration::from_millis(1);

impl Run {
    /// Returns the effects that may be sent at `now`. The owner knows which of them it has sent already.
    pub fn pending(&self, now: Time) -> impl Iterator<Item = Effect<'_>> {
        let sends = self.calls.iter().filter_map(move |(id, call)| {
            let effect = EffectId { call: id.clone(), generation: call.generation };
            effect_of(effect, call, now)
        });
        sends.filter(|_| !self.paused || planted(Mutant::PauseLeaks))
    }

    /// Returns the agent whose step function is called next. It is pure, so it is called before the append.
    pub fn agent_to_step(&self) -> Option<(NodeAddress, &crate::agent::AgentTask, &[crate::agent::AgentObservation])> {
        if self.paused || !matches!(self.phase, RunPhase::Running | RunPhase::Aftermath { .. }) {
            return None;
        }
        self.thinkers.iter().find_map(|at| match self.activity(at)? {
            NodeActivity::Agent { task, seen, waits: AgentWait::Think, .. } => {
                Some((at.clone(), &**task, seen.as_slice()))
            }
            _ => None,
        })
    }

    /// Returns the agent that works on a node, if the node is an agent's and active.
    pub fn agent_at(&self, node: &NodeAddress) -> Option<&str> {
        let NodeActivity::Agent { task, .. } = self.activity(node)? else { return None };
        Some(&task.agent.name)
    }

    /// Returns an agent's work on a node, if the node is an agent's and active.
    pub(super) fn agent_work(&self, node: &NodeAddress, now: Time) -> Option<AgentWork> {
        let NodeActivity::Agent { task, seen, work, .. } = self.activity(node)? else { return None };
        let replies = seen.iter().filter(|seen| matches!(seen, AgentObservation::Replied(_))).count();
        let iterations = u32::try_from(replies).unwrap_or(u32::MAX);
        Some(AgentWork { agent: task.agent.name.clone(), work_ms: work.elapsed_until(now), iterations })
    }

    /// Returns when the run must be woken if nothing happens before: at a deadline, including one that has passed and
    /// was not handled yet, or at a call that is sent after `now`.
    pub fn wake_at(&self, now: Time) -> Option<Time> {
        let deadline = self.timers.first().map(|(at, _)| *at);
        let first = CallId { node: NodeAddress::outer(""), call: 0, role: CallRole::Act };
        let mut later = self.backoffs.range((now + MILLISECOND, first)..);
        // A paused run sends nothing; deadlines for people keep running.
        let backoff = later.find(|(_, call)| !self.paused || self.waits_for_people(call)).map(|(at, _)| *at);
        let missed =
            self.backoffs.iter().take_while(|(at, _)| *at <= now).find(|(_, call)| self.waits_for_people(call));
        deadline.into_iter().chain(backoff).chain(missed.map(|(at, _)| *at)).min()
    }

    fn waits_for_people(&self, call: &CallId) -> bool {
        self.calls.get(call).is_some_and(OpenCall::waits_for_people)
    }

    /// Returns whether an outcome of this call is still expected.
    pub fn expects_outcome(&self, effect: &EffectId) -> bool {
        let is_open = self.calls.get(&effect.call).is_some_and(|call| call.generation == effect.generation);
        is_open || self.forgotten.contains_key(effect)
    }

    /// Returns whether this decision left work for the next one, to keep the append small.
    pub fn has_more_work(&self) -> bool {
        !self.paused && !self.ready.is_empty() && matches!(self.phase, RunPhase::Running | RunPhase::Aftermath { .. })
    }

    pub fn state(&self) -> RunState {
        match &self.phase {
            RunPhase::New => RunState::Pending,
            RunPhase::Ended(state) => *state,
            _ if self.paused => RunState::Paused,
            RunPhase::Compensating { .. } | RunPhase::Aftermath { .. } => RunState::Compensating,
            RunPhase::Running | RunPhase::Winding { .. } => {
                if self.has_more_work() || self.is_working() {
                    RunState::Running
                } else {
                    RunState::Waiting
                }
            }
        }
    }

    /// Returns whether anything is in flight, or about to be sent. A call that is held back by a rate limit or a
    /// circuit does not count.
    fn is_working(&self) -> bool {
        let is_held = |call: &OpenCall| match &call.progress {
            CallProgress::Blocked(BlockReason::RateLimit { until } | BlockReason::Circuit { until }) => {
                *until > self.now
            }
            _ => false,
        };
        self.calls.values().any(|call| call.is_in_motion() && !is_held(call)) || self.agent_to_step().is_some()
    }

    /// Returns whether anything is in flight, or will be sent without input.
    pub(super) fn is_in_motion(&self) -> bool {
        self.calls.values().any(OpenCall::is_in_motion) || self.agent_to_step().is_some()
    }
}

fn effect_of(effect: EffectId, call: &OpenCall, now: Time) -> Option<Effect<'_>> {
    match call.progress {
        CallProgress::LookUp { at, .. } if at <= now => {
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
