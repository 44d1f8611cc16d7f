//! The edges of a graph: those that are written, those that errors follow, and those that names imply.

use std::collections::{BTreeMap, BTreeSet};

use super::super::node::{Ask, Kind, Node};
use super::super::{EDGES_MAX, Edge, EdgeIx, NodeIx, When};
use crate::definition::diagnostic::{Code, Diagnostic, Findings, shown};
use crate::definition::document::{Body, OnError};
use crate::definition::source::{Located, Span};

/// Where an edge is written, and its branch.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    pub edge: Span,
    pub when: Span,
}

/// Edges and the place each was written at.
#[derive(Default)]
pub(super) struct Drawn {
    pub edges: Vec<Edge>,
    pub places: Vec<Place>,
    /// The error edge of each node that has one.
    pub gotos: BTreeMap<NodeIx, EdgeIx>,
}

/// Draws the edges of a body whose nodes are `nodes`, in its order. `aftermath` is what runs after a rollback.
pub(super) fn draw(
    body: &Body<'_>,
    nodes: &[Node],
    aftermath: Option<NodeIx>,
    known: &BTreeMap<String, NodeIx>,
    findings: &mut Findings,
) -> Drawn {
    let mut drawing = Drawing { body, nodes, known, drawn: Drawn::default(), findings };
    drawing.written();
    drawing.gotos();
    if body.edges.is_none() {
        drawing.implied(aftermath);
    }
    drawing.drawn
}

struct Drawing<'a, 't> {
    body: &'a Body<'t>,
    nodes: &'a [Node],
    known: &'a BTreeMap<String, NodeIx>,
    drawn: Drawn,
    findings: &'a mut Findings,
}

impl Drawing<'_, '_> {
    fn written(&mut self) {
        let mut seen = BTreeSet::new();
        for edge in self.body.edges.iter().flatten() {
            let (Some(from), Some(to)) = (self.find(&edge.from), self.find(&edge.to)) else { continue };
            let when = edge.when.as_ref().map_or(When::Completed, |when| When::Branch(when.value.clone()));
            let label = edge.when.as_ref().map(|when| when.value.as_str());
            if edge.condition.is_none() && !seen.insert((from, to, label)) {
                let message = format!("the edge from `{}` to `{}` is written twice", edge.from.value, edge.to.value);
                self.findings.push(edge.span.error(Code::DuplicateName, message));
                continue;
            }
            let place = Place { edge: edge.span, when: edge.when.as_ref().map_or(edge.span, |when| when.span) };
            self.push_at(Edge { from, to, when, condition: edge.condition.clone() }, place);
        }
    }

    fn gotos(&mut self) {
        for (place, node) in (0..).map(NodeIx).zip(&self.body.nodes) {
            let Some(Located { value: OnError::Goto(target), span }) = &node.policy.on_error else { continue };
            let target = Located::new(target.clone(), *span);
            let Some(to) = self.find(&target) else { continue };
            let edge = EdgeIx(u32::try_from(self.drawn.edges.len()).unwrap_or(u32::MAX));
            self.drawn.gotos.insert(place, edge);
            self.push(Edge { from: place, to, when: When::Failed, condition: None }, *span);
        }
    }

