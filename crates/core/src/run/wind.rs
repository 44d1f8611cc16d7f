//! Winding down: nothing new starts, waits end, reads are abandoned, acts in flight are awaited.

use super::address::{Address, CallId, Path, Role};
use super::decide::Draft;
use super::event::{Event, How, Winding};
use super::state::{Activity, Phase, Progress, State, Why};
use crate::fault::Fault;
use crate::id::NodeId;

impl Draft<'_> {
    /// The whole run winds down; how it ends is decided once everything in flight is settled.
    pub fn wind_run(&mut self, why: Winding, compensate: bool) {
        if !matches!(self.run.phase, Phase::Running | Phase::Aftermath { .. }) {
            return;
        }
        if let Phase::Aftermath { why: of } = self.run.phase {
            // The rollback is over whatever becomes of what follows it.
            return self.finish_after(of);
        }
        self.emit(Event::Winding { why, compensate });
        self.wind_inside(&Path::root());
        self.scopes.insert(Path::root());
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
            if self.run.calls.get(&call).is_some_and(super::state::Call::is_harmless) {
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

    pub fn end_wound_now(&mut self, at: &Address) {
        match self.run.node_state(at).and_then(|state| state.winding.clone()) {
            Some(fault) if !self.is_cut(at) => self.fail(at, fault),
            _ => self.end(at, How::Cancelled, Vec::new()),
        }
    }

    /// Whether a node is on its way out.
    pub fn is_winding(&self, at: &Address) -> bool {
        self.is_cut(at) || self.run.node_state(at).is_some_and(|state| state.winding.is_some())
    }

    pub fn open_calls(&self, at: &Address) -> Vec<CallId> {
        let first = CallId { node: at.clone(), call: 0, role: Role::Act };
        let of_node = self.run.calls.range(first..).take_while(|(id, _)| id.node == *at);
        of_node.filter(|(id, _)| id.role == Role::Act).map(|(id, _)| id.clone()).collect()
    }

    pub fn open_bodies(&self, at: &Address) -> Vec<Path> {
        let is_body = |path: &Path| path.parent().is_some_and(|(scope, node, _)| scope == at.scope && node == at.node);
        let open = self.run.scopes.iter().filter(|(path, scope)| !scope.closed && is_body(path));
        open.map(|(path, _)| path.clone()).collect()
    }

    /// A winding run goes on to its rollback, or to its end, once only calls in doubt are open. True if it moved.
    pub fn end_winding(&mut self) -> bool {
        let Phase::Winding { why, compensate } = self.run.phase.clone() else { return false };
        let only_doubts =
            self.run.calls.iter().all(|(id, call)| id.role == Role::Undo || call.progress == Progress::Doubt);
        if !only_doubts || self.awaits_others() || self.run.saga.has_underway() {
            return false;
        }
        if compensate && (self.run.saga.has_undoable() || !self.run.calls.is_empty()) {
            self.emit(Event::Compensating);
            return true;
        }
        if !self.run.calls.is_empty() {
            return false;
        }
        match why {
            Winding::EndReached => {
                let output = self.run.scope(&Path::root()).and_then(|scope| scope.result.clone()).unwrap_or_default();
                self.finish(State::Completed, output);
            }
            Winding::Failed { .. } if compensate => self.finish_failed_or_compensated(),
            Winding::Failed { .. } | Winding::CutOff => self.finish(State::Failed, std::sync::Arc::default()),
            Winding::Cancelled { .. } => self.finish(State::Cancelled, std::sync::Arc::default()),
            Winding::TimedOut => self.finish(State::TimedOut, std::sync::Arc::default()),
        }
        true
    }

    /// `on_error: compensate` with nothing to undo is compensated all the same: everything, which is nothing, is undone.
    fn finish_failed_or_compensated(&mut self) {
        if self.run.workflow.as_ref().is_some_and(|workflow| workflow.on_compensated.is_some()) {
            self.emit(Event::Compensating);
        } else {
            self.finish_after(Why::Failed);
        }
    }

    /// Children, and bodies that wait for children, are awaited however the run winds down.
    fn awaits_others(&self) -> bool {
        self.run.scopes.values().any(|scope| {
            scope.active.iter().any(|place| {
                let activity = scope.nodes.get(*place as usize).and_then(|state| state.activity.as_deref());
                matches!(activity, Some(Activity::Child { .. }))
            })
        })
    }
}
