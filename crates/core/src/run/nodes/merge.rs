//! `merge`: fires when its count is reached, fails as soon as it cannot be.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::address::Address;
use super::super::decide::Draft;
use crate::fault::{Fault, code};
use crate::graph::node::{Merge, MergeMode, Rest};
use crate::graph::{EdgeIx, Graph, NodeIx};
use crate::id::NodeId;

pub fn begin(draft: &mut Draft<'_>, at: &Address, merge: &Merge) {
    let Some((graph, place)) = draft.node(at) else { return };
    let arrived = arrived(draft, at, &graph);
    let needed = match merge.mode {
        MergeMode::All => 1,
        MergeMode::Any => 1,
        MergeMode::NOfM(n) => n,
    };
    let count = u32::try_from(arrived.len()).unwrap_or(u32::MAX);
    if count < needed {
        let message = format!("`{}` needs {needed} branches and only {count} can arrive", at.node);
        return draft.fail(at, Fault::new(code::MERGE_IMPOSSIBLE, message));
    }
    if merge.rest == Rest::Cancel && merge.mode != MergeMode::All {
        let losers = losers(draft, at, &graph, place, merge);
        if !losers.is_empty() {
            draft.cut(&at.scope, losers, merge.undo_losers);
        }
    }
    draft.complete(at, Arc::new(Value::Object(arrived)), None);
}

/// Outputs of the branches that arrived, by the id of each one's last node.
fn arrived(draft: &Draft<'_>, at: &Address, graph: &Graph) -> Map<String, Value> {
    let Some((scope, place)) = draft.run.place(at) else { return Map::new() };
    let taken = graph.incoming(place).iter().filter_map(|index| {
        let from = graph.edge(*index).from;
        let state = &scope.nodes[from.at()];
        state.taken.contains(&index.0).then(|| (graph.node(from).id.to_string(), (*state.output).clone()))
    });
    taken.collect()
}

/// Nodes of the branches that have not arrived, as far as they are not settled. What also stands in a branch that has
/// arrived is no loser: the winner needed it.
fn losers(draft: &Draft<'_>, at: &Address, graph: &Graph, place: NodeIx, merge: &Merge) -> Vec<NodeId> {
    let Some(scope) = draft.run.scope(&at.scope) else { return Vec::new() };
    let (won, lost): (Vec<EdgeIx>, Vec<EdgeIx>) = graph
        .incoming(place)
        .iter()
        .partition(|index| scope.nodes[graph.edge(**index).from.at()].taken.contains(&index.0));
    let kept: BTreeSet<NodeIx> = won.iter().filter_map(|index| merge.branches.get(index)).flatten().copied().collect();
    let mut losers = Vec::new();
    for index in &lost {
        for node in merge.branches.get(index).into_iter().flatten().filter(|node| !kept.contains(node)) {
            let id = &graph.node(*node).id;
            let is_open = !scope.nodes[node.at()].status.is_settled();
            if (is_open || merge.undo_losers) && !losers.contains(id) {
                losers.push(id.clone());
            }
        }
    }
    losers
}
