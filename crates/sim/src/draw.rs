//! Draws a random workflow, written as a definition, so that a seed's graph can be read, stored and run from a file.
//!
//! Graphs are drawn as nested blocks, which keeps every branch of a merge pure and every graph free of cycles.

mod agent_turns;
mod block;
mod catalog;
mod conversation;

use baton_core::bundle::{Bundle, ContentHash};
use baton_core::definition;
use baton_core::graph::Workflow;
use serde_json::{Map, Value, json};

pub use catalog::{AGENT, CODE, REASONING, SIGNALS, SIMPLE, SimCatalog, TEXT, is_shipped};
pub use conversation::SKILL;

use crate::rng::SeededRng;

/// Maximum number of nodes of a drawn workflow, including bodies.
pub const NODES_MAX: usize = 18;
/// Minimum number of nodes of the workflow itself.
pub const NODES_MIN: usize = 5;
/// Maximum depth of nested workflows.
const CHILDREN_DEEP_MAX: u32 = 2;

/// The constraints on a drawn workflow.
#[derive(Clone, Copy, Debug, Default)]
pub struct DrawConstraints {
    /// The outcome is the same in whatever order its parts finish, so that a disturbed run can be compared with an
    /// undisturbed one.
    pub confluent: bool,
}

/// A workflow with everything it needs.
#[derive(Debug)]
pub struct DrawnWorkflow {
    pub hash: ContentHash,
    pub definition: Value,
    pub workflow: Workflow,
}

/// Draws a workflow and the workflows that it runs, the outermost last.
pub fn draw(rng: &mut SeededRng, catalog: &SimCatalog, wishes: DrawConstraints) -> Result<Vec<DrawnWorkflow>, String> {
    let mut all = Vec::new();
    let budget = rng.between(NODES_MIN as u64, NODES_MAX as u64);
    draw_one(rng, catalog, wishes, "root", budget, 0, &mut all)?;
    Ok(all)
}

fn draw_one(
    rng: &mut SeededRng,
    catalog: &SimCatalog,
    wishes: DrawConstraints,
    name: &str,
    budget: u64,
    depth: u32,
    all: &mut Vec<DrawnWorkflow>,
) -> Result<ContentHash, String> {
    let mut pen = WorkflowWriter::new(rng, wishes, budget, depth < CHILDREN_DEEP_MAX);
    let definition = pen.workflow(name);
    let children = pen.children;
    let mut subworkflows = std::collections::BTreeMap::new();
    for (child, budget) in children {
        let own = format!("{name}-{child}");
        subworkflows.insert(child, draw_one(rng, catalog, wishes, &own, budget, depth + 1, all)?);
    }
    let hash = ContentHash::of(name.as_bytes());
    let workflow = compile(name, &definition, catalog, subworkflows)?;
    all.push(DrawnWorkflow { hash: hash.clone(), definition, workflow });
    Ok(hash)
}

/// Draws a workflow that answers a conversation.
pub fn draw_conversation(rng: &mut SeededRng, catalog: &SimCatalog, name: &str) -> Result<DrawnWorkflow, String> {
    let definition = conversation::draw(rng, name);
    let workflow = compile(name, &definition, catalog, std::collections::BTreeMap::new())?;
    Ok(DrawnWorkflow { hash: ContentHash::of(name.as_bytes()), definition, workflow })
}

/// Compiles a definition as its bundle would be.
pub fn compile(
    name: &str,
    definition: &Value,
    catalog: &SimCatalog,
    subworkflows: std::collections::BTreeMap<String, ContentHash>,
) -> Result<Workflow, String> {
    let bundle = Bundle {
        format: definition::BUNDLE_FORMAT,
        name: name.to_owned(),
        definition: definition.clone(),
        agents: catalog.agents.clone(),
        tools: catalog.tools.clone(),
        subworkflows,
    };
    definition::compile(&bundle).map_err(|error| format!("{error}\n{definition:#}"))
}

