//! From a definition to the graph a run walks: names resolved, edges drawn, branches of merges found.

mod branches;
mod calls;
mod edges;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::node::{self, OnError, Policy, Undo};
use super::{EdgeIx, Graph, Join, Kind, Node, NodeIx, levels};
use crate::agent::Agent;
use crate::bundle::Hash;
use crate::definition::catalog::{Catalog, Known, Unready};
use crate::definition::diagnostic::{Code, Diagnostic, Findings, shown};
use crate::definition::document::{self as written, Body, Compensation, Document, Form, Part};
use crate::definition::source::{Located, Span};
use crate::tool::Retry;

pub(crate) use edges::{branches as branches_of, first_branch};

/// A graph, and where in the file its parts stand.
#[derive(Debug)]
pub(crate) struct Lowered {
    pub graph: Arc<Graph>,
    /// The place of each edge: where it was written, or the name that implies it.
    pub edges: Vec<edges::Place>,
    /// Bodies of loops (under an empty name) and of branches.
    pub bodies: BTreeMap<(NodeIx, String), Lowered>,
    /// The node that runs after a rollback.
    pub aftermath: Option<NodeIx>,
    /// Whether nodes wait for each other in a circle; then nothing that needs an order is known.
    pub is_cyclic: bool,
}

/// What a definition was found to use: the content of its bundle.
#[derive(Debug, Default)]
pub(crate) struct Used {
    pub agents: BTreeMap<String, Agent>,
    pub tools: calls::Tools,
    pub subworkflows: BTreeMap<String, Hash>,
}

/// Resolves names and draws edges. What cannot be resolved is said, and stands in the graph as a placeholder, so that
/// a draft can be drawn and checked further.
pub(crate) fn lower(
    document: &Document<'_>,
    catalog: &Catalog,
    unready: &Unready,
    findings: &mut Findings,
) -> (Lowered, Used) {
    let name = document.name.as_ref().map(|name| name.value.as_str());
    let mut lowering = Lowering {
        catalog,
        unready,
        name,
        used: Used::default(),
        findings,
        asked: BTreeSet::new(),
        kept: calls::Tools::new(),
    };
    lowering.collect_tools(&document.body);
    let lowered = lowering.body(&document.body, document.on_compensated.as_ref());
    (lowered, lowering.used)
}

struct Lowering<'c, 'f> {
    catalog: &'c Catalog,
    unready: &'c Unready,
    /// The workflow's own name, which none of its subworkflows may lead back to.
    name: Option<&'f str>,
    used: Used,
    findings: &'f mut Findings,
    /// Tools that some agent of the workflow may ask for: what a `tool_requests` node may call.
    asked: BTreeSet<String>,
    /// Tools whose effects are meant to stay, as some node says.
    kept: calls::Tools,
}

impl Lowering<'_, '_> {
    fn body(&mut self, body: &Body<'_>, on_compensated: Option<&Located<String>>) -> Lowered {
        let known: BTreeMap<String, NodeIx> =
            body.nodes.iter().zip((0..).map(NodeIx)).map(|(node, place)| (node.id.value.clone(), place)).collect();
        let aftermath = on_compensated.and_then(|name| {
            let found = known.get(&name.value).copied();
            if found.is_none() {
                let message = format!("`on_compensated` names no node: `{}`", shown(&name.value));
                let unknown = Diagnostic::draft(Code::UnknownNode, name.span, message);
                self.findings.push_near(unknown, &name.value, known.keys().map(String::as_str));
            }
            found
        });
        let mut bodies = BTreeMap::new();
        let mut nodes: Vec<Node> = Vec::with_capacity(body.nodes.len());
        for (place, node) in (0..).map(NodeIx).zip(&body.nodes) {
            let lowered = self.node(node, body.form, place, &mut bodies);
            nodes.push(lowered);
        }
        let drawn = edges::draw(body, &nodes, aftermath, &known, self.findings);
        for (place, edge) in drawn.gotos {
            nodes[place.at()].policy.on_error = Some(OnError::Goto(edge));
        }
        let mut graph = Graph::new(nodes, drawn.edges);
        let order: Vec<NodeIx> = levels(&graph).into_iter().flatten().collect();
        let is_cyclic = order.len() < graph.nodes.len();
        if !is_cyclic {
            let spans: Vec<Span> = body.nodes.iter().map(|node| node.id.span).collect();
            branches::fill(&mut graph, &order, &spans, self.findings);
        }
        Lowered { graph: Arc::new(graph), edges: drawn.places, bodies, aftermath, is_cyclic }
    }

