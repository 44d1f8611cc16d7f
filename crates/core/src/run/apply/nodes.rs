//! Nodes: begun, ended, and what that tells the nodes behind them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::address::{Address, Path};
use super::super::event::{Began, Ended, How};
use super::super::state::{Activity, AgentWait, CallEnd, NodeState, Run, Status, Timer, Work};
use crate::fault::Fault;
use crate::graph::node::{Kind, MergeMode};
use crate::graph::{Graph, NodeIx};
use crate::mutant::{Mutant, planted};

impl Run {
    pub(super) fn begin(&mut self, node: &Address, wait: &Began) {
        let activity = activity_of(wait);
        if let Began::Child { limit: Some(limit), .. } = wait {
            self.handed_down.insert(node.clone(), *limit);
        }
        if let Some(due) = activity.due() {
            self.timers.insert((due, Timer::Node(node.clone())));
        }
        if matches!(activity, Activity::Agent { .. }) {
            self.thinkers.insert(node.clone());
        }
        if let Some(state) = self.activate(node) {
            state.activity = Some(Box::new(activity));
        }
    }

    /// Marks a node active, if it was not, and takes it out of the line.
    pub(super) fn activate(&mut self, node: &Address) -> Option<&mut NodeState> {
        let is_fresh = self.node_state(node)?.status != Status::Active;
        if is_fresh {
            self.unready(node);
        }
        let now = self.now;
        let scope = self.scopes.get_mut(&node.scope)?;
        let place = scope.graph.find(node.node.as_str())?;
        let state = scope.nodes.get_mut(place.at())?;
        if is_fresh {
            state.status = Status::Active;
            state.began_at = Some(now);
            state.activity = None;
            scope.active.insert(place.0);
        }
        Some(state)
    }

    /// Takes a node out of the line. It is at its front, unless it is cut off before its turn.
    fn unready(&mut self, node: &Address) {
        if self.ready.front() == Some(node) {
            self.ready.pop_front();
        } else if let Some(place) = self.ready.iter().position(|ready| ready == node) {
            self.ready.remove(place);
        }
    }

    pub(super) fn wind_node(&mut self, node: &Address, fault: &Fault) {
        if let Some(due) = self.activity(node).and_then(Activity::due) {
            self.timers.remove(&(due, Timer::Node(node.clone())));
        }
        if let Some(state) = self.node_state_mut(node) {
            state.winding = Some(fault.clone());
        }
    }

    pub(super) fn end(&mut self, ended: &Ended) {
        let Ended { node, taken, .. } = ended;
        match self.node_state(node).map(|state| state.status) {
            Some(status) if status.is_settled() => return,
            Some(Status::Active) => self.lay_down(node),
            Some(_) | None => self.unready(node),
        }
        let now = self.now;
        let Some(scope) = self.scopes.get_mut(&node.scope) else { return };
        let Some(place) = scope.graph.find(node.node.as_str()) else { return };
        let state = &mut scope.nodes[place.at()];
        state.settle(ended);
        state.ended_at = Some(now);
        scope.active.remove(&place.0);
        scope.unsettled -= 1;
        let keeps_bodies = state.activity.is_some();
        if let (Kind::End(_), How::Completed { output }) = (&scope.graph.node(place).kind, &ended.how) {
            scope.result = Some(output.clone());
        }
        if !keeps_bodies && matches!(scope.graph.node(place).kind, Kind::Loop(_) | Kind::Parallel(_)) {
            self.drop_bodies(node);
        }
        self.settle_edges(&node.scope, place, taken);
    }

    /// Nothing wakes or asks an active node any more.
    fn lay_down(&mut self, node: &Address) {
        self.handed_down.remove(node);
        self.stop_asking(node);
        self.thinkers.remove(node);
        if let Some(due) = self.activity(node).and_then(Activity::due).filter(|_| !planted(Mutant::TimerLeft)) {
            self.timers.remove(&(due, Timer::Node(node.clone())));
        }
    }

    /// Bodies that failed were kept in case the run fails with their node; it does not.
    fn drop_bodies(&mut self, node: &Address) {
        let bodies: Vec<Path> = self.scopes_inside(node).map(|(path, _)| path.clone()).collect();
        for path in bodies {
            self.scopes.remove(&path);
        }
    }

