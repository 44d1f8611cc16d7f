//! `transform`: sets variables.

use super::super::fields::{FieldSchema, MappingReader};
use super::super::node;
use super::super::reader::DefinitionReader;
use super::super::spec::NodeKindSpec;
use super::KindDescriptor;
use crate::graph::node::NodeKind;

pub(crate) const KIND: KindDescriptor = KindDescriptor {
    word: "transform",
    label: "a transform node",
    doc: "Sets variables; its output is what it set.",
    fields: FIELDS,
    inferring_keys: &["set"],
    read,
};

/// `set` itself is a key of every node.
const FIELDS: &[FieldSchema] = &[];

fn read<'t>(fields: &mut MappingReader<'t>, reader: &mut DefinitionReader) -> Option<NodeKindSpec<'t>> {
    if !fields.has("set") {
        fields.report_missing("set", "write `set: {variable: value}`", &mut reader.findings);
        return None;
    }
    let sets = node::sets(fields, reader, &[]);
    Some(NodeKindSpec::Complete(NodeKind::Transform(
        sets.into_iter().map(|(name, value)| (name.value, value)).collect(),
    )))
}
