//! `switch`: chooses the first case that holds.

use std::collections::BTreeSet;

use super::super::diagnostic::{Code, shown};
use super::super::document::Part;
use super::super::fields::{Field, Fields, Shape, field, required};
use super::super::reader::Reader;
use super::super::source::Node;
use super::Kind;
use crate::expr::Condition;
use crate::graph::node::{self, Switch};

pub(crate) const KIND: Kind = Kind {
    word: "switch",
    what: "a switch node",
    doc: "Chooses the first case that holds; edges name it by `when`.",
    fields: FIELDS,
    tells: &["cases"],
    read,
};

const FIELDS: &[Field] = &[
    required("cases", Shape::ListOf("case"), "Cases in the order in which they are tried."),
    field("default", Shape::Text, "The branch where no case holds."),
];

pub(crate) const CASE: &[Field] = &[
    required("name", Shape::Text, "The branch, as edges name it by `when`."),
    required("condition", Shape::Of("condition"), "When it is chosen."),
];

fn read<'t>(fields: &mut Fields<'t>, reader: &mut Reader) -> Option<Part<'t>> {
    if !fields.has("cases") {
        fields.missing("cases", "write `cases: [{name: …, condition: …}]`", &mut reader.findings);
    }
    let items = fields.list("cases", &mut reader.findings).unwrap_or_default();
    let mut seen = BTreeSet::new();
    let mut cases = Vec::with_capacity(items.len());
    for item in items {
        let Some((name, condition)) = case(item, reader) else { continue };
        if !seen.insert(name.clone()) {
            let message = format!("two cases are called `{}`", shown(&name));
            reader.findings.push(item.span.error(Code::DuplicateName, message));
        }
        cases.push((name, condition));
    }
    let default = fields.text("default", &mut reader.findings);
    if let Some(default) = &default {
        reader.name("a branch", default);
    }
    Some(Part::Whole(node::Kind::Switch(Switch { cases, default: default.map(|name| name.value) })))
}

fn case(item: &Node, reader: &mut Reader) -> Option<(String, Condition)> {
    let mut fields = Fields::of(item, "a case", &mut reader.findings)?;
    let name = fields.text("name", &mut reader.findings);
    let condition = fields.take("condition", &mut reader.findings);
    if name.is_none() && !fields.has("name") {
        fields.missing("name", "edges name the case by it", &mut reader.findings);
    }
    if condition.is_none() {
        fields.missing("condition", "write when the case is chosen", &mut reader.findings);
    }
    fields.finish(&[CASE], &[], &mut reader.findings);
    let condition = condition.and_then(|node| reader.condition(node, &[]));
    let name = name.filter(|name| reader.name("a branch", name))?;
    Some((name.value, condition?))
}
