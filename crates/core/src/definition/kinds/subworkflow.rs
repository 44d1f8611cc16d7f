//! `subworkflow`: runs another workflow as a child run.

use super::super::fields::{FieldSchema, FieldShape, MappingReader, field, required};
use super::super::reader::DefinitionReader;
use super::super::spec::{NodeKindSpec, SubworkflowNodeSpec};
use super::KindDescriptor;

pub(crate) const KIND: KindDescriptor = KindDescriptor {
    word: "subworkflow",
    label: "a subworkflow node",
    doc: "Runs another workflow; its output is that run's output.",
    fields: FIELDS,
    inferring_keys: &["workflow"],
    read,
};

const FIELDS: &[FieldSchema] = &[
    required("workflow", FieldShape::Text, "The workflow's name; its version is pinned with this one's."),
    field("input", FieldShape::Any, "The input of its run; may hold templates. Empty where left out."),
];

fn read<'t>(fields: &mut MappingReader<'t>, reader: &mut DefinitionReader) -> Option<NodeKindSpec<'t>> {
    let workflow = fields.text("workflow", &mut reader.findings);
    if workflow.is_none() && !fields.has("workflow") {
        fields.report_missing("workflow", "name the workflow it runs", &mut reader.findings);
    }
    let input = match fields.take("input", &mut reader.findings) {
        Some(input) => reader.params(input, &[]),
        None => reader.empty_params(),
    };
    Some(NodeKindSpec::Subworkflow(Box::new(SubworkflowNodeSpec { workflow: workflow?, input: input? })))
}
