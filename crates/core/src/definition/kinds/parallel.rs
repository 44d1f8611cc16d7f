//! `parallel`: bodies that run concurrently, or a plain fan-out over its edges.

use std::collections::BTreeMap;

use super::super::body;
use super::super::fields::{FieldSchema, FieldShape, MappingReader, field};
use super::super::reader::DefinitionReader;
use super::super::source::SpannedValue;
use super::super::spec::NodeKindSpec;
use super::KindDescriptor;

pub(crate) const KIND: KindDescriptor = KindDescriptor {
    word: "parallel",
    label: "a parallel node",
    doc: "Runs branches side by side and waits for all; without `branches` it fans out over its edges.",
    fields: FIELDS,
    inferring_keys: &["branches"],
    read,
};

const FIELDS: &[FieldSchema] =
    &[field("branches", FieldShape::MapOf("body"), "Bodies by name; the output has one key for each.")];

fn read<'t>(fields: &mut MappingReader<'t>, reader: &mut DefinitionReader) -> Option<NodeKindSpec<'t>> {
    let mut branches = BTreeMap::new();
    if let Some(map) = fields.map("branches", &mut reader.findings) {
        for (key, node) in map.iter() {
            let name = SpannedValue::new(key.name.clone(), key.span);
            let fits = reader.check_name("a branch", &name);
            if let Some(body) = body::read_nested(node, &[], reader).filter(|_| fits) {
                branches.insert(name.value, body);
            }
        }
    }
    Some(NodeKindSpec::Parallel(branches))
}
