//! `end`: completes the run with an output.

use super::super::fields::{FieldSchema, FieldShape, MappingReader, field};
use super::super::reader::DefinitionReader;
use super::super::spec::NodeKindSpec;
use super::KindDescriptor;
use super::merge::REMAINING_WORK_MODES;
use crate::graph::node::{self, EndNode, RemainingWork};

pub(crate) const KIND: KindDescriptor = KindDescriptor {
    word: "end",
    label: "an end node",
    doc: "Completes the run, or the body it stands in, with an output.",
    fields: FIELDS,
    inferring_keys: &[],
    read,
};

const FIELDS: &[FieldSchema] = &[
    field("output", FieldShape::Any, "The output; may hold templates."),
    field(
        "rest",
        FieldShape::Word(&["wait", "cancel"]),
        "What becomes of work that is still open; `wait` where left out.",
    ),
];

fn read<'t>(fields: &mut MappingReader<'t>, reader: &mut DefinitionReader) -> Option<NodeKindSpec<'t>> {
    let output = match fields.take("output", &mut reader.findings) {
        Some(output) => Some(reader.params(output, &[])?),
        None => None,
    };
    let rest = fields.keyword("rest", REMAINING_WORK_MODES, &mut reader.findings).unwrap_or(RemainingWork::Wait);
    Some(NodeKindSpec::Complete(node::NodeKind::End(EndNode { output, rest })))
}
