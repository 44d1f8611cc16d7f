//! `condition`: chooses the branch `true` or `false`.

use super::super::fields::{FieldSchema, FieldShape, MappingReader, field};
use super::super::reader::DefinitionReader;
use super::super::spec::NodeKindSpec;
use super::KindDescriptor;
use crate::graph::node;

pub(crate) const KIND: KindDescriptor = KindDescriptor {
    word: "condition",
    label: "a condition node",
    doc: "Chooses the branch `true` or `false`; edges name it by `when`.",
    fields: FIELDS,
    inferring_keys: &["expression"],
    read,
};

const FIELDS: &[FieldSchema] = &[
    field("condition", FieldShape::Of("condition"), "The question."),
    field("expression", FieldShape::Of("condition"), "The same as `condition`."),
];

fn read<'t>(fields: &mut MappingReader<'t>, reader: &mut DefinitionReader) -> Option<NodeKindSpec<'t>> {
    let Some((_, question)) = fields.one_of(&["condition", "expression"], &mut reader.findings) else {
        fields.report_missing("condition", "write the question it answers", &mut reader.findings);
        return None;
    };
    reader.condition(question, &[]).map(|condition| NodeKindSpec::Complete(node::NodeKind::Condition(condition)))
}
