//! The edges of a graph: written edges, error edges, and edges implied by references.

use std::collections::{BTreeMap, BTreeSet};

use super::super::node::{GraphNode, HumanTaskKind, NodeKind};
use super::super::{EDGES_MAX, EdgeIndex, EdgeTrigger, GraphEdge, NodeIndex};
use crate::definition::diagnostic::{Diagnostic, DiagnosticCode, DiagnosticList, clip_word};
use crate::definition::source::{SourceSpan, SpannedValue};
use crate::definition::spec::{BodySpec, OnErrorSpec};

/// The positions of an edge and its branch.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EdgeSpans {
    pub edge: SourceSpan,
    pub when: SourceSpan,
}

/// Edges with their source positions.
#[derive(Default)]
pub(super) struct EdgeList {
    pub edges: Vec<GraphEdge>,
    pub places: Vec<EdgeSpans>,
    /// The error edge of each node that has one.
    pub gotos: BTreeMap<NodeIndex, EdgeIndex>,
}

/// Builds the edges of a body with the nodes `nodes`, in its order. `aftermath` is the node that runs after a rollback.
pub(super) fn draw(
    body: &BodySpec<'_>,
    nodes: &[GraphNode],
    aftermath: Option<NodeIndex>,
    known: &BTreeMap<String, NodeIndex>,
    findings: &mut DiagnosticList,
) -> EdgeList {
    let mut drawing = EdgeBuilder { body, nodes, known, drawn: EdgeList::default(), findings };
    drawing.add_written_edges();
    drawing.add_goto_edges();
    if body.edges.is_none() {
        drawing.add_implied_edges(aftermath);
    }
    drawing.drawn
}

struct EdgeBuilder<'a, 't> {
    body: &'a BodySpec<'t>,
    nodes: &'a [GraphNode],
    known: &'a BTreeMap<String, NodeIndex>,
    drawn: EdgeList,
    findings: &'a mut DiagnosticList,
}

impl EdgeBuilder<'_, '_> {
    fn add_written_edges(&mut self) {
        let mut seen = BTreeSet::new();
        for edge in self.body.edges.iter().flatten() {
            let (Some(from), Some(to)) = (self.find(&edge.from), self.find(&edge.to)) else { continue };
            let when =
                edge.when.as_ref().map_or(EdgeTrigger::Completed, |when| EdgeTrigger::Branch(when.value.clone()));
            let label = edge.when.as_ref().map(|when| when.value.as_str());
            if edge.condition.is_none() && !seen.insert((from, to, label)) {
                let message = format!("the edge from `{}` to `{}` is written twice", edge.from.value, edge.to.value);
                self.findings.push(edge.span.error(DiagnosticCode::DuplicateName, message));
                continue;
            }
            let place = EdgeSpans { edge: edge.span, when: edge.when.as_ref().map_or(edge.span, |when| when.span) };
            self.push_at(GraphEdge { from, to, when, condition: edge.condition.clone() }, place);
        }
    }

    fn add_goto_edges(&mut self) {
        for (place, node) in (0..).map(NodeIndex).zip(&self.body.nodes) {
            let Some(SpannedValue { value: OnErrorSpec::Goto(target), span }) = &node.policy.on_error else { continue };
            let target = SpannedValue::new(target.clone(), *span);
            let Some(to) = self.find(&target) else { continue };
            let edge = EdgeIndex(u32::try_from(self.drawn.edges.len()).unwrap_or(u32::MAX));
            self.drawn.gotos.insert(place, edge);
            self.push(GraphEdge { from: place, to, when: EdgeTrigger::Failed, condition: None }, *span);
        }
    }

    /// The nodes that a node references come before it, as do the nodes that publish a referenced variable.
    fn add_implied_edges(&mut self, aftermath: Option<NodeIndex>) {
        let mut published: BTreeMap<&str, Vec<NodeIndex>> = BTreeMap::new();
        for (place, node) in (0..).map(NodeIndex).zip(&self.body.nodes) {
            if let Some(key) = &node.output_key {
                published.entry(&key.value).or_default().push(place);
            }
        }
        let mut pairs = 0;
        let mut wanted: Vec<BTreeMap<NodeIndex, SourceSpan>> = Vec::with_capacity(self.body.nodes.len());
        for (place, node) in (0..).map(NodeIndex).zip(&self.body.nodes) {
            let mut before = BTreeMap::new();
            for dependency in &node.depends_on {
                if let Some(found) = self.find(dependency) {
                    before.entry(found).or_insert(dependency.span);
                }
            }
            let mut seen = BTreeSet::new();
            for mention in node.references.iter().filter(|mention| seen.insert((&mention.root, mention.is_after_node)))
            {
                let named = self.known.get(&mention.root).map(std::slice::from_ref);
                let found = named.or_else(|| published.get(mention.root.as_str()).map(Vec::as_slice));
                for from in found.unwrap_or_default().iter().filter(|from| !(mention.is_after_node && **from == place))
                {
                    before.entry(*from).or_insert(mention.span);
                }
            }
            pairs += before.len();
            wanted.push(before);
            if pairs > EDGES_MAX {
                let message = format!("what nodes name makes more than {EDGES_MAX} edges");
                return self.findings.push(node.id.span.error(DiagnosticCode::TooLarge, message));
            }
        }
        let after = aftermath.map(|first| post_rollback_nodes(first, &wanted)).unwrap_or_default();
        for (to, before) in (0..).map(NodeIndex).zip(wanted) {
            for (from, span) in before {
                // Nodes after a rollback read what happened; they wait for none of it.
                if !after.contains(&to) || after.contains(&from) && Some(to) != aftermath {
                    self.add_dependency(from, to, span);
                }
            }
        }
    }