/// Where the next node is attached: the nodes before it, each with the branch that continues.
type OpenBranches = Vec<(String, Option<&'static str>)>;

/// A graph that is being written.
#[derive(Debug, Default)]
struct GraphDraft {
    nodes: Vec<Value>,
    edges: Vec<Value>,
}

/// Writes one workflow.
struct WorkflowWriter<'r> {
    rng: &'r mut SeededRng,
    constraints: DrawConstraints,
    /// The number of nodes that may still be written.
    nodes_left: u64,
    count: u32,
    may_nest: bool,
    /// The number of bodies around the current one.
    body_depth: u32,
    graph: GraphDraft,
    /// Subworkflows named so far, with the maximum size of each.
    children: Vec<(String, u64)>,
    /// Nodes that precede on every path, so that the next node may refer to their outputs.
    used_names: Vec<String>,
}

impl<'r> WorkflowWriter<'r> {
    fn new(rng: &'r mut SeededRng, wishes: DrawConstraints, left: u64, may_nest: bool) -> Self {
        let (sheet, children, named) = (GraphDraft::default(), Vec::new(), Vec::new());
        Self {
            rng,
            constraints: wishes,
            nodes_left: left,
            count: 0,
            may_nest,
            body_depth: 0,
            graph: sheet,
            children,
            used_names: named,
        }
    }

    fn workflow(&mut self, name: &str) -> Value {
        let mut ends = Vec::new();
        if self.rng.chance(60) {
            let id = self.node("trigger", json!({}), &ends);
            ends = vec![(id, None)];
        }
        while self.nodes_left > 1 || self.graph.nodes.len() < NODES_MIN - 1 {
            ends = self.block(ends, 0);
        }
        self.finish(ends);
        let mut written = json!({
            "name": name,
            "variables": { "v": { "initial": 0 }, "list": { "initial": [], "combine": "append" } },
        });
        if !self.constraints.confluent && self.rng.chance(8) {
            written["timeout"] = json!(format!("{}s", self.rng.between(20, 400)));
        }
        if self.rng.chance(25) {
            let id = self.id("after");
            let after = match self.rng.chance(50) {
                true => json!({ "id": id, "type": "tool", "tool": "read", "parameters": { "n": 1 } }),
                false => json!({ "id": id, "type": "transform", "set": { "v": "undone" } }),
            };
            written["on_compensated"] = json!(id);
            self.graph.nodes.push(after);
        }
        let GraphDraft { nodes, edges } = std::mem::take(&mut self.graph);
        written["nodes"] = Value::Array(nodes);
        written["edges"] = Value::Array(edges);
        written
    }

    /// Writes an `end`, or nothing: the last nodes then give the output.
    fn finish(&mut self, ends: OpenBranches) {
        if !self.rng.chance(70) {
            return;
        }
        let mut own = json!({});
        if let Some(named) = self.used_names.last().cloned().filter(|_| self.rng.chance(50)) {
            own["output"] = json!({ "last": format!("{{{{ {named} }}}}") });
        }
        if !self.constraints.confluent && self.rng.chance(15) {
            own["rest"] = json!("cancel");
        }
        self.node("end", own, &ends);
    }

    fn id(&mut self, kind: &str) -> String {
        self.count += 1;
        format!("{kind}{}", self.count)
    }

    /// Writes a node after `from`, with the options that any node may have.
    fn node(&mut self, kind: &'static str, own: Value, from: &OpenBranches) -> String {
        let id = self.id(kind);
        let mut written = Map::from_iter([("id".to_owned(), json!(id)), ("type".to_owned(), json!(kind))]);
        if let Value::Object(own) = own {
            written.extend(own);
        }
        self.graph.nodes.push(Value::Object(written));
        self.nodes_left = self.nodes_left.saturating_sub(1);
        for (before, when) in from {
            self.edge(before, &id, *when);
        }
        id
    }

    fn edge(&mut self, from: &str, to: &str, when: Option<&str>) {
        let mut edge = json!({ "from": from, "to": to });
        if let Some(when) = when {
            edge["when"] = json!(when);
        }
        self.graph.edges.push(edge);
    }

    /// Writes a body as a graph of its own.
    fn body(&mut self, write: impl FnOnce(&mut Self)) -> Value {
        let outer = std::mem::take(&mut self.graph);
        let named = self.used_names.clone();
        self.body_depth += 1;
        write(self);
        self.body_depth -= 1;
        self.used_names = named;
        let GraphDraft { nodes, edges } = std::mem::replace(&mut self.graph, outer);
        json!({ "nodes": nodes, "edges": edges })
    }
}
