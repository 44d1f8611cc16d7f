//! Workflows in a line or two: nodes by small builders, edges as `"a>b b:true>c c!>d"`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::{self, AgentDefinition};
use crate::bundle::ContentHash;
use crate::definition::{self, DefinitionCatalog};
use crate::graph::node::{
    AgentNode, EndNode, HumanNode, HumanTaskKind, LoopMode, LoopNode, MergeMode, MergeNode, NodeCompensation,
    NodePolicy, OnDeadline, OnItemError, OnNodeError, ParallelNode, RemainingWork, SubworkflowNode, SwitchNode,
    ToolNode, ToolSource, WaitDeadline, WaitNode,
};
use crate::graph::{
    CombineMode, EdgeIndex, EdgeTrigger, Graph, GraphEdge, GraphNode, InputDeclaration, JoinRule, NodeIndex, NodeKind,
    Workflow, WorkflowVariable,
};
use crate::money::Usd;
use crate::tool::{EffectClass, OnUnavailable, RetryPolicy, ToolCompensation, ToolContract};
use baton_expr::{Condition, ConditionLanguage, JinjaTemplate, ParamsDialect, ParamsTemplate};

pub fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub fn params(value: Value) -> ParamsTemplate {
    ParamsTemplate::parse(&value, ParamsDialect::Edges).unwrap()
}

pub fn jmes(source: &str) -> Condition {
    Condition::parse(ConditionLanguage::JmesPath, source).unwrap()
}

/// One node being built.
pub struct NodeBuilder(GraphNode);

fn node(id: &str, kind: NodeKind) -> NodeBuilder {
    NodeBuilder(GraphNode {
        id: id.into(),
        name: id.to_owned(),
        kind,
        condition: None,
        join: JoinRule::default(),
        policy: NodePolicy::default(),
        output_key: None,
        sets: Vec::new(),
    })
}

/// A call of the tool with the same name: keyed, without a known compensation.
pub fn tool(id: &str) -> NodeBuilder {
    let from = ToolSource::Fixed { tool: id.to_owned(), parameters: params(json!({})) };
    let facts = BTreeMap::from([(id.to_owned(), Arc::new(ToolContract::new(EffectClass::Keyed, secs(10))))]);
    node(id, NodeKind::Tool(Box::new(ToolNode { from, facts })))
}

/// Calls the tools that `shared_context.tool_requests` lists, out of these.
pub fn requests(id: &str, tools: &[&str]) -> NodeBuilder {
    let facts = tools
        .iter()
        .map(|tool| ((*tool).to_owned(), Arc::new(ToolContract::new(EffectClass::Keyed, secs(10)))))
        .collect();
    node(id, NodeKind::Tool(Box::new(ToolNode { from: ToolSource::AgentRequests, facts })))
}

/// An agent that may request these tools.
pub fn agent(id: &str, tools: &[&str]) -> NodeBuilder {
    let facts: BTreeMap<String, Arc<ToolContract>> = tools
        .iter()
        .map(|tool| ((*tool).to_owned(), Arc::new(ToolContract::new(EffectClass::Keyed, secs(10)))))
        .collect();
    let tools_of = tools.iter().map(|tool| (*tool).to_owned()).collect();
    let agent = AgentDefinition {
        temperature: Some(0.1),
        tools: tools_of,
        ..AgentDefinition::new(id, agent::AgentKind::Reasoning)
    };
    node(
        id,
        NodeKind::Agent(Box::new(AgentNode {
            agent,
            prompt: JinjaTemplate::parse("help").unwrap(),
            system: JinjaTemplate::parse("be kind").unwrap(),
            system_by_language: BTreeMap::from([("es".to_owned(), JinjaTemplate::parse("sé amable").unwrap())]),
            offered: facts.keys().cloned().collect(),
            tools: facts,
            only_selects_tools: false,
            question_deadline: WaitDeadline::default(),
            fallbacks: Vec::new(),
        })),
    )
}

pub fn condition(id: &str, source: &str) -> NodeBuilder {
    node(id, NodeKind::Condition(jmes(source)))
}

pub fn switch(id: &str, cases: &[(&str, &str)], default: Option<&str>) -> NodeBuilder {
    let cases = cases.iter().map(|(name, source)| ((*name).to_owned(), jmes(source))).collect();
    node(id, NodeKind::Switch(SwitchNode { cases, default: default.map(str::to_owned) }))
}