    /// A dependency applies whichever branch was chosen.
    fn add_dependency(&mut self, from: NodeIndex, to: NodeIndex, span: SourceSpan) {
        if self.drawn.edges.len() > EDGES_MAX {
            return;
        }
        let labels = branches(&self.nodes[from.as_usize()].kind);
        if labels.is_empty() {
            self.push(GraphEdge { from, to, when: EdgeTrigger::Completed, condition: None }, span);
        }
        for label in labels {
            self.push(GraphEdge { from, to, when: EdgeTrigger::Branch(label), condition: None }, span);
        }
    }

    fn find(&mut self, name: &SpannedValue<String>) -> Option<NodeIndex> {
        let found = self.known.get(&name.value).copied();
        if found.is_none() {
            let message = format!("there is no node `{}`", clip_word(&name.value));
            let unknown = Diagnostic::draft(DiagnosticCode::UnknownNode, name.span, message);
            self.findings.push_with_suggestion(unknown, &name.value, self.known.keys().map(String::as_str));
        }
        found
    }

    fn push(&mut self, edge: GraphEdge, span: SourceSpan) {
        self.push_at(edge, EdgeSpans { edge: span, when: span });
    }

    fn push_at(&mut self, edge: GraphEdge, place: EdgeSpans) {
        let span = place.edge;
        if self.drawn.edges.len() == EDGES_MAX {
            let message = format!("the workflow has more than {EDGES_MAX} edges");
            self.findings.push(span.error(DiagnosticCode::TooLarge, message));
        }
        if self.drawn.edges.len() <= EDGES_MAX {
            self.drawn.edges.push(edge);
            self.drawn.places.push(place);
        }
    }
}

/// Returns the node that runs after a rollback, and all nodes that depend on it, directly or indirectly.
fn post_rollback_nodes(first: NodeIndex, wanted: &[BTreeMap<NodeIndex, SourceSpan>]) -> BTreeSet<NodeIndex> {
    let mut after: BTreeMap<NodeIndex, Vec<NodeIndex>> = BTreeMap::new();
    for (to, before) in (0..).map(NodeIndex).zip(wanted) {
        for from in before.keys() {
            after.entry(*from).or_default().push(to);
        }
    }
    let mut found = BTreeSet::new();
    let mut open = vec![first];
    while let Some(place) = open.pop() {
        if found.insert(place) {
            open.extend(after.get(&place).into_iter().flatten().copied());
        }
    }
    found
}

/// Returns the branch that an edge without a label follows.
pub(crate) fn first_branch(kind: &NodeKind) -> Option<String> {
    match kind {
        NodeKind::Switch(switch) => switch.default.clone(),
        kind => branches(kind).into_iter().next(),
    }
}

/// Returns the branches that a node chooses among; empty if it does not choose.
pub(crate) fn branches(kind: &NodeKind) -> Vec<String> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    match kind {
        NodeKind::Condition(_) => words(&["true", "false"]),
        NodeKind::Human(human) if matches!(human.task, HumanTaskKind::Approval { .. }) => {
            words(&["approved", "rejected"])
        }
        NodeKind::Switch(switch) => {
            let mut names: Vec<String> = switch.cases.iter().map(|(name, _)| name.clone()).collect();
            names.extend(switch.default.iter().filter(|default| !names.contains(default)).cloned().collect::<Vec<_>>());
            names
        }
        NodeKind::Human(_)
        | NodeKind::Trigger
        | NodeKind::Agent(_)
        | NodeKind::Tool(_)
        | NodeKind::Loop(_)
        | NodeKind::Parallel(_)
        | NodeKind::Merge(_)
        | NodeKind::Wait(_)
        | NodeKind::Subworkflow(_)
        | NodeKind::Transform(_)
        | NodeKind::End(_)
        | NodeKind::Sink(_) => Vec::new(),
    }
}