    fn node(
        &mut self,
        node: &written::Node<'_>,
        form: Form,
        place: NodeIx,
        bodies: &mut BTreeMap<(NodeIx, String), Lowered>,
    ) -> Node {
        let mut base = Retry::default();
        let kind = match &node.part {
            Part::Whole(kind) => kind.clone(),
            Part::Agent(agent) => self.agent(agent, calls::keeps(&node.policy)),
            Part::Tool(tool) => {
                let (kind, retry) = self.tool(tool, &node.policy, form.dialect());
                base = retry;
                kind
            }
            Part::Loop(each) => Kind::Loop(Box::new(node::Loop {
                over: each.over.clone(),
                body: self.nested(&each.body, place, "", bodies),
                max_iterations: each.max_iterations,
                on_item_error: each.on_item_error,
            })),
            Part::Parallel(branches) => {
                let branches =
                    branches.iter().map(|(name, body)| (name.clone(), self.nested(body, place, name, bodies)));
                Kind::Parallel(node::Parallel { branches: branches.collect() })
            }
            Part::Subworkflow(child) => self.subworkflow(child),
        };
        let default = if form == Form::Steps { Join::AllSettled } else { Join::AnyTaken };
        let set = |(name, params): &(Located<String>, _)| (name.value.clone(), Clone::clone(params));
        Node {
            id: node.id.value.as_str().into(),
            name: node.name.clone().unwrap_or_else(|| node.id.value.clone()),
            kind,
            condition: node.condition.clone(),
            join: node.join.unwrap_or(default),
            policy: policy(&node.policy, &base),
            output_key: node.output_key.as_ref().map(|key| key.value.clone()),
            sets: node.sets.iter().map(set).collect(),
        }
    }

    /// The body's graph for its node; its places for the checks.
    fn nested(
        &mut self,
        body: &Body<'_>,
        place: NodeIx,
        name: &str,
        bodies: &mut BTreeMap<(NodeIx, String), Lowered>,
    ) -> Arc<Graph> {
        let lowered = self.body(body, None);
        let graph = lowered.graph.clone();
        bodies.insert((place, name.to_owned()), lowered);
        graph
    }

    fn subworkflow(&mut self, child: &written::Subworkflow) -> Kind {
        let name = &child.workflow;
        let way = self.name.and_then(|own| {
            if own == name.value {
                Some(vec![own.to_owned()])
            } else {
                self.catalog.way_back(self.unready, &name.value, own)
            }
        });
        if let (Some(own), Some(way)) = (self.name, way) {
            let circle: Vec<&str> = std::iter::once(own).chain(way.iter().map(String::as_str)).collect();
            let message = format!("workflows run each other in a circle: {}", circle.join(" → "));
            self.findings.push(name.span.error(Code::WorkflowCycle, message).hint("use a loop inside one workflow"));
        }
        let bundle = match self.catalog.workflows.get(&name.value) {
            Some(Known { hash, .. }) => {
                self.used.subworkflows.insert(name.value.clone(), hash.clone());
                hash.clone()
            }
            None if self.unready.contains_key(&name.value) => {
                let message = format!("the workflow `{}` cannot run itself", shown(&name.value));
                self.findings.push(
                    Diagnostic::draft(Code::UnknownWorkflow, name.span, message).hint("mend what is said of its file"),
                );
                Hash::of(&[])
            }
            None => {
                let message = format!("there is no workflow `{}`", shown(&name.value));
                let unknown = Diagnostic::draft(Code::UnknownWorkflow, name.span, message);
                let known = self.catalog.workflows.keys().map(String::as_str);
                self.findings.push_near(unknown, &name.value, known);
                Hash::of(&[])
            }
        };
        let (workflow, input) = (name.value.clone(), child.input.clone());
        Kind::Subworkflow(Box::new(node::Subworkflow { workflow, bundle, input }))
    }
}

/// The policy of a node; error edges are filled in once edges are drawn.
fn policy(written: &written::Policy<'_>, base: &Retry) -> Policy {
    let on_error = written.on_error.as_ref().and_then(|on_error| match &on_error.value {
        written::OnError::Fail => Some(OnError::Fail),
        written::OnError::Continue => Some(OnError::Continue),
        written::OnError::Compensate => Some(OnError::Compensate),
        written::OnError::Goto(_) => None,
    });
    let compensation = written.compensation.as_ref().and_then(|compensation| match &compensation.value {
        Compensation::None => None,
        Compensation::Undo { tool, parameters, .. } => {
            Some(Undo { tool: tool.value.clone(), parameters: parameters.clone() })
        }
    });
    Policy {
        timeout: written.timeout,
        retry: written.retry.as_ref().map(|retry| retry.over(base)),
        on_error,
        compensation,
        max_cost: written.max_cost,
    }
}

impl Lowered {
    pub(crate) fn edge_span(&self, edge: EdgeIx) -> Span {
        self.edges.get(edge.at()).map(|place| place.edge).unwrap_or_default()
    }

    /// Where its branch is written.
    pub(crate) fn when_span(&self, edge: EdgeIx) -> Span {
        self.edges.get(edge.at()).map(|place| place.when).unwrap_or_default()
    }
}