fn looping(id: &str, over: LoopMode, body: FlowBuilder) -> NodeBuilder {
    let body = body.graph();
    node(id, NodeKind::Loop(Box::new(LoopNode { over, body, max_iterations: 1_000, on_item_error: OnItemError::Fail })))
}

pub fn each(id: &str, items: Value, concurrency: u32, body: FlowBuilder) -> NodeBuilder {
    looping(id, LoopMode::Each { items: params(items), concurrency }, body)
}

pub fn repeat_while(id: &str, source: &str, body: FlowBuilder) -> NodeBuilder {
    looping(id, LoopMode::While(jmes(source)), body)
}

pub fn repeat_until(id: &str, source: &str, body: FlowBuilder) -> NodeBuilder {
    looping(id, LoopMode::Until(jmes(source)), body)
}

pub fn parallel(id: &str, branches: Vec<(&str, FlowBuilder)>) -> NodeBuilder {
    let branches = branches.into_iter().map(|(name, flow)| (name.to_owned(), flow.graph())).collect();
    node(id, NodeKind::Parallel(ParallelNode { branches }))
}

pub fn merge(id: &str, mode: MergeMode) -> NodeBuilder {
    node(
        id,
        NodeKind::Merge(MergeNode { mode, rest: RemainingWork::Cancel, branches: BTreeMap::new(), undo_losers: false }),
    )
}

fn human(id: &str, ask: HumanTaskKind) -> NodeBuilder {
    let title = JinjaTemplate::parse("may it?").unwrap();
    let deadline = WaitDeadline::default();
    node(
        id,
        NodeKind::Human(Box::new(HumanNode {
            task: ask,
            title,
            details: params(json!({})),
            assignees: Value::Null,
            deadline,
        })),
    )
}

pub fn approval(id: &str, needed: u32) -> NodeBuilder {
    human(id, HumanTaskKind::Approval { needed })
}

pub fn form(id: &str, schema: Value) -> NodeBuilder {
    human(id, HumanTaskKind::Form { schema })
}

pub fn wait_for(id: &str, wait: Duration) -> NodeBuilder {
    node(id, NodeKind::Wait(WaitNode::For(wait)))
}

pub fn wait_until(id: &str, until: Value) -> NodeBuilder {
    node(id, NodeKind::Wait(WaitNode::Until(params(until))))
}

/// Waits for a signal of this name.
pub fn signal(id: &str, name: &str) -> NodeBuilder {
    node(id, NodeKind::Wait(WaitNode::Signal { name: name.to_owned(), deadline: WaitDeadline::default() }))
}

pub fn child(id: &str) -> NodeBuilder {
    let child = SubworkflowNode {
        workflow: format!("{id} flow"),
        bundle: ContentHash::of(id.as_bytes()),
        input: params(json!({})),
    };
    node(id, NodeKind::Subworkflow(Box::new(child)))
}

pub fn transform(id: &str, sets: &[(&str, Value)]) -> NodeBuilder {
    node(id, NodeKind::Transform(sets.iter().map(|(key, value)| ((*key).to_owned(), params(value.clone()))).collect()))
}

pub fn end(id: &str) -> NodeBuilder {
    node(id, NodeKind::End(EndNode { output: None, rest: RemainingWork::Wait }))
}

pub fn trigger(id: &str) -> NodeBuilder {
    node(id, NodeKind::Trigger)
}

impl NodeBuilder {
    /// Changes the agent of an agent's node.
    pub fn agent(mut self, change: impl FnOnce(&mut AgentDefinition)) -> Self {
        if let NodeKind::Agent(agent) = &mut self.0.kind {
            change(&mut agent.agent);
        }
        self
    }

    /// The agent's prompt and system prompt, as templates.
    pub fn prompted(mut self, prompt: &str, system: &str) -> Self {
        if let NodeKind::Agent(agent) = &mut self.0.kind {
            (agent.prompt, agent.system) =
                (JinjaTemplate::parse(prompt).unwrap(), JinjaTemplate::parse(system).unwrap());
        }
        self
    }

    /// Adds this agent as the fallback of the node's own.
    pub fn falls_back_to(mut self, other: Self) -> Self {
        if let (NodeKind::Agent(agent), NodeKind::Agent(other)) = (&mut self.0.kind, other.0.kind) {
            agent.tools.extend(other.tools.clone());
            agent.fallbacks.push(*other);
        }
        self
    }

