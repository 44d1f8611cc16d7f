//! Nodes: start and end, and the effect on the nodes after them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::address::{NodeAddress, ScopePath};
use super::super::event::{NodeEnded, NodeOutcome, NodeWait};
use super::super::state::{AgentWait, CallEnd, NodeActivity, NodeState, NodeStatus, Run, RunTimer, WorkClock};
use crate::fault::Fault;
use crate::graph::node::{MergeMode, NodeKind};
use crate::graph::{Graph, NodeIndex};
use crate::mutant::{Mutant, planted};

impl Run {
    pub(super) fn begin(&mut self, node: &NodeAddress, wait: &NodeWait) {
        let activity = activity_of(wait);
        if let NodeWait::Child { limit: Some(limit), .. } = wait {
            self.handed_down.insert(node.clone(), *limit);
        }
        if let Some(due) = activity.due_at() {
            self.timers.insert((due, RunTimer::Node(node.clone())));
        }
        if matches!(activity, NodeActivity::Agent { .. }) {
            self.thinkers.insert(node.clone());
        }
        if let Some(state) = self.activate(node) {
            state.activity = Some(Box::new(activity));
        }
    }

    /// Marks a node as active, if it was not, and removes it from the ready queue.
    pub(super) fn activate(&mut self, node: &NodeAddress) -> Option<&mut NodeState> {
        let is_fresh = self.node_state(node)?.status != NodeStatus::Active;
        if is_fresh {
            self.remove_ready(node);
        }
        let now = self.now;
        let scope = self.scopes.get_mut(&node.scope)?;
        let place = scope.graph.find(node.node.as_str())?;
        let state = scope.nodes.get_mut(place.as_usize())?;
        if is_fresh {
            state.status = NodeStatus::Active;
            state.began_at = Some(now);
            state.activity = None;
            scope.active.insert(place.0);
        }
        Some(state)
    }

    /// Removes a node from the ready queue. It is at the front, unless it is cancelled before its turn.
    fn remove_ready(&mut self, node: &NodeAddress) {
        if self.ready.front() == Some(node) {
            self.ready.pop_front();
        } else if let Some(place) = self.ready.iter().position(|ready| ready == node) {
            self.ready.remove(place);
        }
    }

    pub(super) fn drain_node(&mut self, node: &NodeAddress, fault: &Fault) {
        if let Some(due) = self.activity(node).and_then(NodeActivity::due_at) {
            self.timers.remove(&(due, RunTimer::Node(node.clone())));
        }
        if let Some(state) = self.node_state_mut(node) {
            state.winding = Some(fault.clone());
        }
    }

    pub(super) fn end(&mut self, ended: &NodeEnded) {
        let NodeEnded { node, taken, .. } = ended;
        match self.node_state(node).map(|state| state.status) {
            Some(status) if status.is_settled() => return,
            Some(NodeStatus::Active) => self.deactivate(node),
            Some(_) | None => self.remove_ready(node),
        }
        let now = self.now;
        let Some(scope) = self.scopes.get_mut(&node.scope) else { return };
        let Some(place) = scope.graph.find(node.node.as_str()) else { return };
        let state = &mut scope.nodes[place.as_usize()];
        state.settle(ended);
        state.ended_at = Some(now);
        scope.active.remove(&place.0);
        scope.unsettled -= 1;
        let keeps_bodies = state.activity.is_some();
        if let (NodeKind::End(_), NodeOutcome::Completed { output }) = (&scope.graph.node(place).kind, &ended.how) {
            scope.result = Some(output.clone());
        }
        if !keeps_bodies && matches!(scope.graph.node(place).kind, NodeKind::Loop(_) | NodeKind::Parallel(_)) {
            self.drop_bodies(node);
        }
        self.settle_edges(&node.scope, place, taken);
    }

    /// Deactivates a node: no timer or signal reaches it any more.
    fn deactivate(&mut self, node: &NodeAddress) {
        self.handed_down.remove(node);
        self.clear_customer_wait(node);
        self.thinkers.remove(node);
        if let Some(due) = self.activity(node).and_then(NodeActivity::due_at).filter(|_| !planted(Mutant::TimerLeft)) {
            self.timers.remove(&(due, RunTimer::Node(node.clone())));
        }
    }

    /// Drops failed bodies. They were kept in case the run fails with their node; it did not.
    fn drop_bodies(&mut self, node: &NodeAddress) {
        let bodies: Vec<ScopePath> = self.scopes_inside(node).map(|(path, _)| path.clone()).collect();
        for path in bodies {
            self.scopes.remove(&path);
        }
    }

