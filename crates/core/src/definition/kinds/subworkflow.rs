//! `subworkflow`: another workflow as a run of its own.

use super::super::document::{Part, Subworkflow};
use super::super::fields::{Field, Fields, Shape, field, required};
use super::super::reader::Reader;
use super::Kind;

pub(crate) const KIND: Kind = Kind {
    word: "subworkflow",
    what: "a subworkflow node",
    doc: "Runs another workflow; its output is that run's output.",
    fields: FIELDS,
    tells: &["workflow"],
    read,
};

const FIELDS: &[Field] = &[
    required("workflow", Shape::Text, "The workflow's name; its version is pinned with this one's."),
    field("input", Shape::Any, "The input of its run; may hold templates. Empty where left out."),
];

fn read<'t>(fields: &mut Fields<'t>, reader: &mut Reader) -> Option<Part<'t>> {
    let workflow = fields.text("workflow", &mut reader.findings);
    if workflow.is_none() && !fields.has("workflow") {
        fields.missing("workflow", "name the workflow it runs", &mut reader.findings);
    }
    let input = match fields.take("input", &mut reader.findings) {
        Some(input) => reader.params(input, &[]),
        None => reader.no_params(),
    };
    Some(Part::Subworkflow(Box::new(Subworkflow { workflow: workflow?, input: input? })))
}
