//! Draining: no new work starts, waits end, reads are abandoned, acts in flight are awaited.

use std::sync::Arc;

use super::address::{CallId, CallRole, NodeAddress, ScopePath};
use super::decide::RunDraft;
use super::event::{DrainReason, NodeOutcome, RunEvent};
use super::state::{CallProgress, NodeActivity, RunPhase, RunState};
use crate::fault::Fault;
use crate::graph::node::OnNodeError;
use crate::id::NodeId;

impl RunDraft<'_> {
    /// Drains the whole run; how it ends is decided once everything in flight is settled.
    pub fn drain_run(&mut self, why: DrainReason, compensate: bool) {
        match self.run.phase {
            RunPhase::Running => {
                self.emit(RunEvent::Winding { why, compensate });
                self.drain_nodes(&ScopePath::root());
                self.scopes.insert(ScopePath::root());
            }
            // The rollback is complete whatever happens to the work after it: that work only stops.
            RunPhase::Aftermath { .. } => self.drain_scope(&ScopePath::root(), why),
            RunPhase::New | RunPhase::Winding { .. } | RunPhase::Compensating { .. } | RunPhase::Ended(_) => {}
        }
    }

    pub fn drain_scope(&mut self, path: &ScopePath, why: DrainReason) {
        if self.run.scope(path).is_none_or(|scope| scope.winding.is_some()) {
            return;
        }
        self.emit(RunEvent::ScopeWinding { path: path.clone(), why });
        self.drain_nodes(path);
    }

    fn drain_nodes(&mut self, path: &ScopePath) {
        let Some(scope) = self.run.scope(path) else { return };
        let active: Vec<NodeId> = scope
            .active
            .iter()
            .filter_map(|place| scope.graph.nodes.get(*place as usize))
            .map(|node| node.id.clone())
            .collect();
        for node in active {
            self.drain_node(&NodeAddress::new(path.clone(), node));
        }
    }

    /// Drains a node whose own time is used up: it fails with this fault once its calls in flight are settled.
    pub fn drain_with_fault(&mut self, at: &NodeAddress, fault: Fault) {
        if self.run.node_state(at).is_none_or(|state| state.winding.is_some()) {
            return;
        }
        self.emit(RunEvent::NodeWinding { node: at.clone(), fault });
        self.drain_node(at);
    }

    /// A merge has enough results: the remaining work of these nodes is not awaited.
    pub fn cut_branches(&mut self, path: &ScopePath, nodes: Vec<NodeId>, undo: bool) {
        self.emit(RunEvent::BranchesCut { scope: path.clone(), nodes: nodes.clone(), undo });
        for node in nodes {
            let at = NodeAddress::new(path.clone(), node);
            if self.is_active(&at) {
                self.drain_node(&at);
            }
        }
    }

    /// Drops the droppable work of an active node, and ends it now if nothing is left to wait for.
    fn drain_node(&mut self, at: &NodeAddress) {
        for call in self.open_calls(at) {
            if self.run.calls.get(&call).is_some_and(|call| call.is_harmless(self.now)) {
                self.abandon(&call);
            }
        }
        match self.run.activity(at) {
            Some(NodeActivity::Child { run, cancelling: false, .. }) => {
                let run = run.clone();
                self.emit(RunEvent::ChildCancelling { node: at.clone(), run });
            }
            Some(NodeActivity::Each { .. } | NodeActivity::Repeat { .. } | NodeActivity::Branches { .. }) => {
                for body in self.open_bodies(at) {
                    self.drain_scope(&body, DrainReason::CutOff);
                }
            }
            _ => {}
        }
        self.finish_drain(at);
    }

    /// Ends a draining node, once none of its calls are in flight.
    pub fn finish_drain(&mut self, at: &NodeAddress) {
        let Some(state) = self.run.node_state(at) else { return };
        let waits = match state.activity.as_deref() {
            Some(NodeActivity::Child { .. }) => true,
            Some(NodeActivity::Each { open, .. }) => *open > 0,
            Some(NodeActivity::Repeat { open, .. }) => *open,
            Some(NodeActivity::Branches { open, .. }) => !open.is_empty(),
            _ => false,
        };
        if waits || !self.open_calls(at).is_empty() {
            return;
        }
        self.finish_drain_now(at);
    }

    /// Ends a draining node: with its own fault if its own time was used up.
    pub fn finish_drain_now(&mut self, at: &NodeAddress) {
        match self.run.node_state(at).and_then(|state| state.winding.clone()) {
            Some(fault) if !self.is_detached(at) => self.fail(at, fault),
            _ => self.end(at, NodeOutcome::Cancelled, Vec::new()),
        }
    }

    /// Returns whether a node is draining.
    pub fn is_draining(&self, at: &NodeAddress) -> bool {
        self.is_detached(at) || self.run.node_state(at).is_some_and(|state| state.winding.is_some())
    }

    /// Returns whether a merge cancelled the node.
    pub fn is_cut(&self, at: &NodeAddress) -> bool {
        self.run.node_state(at).is_some_and(|state| state.cut.is_some())
    }

    /// Returns whether a node's end triggers nothing: it was cancelled, or its surroundings drain.
    pub fn is_detached(&self, at: &NodeAddress) -> bool {
        self.is_cut(at) || self.run.scope(&at.scope).is_none_or(|scope| scope.winding.is_some())
    }

    pub fn open_calls(&self, at: &NodeAddress) -> Vec<CallId> {
        let first = CallId { node: at.clone(), call: 0, role: CallRole::Act };
        let of_node = self.run.calls.range(first..).take_while(|(id, _)| id.node == *at);
        of_node.filter(|(id, _)| id.role == CallRole::Act).map(|(id, _)| id.clone()).collect()
    }

    pub fn open_bodies(&self, at: &NodeAddress) -> Vec<ScopePath> {
        let is_body =
            |path: &ScopePath| path.parent().is_some_and(|(scope, node, _)| scope == at.scope && node == at.node);
        let open = self.run.scopes_inside(at).filter(|(path, scope)| !scope.closed && is_body(path));
        open.map(|(path, _)| path.clone()).collect()
    }

    /// Continues a draining run to its rollback, or to its end, once only calls in doubt are open. Returns true if it
    /// moved.
    pub fn finish_run_drain(&mut self) -> bool {
        let RunPhase::Winding { why, compensate } = self.run.phase.clone() else { return false };
        let only_doubts =
            self.run.calls.iter().all(|(id, call)| id.role == CallRole::Undo || call.progress == CallProgress::Doubt);
        if !only_doubts || self.run.awaits_children() || self.run.saga.has_underway() {
            return false;
        }
        if compensate && self.run.saga.has_undoable() {
            self.emit(RunEvent::Compensating);
            return true;
        }
        // A call in doubt may still turn out to need compensation, and while the run is paused the losers of a race are
        // not undone yet.
        if !self.run.calls.is_empty() || self.run.saga.has_due() {
            return false;
        }
        match why {
            DrainReason::EndReached => {
                let output =
                    self.run.scope(&ScopePath::root()).and_then(|scope| scope.result.clone()).unwrap_or_default();
                self.finish(RunState::Completed, output);
            }
            // The loser of a race could not be undone, and everything was to be undone.
            DrainReason::Cancelled { .. } | DrainReason::TimedOut if compensate && self.run.saga.has_failed() => {
                self.finish(RunState::Failed, Arc::default());
            }
            // With nothing to undo the run still counts as compensated.
            DrainReason::Failed { node, .. } if compensate && self.requests_compensation(&node) => {
                self.emit(RunEvent::Compensating);
            }
            DrainReason::Failed { .. } | DrainReason::CutOff => self.finish(RunState::Failed, Arc::default()),
            DrainReason::Cancelled { .. } => self.finish(RunState::Cancelled, Arc::default()),
            DrainReason::TimedOut => self.finish(RunState::TimedOut, Arc::default()),
        }
        true
    }

    fn requests_compensation(&self, at: &NodeAddress) -> bool {
        self.with_node(at, |node| node.policy.on_error) == Some(Some(OnNodeError::Compensate))
    }
}
