//! From a definition to the graph of a run: resolves names, builds edges, finds the branches of merges.

mod branches;
mod calls;
mod edges;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::node::{self, NodeCompensation, NodePolicy, OnNodeError};
use super::{EdgeIndex, Graph, GraphNode, JoinRule, NodeIndex, NodeKind, levels};
use crate::agent::AgentDefinition;
use crate::bundle::ContentHash;
use crate::definition::catalog::{DefinitionCatalog, PinnedWorkflow, UnreadyWorkflows};
use crate::definition::diagnostic::{Diagnostic, DiagnosticCode, DiagnosticList, clip_word};
use crate::definition::source::{SourceSpan, SpannedValue};
use crate::definition::spec::{
    self as written, BodySpec, CompensationSpec, DefinitionForm, NodeKindSpec, WorkflowSpec,
};
use crate::tool::RetryPolicy;

pub(crate) use edges::{branches as branches_of, first_branch};

/// A graph with the source positions of its parts.
#[derive(Debug)]
pub(crate) struct LoweredGraph {
    pub graph: Arc<Graph>,
    /// The position of each edge: where it was written, or the name that implies it.
    pub edges: Vec<edges::EdgeSpans>,
    /// Bodies of loops (under an empty name) and of branches.
    pub bodies: BTreeMap<(NodeIndex, String), LoweredGraph>,
    /// The node that runs after a rollback.
    pub post_rollback_node: Option<NodeIndex>,
    /// Whether the graph has a cycle; then nothing that needs an order is available.
    pub is_cyclic: bool,
}

/// Everything that a definition uses: the content of its bundle.
#[derive(Debug, Default)]
pub(crate) struct BundleContents {
    pub agents: BTreeMap<String, AgentDefinition>,
    pub tools: calls::ToolFactsMap,
    pub subworkflows: BTreeMap<String, ContentHash>,
}

/// Resolves names and builds edges. An unresolved name is reported and becomes a placeholder in the graph, so that a
/// draft can be drawn and checked further.
pub(crate) fn lower(
    document: &WorkflowSpec<'_>,
    catalog: &DefinitionCatalog,
    unready: &UnreadyWorkflows,
    findings: &mut DiagnosticList,
) -> (LoweredGraph, BundleContents) {
    let name = document.name.as_ref().map(|name| name.value.as_str());
    let mut lowering = GraphLowering {
        catalog,
        unready,
        name,
        contents: BundleContents::default(),
        findings,
        agent_tools: BTreeSet::new(),
        permanent_tools: calls::ToolFactsMap::new(),
    };
    lowering.collect_tools(&document.body);
    let lowered = lowering.body(&document.body, document.on_compensated.as_ref());
    (lowered, lowering.contents)
}

struct GraphLowering<'c, 'f> {
    catalog: &'c DefinitionCatalog,
    unready: &'c UnreadyWorkflows,
    /// The workflow's own name; no subworkflow may lead back to it.
    name: Option<&'f str>,
    contents: BundleContents,
    findings: &'f mut DiagnosticList,
    /// Tools that any agent of the workflow may request: the tools that a `tool_requests` node may call.
    agent_tools: BTreeSet<String>,
    /// Tools whose effects are declared to stay by some node.
    permanent_tools: calls::ToolFactsMap,
}

impl GraphLowering<'_, '_> {
    fn body(&mut self, body: &BodySpec<'_>, on_compensated: Option<&SpannedValue<String>>) -> LoweredGraph {
        let known: BTreeMap<String, NodeIndex> =
            body.nodes.iter().zip((0..).map(NodeIndex)).map(|(node, place)| (node.id.value.clone(), place)).collect();
        let aftermath = on_compensated.and_then(|name| {
            let found = known.get(&name.value).copied();
            if found.is_none() {
                let message = format!("`on_compensated` names no node: `{}`", clip_word(&name.value));
                let unknown = Diagnostic::draft(DiagnosticCode::UnknownNode, name.span, message);
                self.findings.push_with_suggestion(unknown, &name.value, known.keys().map(String::as_str));
            }
            found
        });
        let mut bodies = BTreeMap::new();
        let mut nodes: Vec<GraphNode> = Vec::with_capacity(body.nodes.len());
        for (place, node) in (0..).map(NodeIndex).zip(&body.nodes) {
            let lowered = self.node(node, body.form, place, &mut bodies);
            nodes.push(lowered);
        }
        let drawn = edges::draw(body, &nodes, aftermath, &known, self.findings);
        for (place, edge) in drawn.gotos {
            nodes[place.as_usize()].policy.on_error = Some(OnNodeError::Goto(edge));
        }
        let mut graph = Graph::new(nodes, drawn.edges);
        let order: Vec<NodeIndex> = levels(&graph).into_iter().flatten().collect();
        let is_cyclic = order.len() < graph.nodes.len();
        if !is_cyclic {
            let spans: Vec<SourceSpan> = body.nodes.iter().map(|node| node.id.span).collect();
            branches::fill(&mut graph, &order, &spans, self.findings);
        }
        LoweredGraph { graph: Arc::new(graph), edges: drawn.places, bodies, post_rollback_node: aftermath, is_cyclic }
    }

