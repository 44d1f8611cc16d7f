//! Drawings of a workflow: Mermaid for documents, DOT for Graphviz, and plain nodes and edges for other programs. No
//! label can break the drawing.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Serialize;

use super::node::{HumanTaskKind, NodeKind, ToolSource};
use super::{EdgeTrigger, Graph, GraphEdge, GraphNode, NodeIndex, Workflow};

/// Maximum length of a label, in characters.
const LABEL_CHARS_MAX: usize = 80;
/// Reserved words of Mermaid, which cannot be node names.
const MERMAID_WORDS: &[&str] = &[
    "call",
    "class",
    "classdef",
    "click",
    "default",
    "direction",
    "end",
    "flowchart",
    "graph",
    "href",
    "interpolate",
    "linkstyle",
    "style",
    "subgraph",
];

/// Draws `graph TD`: `id[tool]` and `a --> b`; bodies of loops and branches as subgraphs.
pub fn mermaid(workflow: &Workflow) -> String {
    let mut out = String::from("graph TD\n");
    MermaidWriter { names: MermaidNames::default(), out: &mut out }.graph(&workflow.graph, "", 1);
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// Draws a Graphviz `digraph`; bodies of loops and branches as clusters.
pub fn dot(workflow: &Workflow) -> String {
    let mut out = format!("digraph {} {{\n    rankdir=TB;\n    node [shape=box];\n", quoted(&workflow.name));
    DotWriter { out: &mut out }.graph(&workflow.graph, "", 1);
    out.push_str("}\n");
    out
}

/// A graph for programs with their own renderer.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct GraphDrawing {
    pub nodes: Vec<DrawnNode>,
    pub edges: Vec<DrawnEdge>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DrawnNode {
    pub id: String,
    pub kind: &'static str,
    /// Its name, or what it runs if it has none.
    pub label: String,
    /// The author's name for it, if that is not its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The tool, agent or workflow that it runs, if it names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<String>,
    /// For a loop, one body without a name; for a parallel node, one body for each branch.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bodies: Vec<DrawnBody>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DrawnBody {
    pub branch: String,
    #[serde(flatten)]
    pub drawing: GraphDrawing,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DrawnEdge {
    pub from: String,
    pub to: String,
    pub label: Option<String>,
    /// The edge is taken if its source failed.
    pub on_error: bool,
}

impl GraphDrawing {
    pub fn of(graph: &Graph) -> Self {
        let id = |place: NodeIndex| graph.node(place).id.to_string();
        let node = |node: &GraphNode| DrawnNode {
            id: node.id.to_string(),
            kind: node.kind.word(),
            label: label(node),
            name: (node.name != node.id.as_str()).then(|| node.name.clone()),
            calls: calls(&node.kind),
            bodies: bodies(&node.kind)
                .into_iter()
                .map(|(branch, body)| DrawnBody { branch: branch.to_owned(), drawing: Self::of(body) })
                .collect(),
        };
        let edge = |edge: &GraphEdge| DrawnEdge {
            from: id(edge.from),
            to: id(edge.to),
            label: edge_label(edge),
            on_error: edge.when == EdgeTrigger::Failed,
        };
        Self { nodes: graph.nodes.iter().map(node).collect(), edges: graph.edges.iter().map(edge).collect() }
    }
}

struct MermaidWriter<'o> {
    names: MermaidNames,
    out: &'o mut String,
}

impl MermaidWriter<'_> {
    fn graph(&mut self, graph: &Graph, scope: &str, depth: usize) {
        let pad = "    ".repeat(depth);
        let names: Vec<String> = graph.nodes.iter().map(|node| self.names.of(scope, node.id.as_str())).collect();
        for (place, node) in graph.node_indices().zip(&graph.nodes) {
            let (open, close) = brackets(&node.kind);
            let _ = writeln!(self.out, "{pad}{}{open}{}{close}", names[place.as_usize()], mermaid_label(&label(node)));
            for (branch, body) in bodies(&node.kind) {
                let inner = format!("{scope}{}/{branch}/", node.id);
                let name = self.names.of(&inner, "body");
                let title = if branch.is_empty() { node.id.to_string() } else { format!("{}: {branch}", node.id) };
                let _ = writeln!(self.out, "{pad}subgraph {name}[{}]", mermaid_label(&title));
                self.graph(body, &inner, depth + 1);
                let _ = writeln!(self.out, "{pad}end\n{pad}{} -.- {name}", names[place.as_usize()]);
            }
        }
        for edge in &graph.edges {
            let (from, to) = (&names[edge.from.as_usize()], &names[edge.to.as_usize()]);
            let arrow = if edge.when == EdgeTrigger::Failed { "-.->" } else { "-->" };
            let _ = match edge_label(edge) {
                Some(label) => writeln!(self.out, "{pad}{from} {arrow}|{}| {to}", mermaid_text(&label)),
                None => writeln!(self.out, "{pad}{from} {arrow} {to}"),
            };
        }
    }
}

