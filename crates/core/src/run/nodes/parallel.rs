//! `parallel`: concurrent bodies; without bodies, a plain fan-out over the out-edges.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::address::NodeAddress;
use super::super::decide::RunDraft;
use super::super::event::{DrainReason, NodeWait, RunEvent};
use super::super::state::NodeActivity;
use super::deadline_of;
use crate::graph::GraphNode;
use crate::graph::node::{NodeKind, ParallelNode};

pub fn begin(draft: &mut RunDraft<'_>, at: &NodeAddress, node: &GraphNode, fork: &ParallelNode) {
    if fork.branches.is_empty() {
        let input = Arc::new(Value::Object(Map::new()));
        return draft.complete(at, input, None);
    }
    let deadline = deadline_of(draft, node.policy.timeout);
    draft.emit(RunEvent::Began { node: at.clone(), wait: Box::new(NodeWait::Branches { deadline }) });
}

/// Opens bodies that are not open yet, stops them after one has failed, or collects their outputs.
pub fn advance(draft: &mut RunDraft<'_>, at: &NodeAddress) {
    if draft.is_draining(at) {
        return;
    }
    let Some(NodeActivity::Branches { open, outputs, error, .. }) = draft.run.activity(at) else { return };
    match error.clone() {
        Some(fault) if open.is_empty() => draft.fail(at, fault),
        Some(_) => {
            for body in draft.open_bodies(at) {
                draft.drain_scope(&body, DrainReason::CutOff);
            }
        }
        None => {
            let Some((graph, place)) = draft.node(at) else { return };
            let NodeKind::Parallel(fork) = &graph.node(place).kind else { return };
            let is_new = |name: &&String| !open.contains(*name) && !outputs.contains_key(*name);
            let fresh: Vec<&String> = fork.branches.keys().filter(is_new).collect();
            if fresh.is_empty() && open.is_empty() {
                let outputs = outputs.iter().map(|(name, output)| (name.clone(), (**output).clone())).collect();
                return draft.complete(at, Arc::new(Value::Object(outputs)), None);
            }
            for name in fresh {
                draft.emit(RunEvent::ScopeOpened { path: at.scope.branch(&at.node, name), item: None });
            }
        }
    }
}
