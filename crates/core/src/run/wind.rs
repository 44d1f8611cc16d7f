//! Winding down: nothing new starts, waits end, reads are abandoned, acts in flight are awaited.

use std::sync::Arc;

use super::address::{Address, CallId, Path, Role};
use super::decide::Draft;
use super::event::{Event, How, Winding};
use super::state::{Activity, Phase, Progress, State};
use crate::fault::Fault;
use crate::graph::node::OnError;
use crate::id::NodeId;

impl Draft<'_> {
    /// The whole run winds down; how it ends is decided once everything in flight is settled.
    pub fn wind_run(&mut self, why: Winding, compensate: bool) {
        match self.run.phase {
            Phase::Running => {
                self.emit(Event::Winding { why, compensate });
                self.wind_inside(&Path::root());
                self.scopes.insert(Path::root());
            }
            // The rollback is over whatever becomes of what follows it: that only stops.
            Phase::Aftermath { .. } => self.wind_scope(&Path::root(), why),
            Phase::New | Phase::Winding { .. } | Phase::Compensating { .. } | Phase::Ended(_) => {}
        }
    }

    pub fn wind_scope(&mut self, path: &Path, why: Winding) {
        if self.run.scope(path).is_none_or(|scope| scope.winding.is_some()) {
            return;
        }
        self.emit(Event::ScopeWinding { path: path.clone(), why });
        self.wind_inside(path);
    }

    fn wind_inside(&mut self, path: &Path) {
        let Some(scope) = self.run.scope(path) else { return };
        let active: Vec<NodeId> = scope
            .active
            .iter()
            .filter_map(|place| scope.graph.nodes.get(*place as usize))
            .map(|node| node.id.clone())
            .collect();
        for node in active {
            self.wind_node(&Address::new(path.clone(), node));
        }
    }

    /// One node's own time is over: it fails with this once what it has in flight is settled.
    pub fn wind_with(&mut self, at: &Address, fault: Fault) {
        if self.run.node_state(at).is_none_or(|state| state.winding.is_some()) {
            return;
        }
        self.emit(Event::NodeWinding { node: at.clone(), fault });
        self.wind_node(at);
    }

    /// A merge has enough: what is left of these nodes' work is not waited for.
    pub fn cut(&mut self, path: &Path, nodes: Vec<NodeId>, undo: bool) {
        self.emit(Event::BranchesCut { scope: path.clone(), nodes: nodes.clone(), undo });
        for node in nodes {
            let at = Address::new(path.clone(), node);
            if self.is_active(&at) {
                self.wind_node(&at);
            }
        }
    }

    /// Drops what can be dropped of an active node; it ends now if nothing is left to wait for.
    fn wind_node(&mut self, at: &Address) {
        for call in self.open_calls(at) {
            if self.run.calls.get(&call).is_some_and(|call| call.is_harmless(self.now)) {
                self.abandon(&call);
            }
        }
        match self.run.activity(at) {
            Some(Activity::Child { run, cancelling: false, .. }) => {
                let run = run.clone();
                self.emit(Event::ChildCancelling { node: at.clone(), run });
            }
            Some(Activity::Each { .. } | Activity::Repeat { .. } | Activity::Branches { .. }) => {
                for body in self.open_bodies(at) {
                    self.wind_scope(&body, Winding::CutOff);
                }
            }
            _ => {}
        }
        self.end_wound(at);
    }

    /// Ends a node that winds down, once nothing of it is in flight.
    pub fn end_wound(&mut self, at: &Address) {
        let Some(state) = self.run.node_state(at) else { return };
        let waits = match state.activity.as_deref() {
            Some(Activity::Child { .. }) => true,
            Some(Activity::Each { open, .. }) => *open > 0,
            Some(Activity::Repeat { open, .. }) => *open,
            Some(Activity::Branches { open, .. }) => !open.is_empty(),
            _ => false,
        };
        if waits || !self.open_calls(at).is_empty() {
            return;
        }
        self.end_wound_now(at);
    }

    /// Ends a node that winds down: with its own fault where its own time was over.
    pub fn end_wound_now(&mut self, at: &Address) {
        match self.run.node_state(at).and_then(|state| state.winding.clone()) {
            Some(fault) if !self.leads_nowhere(at) => self.fail(at, fault),
            _ => self.end(at, How::Cancelled, Vec::new()),
        }
    }

    /// Whether a node is on its way out.
    pub fn is_winding(&self, at: &Address) -> bool {
        self.leads_nowhere(at) || self.run.node_state(at).is_some_and(|state| state.winding.is_some())
    }

    /// Whether a merge cut the node off.
    pub fn is_cut(&self, at: &Address) -> bool {
        self.run.node_state(at).is_some_and(|state| state.cut.is_some())
    }

    /// Whether a node's ending sets nothing in motion: it was cut off, or its surroundings wind down.
    pub fn leads_nowhere(&self, at: &Address) -> bool {
        self.is_cut(at) || self.run.scope(&at.scope).is_none_or(|scope| scope.winding.is_some())
    }

    pub fn open_calls(&self, at: &Address) -> Vec<CallId> {
        let first = CallId { node: at.clone(), call: 0, role: Role::Act };
        let of_node = self.run.calls.range(first..).take_while(|(id, _)| id.node == *at);
        of_node.filter(|(id, _)| id.role == Role::Act).map(|(id, _)| id.clone()).collect()
    }

    pub fn open_bodies(&self, at: &Address) -> Vec<Path> {
        let is_body = |path: &Path| path.parent().is_some_and(|(scope, node, _)| scope == at.scope && node == at.node);
        let open = self.run.scopes_inside(at).filter(|(path, scope)| !scope.closed && is_body(path));
        open.map(|(path, _)| path.clone()).collect()
    }

    /// A winding run goes on to its rollback, or to its end, once only calls in doubt are open. True if it moved.
    pub fn end_winding(&mut self) -> bool {
        let Phase::Winding { why, compensate } = self.run.phase.clone() else { return false };
        let only_doubts =
            self.run.calls.iter().all(|(id, call)| id.role == Role::Undo || call.progress == Progress::Doubt);
        if !only_doubts || self.run.awaits_children() || self.run.saga.has_underway() {
            return false;
        }
        if compensate && self.run.saga.has_undoable() {
            self.emit(Event::Compensating);
            return true;
        }
        // What is in doubt may yet turn out to be something to undo, and while the run is paused what a race lost is not
        // undone yet.
        if !self.run.calls.is_empty() || self.run.saga.has_due() {
            return false;
        }
        match why {
            Winding::EndReached => {
                let output = self.run.scope(&Path::root()).and_then(|scope| scope.result.clone()).unwrap_or_default();
                self.finish(State::Completed, output);
            }
            // Something that a race lost could not be taken back, and everything was to be.
            Winding::Cancelled { .. } | Winding::TimedOut if compensate && self.run.saga.has_failed() => {
                self.finish(State::Failed, Arc::default());
            }
            // With nothing to undo it is compensated all the same: everything, which is nothing, is undone.
            Winding::Failed { node, .. } if compensate && self.asks_to_compensate(&node) => {
                self.emit(Event::Compensating);
            }
            Winding::Failed { .. } | Winding::CutOff => self.finish(State::Failed, Arc::default()),
            Winding::Cancelled { .. } => self.finish(State::Cancelled, Arc::default()),
            Winding::TimedOut => self.finish(State::TimedOut, Arc::default()),
        }
        true
    }

    fn asks_to_compensate(&self, at: &Address) -> bool {
        self.with_node(at, |node| node.policy.on_error) == Some(Some(OnError::Compensate))
    }
}