    /// Settles in-edges of the following nodes, and queues those that may start now.
    pub(super) fn settle_edges(&mut self, path: &ScopePath, place: NodeIndex, taken: &[u32]) {
        let Some(scope) = self.scopes.get_mut(path) else { return };
        let graph = scope.graph.clone();
        for edge in graph.outgoing(place) {
            let target = graph.edge(*edge).to;
            let state = &mut scope.nodes[target.as_usize()];
            let was_ready = is_ready(&graph, target, state.settled_in, state.taken_in);
            state.settled_in += 1;
            // Edges are taken in index order.
            state.taken_in += u32::from(taken.binary_search(&edge.0).is_ok());
            let begins = state.status == NodeStatus::Idle
                && !was_ready
                && is_ready(&graph, target, state.settled_in, state.taken_in)
                || planted(Mutant::MergeFiresTwice)
                    && matches!(graph.node(target).kind, NodeKind::Merge(_))
                    && was_ready;
            if begins && scope.winding.is_none() {
                self.ready.push_back(NodeAddress::new(path.clone(), graph.node(target).id.clone()));
            }
        }
    }

    pub(in crate::run) fn node_state_mut(&mut self, node: &NodeAddress) -> Option<&mut NodeState> {
        let scope = self.scopes.get_mut(&node.scope)?;
        let place = scope.graph.find(node.node.as_str())?;
        scope.nodes.get_mut(place.as_usize())
    }

    pub(in crate::run) fn activity_mut(&mut self, node: &NodeAddress) -> Option<&mut NodeActivity> {
        self.node_state_mut(node).filter(|state| state.status == NodeStatus::Active)?.activity.as_deref_mut()
    }
}

impl NodeState {
    fn settle(&mut self, ended: &NodeEnded) {
        self.status = match &ended.how {
            NodeOutcome::Answered => {
                if let Some(NodeActivity::Calls { asked, .. }) = self.activity.as_deref()
                    && let Some(Some(CallEnd::Done(output))) = asked.first().map(|one| &one.end)
                {
                    self.output = output.clone();
                }
                NodeStatus::Completed
            }
            NodeOutcome::Completed { output } => {
                self.output = output.clone();
                NodeStatus::Completed
            }
            NodeOutcome::Skipped => NodeStatus::Skipped,
            NodeOutcome::Failed { fault } => {
                self.fault = Some(fault.clone());
                NodeStatus::Failed
            }
            NodeOutcome::Caught { fault } => {
                self.fault = Some(fault.clone());
                NodeStatus::Caught
            }
            NodeOutcome::Cancelled => NodeStatus::Cancelled,
        };
        self.taken.clone_from(&ended.taken);
        self.held.clone_from(&ended.held);
        self.winding = None;
        // A node that failed or was stopped with its run keeps its state: a retry continues there.
        let may_go_on = matches!(self.status, NodeStatus::Failed | NodeStatus::Cancelled) && self.cut.is_none();
        if !may_go_on || self.held.is_some() {
            self.activity = None;
        }
    }
}

fn activity_of(wait: &NodeWait) -> NodeActivity {
    match wait.clone() {
        NodeWait::Calls { deadline } => NodeActivity::Calls { asked: Vec::new(), deadline },
        NodeWait::Agent { task, deadline } => {
            let (seen, waits, work) = (Vec::new(), AgentWait::Think, WorkClock::default());
            NodeActivity::Agent { task, seen, waits, steps: 0, gave_up: false, acted: false, work, deadline }
        }
        NodeWait::Timer { until } => NodeActivity::Timer { until },
        NodeWait::Signal { name, deadline } => NodeActivity::Signal { name, deadline },
        NodeWait::Human { ask, assignees, deadline, .. } => NodeActivity::Human {
            ask,
            answers: Vec::new(),
            assignees: Some(assignees).filter(|asked| !asked.is_null()),
            deadline,
        },
        NodeWait::Child { run, deadline, .. } => NodeActivity::Child { run, cancelling: false, deadline },
        NodeWait::Each { items, deadline } => {
            let results = vec![Arc::default(); items.len()];
            NodeActivity::Each { items, next: 0, open: 0, results, errors: Vec::new(), deadline }
        }
        NodeWait::Repeat { deadline } => {
            NodeActivity::Repeat { next: 0, open: false, last: Arc::default(), error: None, deadline }
        }
        NodeWait::Branches { deadline } => {
            NodeActivity::Branches { open: BTreeSet::new(), outputs: BTreeMap::new(), error: None, deadline }
        }
    }
}

/// Returns whether enough in-edges of a node are settled for it to start, be skipped or fail.
pub(in crate::run) fn is_ready(graph: &Graph, place: NodeIndex, settled: u32, taken: u32) -> bool {
    let all = u32::try_from(graph.incoming(place).len()).unwrap_or(u32::MAX);
    if settled == all {
        return true;
    }
    match &graph.node(place).kind {
        NodeKind::Merge(merge) => match merge.mode {
            MergeMode::All => false,
            MergeMode::Any => taken >= 1,
            MergeMode::NOfM(n) => taken >= n || (taken > 0 && taken + all.saturating_sub(settled) < n),
        },
        _ => false,
    }
}
