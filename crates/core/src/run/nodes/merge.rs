//! `merge`: completes when its count is reached, and fails as soon as it cannot be reached.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::address::NodeAddress;
use super::super::decide::RunDraft;
use super::super::scope_view::node_value;
use super::super::state::ScopeState;
use crate::fault::{Fault, code};
use crate::graph::node::{MergeMode, MergeNode};
use crate::graph::{EdgeIndex, Graph, NodeIndex};
use crate::id::NodeId;

pub fn begin(draft: &mut RunDraft<'_>, at: &NodeAddress, merge: &MergeNode) {
    let Some((graph, place)) = draft.node(at) else { return };
    let needed = match merge.mode {
        MergeMode::All | MergeMode::Any => 1,
        MergeMode::NOfM(n) => n,
    };
    let count = draft.run.node_state(at).map_or(0, |state| state.taken_in);
    if count < needed {
        let message = format!("`{}` needs {needed} branches and only {count} can arrive", at.node);
        return draft.fail(at, Fault::new(code::MERGE_IMPOSSIBLE, message));
    }
    let arrived = arrived(draft, at, &graph);
    if merge.may_cancel_branches() {
        let losers = losers(draft, at, &graph, place, merge);
        if !losers.is_empty() {
            draft.cut_branches(&at.scope, losers, merge.undo_losers);
        }
    }
    draft.complete(at, Arc::new(Value::Object(arrived)), None);
}

fn has_arrived(scope: &ScopeState, graph: &Graph, edge: EdgeIndex) -> bool {
    scope.nodes[graph.edge(edge).from.as_usize()].taken.binary_search(&edge.0).is_ok()
}

/// Returns the results of the branches that arrived, by the id of each one's last node.
fn arrived(draft: &RunDraft<'_>, at: &NodeAddress, graph: &Graph) -> Map<String, Value> {
    let Some((scope, place)) = draft.run.place(at) else { return Map::new() };
    let taken = graph.incoming(place).iter().filter(|edge| has_arrived(scope, graph, **edge)).map(|edge| {
        let from = graph.edge(*edge).from;
        let node = graph.node(from);
        (node.id.to_string(), node_value(&scope.nodes[from.as_usize()], node.join).into_owned())
    });
    taken.collect()
}

/// Nodes of the branches that have not arrived, except those that are also in a branch that has. If their effects are
/// to be undone, settled nodes are included.
fn losers(draft: &RunDraft<'_>, at: &NodeAddress, graph: &Graph, place: NodeIndex, merge: &MergeNode) -> Vec<NodeId> {
    let Some(scope) = draft.run.scope(&at.scope) else { return Vec::new() };
    let of = |arrived: bool| {
        let edges = graph.incoming(place).iter().filter(move |edge| has_arrived(scope, graph, **edge) == arrived);
        edges.filter_map(|edge| merge.branches.get(edge)).flatten().copied().collect::<BTreeSet<NodeIndex>>()
    };
    let is_open = |place: &NodeIndex| !scope.nodes[place.as_usize()].status.is_settled();
    let lost = &of(false) - &of(true);
    lost.into_iter()
        .filter(|place| merge.undo_losers || is_open(place))
        .map(|place| graph.node(place).id.clone())
        .collect()
}
