//! `parallel`: bodies side by side, or a plain fan-out over its edges.

use std::collections::BTreeMap;

use super::super::body;
use super::super::document::Part;
use super::super::fields::{Field, Fields, Shape, field};
use super::super::reader::Reader;
use super::super::source::Located;
use super::Kind;

pub(crate) const KIND: Kind = Kind {
    word: "parallel",
    what: "a parallel node",
    doc: "Runs branches side by side and waits for all; without `branches` it fans out over its edges.",
    fields: FIELDS,
    tells: &["branches"],
    read,
};

const FIELDS: &[Field] = &[field("branches", Shape::MapOf("body"), "Bodies by name; the output has one key for each.")];

fn read<'t>(fields: &mut Fields<'t>, reader: &mut Reader) -> Option<Part<'t>> {
    let mut branches = BTreeMap::new();
    if let Some(map) = fields.map("branches", &mut reader.findings) {
        for (key, node) in map.iter() {
            let name = Located::new(key.name.clone(), key.span);
            let fits = reader.name("a branch", &name);
            if let Some(body) = body::nested(node, &[], reader).filter(|_| fits) {
                branches.insert(name.value, body);
            }
        }
    }
    Some(Part::Parallel(branches))
}