    /// Tells the nodes behind that an in-edge is settled, and lines up those that may begin now.
    pub(super) fn settle_edges(&mut self, path: &Path, place: NodeIx, taken: &[u32]) {
        let Some(scope) = self.scopes.get_mut(path) else { return };
        let graph = scope.graph.clone();
        for edge in graph.outgoing(place) {
            let target = graph.edge(*edge).to;
            let state = &mut scope.nodes[target.at()];
            let was_ready = is_ready(&graph, target, state.settled_in, state.taken_in);
            state.settled_in += 1;
            // Edges are taken in the order of their places.
            state.taken_in += u32::from(taken.binary_search(&edge.0).is_ok());
            let begins = state.status == Status::Idle
                && !was_ready
                && is_ready(&graph, target, state.settled_in, state.taken_in)
                || planted(Mutant::MergeFiresTwice) && matches!(graph.node(target).kind, Kind::Merge(_)) && was_ready;
            if begins && scope.winding.is_none() {
                self.ready.push_back(Address::new(path.clone(), graph.node(target).id.clone()));
            }
        }
    }

    pub(in crate::run) fn node_state_mut(&mut self, node: &Address) -> Option<&mut NodeState> {
        let scope = self.scopes.get_mut(&node.scope)?;
        let place = scope.graph.find(node.node.as_str())?;
        scope.nodes.get_mut(place.at())
    }

    pub(in crate::run) fn activity_mut(&mut self, node: &Address) -> Option<&mut Activity> {
        self.node_state_mut(node).filter(|state| state.status == Status::Active)?.activity.as_deref_mut()
    }
}

impl NodeState {
    fn settle(&mut self, ended: &Ended) {
        self.status = match &ended.how {
            How::Answered => {
                if let Some(Activity::Calls { asked, .. }) = self.activity.as_deref()
                    && let Some(Some(CallEnd::Done(output))) = asked.first().map(|one| &one.end)
                {
                    self.output = output.clone();
                }
                Status::Completed
            }
            How::Completed { output } => {
                self.output = output.clone();
                Status::Completed
            }
            How::Skipped => Status::Skipped,
            How::Failed { fault } => {
                self.fault = Some(fault.clone());
                Status::Failed
            }
            How::Caught { fault } => {
                self.fault = Some(fault.clone());
                Status::Caught
            }
            How::Cancelled => Status::Cancelled,
        };
        self.taken.clone_from(&ended.taken);
        self.held.clone_from(&ended.held);
        self.winding = None;
        // A node that failed with its run, or was stopped with it, keeps what it was about: a retry goes on there.
        let may_go_on = matches!(self.status, Status::Failed | Status::Cancelled) && self.cut.is_none();
        if !may_go_on || self.held.is_some() {
            self.activity = None;
        }
    }
}

fn activity_of(wait: &Began) -> Activity {
    match wait.clone() {
        Began::Calls { deadline } => Activity::Calls { asked: Vec::new(), deadline },
        Began::Agent { task, deadline } => {
            let (seen, waits, work) = (Vec::new(), AgentWait::Think, Work::default());
            Activity::Agent { task, seen, waits, steps: 0, gave_up: false, acted: false, work, deadline }
        }
        Began::Timer { until } => Activity::Timer { until },
        Began::Signal { name, deadline } => Activity::Signal { name, deadline },
        Began::Human { ask, assignees, deadline, .. } => Activity::Human {
            ask,
            answers: Vec::new(),
            assignees: Some(assignees).filter(|asked| !asked.is_null()),
            deadline,
        },
        Began::Child { run, deadline, .. } => Activity::Child { run, cancelling: false, deadline },
        Began::Each { items, deadline } => {
            let results = vec![Arc::default(); items.len()];
            Activity::Each { items, next: 0, open: 0, results, errors: Vec::new(), deadline }
        }
        Began::Repeat { deadline } => {
            Activity::Repeat { next: 0, open: false, last: Arc::default(), error: None, deadline }
        }
        Began::Branches { deadline } => {
            Activity::Branches { open: BTreeSet::new(), outputs: BTreeMap::new(), error: None, deadline }
        }
    }
}

/// Whether enough is known about a node's in-edges for it to begin, be skipped or fail.
pub(in crate::run) fn is_ready(graph: &Graph, place: NodeIx, settled: u32, taken: u32) -> bool {
    let all = u32::try_from(graph.incoming(place).len()).unwrap_or(u32::MAX);
    if settled == all {
        return true;
    }
    match &graph.node(place).kind {
        Kind::Merge(merge) => match merge.mode {
            MergeMode::All => false,
            MergeMode::Any => taken >= 1,
            MergeMode::NOfM(n) => taken >= n || (taken > 0 && taken + all.saturating_sub(settled) < n),
        },
        _ => false,
    }
}
