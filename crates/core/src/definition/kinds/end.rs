//! `end`: completes the run with an output.

use super::super::document::Part;
use super::super::fields::{Field, Fields, Shape, field};
use super::super::reader::Reader;
use super::Kind;
use super::merge::RESTS;
use crate::graph::node::{self, End, Rest};

pub(crate) const KIND: Kind = Kind {
    word: "end",
    what: "an end node",
    doc: "Completes the run, or the body it stands in, with an output.",
    fields: FIELDS,
    tells: &[],
    read,
};

const FIELDS: &[Field] = &[
    field("output", Shape::Any, "The output; may hold templates."),
    field("rest", Shape::Word(&["wait", "cancel"]), "What becomes of work that is still open; `wait` where left out."),
];

fn read<'t>(fields: &mut Fields<'t>, reader: &mut Reader) -> Option<Part<'t>> {
    let output = match fields.take("output", &mut reader.findings) {
        Some(output) => Some(reader.params(output, &[])?),
        None => None,
    };
    let rest = fields.word("rest", RESTS, &mut reader.findings).unwrap_or(Rest::Wait);
    Some(Part::Whole(node::Kind::End(End { output, rest })))
}
