//! A workflow as a run executes it: compiled once from a [definition](crate::definition), and immutable afterwards.

pub(crate) mod check;
pub(crate) mod compile;
mod draw;
pub mod input;
mod levels;
pub mod node;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::conversation::HandoverPolicy;
use crate::id::NodeId;
use crate::money::Usd;
use baton_expr::Condition;

pub use draw::{DrawnBody, DrawnEdge, DrawnNode, GraphDrawing, dot, mermaid};
pub use input::InputDeclaration;
pub use levels::{levels, levels_text};
pub use node::{GraphNode, NodeKind};

/// Maximum number of nodes of one workflow, including nested bodies.
pub const NODES_MAX: usize = 10_000;
/// Maximum number of edges of one workflow, including nested bodies.
pub const EDGES_MAX: usize = 50_000;
/// Maximum nesting of bodies.
pub const NESTING_MAX: usize = 8;

/// The index of a node in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub u32);

/// The index of an edge in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EdgeIndex(pub u32);

impl NodeIndex {
    pub fn as_usize(self) -> usize {
        self.0 as usize
    }
}

impl EdgeIndex {
    pub fn as_usize(self) -> usize {
        self.0 as usize
    }
}

/// A whole workflow: its outer graph and the settings of the whole run.
#[derive(Clone, Debug)]
pub struct Workflow {
    pub name: String,
    /// The author's version label.
    pub version: String,
    pub graph: Arc<Graph>,
    /// The declared input of a run.
    pub input: InputDeclaration,
    /// How writes to a key of `shared_context` combine; the last write wins by default.
    pub variables: BTreeMap<String, WorkflowVariable>,
    /// The run's own deadline, counted from its start.
    pub timeout: Option<Duration>,
    pub max_cost: Option<Usd>,
    /// Runs after a rollback with `error` and `undone` among its names.
    pub on_compensated: Option<NodeIndex>,
    /// Whose account each Composio app uses, by app, in the words of `entity_id_source`.
    pub entity_sources: BTreeMap<String, String>,
    /// When a conversation with runs of this workflow is handed to a person.
    pub hil: HandoverPolicy,
}

impl Workflow {
    /// Nodes that only `on_compensated` leads to: they run only after a rollback.
    pub fn post_rollback_nodes(&self) -> Vec<NodeIndex> {
        let Some(first) = self.on_compensated else { return Vec::new() };
        let starts =
            self.graph.node_indices().filter(|place| *place != first && self.graph.incoming(*place).is_empty());
        let before = self.graph.reachable(starts);
        self.graph.reachable([first]).difference(&before).copied().collect()
    }
}

/// A declared variable.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkflowVariable {
    pub initial: Option<serde_json::Value>,
    pub combine: CombineMode,
}

/// How further writes to a key are combined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CombineMode {
    #[default]
    LastWins,
    /// Each write is appended to a list.
    Append,
    /// Objects are merged, key by key.
    Merge,
    /// A second write is refused: its node fails.
    Once,
}

/// One graph: the outer one, or the body of a loop or a branch.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub nodes: Vec<GraphNode>,
    pub edges: Vec<GraphEdge>,
    names: BTreeMap<NodeId, NodeIndex>,
    incoming: Vec<Vec<EdgeIndex>>,
    outgoing: Vec<Vec<EdgeIndex>>,
}

/// A directed edge between two nodes of one graph.
#[derive(Clone, Debug)]
pub struct GraphEdge {
    pub from: NodeIndex,
    pub to: NodeIndex,
    pub when: EdgeTrigger,
    /// Sees `output` (of its source) and all names.
    pub condition: Option<Condition>,
}

/// The result of its source for which an edge may be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EdgeTrigger {
    /// The source completed. For a node that chooses a branch, an edge without a label follows its first branch
    /// (`true`, `approved`, a switch's default).
    Completed,
    /// The source completed and chose the branch of this name.
    Branch(String),
    /// The source failed (`on_error: goto`).
    Failed,
}

/// When a node may run, after all its in-edges are settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JoinRule {
    /// At least one of them was taken (the `edges` form).
    #[default]
    AnyTaken,
    /// A skipped dependency counts as met (the `steps` form).
    AllSettled,
}

impl Graph {
    /// Builds a graph. Ids must be unique and edges in range: the definition's checks ensure this.
    pub fn new(nodes: Vec<GraphNode>, edges: Vec<GraphEdge>) -> Self {
        let mut incoming = vec![Vec::new(); nodes.len()];
        let mut outgoing = vec![Vec::new(); nodes.len()];
        for (place, edge) in (0..).zip(&edges) {
            incoming[edge.to.as_usize()].push(EdgeIndex(place));
            outgoing[edge.from.as_usize()].push(EdgeIndex(place));
        }
        let names = (0..).zip(&nodes).map(|(place, node)| (node.id.clone(), NodeIndex(place))).collect();
        Self { nodes, edges, names, incoming, outgoing }
    }

    pub fn node(&self, place: NodeIndex) -> &GraphNode {
        &self.nodes[place.as_usize()]
    }

    pub fn edge(&self, place: EdgeIndex) -> &GraphEdge {
        &self.edges[place.as_usize()]
    }

    pub fn find(&self, id: &str) -> Option<NodeIndex> {
        self.names.get(id).copied()
    }

    pub fn incoming(&self, place: NodeIndex) -> &[EdgeIndex] {
        &self.incoming[place.as_usize()]
    }

    pub fn outgoing(&self, place: NodeIndex) -> &[EdgeIndex] {
        &self.outgoing[place.as_usize()]
    }

    pub fn node_indices(&self) -> impl Iterator<Item = NodeIndex> + use<> {
        (0..u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)).map(NodeIndex)
    }

    /// Returns these nodes and all nodes reachable from them.
    pub fn reachable(&self, from: impl IntoIterator<Item = NodeIndex>) -> BTreeSet<NodeIndex> {
        let mut open: Vec<NodeIndex> = from.into_iter().collect();
        let mut seen = BTreeSet::new();
        while let Some(place) = open.pop() {
            if seen.insert(place) {
                open.extend(self.outgoing(place).iter().map(|edge| self.edge(*edge).to));
            }
        }
        seen
    }

    /// Returns the graph inside a node, by branch name for `parallel` and any name for `loop`.
    pub fn body(&self, place: NodeIndex, branch: &str) -> Option<&Arc<Self>> {
        match &self.node(place).kind {
            NodeKind::Loop(each) => Some(&each.body),
            NodeKind::Parallel(fork) => fork.branches.get(branch),
            _ => None,
        }
    }
}
