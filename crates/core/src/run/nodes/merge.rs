//! `merge`: fires when its count is reached, fails as soon as it cannot be.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::address::Address;
use super::super::decide::Draft;
use super::super::names::shown;
use super::super::state::Scope;
use crate::fault::{Fault, code};
use crate::graph::node::{Merge, MergeMode};
use crate::graph::{EdgeIx, Graph, NodeIx};
use crate::id::NodeId;

pub fn begin(draft: &mut Draft<'_>, at: &Address, merge: &Merge) {
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
    if merge.may_cut() {
        let losers = losers(draft, at, &graph, place, merge);
        if !losers.is_empty() {
            draft.cut(&at.scope, losers, merge.undo_losers);
        }
    }
    draft.complete(at, Arc::new(Value::Object(arrived)), None);
}

fn has_arrived(scope: &Scope, graph: &Graph, edge: EdgeIx) -> bool {
    scope.nodes[graph.edge(edge).from.at()].taken.binary_search(&edge.0).is_ok()
}

/// What the branches that arrived came to, by the id of each one's last node.
fn arrived(draft: &Draft<'_>, at: &Address, graph: &Graph) -> Map<String, Value> {
    let Some((scope, place)) = draft.run.place(at) else { return Map::new() };
    let taken = graph.incoming(place).iter().filter(|edge| has_arrived(scope, graph, **edge)).map(|edge| {
        let from = graph.edge(*edge).from;
        let node = graph.node(from);
        (node.id.to_string(), shown(&scope.nodes[from.at()], node.join).into_owned())
    });
    taken.collect()
}

/// Nodes of the branches that have not arrived, and of no branch that has. Where what they did is to be undone, also
/// those that are settled.
fn losers(draft: &Draft<'_>, at: &Address, graph: &Graph, place: NodeIx, merge: &Merge) -> Vec<NodeId> {
    let Some(scope) = draft.run.scope(&at.scope) else { return Vec::new() };
    let of = |arrived: bool| {
        let edges = graph.incoming(place).iter().filter(move |edge| has_arrived(scope, graph, **edge) == arrived);
        edges.filter_map(|edge| merge.branches.get(edge)).flatten().copied().collect::<BTreeSet<NodeIx>>()
    };
    let is_open = |place: &NodeIx| !scope.nodes[place.at()].status.is_settled();
    let lost = &of(false) - &of(true);
    lost.into_iter()
        .filter(|place| merge.undo_losers || is_open(place))
        .map(|place| graph.node(place).id.clone())
        .collect()
}
