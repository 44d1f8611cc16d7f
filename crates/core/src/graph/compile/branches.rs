//! The branches of a merge: the work that may be cancelled once it has completed.

use std::collections::BTreeMap;

use super::super::node::{MergeMode, MergeNode, NodeKind, RemainingWork};
use super::super::{EdgeIndex, Graph, NodeIndex};
use crate::definition::diagnostic::{DiagnosticCode, DiagnosticList};
use crate::definition::source::SourceSpan;

/// Maximum number of nodes and edges visited for all merges of a graph. Only a graph with thousands of nested merges
/// needs more.
const STEPS_MAX: usize = 5_000_000;

/// Sets the branches of every merge of an acyclic graph: by in-edge, the nodes before it whose every path leads to the
/// merge. A node before several in-edges is in each of their branches; a node before all of them is in none, since it
/// is settled whichever comes first. `order` is topological.
pub(super) fn fill(graph: &mut Graph, order: &[NodeIndex], spans: &[SourceSpan], findings: &mut DiagnosticList) {
    let mut rank = vec![0; order.len()];
    order.iter().enumerate().for_each(|(at, place)| rank[place.as_usize()] = at);
    let mut marks = BranchMarks { leads: vec![0; order.len()], seen: vec![0; order.len()], rank, walks: 0, steps: 0 };
    let cutting = graph
        .node_indices()
        .filter(|place| matches!(&graph.node(*place).kind, NodeKind::Merge(merge) if merge.may_cancel_branches()));
    for place in cutting.collect::<Vec<_>>() {
        let branches = marks.branches(graph, place);
        if marks.steps > STEPS_MAX {
            let span = spans.get(place.as_usize()).copied().unwrap_or_default();
            let message = "the merges of this workflow have more branches within branches than can be worked out";
            findings.push(
                span.error(DiagnosticCode::TooLarge, message)
                    .hint("write `rest: wait` where nothing need be cancelled"),
            );
            return;
        }
        if let NodeKind::Merge(merge) = &mut graph.nodes[place.as_usize()].kind {
            merge.branches = branches;
        }
    }
}

impl MergeNode {
    /// Returns whether the merge can complete while some of its branches still run, and then cancels them.
    pub fn may_cancel_branches(&self) -> bool {
        self.mode != MergeMode::All && self.rest == RemainingWork::Cancel
    }
}

struct BranchMarks {
    /// By node: the merge, counted from 1, to which all its known paths lead.
    leads: Vec<u32>,
    /// By node: the last traversal that visited it.
    seen: Vec<u32>,
    /// By node: its position in the order.
    rank: Vec<usize>,
    walks: u32,
    steps: usize,
}

impl BranchMarks {
    fn branches(&mut self, graph: &Graph, merge: NodeIndex) -> BTreeMap<EdgeIndex, Vec<NodeIndex>> {
        let mark = merge.0 + 1;
        self.leads[merge.as_usize()] = mark;
        for place in self.before(graph, [merge], |_| true) {
            let mut out = graph.outgoing(place).iter().map(|edge| graph.edge(*edge).to);
            if place != merge && out.all(|to| self.leads[to.as_usize()] == mark) {
                self.leads[place.as_usize()] = mark;
            }
        }
        let incoming = graph.incoming(merge);
        let mut branches = BTreeMap::new();
        let mut counts: BTreeMap<NodeIndex, usize> = BTreeMap::new();
        for edge in incoming {
            let leads = std::mem::take(&mut self.leads);
            let branch = self.before(graph, [graph.edge(*edge).from], |place| leads[place.as_usize()] == mark);
            self.leads = leads;
            branch.iter().for_each(|place| *counts.entry(*place).or_default() += 1);
            branches.insert(*edge, branch);
        }
        for branch in branches.values_mut() {
            branch.retain(|place| counts[place] < incoming.len());
            branch.sort_unstable();
        }
        branches
    }

    /// Returns these nodes and the nodes before them for which `counts` is true, the last first.
    fn before(
        &mut self,
        graph: &Graph,
        from: impl IntoIterator<Item = NodeIndex>,
        counts: impl Fn(NodeIndex) -> bool,
    ) -> Vec<NodeIndex> {
        self.walks += 1;
        let mut found: Vec<NodeIndex> = Vec::new();
        let mut open: Vec<NodeIndex> = from.into_iter().filter(|place| counts(*place)).collect();
        while let Some(place) = open.pop() {
            if self.steps > STEPS_MAX || self.seen[place.as_usize()] == self.walks {
                continue;
            }
            self.seen[place.as_usize()] = self.walks;
            found.push(place);
            let incoming = graph.incoming(place);
            self.steps += 1 + incoming.len();
            open.extend(incoming.iter().map(|edge| graph.edge(*edge).from).filter(|from| counts(*from)));
        }
        found.sort_unstable_by_key(|place| std::cmp::Reverse(self.rank[place.as_usize()]));
        found
    }
}
