//! From a definition to the graph a run walks: names resolved, edges drawn, branches of merges found.

mod branches;
mod edges;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::node::{self, OnError, Policy, ToolSource, Undo};
use super::{EdgeIx, Graph, Join, Kind, Node, NodeIx, levels};
use crate::agent::{self, Agent};
use crate::bundle::Hash;
use crate::definition::catalog::{Catalog, Known, Unready};
use crate::definition::diagnostic::{Code, Diagnostic, Findings, shown};
use crate::definition::document::{self as written, Body, Compensation, Document, Form, Part};
use crate::definition::source::{Located, Span};
use crate::expr::{Dialect, Template};
use crate::tool::{Facts, Retry};

pub(crate) use edges::{branches as branches_of, first_branch};

/// A graph, and where in the file its parts stand.
#[derive(Debug)]
pub(crate) struct Lowered {
    pub graph: Graph,
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
    pub tools: BTreeMap<String, Facts>,
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
    let mut lowering = Lowering { catalog, unready, name, used: Used::default(), findings, asked: BTreeMap::new() };
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
    /// Facts of every tool that some agent of the workflow may ask for: what a `tool_requests` node may call.
    asked: BTreeMap<String, Facts>,
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
        Lowered { graph, edges: drawn.places, bodies, aftermath, is_cyclic }
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
            Part::Agent(agent) => self.agent(agent, keeps(&node.policy)),
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
        let graph = Arc::new(lowered.graph.clone());
        bodies.insert((place, name.to_owned()), lowered);
        graph
    }

    fn agent(&mut self, written: &written::Agent, keeps: bool) -> Kind {
        let agent = self.known_agent(written);
        let mut offered = BTreeMap::new();
        match &written.tools {
            Some(names) => names.iter().for_each(|name| offered.extend(self.tools(&name.value, name.span, None))),
            None => {
                for name in &agent.tools {
                    offered.extend(self.tools(name, written.agent.span, Some(&agent.name)));
                }
            }
        }
        let names = offered.keys().cloned().collect();
        if keeps {
            offered.values_mut().for_each(keep);
        }
        let tools = self.with_compensations(offered, written.agent.span);
        let own = |text: &str, what: &str, findings: &mut Findings| match Template::parse(text) {
            Ok(template) => Some(template),
            Err(error) => {
                let message = format!("the {what} of the agent `{}`: {error}", agent.name);
                findings.push(written.agent.span.error(Code::Expression, message));
                Template::parse("").ok()
            }
        };
        let prompt = written.prompt.clone().or_else(|| own(&agent.prompt, "prompt", self.findings));
        let system = written.system.as_ref().map(|(_, template)| template.clone());
        let system = system.or_else(|| own(&agent.system_prompt, "system prompt", self.findings));
        let (Some(prompt), Some(system)) = (prompt, system) else { return Kind::Trigger };
        let asks = written.asks.clone();
        Kind::Agent(Box::new(node::AgentNode {
            agent,
            prompt,
            system,
            tools,
            offered: names,
            selects: written.selects,
            asks,
        }))
    }

    /// The agent of this name with the node's changes; one that is not there is a plain one without tools.
    fn known_agent(&mut self, written: &written::Agent) -> Agent {
        let name = &written.agent.value;
        let mut agent = match self.catalog.agents.get(name) {
            Some(agent) => {
                self.used.agents.insert(name.clone(), agent.clone());
                agent.clone()
            }
            None => {
                let message = format!("there is no agent `{}`", shown(name));
                let unknown = Diagnostic::draft(Code::UnknownAgent, written.agent.span, message);
                self.findings.push_near(unknown, name, self.catalog.agents.keys().map(String::as_str));
                placeholder(name)
            }
        };
        agent.model_profile = written.profile.or(agent.model_profile);
        agent.model = written.model.clone().or(agent.model);
        agent.temperature = written.temperature.or(agent.temperature);
        agent.max_tokens = written.max_tokens.or(agent.max_tokens);
        agent.max_iterations = written.max_iterations.or(agent.max_iterations);
        agent.output_schema = written.output_schema.clone().or(agent.output_schema);
        if let Some((text, _)) = &written.system {
            agent.system_prompt.clone_from(text);
        }
        if let Some(tools) = &written.tools {
            agent.tools = tools.iter().map(|tool| tool.value.clone()).collect();
        }
        agent.metadata.extend(written.metadata.iter().map(|(key, value)| (key.clone(), value.clone())));
        agent
    }

    fn tool(&mut self, tool: &written::Tool<'_>, policy: &written::Policy<'_>, dialect: Dialect) -> (Kind, Retry) {
        match tool {
            written::Tool::Written { tool, parameters, tree } => {
                let mut facts = self.tools(&tool.value, tool.span, None);
                let own = facts.get(&tool.value).map(|facts| written::own_facts(facts, *tree, dialect));
                let retry = own.map(|facts| facts.retry.clone()).unwrap_or_default();
                match &policy.compensation {
                    Some(Located { value: Compensation::None, .. }) => facts.values_mut().for_each(keep),
                    Some(Located { value: Compensation::Undo { tool, .. }, .. }) => {
                        facts.extend(self.tools(&tool.value, tool.span, None));
                    }
                    None => facts = self.with_compensations(facts, tool.span),
                }
                let from = ToolSource::Written { tool: tool.value.clone(), parameters: parameters.clone() };
                (Kind::Tool(Box::new(node::ToolNode { from, facts })), retry)
            }
            written::Tool::Requests { tools } => {
                let facts = match tools {
                    Some(names) => names.iter().flat_map(|name| self.tools(&name.value, name.span, None)).collect(),
                    None => self.asked.clone(),
                };
                let mut facts: BTreeMap<String, Facts> = facts;
                if keeps(policy) {
                    facts.values_mut().for_each(keep);
                }
                let facts = self.with_compensations(facts, Span::default());
                (Kind::Tool(Box::new(node::ToolNode { from: ToolSource::Requests, facts })), Retry::default())
            }
        }
    }

    /// The tools a name or wildcard stands for. `owner` is the agent whose definition names it, where it is not this file.
    fn tools(&mut self, name: &str, span: Span, owner: Option<&str>) -> BTreeMap<String, Facts> {
        // An outcome of the agent that looks like a tool to the model.
        if agent::RESERVED.contains(&name) {
            return BTreeMap::new();
        }
        let found = self.catalog.resolve(name);
        if found.is_empty() {
            self.no_tool(name, span, owner);
        }
        let found: BTreeMap<String, Facts> =
            found.into_iter().map(|(name, facts)| (name.to_owned(), facts.clone())).collect();
        self.used.tools.extend(found.iter().map(|(name, facts)| (name.clone(), facts.clone())));
        found
    }

    fn no_tool(&mut self, name: &str, span: Span, owner: Option<&str>) {
        let is_app = name.ends_with(".*");
        let message = match owner {
            Some(owner) => format!("the agent `{owner}` may ask for `{}`, and there is no such tool", shown(name)),
            None if is_app => format!("there is no tool of `{}`", shown(name)),
            None => format!("there is no tool `{}`", shown(name)),
        };
        let unknown = Diagnostic::draft(Code::UnknownTool, span, message);
        let tools = self.catalog.tools.keys();
        if is_app {
            let apps: BTreeSet<String> =
                tools.filter_map(|tool| Some(format!("{}.*", tool.split_once('.')?.0))).collect();
            self.findings.push_near(unknown, name, apps.iter().map(String::as_str));
        } else {
            self.findings.push_near(unknown, name, tools.map(String::as_str));
        }
    }

    /// These tools and those that undo them.
    fn with_compensations(&mut self, mut facts: BTreeMap<String, Facts>, span: Span) -> BTreeMap<String, Facts> {
        let undoing: Vec<(String, String)> = facts
            .iter()
            .flat_map(|(name, facts)| {
                let undo = move |facts: &Facts| Some((name.clone(), facts.compensation.as_ref()?.tool_name.clone()));
                std::iter::once(facts).chain(facts.actual()).filter_map(undo)
            })
            .collect();
        for (tool, undo) in undoing {
            if facts.contains_key(&undo) {
                continue;
            }
            if let Some(known) = self.catalog.tools.get(&undo) {
                self.used.tools.insert(undo.clone(), known.clone());
                facts.insert(undo, known.clone());
            } else {
                let message = format!("`{tool}` is undone by `{}`, and there is no such tool", shown(&undo));
                self.findings.push(Diagnostic::draft(Code::UnknownTool, span, message));
            }
        }
        facts
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

    /// Finds what agents may ask for before any node is lowered; unknown ones are said when their node is.
    fn collect_tools(&mut self, body: &Body<'_>) {
        for node in &body.nodes {
            match &node.part {
                Part::Agent(agent) => {
                    let of_agent = self.catalog.agents.get(&agent.agent.value).map(|agent| agent.tools.clone());
                    let written =
                        agent.tools.as_ref().map(|names| names.iter().map(|name| name.value.clone()).collect());
                    for name in written.or(of_agent).unwrap_or_default() {
                        let found = self.catalog.resolve(&name);
                        self.asked.extend(found.into_iter().map(|(name, facts)| (name.to_owned(), facts.clone())));
                    }
                }
                Part::Loop(each) => self.collect_tools(&each.body),
                Part::Parallel(branches) => branches.values().for_each(|body| self.collect_tools(body)),
                Part::Whole(_) | Part::Tool(_) | Part::Subworkflow(_) => {}
            }
        }
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

/// Whether a node's effects are meant to stay.
fn keeps(policy: &written::Policy<'_>) -> bool {
    matches!(&policy.compensation, Some(Located { value: Compensation::None, .. }))
}

/// An effect the workflow means to stay.
fn keep(facts: &mut Facts) {
    facts.compensation = None;
    facts.irreversible = Some("the workflow means it to stay".to_owned());
    facts.actions.values_mut().for_each(keep);
}

fn placeholder(name: &str) -> Agent {
    Agent {
        name: name.to_owned(),
        kind: agent::Kind::Simple,
        description: String::new(),
        system_prompt: String::new(),
        prompt: String::new(),
        model_profile: None,
        model: None,
        temperature: None,
        max_tokens: None,
        tools: Vec::new(),
        output_schema: None,
        max_iterations: None,
        capabilities: Vec::new(),
        metadata: BTreeMap::new(),
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