/// Names that Mermaid accepts unchanged, each used once.
#[derive(Default)]
struct MermaidNames {
    taken: BTreeSet<String>,
}

impl MermaidNames {
    fn of(&mut self, scope: &str, id: &str) -> String {
        let plain: String =
            format!("{scope}{id}").chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let is_word = MERMAID_WORDS.contains(&plain.to_ascii_lowercase().as_str());
        let begins_well = plain.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        // Mermaid would read a leading `o` or `x` after an arrow as its head; a space in between prevents that.
        let mut name = if is_word || !begins_well { format!("node_{plain}") } else { plain };
        while !self.taken.insert(name.clone()) {
            name.push('_');
        }
        name
    }
}

struct DotWriter<'o> {
    out: &'o mut String,
}

impl DotWriter<'_> {
    fn graph(&mut self, graph: &Graph, scope: &str, depth: usize) {
        let pad = "    ".repeat(depth);
        let name = |place: NodeIndex| quoted(&format!("{scope}{}", graph.node(place).id));
        for (place, node) in graph.node_indices().zip(&graph.nodes) {
            let _ = writeln!(
                self.out,
                "{pad}{} [label={}, shape={}];",
                name(place),
                quoted_label(&label(node)),
                shape(&node.kind)
            );
            for (branch, body) in bodies(&node.kind) {
                let inner = format!("{scope}{}/{branch}/", node.id);
                let title = if branch.is_empty() { node.id.to_string() } else { format!("{}: {branch}", node.id) };
                let _ = writeln!(self.out, "{pad}subgraph {} {{", quoted(&format!("cluster_{inner}")));
                let _ = writeln!(self.out, "{pad}    label={};", quoted_label(&title));
                self.graph(body, &inner, depth + 1);
                let _ = writeln!(self.out, "{pad}}}");
                if let Some(first) = body.nodes.first() {
                    let first = quoted(&format!("{inner}{}", first.id));
                    let _ = writeln!(self.out, "{pad}{} -> {first} [style=dotted, arrowhead=none];", name(place));
                }
            }
        }
        for edge in &graph.edges {
            let mut attributes = Vec::new();
            attributes.extend(edge_label(edge).map(|label| format!("label={}", quoted_label(&label))));
            attributes.extend((edge.when == EdgeTrigger::Failed).then(|| "style=dashed".to_owned()));
            let attributes =
                if attributes.is_empty() { String::new() } else { format!(" [{}]", attributes.join(", ")) };
            let _ = writeln!(self.out, "{pad}{} -> {}{attributes};", name(edge.from), name(edge.to));
        }
    }
}

/// Returns the text of a node: its name, or what it runs if it has none.
fn label(node: &GraphNode) -> String {
    if node.name != node.id.as_str() {
        return node.name.clone();
    }
    match &node.kind {
        NodeKind::Tool(tool) => match &tool.from {
            ToolSource::Fixed { tool, .. } => tool.clone(),
            ToolSource::AgentRequests => "tool_requests".to_owned(),
        },
        NodeKind::Agent(_)
        | NodeKind::Condition(_)
        | NodeKind::Switch(_)
        | NodeKind::Loop(_)
        | NodeKind::Parallel(_)
        | NodeKind::Merge(_)
        | NodeKind::Human(_)
        | NodeKind::Wait(_)
        | NodeKind::Subworkflow(_)
        | NodeKind::Transform(_)
        | NodeKind::Trigger
        | NodeKind::End(_)
        | NodeKind::Sink(_) => node.id.to_string(),
    }
}

