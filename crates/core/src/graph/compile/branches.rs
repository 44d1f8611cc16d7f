//! The branches of a merge: what may be cut once it has fired.

use std::collections::BTreeMap;

use super::super::node::{Kind, Merge};
use super::super::{EdgeIx, Graph, NodeIx};

/// Fills in the branches of every merge of an acyclic graph: by in-edge, the nodes before it whose every path leads
/// to the merge. A node before several in-edges stands in each of their branches. `order` is topological.
pub(super) fn fill(graph: &mut Graph, order: &[NodeIx]) {
    let merges: Vec<NodeIx> =
        graph.places().filter(|place| matches!(graph.node(*place).kind, Kind::Merge(_))).collect();
    let mut marks = Marks { leads: vec![false; graph.nodes.len()], order };
    for place in merges {
        // Only a merge that may fire early cuts anything.
        let branches = match &graph.node(place).kind {
            Kind::Merge(merge) if merge.may_cut() => marks.branches(graph, place),
            _ => BTreeMap::new(),
        };
        if let Kind::Merge(merge) = &mut graph.nodes[place.at()].kind {
            merge.branches = branches;
        }
    }
}

impl Merge {
    /// Whether it can fire while some of its branches still run, and then cuts them.
    pub fn may_cut(&self) -> bool {
        self.mode != super::super::node::MergeMode::All && self.rest == super::super::node::Rest::Cancel
    }
}

struct Marks<'o> {
    /// Whether every path of a node leads to the merge at hand.
    leads: Vec<bool>,
    order: &'o [NodeIx],
}

impl Marks<'_> {
    fn branches(&mut self, graph: &Graph, merge: NodeIx) -> BTreeMap<EdgeIx, Vec<NodeIx>> {
        self.leads.fill(false);
        self.leads[merge.at()] = true;
        for place in self.order.iter().rev().filter(|place| **place != merge) {
            let mut out = graph.outgoing(*place).iter().map(|edge| graph.edge(*edge).to).peekable();
            self.leads[place.at()] = out.peek().is_some() && out.all(|to| self.leads[to.at()]);
        }
        graph.incoming(merge).iter().map(|edge| (*edge, self.before(graph, graph.edge(*edge).from))).collect()
    }

    /// A node and what comes before it, as far as it leads nowhere but to the merge.
    fn before(&self, graph: &Graph, last: NodeIx) -> Vec<NodeIx> {
        let mut found = std::collections::BTreeSet::new();
        let mut open = vec![last];
        while let Some(place) = open.pop() {
            if self.leads[place.at()] && found.insert(place) {
                open.extend(graph.incoming(place).iter().map(|edge| graph.edge(*edge).from));
            }
        }
        found.into_iter().collect()
    }
}
