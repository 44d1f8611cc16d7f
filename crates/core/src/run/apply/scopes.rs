//! Scopes: opened, wound down, folded, cut.

use std::sync::Arc;

use serde_json::Value;

use super::super::address::{Address, Path};
use super::super::event::Winding;
use super::super::state::{Activity, Run, Scope, Status, graph_at};
use crate::fault::Fault;
use crate::graph::node::Kind;

impl Run {
    pub(super) fn open_scope(&mut self, path: &Path, item: Option<Arc<Value>>) {
        let Some(workflow) = self.workflow.clone() else { return };
        let (Some(graph), Some((outer, node, rest))) = (graph_at(&workflow, path), path.parent()) else { return };
        let index = rest.parse().unwrap_or(0);
        let mut last = Arc::default();
        match self.activity_mut(&Address::new(outer, node)) {
            Some(Activity::Each { next, open, .. }) => {
                *next = index + 1;
                *open += 1;
            }
            Some(Activity::Repeat { next, open, last: latest, .. }) => {
                *next = index + 1;
                *open = true;
                last = latest.clone();
            }
            Some(Activity::Branches { open, .. }) => {
                open.insert(rest.to_owned());
            }
            _ => {}
        }
        self.admit(path.clone(), Scope::open(graph, item, index, last));
    }

    pub(super) fn wind_scope(&mut self, path: &Path, why: &Winding) {
        self.ready.retain(|node| node.scope != *path);
        if let Some(scope) = self.scopes.get_mut(path) {
            scope.winding = Some(why.clone());
        }
    }

    pub(super) fn close_scope(&mut self, path: &Path, output: &Arc<Value>, fault: Option<&Fault>) {
        self.ready.retain(|node| node.scope != *path);
        let Some((outer, node, rest)) = path.parent() else { return };
        let mut keeps = false;
        match self.activity_mut(&Address::new(outer.clone(), node.clone())) {
            Some(Activity::Each { open, results, errors, .. }) => {
                *open -= 1;
                let index: u32 = rest.parse().unwrap_or(0);
                match (fault, results.get_mut(index as usize)) {
                    (Some(fault), _) => errors.push((index, fault.clone())),
                    (None, Some(result)) => *result = output.clone(),
                    (None, None) => {}
                }
                keeps = fault.is_some();
            }
            Some(Activity::Repeat { open, last, error, .. }) => {
                *open = false;
                *error = fault.cloned();
                keeps = fault.is_some();
                if !keeps {
                    *last = output.clone();
                }
            }
            Some(Activity::Branches { open, outputs, error, .. }) => {
                open.remove(rest);
                keeps = fault.is_some();
                if !keeps {
                    outputs.insert(rest.to_owned(), output.clone());
                } else if error.is_none() {
                    *error = fault.cloned();
                }
            }
            _ => {}
        }
        // A body that failed is kept until its node is settled: where the run fails with it, a retry goes on inside.
        if keeps && !self.collects(&Address::new(outer, node)) {
            if let Some(scope) = self.scopes.get_mut(path) {
                scope.closed = true;
            }
        } else {
            self.scopes.remove(path);
        }
    }

    pub(super) fn collects(&self, node: &Address) -> bool {
        use crate::graph::node::OnItemError;
        self.place(node).is_some_and(|(scope, place)| match &scope.graph.node(place).kind {
            Kind::Loop(each) => each.on_item_error == OnItemError::Collect,
            _ => false,
        })
    }

    pub(super) fn cut(&mut self, path: &Path, nodes: &[crate::id::NodeId], undo: bool) {
        let Some(scope) = self.scopes.get_mut(path) else { return };
        let mut idle = Vec::new();
        for node in nodes {
            let Some(place) = scope.graph.find(node.as_str()) else { continue };
            let state = &mut scope.nodes[place.at()];
            state.cut = Some(undo);
            if state.status == Status::Idle {
                state.status = Status::Cancelled;
                scope.unsettled -= 1;
                idle.push(place);
            }
        }
        self.ready.retain(|ready| ready.scope != *path || !nodes.contains(&ready.node));
        if undo {
            self.saga.want(|node| node.scope == *path && nodes.contains(&node.node));
        }
        for place in idle {
            self.settle_edges(path, place, &[]);
        }
    }
}
