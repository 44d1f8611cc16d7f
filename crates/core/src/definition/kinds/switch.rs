//! `switch`: chooses the first case that holds.

use std::collections::BTreeSet;

use super::super::diagnostic::{DiagnosticCode, clip_word};
use super::super::fields::{FieldSchema, FieldShape, MappingReader, field, required};
use super::super::reader::DefinitionReader;
use super::super::source::YamlNode;
use super::super::spec::NodeKindSpec;
use super::KindDescriptor;
use crate::graph::node::{self, SwitchNode};
use baton_expr::Condition;

pub(crate) const KIND: KindDescriptor = KindDescriptor {
    word: "switch",
    label: "a switch node",
    doc: "Chooses the first case that holds; edges name it by `when`.",
    fields: FIELDS,
    inferring_keys: &["cases"],
    read,
};

const FIELDS: &[FieldSchema] = &[
    required("cases", FieldShape::ListOf("case"), "Cases in the order in which they are tried."),
    field("default", FieldShape::Text, "The branch where no case holds."),
];

pub(crate) const CASE: &[FieldSchema] = &[
    required("name", FieldShape::Text, "The branch, as edges name it by `when`."),
    required("condition", FieldShape::Of("condition"), "When it is chosen."),
];

fn read<'t>(fields: &mut MappingReader<'t>, reader: &mut DefinitionReader) -> Option<NodeKindSpec<'t>> {
    if !fields.has("cases") {
        fields.report_missing("cases", "write `cases: [{name: …, condition: …}]`", &mut reader.findings);
    }
    let items = fields.list("cases", &mut reader.findings).unwrap_or_default();
    let mut seen = BTreeSet::new();
    let mut cases = Vec::with_capacity(items.len());
    for item in items {
        let Some((name, condition)) = case(item, reader) else { continue };
        if !seen.insert(name.clone()) {
            let message = format!("two cases are called `{}`", clip_word(&name));
            reader.findings.push(item.span.error(DiagnosticCode::DuplicateName, message));
        }
        cases.push((name, condition));
    }
    let default = fields.text("default", &mut reader.findings);
    if let Some(default) = &default {
        reader.check_name("a branch", default);
    }
    Some(NodeKindSpec::Complete(node::NodeKind::Switch(SwitchNode { cases, default: default.map(|name| name.value) })))
}

fn case(item: &YamlNode, reader: &mut DefinitionReader) -> Option<(String, Condition)> {
    let mut fields = MappingReader::of(item, "a case", &mut reader.findings)?;
    let name = fields.text("name", &mut reader.findings);
    let condition = fields.take("condition", &mut reader.findings);
    if name.is_none() && !fields.has("name") {
        fields.report_missing("name", "edges name the case by it", &mut reader.findings);
    }
    if condition.is_none() {
        fields.report_missing("condition", "write when the case is chosen", &mut reader.findings);
    }
    fields.finish(&[CASE], &[], &mut reader.findings);
    let condition = condition.and_then(|node| reader.condition(node, &[]));
    let name = name.filter(|name| reader.check_name("a branch", name))?;
    Some((name.value, condition?))
}
