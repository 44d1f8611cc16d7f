//! Nodes: begun, ended, and what that tells the nodes behind them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::address::{Address, Path};
use super::super::event::{Began, Ended, How};
use super::super::state::{Activity, AgentWait, CallEnd, NodeState, Run, Status, Timer};
use crate::graph::node::{Kind, MergeMode};
use crate::graph::{Graph, NodeIx};

impl Run {
    pub(super) fn begin(&mut self, node: &Address, wait: &Began) {
        let now = self.now;
        let activity = match wait.clone() {
            Began::Calls { deadline } => Activity::Calls { asked: Vec::new(), deadline },
            Began::Agent { task, deadline } => {
                Activity::Agent { task, seen: Vec::new(), waits: AgentWait::Think, steps: 0, deadline }
            }
            Began::Timer { until } => Activity::Timer { until },
            Began::Signal { name, deadline } => Activity::Signal { name, deadline },
            Began::Human { ask, deadline, .. } => Activity::Human { ask, answers: Vec::new(), deadline },
            Began::Child { run, deadline, .. } => Activity::Child { run, cancelling: false, deadline },
            Began::Each { items, deadline } => {
                let results = vec![Arc::default(); items.len()];
                Activity::Each { items, next: 0, open: 0, results, errors: Vec::new(), deadline }
            }
            Began::Repeat { deadline } => {
                Activity::Repeat { next: 0, open: false, last: Arc::default(), error: None, deadline }
            }
            Began::Branches { deadline } => Activity::Branches {
                open: BTreeSet::new(),
                outputs: std::collections::BTreeMap::new(),
                error: None,
                deadline,
            },
        };
        if let Some(due) = activity.due() {
            self.timers.insert((due, Timer::Node(node.clone())));
        }
        if let Some(state) = self.activate(node) {
            state.began_at = Some(now);
            state.activity = Some(Box::new(activity));
        }
    }

    /// Marks a node active, if it was not, and takes it out of the line.
    pub(super) fn activate(&mut self, node: &Address) -> Option<&mut NodeState> {
        self.unready(node);
        let now = self.now;
        let scope = self.scopes.get_mut(&node.scope)?;
        let place = scope.graph.find(node.node.as_str())?;
        let state = scope.nodes.get_mut(place.at())?;
        if state.status != Status::Active {
            state.status = Status::Active;
            state.began_at = Some(now);
            state.activity = None;
            scope.active.insert(place.0);
        }
        Some(state)
    }

    pub(super) fn unready(&mut self, node: &Address) {
        if self.ready.front() == Some(node) {
            self.ready.pop_front();
        } else if let Some(place) = self.ready.iter().position(|ready| ready == node) {
            self.ready.remove(place);
        }
    }

    pub(super) fn end(&mut self, ended: &Ended) {
        let Ended { node, how, taken } = ended;
        self.unready(node);
        self.stop_asking(node);
        if let Some(due) = self.activity(node).and_then(Activity::due) {
            self.timers.remove(&(due, Timer::Node(node.clone())));
        }
        let now = self.now;
        let Some(scope) = self.scopes.get_mut(&node.scope) else { return };
        let Some(place) = scope.graph.find(node.node.as_str()) else { return };
        let state = &mut scope.nodes[place.at()];
        if state.status.is_settled() {
            return;
        }
        let was_counted = state.status != Status::Reserved;
        match how {
            How::Answered => {
                if let Some(Activity::Calls { asked, .. }) = state.activity.as_deref()
                    && let Some((_, _, Some(CallEnd::Done(output)))) = asked.first()
                {
                    state.output = output.clone();
                }
                state.status = Status::Completed;
            }
            How::Completed { output } => {
                state.output = output.clone();
                state.status = Status::Completed;
            }
            How::Skipped => state.status = Status::Skipped,
            How::Failed { fault } => {
                state.fault = Some(fault.clone());
                state.status = Status::Failed;
            }
            How::Caught { fault } => {
                state.fault = Some(fault.clone());
                state.status = Status::Caught;
            }
            How::Cancelled => state.status = Status::Cancelled,
        }
        state.ended_at = Some(now);
        state.taken.clone_from(taken);
        state.winding = None;
        // A failed or cut node keeps its activity, so that a retry can go on inside its bodies.
        if matches!(state.status, Status::Completed | Status::Skipped | Status::Caught) {
            state.activity = None;
        }
        scope.active.remove(&place.0);
        if was_counted {
            scope.unsettled -= 1;
        }
        if let (Kind::End(_), How::Completed { output }) = (&scope.graph.node(place).kind, how) {
            scope.result = Some(output.clone());
        }
        self.settle_edges(&node.scope, place, taken);
    }

    /// Tells the nodes behind that an in-edge is settled, and lines up those that may begin now.
    pub(super) fn settle_edges(&mut self, path: &Path, place: NodeIx, taken: &[u32]) {
        let Some(scope) = self.scopes.get_mut(path) else { return };
        let graph = scope.graph.clone();
        for edge in graph.outgoing(place) {
            let target = graph.edge(*edge).to;
            let state = &mut scope.nodes[target.at()];
            state.settled_in += 1;
            state.taken_in += u32::from(taken.contains(&edge.0));
            let begins = matches!(state.status, Status::Idle | Status::Reserved)
                && is_ready(&graph, target, state.settled_in, state.taken_in);
            if begins && scope.winding.is_none() {
                let address = Address::new(path.clone(), graph.node(target).id.clone());
                if !self.ready.contains(&address) {
                    self.ready.push_back(address);
                }
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
            MergeMode::NOfM(n) => taken >= n || (taken > 0 && taken + (all - settled) < n),
        },
        _ => false,
    }
}
