//! `condition`: chooses the branch `true` or `false`.

use super::super::document::Part;
use super::super::fields::{Field, Fields, Shape, field};
use super::super::reader::Reader;
use super::Kind;
use crate::graph::node;

pub(crate) const KIND: Kind = Kind {
    word: "condition",
    what: "a condition node",
    doc: "Chooses the branch `true` or `false`; edges name it by `when`.",
    fields: FIELDS,
    tells: &["expression"],
    read,
};

const FIELDS: &[Field] = &[
    field("condition", Shape::Of("condition"), "The question."),
    field("expression", Shape::Of("condition"), "The same as `condition`."),
];

fn read<'t>(fields: &mut Fields<'t>, reader: &mut Reader) -> Option<Part<'t>> {
    let Some((_, question)) = fields.one_of(&["condition", "expression"], &mut reader.findings) else {
        fields.missing("condition", "write the question it answers", &mut reader.findings);
        return None;
    };
    reader.condition(question, &[]).map(|condition| Part::Whole(node::Kind::Condition(condition)))
}