/// Returns what a node runs, if its definition names it.
fn calls(kind: &NodeKind) -> Option<String> {
    match kind {
        NodeKind::Tool(tool) => match &tool.from {
            ToolSource::Fixed { tool, .. } => Some(tool.clone()),
            ToolSource::AgentRequests => None,
        },
        NodeKind::Agent(node) => Some(node.agent.name.clone()),
        NodeKind::Subworkflow(child) => Some(child.workflow.clone()),
        NodeKind::Condition(_)
        | NodeKind::Switch(_)
        | NodeKind::Loop(_)
        | NodeKind::Parallel(_)
        | NodeKind::Merge(_)
        | NodeKind::Human(_)
        | NodeKind::Wait(_)
        | NodeKind::Transform(_)
        | NodeKind::Trigger
        | NodeKind::End(_)
        | NodeKind::Sink(_) => None,
    }
}

fn edge_label(edge: &GraphEdge) -> Option<String> {
    match (&edge.when, &edge.condition) {
        (EdgeTrigger::Completed, None) => None,
        (EdgeTrigger::Completed, Some(_)) => Some("if".to_owned()),
        (EdgeTrigger::Branch(branch), None) => Some(branch.clone()),
        (EdgeTrigger::Branch(branch), Some(_)) => Some(format!("{branch}, if")),
        (EdgeTrigger::Failed, _) => Some("error".to_owned()),
    }
}

/// Returns the bodies inside a node, by branch; a loop's has no name.
fn bodies(kind: &NodeKind) -> Vec<(&str, &Graph)> {
    match kind {
        NodeKind::Loop(each) => vec![("", &*each.body)],
        NodeKind::Parallel(fork) => fork.branches.iter().map(|(name, body)| (name.as_str(), &**body)).collect(),
        _ => Vec::new(),
    }
}

fn brackets(kind: &NodeKind) -> (&'static str, &'static str) {
    match kind {
        NodeKind::Tool(_) => ("[", "]"),
        NodeKind::Agent(_) => ("(", ")"),
        NodeKind::Condition(_) | NodeKind::Switch(_) => ("{", "}"),
        NodeKind::Human(human) if matches!(human.task, HumanTaskKind::Approval { .. }) => ("{{", "}}"),
        NodeKind::Human(_) => ("[/", "/]"),
        NodeKind::Loop(_) | NodeKind::Parallel(_) | NodeKind::Subworkflow(_) => ("[[", "]]"),
        NodeKind::Merge(_) => ("((", "))"),
        NodeKind::Wait(_) => (">", "]"),
        NodeKind::Trigger | NodeKind::End(_) | NodeKind::Sink(_) => ("([", "])"),
        NodeKind::Transform(_) => ("[\\", "\\]"),
    }
}

fn shape(kind: &NodeKind) -> &'static str {
    match kind {
        NodeKind::Tool(_) | NodeKind::Transform(_) => "box",
        NodeKind::Agent(_) => "ellipse",
        NodeKind::Condition(_) | NodeKind::Switch(_) => "diamond",
        NodeKind::Human(_) => "hexagon",
        NodeKind::Loop(_) | NodeKind::Parallel(_) | NodeKind::Subworkflow(_) => "box3d",
        NodeKind::Merge(_) => "invtriangle",
        NodeKind::Wait(_) => "cds",
        NodeKind::Trigger | NodeKind::End(_) | NodeKind::Sink(_) => "oval",
    }
}

/// Returns a Mermaid label: bare if it is a plain word, otherwise quoted.
fn mermaid_label(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !MERMAID_WORDS.contains(&text.to_ascii_lowercase().as_str());
    if is_plain { truncate_label(text) } else { format!("\"{}\"", mermaid_text(text)) }
}

/// Escapes text so that it cannot leave its quotes, start markup or be read as HTML.
fn mermaid_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in truncate_label(text).chars() {
        match c {
            c if c.is_alphanumeric() || matches!(c, ' ' | '_' | '.' | ',' | ':' | '?' | '!' | '-' | '+' | '/') => {
                escaped.push(c);
            }
            c => {
                let _ = write!(escaped, "#{};", u32::from(c));
            }
        }
    }
    escaped
}

/// Returns a label of DOT.
fn quoted_label(text: &str) -> String {
    quoted(&truncate_label(text))
}

/// Returns a quoted string of DOT.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(if c.is_control() { ' ' } else { c });
    }
    quoted.push('"');
    quoted
}

/// Shortens a label to one line of bounded length.
fn truncate_label(text: &str) -> String {
    let mut cut: String = text.chars().take(LABEL_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(LABEL_CHARS_MAX).is_some() {
        cut.push('…');
    }
    cut
}
