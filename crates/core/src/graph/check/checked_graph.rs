//! A graph with its source, its order, and the graphs inside its nodes.

use std::collections::BTreeMap;

use super::super::NodeIndex;
use super::super::compile::LoweredGraph;
use super::paths::PathAnalysis;
use crate::definition::source::SourceSpan;
use crate::definition::spec::{BodySpec, NodeKindSpec};

pub(super) struct CheckedGraph<'a, 't> {
    pub body: &'a BodySpec<'t>,
    pub lowered: &'a LoweredGraph,
    pub paths: PathAnalysis,
    /// By node and branch; a loop's body has no name.
    pub inner: BTreeMap<(NodeIndex, &'a str), CheckedGraph<'a, 't>>,
}

impl<'a, 't> CheckedGraph<'a, 't> {
    /// Returns `None` if a graph has a cycle.
    pub(super) fn of(body: &'a BodySpec<'t>, lowered: &'a LoweredGraph) -> Option<Self> {
        let paths = PathAnalysis::of(lowered)?;
        let mut inner = BTreeMap::new();
        for (place, node) in (0..).map(NodeIndex).zip(&body.nodes) {
            let bodies: Vec<(&'a str, &'a BodySpec<'t>)> = match &node.part {
                NodeKindSpec::Loop(each) => vec![("", &each.body)],
                NodeKindSpec::Parallel(branches) => branches.iter().map(|(name, body)| (name.as_str(), body)).collect(),
                NodeKindSpec::Complete(_)
                | NodeKindSpec::Agent(_)
                | NodeKindSpec::Tool(_)
                | NodeKindSpec::Subworkflow(_) => Vec::new(),
            };
            for (name, body) in bodies {
                let lowered = lowered.bodies.get(&(place, name.to_owned()))?;
                inner.insert((place, name), Self::of(body, lowered)?);
            }
        }
        Some(Self { body, lowered, paths, inner })
    }

    /// Visits this layer and all layers inside it.
    pub(super) fn each(&self, visit: &mut impl FnMut(&Self)) {
        visit(self);
        for inner in self.inner.values() {
            inner.each(visit);
        }
    }

    pub(super) fn id(&self, place: NodeIndex) -> &str {
        self.lowered.graph.node(place).id.as_str()
    }

    /// Returns the position of a node's id.
    pub(super) fn span(&self, place: NodeIndex) -> SourceSpan {
        self.body.nodes.get(place.as_usize()).map(|node| node.id.span).unwrap_or_default()
    }
}
