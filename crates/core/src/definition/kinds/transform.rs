//! `transform`: sets variables.

use super::super::document::Part;
use super::super::fields::{Field, Fields};
use super::super::node;
use super::super::reader::Reader;
use super::Kind;
use crate::graph::node::Kind as Made;

pub(crate) const KIND: Kind = Kind {
    word: "transform",
    what: "a transform node",
    doc: "Sets variables; its output is what it set.",
    fields: FIELDS,
    tells: &["set"],
    read,
};

/// `set` itself is a key of every node.
const FIELDS: &[Field] = &[];

fn read<'t>(fields: &mut Fields<'t>, reader: &mut Reader) -> Option<Part<'t>> {
    if !fields.has("set") {
        fields.missing("set", "write `set: {variable: value}`", &mut reader.findings);
        return None;
    }
    let sets = node::sets(fields, reader, &[]);
    Some(Part::Whole(Made::Transform(sets.into_iter().map(|(name, value)| (name.value, value)).collect())))
}