    fn node(
        &mut self,
        node: &written::NodeSpec<'_>,
        form: DefinitionForm,
        place: NodeIndex,
        bodies: &mut BTreeMap<(NodeIndex, String), LoweredGraph>,
    ) -> GraphNode {
        let mut base = RetryPolicy::default();
        let kind = match &node.part {
            NodeKindSpec::Complete(kind) => kind.clone(),
            NodeKindSpec::Agent(agent) => self.agent(agent, calls::keeps_effects(&node.policy)),
            NodeKindSpec::Tool(tool) => {
                let (kind, retry) = self.tool(tool, &node.policy, form.dialect());
                base = retry;
                kind
            }
            NodeKindSpec::Loop(each) => NodeKind::Loop(Box::new(node::LoopNode {
                over: each.over.clone(),
                body: self.nested(&each.body, place, "", bodies),
                max_iterations: each.max_iterations,
                on_item_error: each.on_item_error,
            })),
            NodeKindSpec::Parallel(branches) => {
                let branches =
                    branches.iter().map(|(name, body)| (name.clone(), self.nested(body, place, name, bodies)));
                NodeKind::Parallel(node::ParallelNode { branches: branches.collect() })
            }
            NodeKindSpec::Subworkflow(child) => self.subworkflow(child),
        };
        let default = if form == DefinitionForm::Steps { JoinRule::AllSettled } else { JoinRule::AnyTaken };
        let set = |(name, params): &(SpannedValue<String>, _)| (name.value.clone(), Clone::clone(params));
        GraphNode {
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

    /// Returns the body's graph for its node, and keeps its positions for the checks.
    fn nested(
        &mut self,
        body: &BodySpec<'_>,
        place: NodeIndex,
        name: &str,
        bodies: &mut BTreeMap<(NodeIndex, String), LoweredGraph>,
    ) -> Arc<Graph> {
        let lowered = self.body(body, None);
        let graph = lowered.graph.clone();
        bodies.insert((place, name.to_owned()), lowered);
        graph
    }

    fn subworkflow(&mut self, child: &written::SubworkflowNodeSpec) -> NodeKind {
        let name = &child.workflow;
        let way = self.name.and_then(|own| {
            if own == name.value {
                Some(vec![own.to_owned()])
            } else {
                self.catalog.cycle_path(self.unready, &name.value, own)
            }
        });
        if let (Some(own), Some(way)) = (self.name, way) {
            let circle: Vec<&str> = std::iter::once(own).chain(way.iter().map(String::as_str)).collect();
            let message = format!("workflows run each other in a circle: {}", circle.join(" → "));
            self.findings
                .push(name.span.error(DiagnosticCode::WorkflowCycle, message).hint("use a loop inside one workflow"));
        }
        let bundle = match self.catalog.workflows.get(&name.value) {
            Some(PinnedWorkflow { hash, .. }) => {
                self.contents.subworkflows.insert(name.value.clone(), hash.clone());
                hash.clone()
            }
            None if self.unready.contains_key(&name.value) => {
                let message = format!("the workflow `{}` cannot run itself", clip_word(&name.value));
                self.findings.push(
                    Diagnostic::draft(DiagnosticCode::UnknownWorkflow, name.span, message)
                        .hint("mend what is said of its file"),
                );
                ContentHash::of(&[])
            }
            None => {
                let message = format!("there is no workflow `{}`", clip_word(&name.value));
                let unknown = Diagnostic::draft(DiagnosticCode::UnknownWorkflow, name.span, message);
                let known = self.catalog.workflows.keys().map(String::as_str);
                self.findings.push_with_suggestion(unknown, &name.value, known);
                ContentHash::of(&[])
            }
        };
        let (workflow, input) = (name.value.clone(), child.input.clone());
        NodeKind::Subworkflow(Box::new(node::SubworkflowNode { workflow, bundle, input }))
    }
}

/// Returns the policy of a node; error edges are set after edges are built.
fn policy(written: &written::PolicySpec<'_>, base: &RetryPolicy) -> NodePolicy {
    let on_error = written.on_error.as_ref().and_then(|on_error| match &on_error.value {
        written::OnErrorSpec::Fail => Some(OnNodeError::Fail),
        written::OnErrorSpec::Continue => Some(OnNodeError::Continue),
        written::OnErrorSpec::Compensate => Some(OnNodeError::Compensate),
        written::OnErrorSpec::Goto(_) => None,
    });
    let compensation = written.compensation.as_ref().and_then(|compensation| match &compensation.value {
        CompensationSpec::None => None,
        CompensationSpec::Undo { tool, parameters, .. } => {
            Some(NodeCompensation { tool: tool.value.clone(), parameters: parameters.clone() })
        }
    });
    NodePolicy {
        timeout: written.timeout,
        retry: written.retry.as_ref().map(|retry| retry.with_defaults_from(base)),
        on_error,
        compensation,
        max_cost: written.max_cost,
    }
}

impl LoweredGraph {
    pub(crate) fn edge_span(&self, edge: EdgeIndex) -> SourceSpan {
        self.edges.get(edge.as_usize()).map(|place| place.edge).unwrap_or_default()
    }

    /// Returns the position of its branch.
    pub(crate) fn when_span(&self, edge: EdgeIndex) -> SourceSpan {
        self.edges.get(edge.as_usize()).map(|place| place.when).unwrap_or_default()
    }
}
