//! A graph with its text, its order, and the graphs inside its nodes.

use std::collections::BTreeMap;

use super::super::NodeIx;
use super::super::compile::Lowered;
use super::paths::Paths;
use crate::definition::document::{Body, Part};
use crate::definition::source::Span;

pub(super) struct Layer<'a, 't> {
    pub body: &'a Body<'t>,
    pub lowered: &'a Lowered,
    pub paths: Paths,
    /// By node and branch; a loop's body has no name.
    pub inner: BTreeMap<(NodeIx, &'a str), Layer<'a, 't>>,
}

impl<'a, 't> Layer<'a, 't> {
    /// Nothing where some graph has a circle.
    pub(super) fn of(body: &'a Body<'t>, lowered: &'a Lowered) -> Option<Self> {
        let paths = Paths::of(lowered)?;
        let mut inner = BTreeMap::new();
        for (place, node) in (0..).map(NodeIx).zip(&body.nodes) {
            let bodies: Vec<(&'a str, &'a Body<'t>)> = match &node.part {
                Part::Loop(each) => vec![("", &each.body)],
                Part::Parallel(branches) => branches.iter().map(|(name, body)| (name.as_str(), body)).collect(),
                Part::Whole(_) | Part::Agent(_) | Part::Tool(_) | Part::Subworkflow(_) => Vec::new(),
            };
            for (name, body) in bodies {
                let lowered = lowered.bodies.get(&(place, name.to_owned()))?;
                inner.insert((place, name), Self::of(body, lowered)?);
            }
        }
        Some(Self { body, lowered, paths, inner })
    }

    /// This layer and all inside it.
    pub(super) fn each(&self, visit: &mut impl FnMut(&Self)) {
        visit(self);
        for inner in self.inner.values() {
            inner.each(visit);
        }
    }

    pub(super) fn id(&self, place: NodeIx) -> &str {
        self.lowered.graph.node(place).id.as_str()
    }

    /// Where a node's id stands.
    pub(super) fn span(&self, place: NodeIx) -> Span {
        self.body.nodes.get(place.at()).map(|node| node.id.span).unwrap_or_default()
    }
}
