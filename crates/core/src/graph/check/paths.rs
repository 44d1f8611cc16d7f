//! Order and exclusion between the nodes of a graph.

use std::collections::BTreeSet;

use super::super::compile::LoweredGraph;
use super::super::{EdgeIndex, EdgeTrigger, Graph, JoinRule, NodeIndex, compile, levels};

/// Order and exclusion of the nodes of an acyclic graph. Each query takes constant or logarithmic time.
pub(super) struct PathAnalysis {
    /// Topological order.
    pub order: Vec<NodeIndex>,
    /// By node, a bit for each node before it.
    before: Vec<Vec<u64>>,
    choices: DominatorTree,
    /// Nodes that run only after a rollback.
    post_rollback: BTreeSet<NodeIndex>,
}

impl PathAnalysis {
    /// Returns `None` if the graph has a cycle.
    pub(super) fn of(lowered: &LoweredGraph) -> Option<Self> {
        if lowered.is_cyclic {
            return None;
        }
        let graph = &lowered.graph;
        let order: Vec<NodeIndex> = levels(graph).into_iter().flatten().collect();
        let words = graph.nodes.len().div_ceil(64);
        let mut before = vec![Vec::new(); graph.nodes.len()];
        for place in &order {
            let mut bits = vec![0_u64; words];
            for edge in graph.incoming(*place) {
                let from = graph.edge(*edge).from;
                let above: &Vec<u64> = &before[from.as_usize()];
                bits.iter_mut().zip(above).for_each(|(bit, above)| *bit |= above);
                bits[from.as_usize() / 64] |= 1 << (from.as_usize() % 64);
            }
            before[place.as_usize()] = bits;
        }
        let choices = DominatorTree::of(graph, &order);
        let after = lowered.post_rollback_node.map(|first| graph.reachable([first])).unwrap_or_default();
        Some(Self { order, before, choices, post_rollback: after })
    }

    /// Returns whether `a` is settled before `b` may start.
    pub(super) fn precedes(&self, a: NodeIndex, b: NodeIndex) -> bool {
        self.before[b.as_usize()].get(a.as_usize() / 64).is_some_and(|bits| bits & (1 << (a.as_usize() % 64)) != 0)
    }

    /// Returns all nodes that are settled before `b` may start.
    pub(super) fn before(&self, b: NodeIndex) -> impl Iterator<Item = NodeIndex> {
        let words = self.before[b.as_usize()].iter().enumerate().filter(|(_, bits)| **bits != 0);
        words
            .flat_map(|(word, bits)| {
                (0..64)
                    .filter(move |bit| bits & (1 << bit) != 0)
                    .filter_map(move |bit| u32::try_from(word * 64 + bit).ok())
            })
            .map(NodeIndex)
    }

    /// Returns whether no run takes both: they are on different branches of one choice.
    pub(super) fn exclude(&self, a: NodeIndex, b: NodeIndex) -> bool {
        self.choices.exclude(DominatorTree::of_node(a), DominatorTree::of_node(b))
    }

    /// Returns whether a node runs only after a rollback.
    pub(super) fn is_post_rollback(&self, place: NodeIndex) -> bool {
        self.post_rollback.contains(&place)
    }

    /// Returns whether both can be in progress at once in one run.
    pub(super) fn run_together(&self, a: NodeIndex, b: NodeIndex) -> bool {
        a != b
            && self.is_post_rollback(a) == self.is_post_rollback(b)
            && !self.precedes(a, b)
            && !self.precedes(b, a)
            && !self.exclude(a, b)
    }

    /// Returns the maximum number of these edges that one run can take.
    pub(super) fn max_taken_edges(&self, edges: &[EdgeIndex]) -> usize {
        self.choices.max_taken_edges(edges)
    }
}

/// The dominator tree of a graph in which every labelled branch is its own point. Two points exclude each other if
/// their paths in the tree diverge at a choice.
struct DominatorTree {
    /// By point: its parent and depth. Point 0 is the start; nodes and then branches follow.
    parent: Vec<u32>,
    depth: Vec<u32>,
    /// `jumps[k][p]` is the ancestor 2ᵏ above.
    jumps: Vec<Vec<u32>>,
    /// By point: whether it is a branch.
    is_branch: Vec<bool>,
    /// By edge: its source point.
    leaves: Vec<u32>,
}

impl DominatorTree {
    fn of_node(place: NodeIndex) -> u32 {
        place.0 + 1
    }

    fn of(graph: &Graph, order: &[NodeIndex]) -> Self {
        let nodes = u32::try_from(graph.nodes.len()).unwrap_or(u32::MAX);
        let mut choices = Self {
            parent: vec![0; graph.nodes.len() + 1],
            depth: vec![0; graph.nodes.len() + 1],
            jumps: Vec::new(),
            is_branch: vec![false; graph.nodes.len() + 1],
            leaves: vec![0; graph.edges.len()],
        };
        let height = 64 - u64::from(nodes.saturating_mul(2).saturating_add(2)).leading_zeros();
        choices.jumps = vec![vec![0; graph.nodes.len() + 1]; height as usize];
        for place in order {
            let point = Self::of_node(*place);
            let parent = choices.parent_of(graph, *place);
            choices.attach(point, parent);
            choices.split_branches(graph, *place);
        }
        choices
    }