    fn facts(&mut self, mut change: impl FnMut(&mut ToolContract)) {
        match &mut self.0.kind {
            NodeKind::Tool(tool) => tool.facts.values_mut().map(Arc::make_mut).for_each(&mut change),
            NodeKind::Agent(agent) => agent.tools.values_mut().map(Arc::make_mut).for_each(&mut change),
            _ => panic!("`{}` calls no tool", self.0.id),
        }
    }

    fn class(mut self, class: EffectClass) -> Self {
        self.facts(|facts| facts.class = class);
        self
    }

    pub fn read(self) -> Self {
        self.class(EffectClass::Read)
    }

    pub fn once(self) -> Self {
        self.class(EffectClass::Once)
    }

    pub fn verify(self) -> Self {
        self.class(EffectClass::Verify)
    }

    /// The tool itself is undone by this one, which receives the tool's output as `of`.
    pub fn undo(self, by: &str) -> Self {
        self.undo_with(by, json!({"of": "{{ output.id }}"}))
    }

    pub fn undo_with(mut self, by: &str, parameters: Value) -> Self {
        let compensation = ToolCompensation { tool_name: by.to_owned(), parameters };
        self.facts(|facts| facts.compensation = Some(compensation.clone()));
        self.undoing(by, ToolContract::new(EffectClass::Keyed, secs(10)))
    }

    /// The contract of a compensating tool.
    pub fn undoing(mut self, by: &str, facts: ToolContract) -> Self {
        match &mut self.0.kind {
            NodeKind::Tool(tool) => drop(tool.facts.insert(by.to_owned(), Arc::new(facts))),
            NodeKind::Agent(agent) => drop(agent.tools.insert(by.to_owned(), Arc::new(facts))),
            _ => panic!("`{}` calls no tool", self.0.id),
        }
        self
    }

    /// This node's own compensation.
    pub fn compensation(mut self, tool: &str, parameters: Value) -> Self {
        self.0.policy.compensation = Some(NodeCompensation { tool: tool.to_owned(), parameters: params(parameters) });
        self
    }

    pub fn irreversible(mut self, reason: &str) -> Self {
        self.facts(|facts| facts.irreversible = Some(reason.to_owned()));
        self
    }

