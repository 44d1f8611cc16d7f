//! The nodes and edges of one graph, written either way.

use std::collections::{BTreeMap, BTreeSet};

use super::diagnostic::{Code, shown};
use super::document::{Body, Edge, Form, Mention};
use super::fields::{Field, Fields, Shape, field, required, text};
use super::node;
use super::reader::Reader;
use super::source::{Located, Node as Tree, Span, Value};
use crate::graph::{EDGES_MAX, NESTING_MAX};

pub(crate) const FIELDS: &[Field] = &[
    field("nodes", Shape::ListOf("node"), "The nodes."),
    field("edges", Shape::ListOf("edge"), "What leads where; without it nodes are ordered by what they name."),
    field("steps", Shape::ListOf("step"), "The other way to write a workflow: steps that depend on each other."),
];

pub(crate) const EDGE: &[Field] = &[
    required("from", Shape::Text, "The node it leaves."),
    required("to", Shape::Text, "The node it leads to."),
    field("when", Shape::Of("branch"), "The branch it follows: `true`, `false`, `approved`, `rejected`, or a case."),
    field("condition", Shape::Of("condition"), "Taken only where it holds; sees `output`, its source's."),
    field("description", Shape::Text, "For people."),
];

/// The body of a loop or a branch. What its expressions mention outside it, the node around it mentions, too, but
/// for the names `local` to the body.
pub(crate) fn nested<'t>(tree: &'t Tree, local: &[&str], reader: &mut Reader) -> Option<Body<'t>> {
    if reader.nesting >= NESTING_MAX {
        let message = format!("bodies nest more than {NESTING_MAX} levels deep");
        reader.findings.push(tree.span.error(Code::TooLarge, message).hint("move the inner one into a subworkflow"));
        return None;
    }
    let outer = reader.take_mentions();
    let dialect = reader.dialect;
    reader.nesting += 1;
    let body = Fields::of(tree, "a body", &mut reader.findings).and_then(|mut fields| {
        let body = read(&mut fields, reader);
        fields.finish(&[FIELDS], &[], &mut reader.findings);
        body
    });
    reader.nesting -= 1;
    reader.dialect = dialect;
    reader.take_mentions();
    outer.into_iter().for_each(|mention| reader.mention(mention));
    let body = body?;
    for mention in free(&body, local) {
        reader.mention(mention);
    }
    Some(body)
}

/// What a body mentions that is not its own.
fn free(body: &Body<'_>, local: &[&str]) -> Vec<Mention> {
    let of_edges = body.edges.iter().flatten().flat_map(|edge| &edge.mentions);
    let all = body.nodes.iter().flat_map(|node| &node.mentions).chain(of_edges);
    let own: BTreeSet<&str> =
        body.nodes.iter().map(|node| node.id.value.as_str()).chain(local.iter().copied()).collect();
    let mut seen: BTreeMap<&str, &Mention> = BTreeMap::new();
    for mention in all {
        if !seen.contains_key(mention.root.as_str()) && !own.contains(mention.root.as_str()) {
            seen.insert(&mention.root, mention);
        }
    }
    seen.into_values().cloned().map(|mention| Mention { own: false, ..mention }).collect()
}

