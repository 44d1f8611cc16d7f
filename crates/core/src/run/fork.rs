//! A fork: another run with the recorded past of this one.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::address::{CallRole, NodeAddress};
use super::command::RunOrigin;
use super::event::{NodeOutcome, RunEntry, RunEvent, RunForked};
use super::state::{CallProgress, NodeActivity, NodeState, Run, RunTimer};

/// Returns the entries before the first event of this node, with the last entry cut where the node starts; `None` if
/// the node never started.
pub fn entries_before(entries: &[RunEntry], node: &NodeAddress) -> Option<Vec<RunEntry>> {
    let mut past = Vec::new();
    for entry in entries {
        match entry.events.iter().position(|event| concerns(event, node)) {
            None => past.push(entry.clone()),
            Some(cut) => {
                past.push(RunEntry { at: entry.at, events: entry.events[..cut].to_vec() });
                return Some(past);
            }
        }
    }
    None
}

fn concerns(event: &RunEvent, node: &NodeAddress) -> bool {
    match event {
        RunEvent::Scheduled(scheduled) => scheduled.effect.call.node == *node,
        RunEvent::Began { node: began, .. } | RunEvent::VariableSet { node: began, .. } => began == node,
        RunEvent::Ended(ended) => ended.node == *node && ended.how != NodeOutcome::Skipped,
        _ => false,
    }
}

impl Run {
    /// Returns the variables that a fork may change: existing ones, and those its workflow declares.
    pub fn variable_names(&self) -> BTreeSet<String> {
        let declared = self.workflow().and_then(|workflow| workflow.input.0.as_ref());
        let declared = declared.into_iter().flatten().map(|(name, _)| name.clone());
        self.variables().keys().cloned().chain(declared).collect()
    }

    /// Turns this run into a fork of itself: recorded results are inherited; open requests are made again, under the
    /// fork's keys and with its own deadlines.
    pub(super) fn fork(&mut self, forked: &RunForked) {
        if let Some(started) = &mut self.started {
            started.run = forked.run.clone();
            started.origin = RunOrigin::Caller;
        }
        self.add_requesters([&forked.by]);
        self.started_at = self.now;
        self.paused = false;
        self.forgotten.clear();
        for (key, value) in &forked.variables {
            self.variables.insert(key.clone(), Arc::new(value.clone()));
        }
        if !forked.owns_undo {
            self.saga.mark_inherited();
            self.calls.retain(|id, _| id.role == CallRole::Act);
        }
        self.resend_open_calls();
        self.restart_children();
        self.renew_deadlines();
    }

    /// Calls in flight belong to the original, as do all approvals given to it.
    fn resend_open_calls(&mut self) {
        self.backoffs.clear();
        for call in self.calls.values_mut() {
            call.progress = CallProgress::Ready;
            call.attempts = 0;
            call.unknown = false;
            call.approved = None;
            call.allowed_by.clear();
        }
    }

    /// The children of the original report to it: the fork starts its own, except for those that are no longer needed.
    fn restart_children(&mut self) {
        let mut waiting = Vec::new();
        for (path, scope) in &mut self.scopes {
            if scope.winding.is_some() {
                continue;
            }
            for place in scope.active.clone() {
                let (Some(state), Some(node)) =
                    (scope.nodes.get_mut(place as usize), scope.graph.nodes.get(place as usize))
                else {
                    continue;
                };
                if let (Some(NodeActivity::Child { .. }), None) = (state.activity.as_deref(), state.cut) {
                    let NodeState { settled_in, taken_in, next_call, .. } = *state;
                    *state = NodeState { settled_in, taken_in, next_call, ..NodeState::default() };
                    scope.active.remove(&place);
                    self.handed_down.remove(&NodeAddress::new(path.clone(), node.id.clone()));
                    waiting.push(NodeAddress::new(path.clone(), node.id.clone()));
                }
            }
        }
        self.ready.extend(waiting);
    }

    fn renew_deadlines(&mut self) {
        let had_limit = self.timers.iter().any(|(_, timer)| *timer == RunTimer::Run);
        self.timers.retain(|(_, timer)| matches!(timer, RunTimer::Held(_)));
        if let Some(limit) = self.workflow.as_ref().and_then(|workflow| workflow.timeout).filter(|_| had_limit) {
            self.timers.insert((self.now + limit, RunTimer::Run));
        }
        let now = self.now;
        for scope in self.scopes.values_mut() {
            for place in &scope.active {
                if let (Some(state), Some(node)) =
                    (scope.nodes.get_mut(*place as usize), scope.graph.nodes.get(*place as usize))
                    && let Some(activity) = state.activity.as_deref_mut()
                {
                    activity.renew(node, now);
                }
            }
        }
        self.restore_timers();
    }
}