    /// What a node names comes before it: other nodes, and the variables nodes publish their outputs under.
    fn implied(&mut self, aftermath: Option<NodeIx>) {
        let mut published: BTreeMap<&str, Vec<NodeIx>> = BTreeMap::new();
        for (place, node) in (0..).map(NodeIx).zip(&self.body.nodes) {
            if let Some(key) = &node.output_key {
                published.entry(&key.value).or_default().push(place);
            }
        }
        let mut pairs = 0;
        let mut wanted: Vec<BTreeMap<NodeIx, Span>> = Vec::with_capacity(self.body.nodes.len());
        for (place, node) in (0..).map(NodeIx).zip(&self.body.nodes) {
            let mut before = BTreeMap::new();
            for dependency in &node.depends_on {
                if let Some(found) = self.find(dependency) {
                    before.entry(found).or_insert(dependency.span);
                }
            }
            let mut seen = BTreeSet::new();
            for mention in node.mentions.iter().filter(|mention| seen.insert((&mention.root, mention.own))) {
                let named = self.known.get(&mention.root).map(std::slice::from_ref);
                let found = named.or_else(|| published.get(mention.root.as_str()).map(Vec::as_slice));
                for from in found.unwrap_or_default().iter().filter(|from| !(mention.own && **from == place)) {
                    before.entry(*from).or_insert(mention.span);
                }
            }
            pairs += before.len();
            wanted.push(before);
            if pairs > EDGES_MAX {
                let message = format!("what nodes name makes more than {EDGES_MAX} edges");
                return self.findings.push(node.id.span.error(Code::TooLarge, message));
            }
        }
        let after = aftermath.map(|first| reserved(first, &wanted)).unwrap_or_default();
        for (to, before) in (0..).map(NodeIx).zip(wanted) {
            for (from, span) in before {
                // The aftermath reads what happened; it waits for none of it.
                if !after.contains(&to) || after.contains(&from) && Some(to) != aftermath {
                    self.depend(from, to, span);
                }
            }
        }
    }

    /// A dependency holds whichever branch was chosen.
    fn depend(&mut self, from: NodeIx, to: NodeIx, span: Span) {
        if self.drawn.edges.len() > EDGES_MAX {
            return;
        }
        let labels = branches(&self.nodes[from.at()].kind);
        if labels.is_empty() {
            self.push(Edge { from, to, when: When::Completed, condition: None }, span);
        }
        for label in labels {
            self.push(Edge { from, to, when: When::Branch(label), condition: None }, span);
        }
    }

    fn find(&mut self, name: &Located<String>) -> Option<NodeIx> {
        let found = self.known.get(&name.value).copied();
        if found.is_none() {
            let message = format!("there is no node `{}`", shown(&name.value));
            let unknown = Diagnostic::draft(Code::UnknownNode, name.span, message);
            self.findings.push_near(unknown, &name.value, self.known.keys().map(String::as_str));
        }
        found
    }

    fn push(&mut self, edge: Edge, span: Span) {
        self.push_at(edge, Place { edge: span, when: span });
    }

    fn push_at(&mut self, edge: Edge, place: Place) {
        let span = place.edge;
        if self.drawn.edges.len() == EDGES_MAX {
            let message = format!("the workflow has more than {EDGES_MAX} edges");
            self.findings.push(span.error(Code::TooLarge, message));
        }
        if self.drawn.edges.len() <= EDGES_MAX {
            self.drawn.edges.push(edge);
            self.drawn.places.push(place);
        }
    }
}

/// The node that runs after a rollback, and those that read it or are read by none but its kind.
fn reserved(first: NodeIx, wanted: &[BTreeMap<NodeIx, Span>]) -> BTreeSet<NodeIx> {
    let mut after: BTreeMap<NodeIx, Vec<NodeIx>> = BTreeMap::new();
    for (to, before) in (0..).map(NodeIx).zip(wanted) {
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

/// The branch that an edge without a label follows.
pub(crate) fn first_branch(kind: &Kind) -> Option<String> {
    match kind {
        Kind::Switch(switch) => switch.default.clone(),
        kind => branches(kind).into_iter().next(),
    }
}

/// The branches a node chooses among; none where it does not choose.
pub(crate) fn branches(kind: &Kind) -> Vec<String> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    match kind {
        Kind::Condition(_) => words(&["true", "false"]),
        Kind::Human(human) if matches!(human.ask, Ask::Approval { .. }) => words(&["approved", "rejected"]),
        Kind::Switch(switch) => {
            let mut names: Vec<String> = switch.cases.iter().map(|(name, _)| name.clone()).collect();
            names.extend(switch.default.iter().filter(|default| !names.contains(default)).cloned().collect::<Vec<_>>());
            names
        }
        Kind::Human(_)
        | Kind::Trigger
        | Kind::Agent(_)
        | Kind::Tool(_)
        | Kind::Loop(_)
        | Kind::Parallel(_)
        | Kind::Merge(_)
        | Kind::Wait(_)
        | Kind::Subworkflow(_)
        | Kind::Transform(_)
        | Kind::End(_)
        | Kind::Sink(_) => Vec::new(),
    }
}
