//! What the world must do now, and when to look again: derived from state, so a crash loses no effect.

use super::address::{Address, EffectId};
use super::effect::Effect;
use super::event::Block;
use super::state::{Activity, AgentWait, Call, Phase, Progress, Run, State, Timer};
use crate::time::Time;

impl Run {
    /// Effects that may go out at `now`. The owner knows which of them it has sent already.
    pub fn pending(&self, now: Time) -> impl Iterator<Item = Effect<'_>> {
        let sends = self.calls.iter().filter_map(move |(id, call)| {
            let effect = EffectId { call: id.clone(), generation: call.generation };
            effect_of(effect, call, now)
        });
        sends.filter(|_| !self.paused)
    }

    /// The agent whose step function is to be asked next. It is pure, so it is asked before the append.
    pub fn thinking(&self) -> Option<(Address, &crate::agent::Task, &[crate::agent::Seen])> {
        if self.paused || !matches!(self.phase, Phase::Running | Phase::Aftermath { .. }) {
            return None;
        }
        self.scopes.iter().filter(|(_, scope)| scope.winding.is_none()).find_map(|(path, scope)| {
            scope.active.iter().find_map(|place| {
                let state = scope.nodes.get(*place as usize)?;
                match state.activity.as_deref()? {
                    Activity::Agent { task, seen, waits: AgentWait::Think, .. }
                        if state.winding.is_none() && state.cut.is_none() =>
                    {
                        let id = scope.graph.nodes.get(*place as usize)?.id.clone();
                        Some((Address::new(path.clone(), id), &**task, seen.as_slice()))
                    }
                    _ => None,
                }
            })
        })
    }

    /// When the run must be looked at again if nothing happens before. Timers that have passed were looked at.
    pub fn wake_at(&self, now: Time) -> Option<Time> {
        let later = self.timers.iter().filter(|(at, _)| *at > now);
        later.filter(|(_, timer)| !self.paused || !matches!(timer, Timer::Call(_))).map(|(at, _)| *at).next()
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
                if self.has_more() || self.is_moving() {
                    State::Running
                } else {
                    State::Waiting
                }
            }
        }
    }

    /// Whether anything is out, or goes out by itself.
    pub(super) fn is_moving(&self) -> bool {
        let moves = |call: &Call| match &call.progress {
            Progress::Ready | Progress::Marked { .. } | Progress::LookUp { .. } => true,
            Progress::Waiting { .. } => true,
            Progress::Blocked(Block::RateLimit { .. } | Block::Circuit { .. }) => true,
            Progress::Blocked(Block::Approval { .. }) | Progress::Doubt => false,
        };
        self.calls.values().any(moves) || self.thinking().is_some()
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
        }),
        _ => None,
    }
}
