//! The nodes and edges of one graph, in either form.

use std::collections::{BTreeMap, BTreeSet};

use super::diagnostic::{DiagnosticCode, clip_word};
use super::fields::{FieldSchema, FieldShape, MappingReader, field, read_text, required};
use super::node;
use super::reader::DefinitionReader;
use super::source::{SourceSpan, SpannedValue, YamlNode, YamlValue};
use super::spec::{BodySpec, DefinitionForm, EdgeSpec, NameReference};
use crate::graph::{EDGES_MAX, NESTING_MAX};

pub(crate) const FIELDS: &[FieldSchema] = &[
    field("nodes", FieldShape::ListOf("node"), "The nodes."),
    field("edges", FieldShape::ListOf("edge"), "What leads where; without it nodes are ordered by what they name."),
    field("steps", FieldShape::ListOf("step"), "The other way to write a workflow: steps that depend on each other."),
];

pub(crate) const EDGE: &[FieldSchema] = &[
    required("from", FieldShape::Text, "The node it leaves."),
    required("to", FieldShape::Text, "The node it leads to."),
    field(
        "when",
        FieldShape::Of("branch"),
        "The branch it follows: `true`, `false`, `approved`, `rejected`, or a case.",
    ),
    field("condition", FieldShape::Of("condition"), "Taken only where it holds; sees `output`, its source's."),
    field("description", FieldShape::Text, "For people."),
];

/// Reads the body of a loop or a branch. The names outside the body that its expressions reference count as references
/// of the enclosing node, except the names `local` to the body.
pub(crate) fn read_nested<'t>(
    tree: &'t YamlNode,
    local: &[&str],
    reader: &mut DefinitionReader,
) -> Option<BodySpec<'t>> {
    if reader.nesting >= NESTING_MAX {
        let message = format!("bodies nest more than {NESTING_MAX} levels deep");
        reader
            .findings
            .push(tree.span.error(DiagnosticCode::TooLarge, message).hint("move the inner one into a subworkflow"));
        return None;
    }
    let outer = reader.take_references();
    let dialect = reader.dialect;
    reader.nesting += 1;
    let body = MappingReader::of(tree, "a body", &mut reader.findings).and_then(|mut fields| {
        let body = read(&mut fields, reader);
        fields.finish(&[FIELDS], &[], &mut reader.findings);
        body
    });
    reader.nesting -= 1;
    reader.dialect = dialect;
    reader.take_references();
    outer.into_iter().for_each(|mention| reader.add_reference(mention));
    let body = body?;
    for mention in free_references(&body, local) {
        reader.add_reference(mention);
    }
    Some(body)
}

/// References of a body to names outside it.
fn free_references(body: &BodySpec<'_>, local: &[&str]) -> Vec<NameReference> {
    let of_edges = body.edges.iter().flatten().flat_map(|edge| &edge.references);
    let all = body.nodes.iter().flat_map(|node| &node.references).chain(of_edges);
    let own: BTreeSet<&str> =
        body.nodes.iter().map(|node| node.id.value.as_str()).chain(local.iter().copied()).collect();
    let mut seen: BTreeMap<&str, &NameReference> = BTreeMap::new();
    for mention in all {
        if !seen.contains_key(mention.root.as_str()) && !own.contains(mention.root.as_str()) {
            seen.insert(&mention.root, mention);
        }
    }
    seen.into_values().cloned().map(|mention| NameReference { is_after_node: false, ..mention }).collect()
}

