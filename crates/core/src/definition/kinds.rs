//! Every kind of node: the keys it may have and how they are read. One file per kind, one table of them all.

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
    /// For messages: `a tool node`.
    pub label: &'static str,
    pub doc: &'static str,
    pub fields: &'static [FieldSchema],
    /// Keys that tell the kind where `type` is not written.
    pub inferring_keys: &'static [&'static str],
    pub read: for<'t> fn(&mut MappingReader<'t>, &mut DefinitionReader) -> Option<NodeKindSpec<'t>>,
}

/// All kinds, in the order in which a node without `type` is tried.
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

/// The kind of this word.
pub(crate) fn find(word: &str) -> Option<&'static KindDescriptor> {
    ALL.iter().find(|kind| kind.word == word)
}

/// The first kind that a key of the node tells.
pub(crate) fn infer(has: impl Fn(&str) -> bool) -> Option<&'static KindDescriptor> {
    ALL.iter().find(|kind| kind.inferring_keys.iter().any(|key| has(key)))
}