    pub fn args(mut self, arguments: Value) -> Self {
        if let NodeKind::Tool(tool) = &mut self.0.kind
            && let ToolSource::Fixed { parameters, .. } = &mut tool.from
        {
            *parameters = params(arguments);
        }
        self
    }

    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.0.policy.retry = Some(retry);
        self
    }

    /// This number of attempts, one second apart.
    pub fn attempts(self, max_attempts: u32) -> Self {
        self.retry(RetryPolicy {
            max_attempts,
            initial: secs(1),
            multiplier: 1.0,
            max: secs(1),
            ..RetryPolicy::default()
        })
    }

    pub fn when(mut self, source: &str) -> Self {
        self.0.condition = Some(jmes(source));
        self
    }

    /// Joins as in the `steps` form.
    pub fn all_settled(mut self) -> Self {
        self.0.join = JoinRule::AllSettled;
        self
    }

    pub fn continues(mut self) -> Self {
        self.0.policy.on_error = Some(OnNodeError::Continue);
        self
    }

    pub fn fails(mut self) -> Self {
        self.0.policy.on_error = Some(OnNodeError::Fail);
        self
    }

    pub fn compensates(mut self) -> Self {
        self.0.policy.on_error = Some(OnNodeError::Compensate);
        self
    }

    pub fn timeout(mut self, after: Duration) -> Self {
        self.0.policy.timeout = Some(after);
        self
    }

    pub fn max_cost(mut self, usd: f64) -> Self {
        self.0.policy.max_cost = Some(Usd::from_f64(usd));
        self
    }

    /// The policy of its tools for an unavailable service.
    pub fn when_down(mut self, way: &str) -> Self {
        let way: OnUnavailable = way.to_owned().try_into().unwrap();
        self.facts(|facts| facts.on_unavailable = Some(way.clone()));
        self
    }

    /// The output fields of its tools, and the answer that stands in for them.
    pub fn answering(mut self, fields: &[&str], stand_in: Value) -> Self {
        self.facts(|facts| {
            facts.output_fields = fields.iter().map(|field| (*field).to_owned()).collect();
            facts.stand_in = stand_in.as_object().cloned().unwrap_or_default();
        });
        self
    }

    /// Sets the price of each call of its tools.
    pub fn costing(mut self, usd: f64) -> Self {
        let facts = match &mut self.0.kind {
            NodeKind::Tool(tool) => &mut tool.facts,
            NodeKind::Agent(agent) => &mut agent.tools,
            _ => panic!("`{}` calls no tool", self.0.id),
        };
        facts.values_mut().for_each(|facts| *facts = Arc::new((**facts).clone().with_cost(Usd::from_f64(usd))));
        self
    }

    pub fn sets(mut self, key: &str, value: Value) -> Self {
        self.0.sets.push((key.to_owned(), params(value)));
        self
    }

    pub fn output_key(mut self, key: &str) -> Self {
        self.0.output_key = Some(key.to_owned());
        self
    }

    /// Sets the assignees, as a definition writes them.
    pub fn assigned(mut self, assignees: Value) -> Self {
        if let NodeKind::Human(human) = &mut self.0.kind {
            human.assignees = assignees;
        }
        self
    }

    pub fn deadline(mut self, after: Duration, then: OnDeadline) -> Self {
        let limit = WaitDeadline { after: Some(after), on_expiry: then };
        match &mut self.0.kind {
            NodeKind::Human(human) => human.deadline = limit,
            NodeKind::Wait(WaitNode::Signal { deadline, .. }) => *deadline = limit,
            NodeKind::Agent(agent) => agent.question_deadline = limit,
            _ => panic!("`{}` waits for nobody", self.0.id),
        }
        self
    }

    pub fn collects(mut self) -> Self {
        if let NodeKind::Loop(each) = &mut self.0.kind {
            each.on_item_error = OnItemError::Collect;
        }
        self
    }

    pub fn at_most(mut self, iterations: u32) -> Self {
        if let NodeKind::Loop(each) = &mut self.0.kind {
            each.max_iterations = iterations;
        }
        self
    }

    /// Sets the prices of the agent's tools, in nano-dollars per call.
    pub fn priced(mut self, prices: &[(&str, i64)]) -> Self {
        if let NodeKind::Agent(agent) = &mut self.0.kind {
            for (tool, nanos) in prices {
                let facts = ToolContract { cost: Usd::from_nanos(*nanos), ..(*agent.tools[*tool]).clone() };
                agent.tools.insert((*tool).to_owned(), Arc::new(facts));
            }
        }
        self
    }

    pub fn selects(mut self) -> Self {
        if let NodeKind::Agent(agent) = &mut self.0.kind {
            agent.only_selects_tools = true;
        }
        self
    }

    pub fn gives(mut self, output: Value) -> Self {
        if let NodeKind::End(end) = &mut self.0.kind {
            end.output = Some(params(output));
        }
        self
    }

    /// What happens to the rest: of a merge's branches, or of the work that still runs when an end is reached.
    pub fn rest(mut self, of: RemainingWork) -> Self {
        match &mut self.0.kind {
            NodeKind::Merge(merge) => merge.rest = of,
            NodeKind::End(end) => end.rest = of,
            _ => panic!("`{}` leaves no rest", self.0.id),
        }
        self
    }

    pub fn undo_losers(mut self) -> Self {
        if let NodeKind::Merge(merge) = &mut self.0.kind {
            merge.undo_losers = true;
        }
        self
    }
}

/// A workflow being built, or a body.
pub struct FlowBuilder {
    nodes: Vec<GraphNode>,
    edges: Vec<GraphEdge>,
    input: InputDeclaration,
    variables: BTreeMap<String, WorkflowVariable>,
    timeout: Option<Duration>,
    max_cost: Option<Usd>,
    on_compensated: Option<NodeIndex>,
}