/// Reads `nodes` and `edges`, or `steps`.
pub(crate) fn read<'t>(fields: &mut MappingReader<'t>, reader: &mut DefinitionReader) -> Option<BodySpec<'t>> {
    let span = fields.span();
    let steps = fields.entry("steps", &mut reader.findings);
    let edges = fields.entry("edges", &mut reader.findings);
    if let Some((key, _)) = steps {
        for other in ["nodes", "edges"] {
            if fields.has(other) {
                let message = format!("a workflow has either `steps` or `{other}`");
                reader.findings.push(key.span.error(DiagnosticCode::Conflict, message));
            }
        }
    }
    let form = if steps.is_some() { DefinitionForm::Steps } else { DefinitionForm::Nodes };
    reader.dialect = form.dialect();
    let list = if form == DefinitionForm::Steps { "steps" } else { "nodes" };
    if steps.is_none() && !fields.has("nodes") {
        fields.report_missing("nodes", "write `nodes:` and `edges:`, or `steps:`", &mut reader.findings);
    }
    let trees = fields.list(list, &mut reader.findings).unwrap_or_default();
    fields.take("nodes", &mut reader.findings);
    let mut nodes = Vec::with_capacity(trees.len());
    let mut before: Option<SpannedValue<String>> = None;
    for (place, tree) in trees.iter().enumerate() {
        let mut node = node::read(tree, place, form, reader);
        if let (DefinitionForm::Steps, true, Some(node), Some(before)) =
            (form, node::is_chained_step(tree), &mut node, before.take())
        {
            node.depends_on.push(before);
        }
        before = node.as_ref().map(|node| SpannedValue::new(node.id.value.clone(), node.id.span));
        nodes.extend(node);
    }
    reject_duplicate_ids(&nodes, reader);
    let edges = edges.and_then(|_| fields.list("edges", &mut reader.findings)).map(|trees| read_edges(trees, reader));
    if edges.is_some() {
        for dependency in nodes.iter().flat_map(|node| &node.depends_on) {
            let message = "this file orders its nodes by `edges`";
            let hint = "write an edge instead of `depends_on`, or leave `edges` out";
            reader.findings.push(dependency.span.error(DiagnosticCode::Conflict, message).hint(hint));
        }
    }
    Some(BodySpec { form, nodes, edges, span })
}

fn reject_duplicate_ids(nodes: &[super::spec::NodeSpec<'_>], reader: &mut DefinitionReader) {
    let mut seen: BTreeMap<&str, SourceSpan> = BTreeMap::new();
    for node in nodes {
        match seen.get(node.id.value.as_str()) {
            Some(first) => {
                let message = format!("two nodes are called `{}`, the first in line {}", node.id.value, first.line);
                reader.findings.push(node.id.span.error(DiagnosticCode::DuplicateName, message));
            }
            None => {
                seen.insert(&node.id.value, node.id.span);
            }
        }
    }
}

fn read_edges(trees: &[YamlNode], reader: &mut DefinitionReader) -> Vec<EdgeSpec> {
    if let Some(beyond) = trees.get(EDGES_MAX) {
        let message = format!("the workflow has more than {EDGES_MAX} edges");
        reader.findings.push(beyond.span.error(DiagnosticCode::TooLarge, message));
    }
    trees.iter().take(EDGES_MAX).filter_map(|tree| edge(tree, reader)).collect()
}

fn edge(tree: &YamlNode, reader: &mut DefinitionReader) -> Option<EdgeSpec> {
    let mut fields = MappingReader::of(tree, "an edge", &mut reader.findings)?;
    reader.take_references();
    let from = read_endpoint("from", &mut fields, reader);
    let to = read_endpoint("to", &mut fields, reader);
    fields.text("description", &mut reader.findings);
    let when = fields.take("when", &mut reader.findings).and_then(|node| branch(node, reader));
    let condition = fields.take("condition", &mut reader.findings).and_then(|node| reader.condition(node, &["output"]));
    let span = fields.span();
    fields.finish(&[EDGE], &[], &mut reader.findings);
    let mentions = reader.take_references();
    Some(EdgeSpec { from: from?, to: to?, when, condition, references: mentions, span })
}

fn read_endpoint(
    name: &'static str,
    fields: &mut MappingReader<'_>,
    reader: &mut DefinitionReader,
) -> Option<SpannedValue<String>> {
    if !fields.has(name) {
        fields.report_missing(name, "an edge is written `- from: A` and `to: B`", &mut reader.findings);
    }
    fields.text(name, &mut reader.findings)
}

/// Reads the branch of an edge; `true` and `false` need no quotes.
fn branch(node: &YamlNode, reader: &mut DefinitionReader) -> Option<SpannedValue<String>> {
    match &node.value {
        YamlValue::Bool(is) => Some(SpannedValue::new(is.to_string(), node.span)),
        YamlValue::Map(_) => {
            let message = "`when` names a branch";
            let hint = "a condition on an edge is written under `condition`";
            reader.findings.push(node.span.error(DiagnosticCode::WrongShape, message).hint(hint));
            None
        }
        _ => {
            let branch = read_text("when", node, &mut reader.findings)?;
            if branch.value.contains(char::is_whitespace) {
                let message = format!("`{}` is no branch", clip_word(&branch.value));
                let hint = "a condition on an edge is written under `condition`";
                reader.findings.push(node.span.error(DiagnosticCode::BadValue, message).hint(hint));
                return None;
            }
            Some(branch)
        }
    }
}
