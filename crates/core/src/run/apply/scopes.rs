//! Scopes: opened, drained, closed, cancelled.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::super::address::{NodeAddress, ScopePath};
use super::super::event::DrainReason;
use super::super::state::{NodeActivity, NodeStatus, Run, ScopeState, graph_at};
use crate::fault::Fault;
use crate::graph::NodeKind;
use crate::graph::node::OnItemError;
use crate::id::NodeId;

impl Run {
    pub(super) fn open_scope(&mut self, path: &ScopePath, item: Option<Arc<Value>>) {
        let Some(workflow) = self.workflow.clone() else { return };
        let (Some(graph), Some((outer, node, rest))) = (graph_at(&workflow, path), path.parent()) else { return };
        let index = rest.parse().unwrap_or(0);
        let mut last = Arc::default();
        match self.activity_mut(&NodeAddress::new(outer, node)) {
            Some(NodeActivity::Each { next, open, .. }) => {
                *next = index + 1;
                *open += 1;
            }
            Some(NodeActivity::Repeat { next, open, last: latest, .. }) => {
                *next = index + 1;
                *open = true;
                last = latest.clone();
            }
            Some(NodeActivity::Branches { open, .. }) => {
                open.insert(rest.to_owned());
            }
            _ => {}
        }
        let mut scope = ScopeState::open(graph, item, index, last);
        scope.saga_from = self.saga.len();
        for state in scope.nodes.iter_mut().filter(|_| self.calls_from > 0) {
            state.next_call = self.calls_from;
        }
        self.enter_scope(path.clone(), scope);
    }

    pub(super) fn drain_scope(&mut self, path: &ScopePath, why: &DrainReason) {
        self.ready.retain(|node| node.scope != *path);
        if let Some(scope) = self.scopes.get_mut(path) {
            scope.winding = Some(why.clone());
        }
    }

    /// Closes a body and passes its result to its node. A body that failed, or was cancelled midway, is kept until its
    /// node is settled: if the run fails with it, a retry continues inside.
    pub(super) fn close_scope(&mut self, path: &ScopePath, output: &Arc<Value>, fault: Option<&Fault>) {
        let Some((outer, node, rest)) = path.parent() else { return };
        let at = NodeAddress::new(outer, node);
        let is_cut_off = self.scope(path).is_some_and(ScopeState::is_cut_off);
        let collects = self.collects(&at);
        match self.activity_mut(&at) {
            Some(NodeActivity::Each { open, results, errors, .. }) => {
                *open -= 1;
                let index: u32 = rest.parse().unwrap_or(0);
                match (fault, results.get_mut(index as usize)) {
                    (Some(_), _) if is_cut_off => {}
                    (Some(fault), _) => errors.push((index, fault.clone())),
                    (None, Some(result)) => *result = output.clone(),
                    (None, None) => {}
                }
            }
            Some(NodeActivity::Repeat { open, last, error, .. }) => {
                *open = false;
                *error = fault.cloned();
                if fault.is_none() {
                    *last = output.clone();
                }
            }
            Some(NodeActivity::Branches { open, outputs, error, .. }) => {
                open.remove(rest);
                match fault {
                    None => drop(outputs.insert(rest.to_owned(), output.clone())),
                    Some(fault) if error.is_none() && !is_cut_off => *error = Some(fault.clone()),
                    Some(_) => {}
                }
            }
            _ => {}
        }
        if is_cut_off || (fault.is_some() && !collects) {
            if let Some(scope) = self.scopes.get_mut(path) {
                scope.closed = true;
            }
        } else {
            self.scopes.remove(path);
        }
    }

    fn collects(&self, at: &NodeAddress) -> bool {
        self.place(at).is_some_and(|(scope, place)| match &scope.graph.node(place).kind {
            NodeKind::Loop(each) => each.on_item_error == OnItemError::Collect,
            _ => false,
        })
    }

    pub(super) fn cut_branches(&mut self, path: &ScopePath, nodes: &[NodeId], undo: bool) {
        let Some(scope) = self.scopes.get_mut(path) else { return };
        let mut idle = Vec::new();
        for node in nodes {
            let Some(place) = scope.graph.find(node.as_str()) else { continue };
            let state = &mut scope.nodes[place.as_usize()];
            // An outer merge does not revoke the undo that an inner one requested.
            state.cut = Some(undo || state.cut == Some(true));
            if state.status == NodeStatus::Idle {
                state.status = NodeStatus::Cancelled;
                scope.unsettled -= 1;
                idle.push(place);
            }
        }
        let saga_from = scope.saga_from;
        let cut: BTreeSet<&str> = nodes.iter().map(NodeId::as_str).collect();
        self.ready.retain(|ready| ready.scope != *path || !cut.contains(ready.node.as_str()));
        if undo {
            let is_cut = |node: &NodeAddress| node.node_in_scope(path).is_some_and(|node| cut.contains(node));
            self.saga.request_undo(saga_from, is_cut);
            let forgotten = self.forgotten.iter_mut().filter(|(effect, _)| is_cut(&effect.call.node));
            forgotten.for_each(|(_, forgotten)| forgotten.lost = true);
        }
        for place in idle {
            self.settle_edges(path, place, &[]);
        }
    }
}
