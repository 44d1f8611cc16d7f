//! `loop`: repeats a body for each item, while a condition holds, or until it holds.

use super::super::body;
use super::super::diagnostic::DiagnosticCode;
use super::super::fields::{FieldSchema, FieldShape, MappingReader, field, required};
use super::super::reader::DefinitionReader;
use super::super::spec::{LoopNodeSpec, NodeKindSpec};
use super::KindDescriptor;
use crate::graph::node::{CONCURRENCY_MAX, ITEMS_MAX, ITERATIONS_DEFAULT, LoopMode, OnItemError};

/// Maximum number of iterations that a definition may set.
pub const ITERATIONS_MAX: u32 = 100_000;

pub(crate) const KIND: KindDescriptor = KindDescriptor {
    word: "loop",
    label: "a loop node",
    doc: "Repeats a body: for each item of a list, while, or until a condition holds.",
    fields: FIELDS,
    inferring_keys: &["for_each", "while", "body"],
    read,
};

const FIELDS: &[FieldSchema] = &[
    field(
        "for_each",
        FieldShape::Any,
        "A list, or a template or reference that gives one; the body sees `item` and `index`.",
    ),
    field(
        "while",
        FieldShape::Of("condition"),
        "Asked before each iteration; sees `index` and `last`, the output before.",
    ),
    field(
        "until",
        FieldShape::Of("condition"),
        "Asked after each iteration; sees `index` and `last`, the output of it.",
    ),
    required("body", FieldShape::Of("body"), "What is repeated: `nodes` and `edges`, or `steps`."),
    field("max_iterations", FieldShape::Count, "The loop fails beyond it; 1000 where left out."),
    field("concurrency", FieldShape::Count, "For each: how many bodies may be open at once; 1 where left out."),
    field(
        "on_item_error",
        FieldShape::Word(&["fail", "collect"]),
        "For each: `fail` (default), or `collect` errors and go on.",
    ),
];

/// Names that are visible in a loop body in addition to the run's.
const LOOP_NAMES: &[&str] = &["item", "index", "last"];

fn read<'t>(fields: &mut MappingReader<'t>, reader: &mut DefinitionReader) -> Option<NodeKindSpec<'t>> {
    let kinds = ["for_each", "while", "until"];
    let written = kinds.iter().filter(|key| fields.has(key)).count();
    for key in kinds {
        fields.take(key, &mut reader.findings);
    }
    if written > 1 {
        let message = "a loop has one of `for_each`, `while` and `until`";
        reader.findings.push(fields.span().error(DiagnosticCode::Conflict, message));
    }
    let default = if fields.has("for_each") { ITEMS_MAX as u32 } else { ITERATIONS_DEFAULT };
    let max_iterations = fields.count("max_iterations", 1, ITERATIONS_MAX, &mut reader.findings).unwrap_or(default);
    let concurrency = fields.entry("concurrency", &mut reader.findings);
    let collects = fields.entry("on_item_error", &mut reader.findings);
    let over = read_mode(fields, reader);
    if !matches!(over, Some(LoopMode::Each { .. }) | None) {
        for (key, _) in [concurrency, collects].into_iter().flatten() {
            let message = format!("`{}` belongs to `for_each`", key.name);
            reader.findings.push(key.span.error(DiagnosticCode::Conflict, message));
        }
    }
    let words = [("fail", OnItemError::Fail), ("collect", OnItemError::Collect)];
    let on_item_error = fields.keyword("on_item_error", &words, &mut reader.findings).unwrap_or_default();
    let Some(body) = fields.take("body", &mut reader.findings) else {
        fields.report_missing("body", "write `body: {nodes: […]}` or `body: {steps: […]}`", &mut reader.findings);
        return None;
    };
    let body = body::read_nested(body, LOOP_NAMES, reader)?;
    Some(NodeKindSpec::Loop(Box::new(LoopNodeSpec { over: over?, body, max_iterations, on_item_error })))
}

fn read_mode(fields: &mut MappingReader<'_>, reader: &mut DefinitionReader) -> Option<LoopMode> {
    if let Some(items) = fields.take("for_each", &mut reader.findings) {
        let concurrency = fields.count("concurrency", 1, CONCURRENCY_MAX, &mut reader.findings).unwrap_or(1);
        let params = reader.params(items, &[])?;
        if params.literal().is_some_and(|literal| !literal.is_array()) {
            let message = "`for_each` needs a list, or a template or reference that gives one";
            reader.findings.push(
                items.span.error(DiagnosticCode::WrongShape, message).hint("write `for_each: \"{{ node.items }}\"`"),
            );
        }
        return Some(LoopMode::Each { items: params, concurrency });
    }
    let local = &["index", "last"];
    if let Some(condition) = fields.take("while", &mut reader.findings) {
        return reader.condition(condition, local).map(LoopMode::While);
    }
    if let Some(condition) = fields.take("until", &mut reader.findings) {
        return reader.condition(condition, local).map(LoopMode::Until);
    }
    fields.report_missing("for_each", "write `for_each`, `while` or `until`", &mut reader.findings);
    None
}