    /// Returns the last point that every path to a node passes.
    fn parent_of(&self, graph: &Graph, place: NodeIndex) -> u32 {
        // A node of the `steps` form may run whichever branch was chosen.
        if graph.node(place).join == JoinRule::AllSettled {
            return 0;
        }
        let ways = graph.incoming(place).iter().map(|edge| self.leaves[edge.as_usize()]);
        ways.reduce(|a, b| self.common_ancestor(a, b)).unwrap_or(0)
    }

    /// Creates a point for each branch of a choosing node, and records the source points of its edges.
    fn split_branches(&mut self, graph: &Graph, place: NodeIndex) {
        let point = Self::of_node(place);
        let out = graph.outgoing(place);
        let labels: Vec<String> = out.iter().map(|edge| label(graph, *edge)).collect();
        let parts = labels.iter().any(|label| *label != labels[0]);
        let mut made: std::collections::BTreeMap<&str, u32> = std::collections::BTreeMap::new();
        for (edge, label) in out.iter().zip(&labels) {
            self.leaves[edge.as_usize()] = match made.get(label.as_str()) {
                _ if !parts => point,
                Some(branch) => *branch,
                None => {
                    let branch = u32::try_from(self.parent.len()).unwrap_or(u32::MAX);
                    self.parent.push(0);
                    self.depth.push(0);
                    self.is_branch.push(true);
                    self.jumps.iter_mut().for_each(|level| level.push(0));
                    self.attach(branch, point);
                    made.insert(label, branch);
                    branch
                }
            };
        }
    }

    fn attach(&mut self, point: u32, parent: u32) {
        self.parent[point as usize] = parent;
        self.depth[point as usize] = self.depth[parent as usize] + 1;
        let mut above = parent;
        for level in &mut self.jumps {
            level[point as usize] = above;
            above = level[above as usize];
        }
    }

    fn lift(&self, mut point: u32, mut steps: u32) -> u32 {
        for level in &self.jumps {
            if steps & 1 == 1 {
                point = level[point as usize];
            }
            steps >>= 1;
        }
        point
    }

    /// Returns the children of the point at which the paths to `a` and `b` diverge; equal if one is on the path to the
    /// other.
    fn divergence_children(&self, a: u32, b: u32) -> (u32, u32) {
        let (deep_a, deep_b) = (self.depth[a as usize], self.depth[b as usize]);
        let level = deep_a.min(deep_b);
        let (mut a, mut b) = (self.lift(a, deep_a - level), self.lift(b, deep_b - level));
        if a == b {
            return (a, b);
        }
        for jump in self.jumps.iter().rev() {
            if jump[a as usize] != jump[b as usize] {
                (a, b) = (jump[a as usize], jump[b as usize]);
            }
        }
        (a, b)
    }

    fn common_ancestor(&self, a: u32, b: u32) -> u32 {
        let (left, right) = self.divergence_children(a, b);
        if left == right { left } else { self.parent[left as usize] }
    }

    fn exclude(&self, a: u32, b: u32) -> bool {
        let (left, right) = self.divergence_children(a, b);
        left != right && self.is_branch[left as usize] && self.is_branch[right as usize]
    }

    /// Returns the maximum number of edges that one run can take: at a choice the best branch counts, elsewhere the
    /// sum.
    fn max_taken_edges(&self, edges: &[EdgeIndex]) -> usize {
        let mut counts: std::collections::BTreeMap<(std::cmp::Reverse<u32>, u32), (usize, usize)> =
            std::collections::BTreeMap::new();
        for edge in edges {
            let point = self.leaves[edge.as_usize()];
            counts.entry((std::cmp::Reverse(self.depth[point as usize]), point)).or_default().0 += 1;
        }
        // From the deepest point up: `(sum of all that are certain, best of the branches)`.
        while let Some(((_, point), (sum, best))) = counts.pop_first() {
            let total = sum + best;
            if point == 0 {
                return total;
            }
            let parent = self.parent[point as usize];
            let above = counts.entry((std::cmp::Reverse(self.depth[parent as usize]), parent)).or_default();
            if self.is_branch[point as usize] {
                above.1 = above.1.max(total);
            } else {
                above.0 += total;
            }
        }
        0
    }
}

/// Returns the result that an edge's source must have for the edge to be taken.
fn label(graph: &Graph, edge: EdgeIndex) -> String {
    let edge = graph.edge(edge);
    match &edge.when {
        EdgeTrigger::Failed => "\u{0}failed".to_owned(),
        EdgeTrigger::Branch(branch) => branch.clone(),
        EdgeTrigger::Completed => compile::first_branch(&graph.node(edge.from).kind).unwrap_or_default(),
    }
}