/// Nodes, and edges in text: `a>b`, `a:label>b`, and `a!>b` for the error edge of `a`.
pub fn flow(nodes: impl IntoIterator<Item = NodeBuilder>, edges: &str) -> FlowBuilder {
    let nodes = nodes.into_iter().map(|node| node.0).collect();
    let mut flow = FlowBuilder {
        nodes,
        edges: Vec::new(),
        input: InputDeclaration::default(),
        variables: BTreeMap::new(),
        timeout: None,
        max_cost: None,
        on_compensated: None,
    };
    for word in edges.split_whitespace() {
        let (from, to) = word.split_once('>').unwrap_or_else(|| panic!("`{word}` is no edge"));
        if let Some(from) = from.strip_suffix('!') {
            let place = EdgeIndex(flow.edges.len() as u32);
            let from = flow.place(from);
            flow.nodes[from.as_usize()].policy.on_error = Some(OnNodeError::Goto(place));
            flow.edges.push(GraphEdge { from, to: flow.place(to), when: EdgeTrigger::Failed, condition: None });
            continue;
        }
        let (from, when) = match from.split_once(':') {
            Some((from, label)) => (from, EdgeTrigger::Branch(label.to_owned())),
            None => (from, EdgeTrigger::Completed),
        };
        flow.edges.push(GraphEdge { from: flow.place(from), to: flow.place(to), when, condition: None });
    }
    flow
}

/// One node alone.
pub fn only(node: NodeBuilder) -> FlowBuilder {
    flow([node], "")
}

impl FlowBuilder {
    fn place(&self, id: &str) -> NodeIndex {
        let place = self.nodes.iter().position(|node| node.id.as_str() == id);
        NodeIndex(place.unwrap_or_else(|| panic!("no node `{id}`")) as u32)
    }

    /// An edge with a condition.
    pub fn edge_if(mut self, from: &str, to: &str, source: &str) -> Self {
        let (from, to) = (self.place(from), self.place(to));
        self.edges.push(GraphEdge { from, to, when: EdgeTrigger::Completed, condition: Some(jmes(source)) });
        self
    }

    /// The declared input, as a definition writes it.
    pub fn input(mut self, declared: Value) -> Self {
        let text = json!({ "name": "x", "input": declared, "nodes": [{ "id": "a", "duration": 1 }] }).to_string();
        let checked = definition::check(text.as_bytes(), &DefinitionCatalog::default());
        self.input = checked.workflow.expect("a declaration").input;
        self
    }

    pub fn variable(mut self, key: &str, combine: CombineMode, initial: Value) -> Self {
        let initial = (!initial.is_null()).then_some(initial);
        self.variables.insert(key.to_owned(), WorkflowVariable { initial, combine });
        self
    }

    pub fn timeout(mut self, after: Duration) -> Self {
        self.timeout = Some(after);
        self
    }

    pub fn max_cost(mut self, usd: f64) -> Self {
        self.max_cost = Some(Usd::from_f64(usd));
        self
    }

    pub fn on_compensated(mut self, node: &str) -> Self {
        self.on_compensated = Some(self.place(node));
        self
    }

    fn graph(self) -> Arc<Graph> {
        let mut graph = Graph::new(self.nodes, self.edges);
        fill_branches(&mut graph);
        Arc::new(graph)
    }

    pub fn workflow(self) -> Workflow {
        let (input, variables) = (self.input.clone(), self.variables.clone());
        let (timeout, max_cost) = (self.timeout, self.max_cost);
        let on_compensated = self.on_compensated;
        Workflow {
            name: "test".to_owned(),
            version: "1".to_owned(),
            input,
            graph: self.graph(),
            variables,
            timeout,
            max_cost,
            on_compensated,
            entity_sources: BTreeMap::new(),
            hil: crate::conversation::HandoverPolicy::default(),
        }
    }
}

/// The branches of each merge: the nodes before an in-edge that lead only to the merge.
fn fill_branches(graph: &mut Graph) {
    let merges = graph.node_indices().filter(|place| matches!(graph.node(*place).kind, NodeKind::Merge(_)));
    for merge in merges.collect::<Vec<_>>() {
        let mut branches = BTreeMap::new();
        for edge in graph.incoming(merge) {
            let mut found = BTreeSet::new();
            let mut open = vec![graph.edge(*edge).from];
            while let Some(place) = open.pop() {
                if leads_only(graph, place, merge) && found.insert(place) {
                    open.extend(graph.incoming(place).iter().map(|edge| graph.edge(*edge).from));
                }
            }
            branches.insert(*edge, found.into_iter().collect());
        }
        if let NodeKind::Merge(merge) = &mut graph.nodes[merge.as_usize()].kind {
            merge.branches = branches;
        }
    }
}

fn leads_only(graph: &Graph, place: NodeIndex, to: NodeIndex) -> bool {
    let out = graph.outgoing(place);
    place == to || !out.is_empty() && out.iter().all(|edge| leads_only(graph, graph.edge(*edge).to, to))
}
