//! All kinds of nodes: their keys and how they are read. One file per kind, and one table of all.

pub(crate) mod agent;
pub(crate) mod condition;
pub(crate) mod end;
pub(crate) mod human;
pub(crate) mod merge;
pub(crate) mod parallel;
pub(crate) mod repeat;
pub(crate) mod sink;
pub(crate) mod subworkflow;
pub(crate) mod switch;
pub(crate) mod tool;
pub(crate) mod transform;
pub(crate) mod trigger;
pub(crate) mod wait;

use super::fields::{FieldSchema, MappingReader};
use super::reader::DefinitionReader;
use super::spec::NodeKindSpec;

/// One kind of node.
pub(crate) struct KindDescriptor {
    pub word: &'static str,
    /// A label for messages: `a tool node`.
    pub label: &'static str,
    pub doc: &'static str,
    pub fields: &'static [FieldSchema],
    /// Keys from which the kind is inferred if `type` is absent.
    pub inferring_keys: &'static [&'static str],
    pub read: for<'t> fn(&mut MappingReader<'t>, &mut DefinitionReader) -> Option<NodeKindSpec<'t>>,
}

/// All kinds, in the order in which a node without `type` is matched.
pub(crate) const ALL: &[KindDescriptor] = &[
    agent::KIND,
    tool::KIND,
    subworkflow::KIND,
    repeat::KIND,
    parallel::KIND,
    switch::KIND,
    human::KIND,
    wait::KIND,
    sink::KIND,
    trigger::KIND,
    condition::KIND,
    merge::KIND,
    transform::KIND,
    end::KIND,
];

/// Returns the kind with this name.
pub(crate) fn find(word: &str) -> Option<&'static KindDescriptor> {
    ALL.iter().find(|kind| kind.word == word)
}

/// Returns the first kind that one of the node's keys implies.
pub(crate) fn infer(has: impl Fn(&str) -> bool) -> Option<&'static KindDescriptor> {
    ALL.iter().find(|kind| kind.inferring_keys.iter().any(|key| has(key)))
}