/// Reads `nodes` and `edges`, or `steps`.
pub(crate) fn read<'t>(fields: &mut Fields<'t>, reader: &mut Reader) -> Option<Body<'t>> {
    let span = fields.span();
    let steps = fields.entry("steps", &mut reader.findings);
    let edges = fields.entry("edges", &mut reader.findings);
    if let Some((key, _)) = steps {
        for other in ["nodes", "edges"] {
            if fields.has(other) {
                let message = format!("a workflow has either `steps` or `{other}`");
                reader.findings.push(key.span.error(Code::Conflict, message));
            }
        }
    }
    let form = if steps.is_some() { Form::Steps } else { Form::Nodes };
    reader.dialect = form.dialect();
    let list = if form == Form::Steps { "steps" } else { "nodes" };
    if steps.is_none() && !fields.has("nodes") {
        fields.missing("nodes", "write `nodes:` and `edges:`, or `steps:`", &mut reader.findings);
    }
    let trees = fields.list(list, &mut reader.findings).unwrap_or_default();
    fields.take("nodes", &mut reader.findings);
    let mut nodes = Vec::with_capacity(trees.len());
    let mut before: Option<Located<String>> = None;
    for (place, tree) in trees.iter().enumerate() {
        let mut node = node::read(tree, place, form, reader);
        if let (Form::Steps, true, Some(node), Some(before)) = (form, node::is_link(tree), &mut node, before.take()) {
            node.depends_on.push(before);
        }
        before = node.as_ref().map(|node| Located::new(node.id.value.clone(), node.id.span));
        nodes.extend(node);
    }
    refuse_twins(&nodes, reader);
    let edges = edges.and_then(|_| fields.list("edges", &mut reader.findings)).map(|trees| read_edges(trees, reader));
    if edges.is_some() {
        for dependency in nodes.iter().flat_map(|node| &node.depends_on) {
            let message = "this file orders its nodes by `edges`";
            let hint = "write an edge instead of `depends_on`, or leave `edges` out";
            reader.findings.push(dependency.span.error(Code::Conflict, message).hint(hint));
        }
    }
    Some(Body { form, nodes, edges, span })
}

fn refuse_twins(nodes: &[super::document::Node<'_>], reader: &mut Reader) {
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    for node in nodes {
        match seen.get(node.id.value.as_str()) {
            Some(first) => {
                let message = format!("two nodes are called `{}`, the first in line {}", node.id.value, first.line);
                reader.findings.push(node.id.span.error(Code::DuplicateName, message));
            }
            None => {
                seen.insert(&node.id.value, node.id.span);
            }
        }
    }
}

fn read_edges(trees: &[Tree], reader: &mut Reader) -> Vec<Edge> {
    if let Some(beyond) = trees.get(EDGES_MAX) {
        let message = format!("the workflow has more than {EDGES_MAX} edges");
        reader.findings.push(beyond.span.error(Code::TooLarge, message));
    }
    trees.iter().take(EDGES_MAX).filter_map(|tree| edge(tree, reader)).collect()
}

fn edge(tree: &Tree, reader: &mut Reader) -> Option<Edge> {
    let mut fields = Fields::of(tree, "an edge", &mut reader.findings)?;
    reader.take_mentions();
    let from = end("from", &mut fields, reader);
    let to = end("to", &mut fields, reader);
    fields.text("description", &mut reader.findings);
    let when = fields.take("when", &mut reader.findings).and_then(|node| branch(node, reader));
    let condition = fields.take("condition", &mut reader.findings).and_then(|node| reader.condition(node, &["output"]));
    let span = fields.span();
    fields.finish(&[EDGE], &[], &mut reader.findings);
    let mentions = reader.take_mentions();
    Some(Edge { from: from?, to: to?, when, condition, mentions, span })
}

fn end(name: &'static str, fields: &mut Fields<'_>, reader: &mut Reader) -> Option<Located<String>> {
    if !fields.has(name) {
        fields.missing(name, "an edge is written `- from: A` and `to: B`", &mut reader.findings);
    }
    fields.text(name, &mut reader.findings)
}

/// The branch an edge follows; `true` and `false` need no quotes.
fn branch(node: &Tree, reader: &mut Reader) -> Option<Located<String>> {
    match &node.value {
        Value::Bool(is) => Some(Located::new(is.to_string(), node.span)),
        Value::Map(_) => {
            let message = "`when` names a branch";
            let hint = "a condition on an edge is written under `condition`";
            reader.findings.push(node.span.error(Code::WrongShape, message).hint(hint));
            None
        }
        _ => {
            let branch = text("when", node, &mut reader.findings)?;
            if branch.value.contains(char::is_whitespace) {
                let message = format!("`{}` is no branch", shown(&branch.value));
                let hint = "a condition on an edge is written under `condition`";
                reader.findings.push(node.span.error(Code::BadValue, message).hint(hint));
                return None;
            }
            Some(branch)
        }
    }
}
