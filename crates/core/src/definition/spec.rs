//! A definition as written: every expression parsed, no name resolved yet.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;

use super::source::{SourceSpan, SpannedValue, YamlKey, YamlMapping, YamlNode};
use crate::agent::CostTier;
use crate::conversation::HandoverPolicy;
use crate::graph::{InputDeclaration, JoinRule, WorkflowVariable, node};
use crate::model::ModelProfile;
use crate::money::Usd;
use crate::tool::ToolContract;
use baton_expr::{Condition, JinjaTemplate, ParamsDialect, ParamsTemplate};

/// A whole file.
#[derive(Debug)]
pub(crate) struct WorkflowSpec<'t> {
    pub name: Option<SpannedValue<String>>,
    pub version: String,
    pub body: BodySpec<'t>,
    pub input: InputDeclaration,
    pub variables: BTreeMap<String, SpannedValue<VariableDeclaration>>,
    pub timeout: Option<Duration>,
    pub max_cost: Option<Usd>,
    pub on_compensated: Option<SpannedValue<String>>,
    /// Whose account each Composio app uses, by app.
    pub entity_sources: BTreeMap<String, String>,
    /// When a conversation is handed to a person.
    pub hil: HandoverPolicy,
}

/// A declared variable, and whether its combine mode is written.
#[derive(Debug, Default)]
pub(crate) struct VariableDeclaration {
    pub variable: WorkflowVariable,
    pub has_combine: bool,
}

/// One graph: the outer one, or the body of a loop or a branch.
#[derive(Debug)]
pub(crate) struct BodySpec<'t> {
    pub form: DefinitionForm,
    pub nodes: Vec<NodeSpec<'t>>,
    /// `None` if the file has no `edges`: the order then follows from the references of the nodes.
    pub edges: Option<Vec<EdgeSpec>>,
    pub span: SourceSpan,
}

/// Which of the two forms a workflow is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DefinitionForm {
    Nodes,
    Steps,
}

#[derive(Debug)]
pub(crate) struct NodeSpec<'t> {
    pub id: SpannedValue<String>,
    pub name: Option<String>,
    pub part: NodeKindSpec<'t>,
    pub condition: Option<Condition>,
    pub depends_on: Vec<SpannedValue<String>>,
    pub join: Option<JoinRule>,
    pub policy: PolicySpec<'t>,
    pub output_key: Option<SpannedValue<String>>,
    pub sets: Vec<(SpannedValue<String>, ParamsTemplate)>,
    /// Names that its expressions reference, except names local to them.
    pub references: Vec<NameReference>,
}

/// The behaviour of a node.
#[derive(Debug)]
pub(crate) enum NodeKindSpec<'t> {
    /// References nothing outside the graph.
    Complete(node::NodeKind),
    Agent(Box<AgentNodeSpec>),
    Tool(Box<ToolNodeSpec<'t>>),
    Loop(Box<LoopNodeSpec<'t>>),
    Parallel(BTreeMap<String, BodySpec<'t>>),
    Subworkflow(Box<SubworkflowNodeSpec>),
}

/// A name that an expression references.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NameReference {
    pub root: String,
    pub span: SourceSpan,
    /// The expression is evaluated after the node completes, so it may reference the node itself.
    pub is_after_node: bool,
    /// The fields that the expression reads from the name.
    pub reads: Vec<FieldReference>,
}

/// A field that an expression reads from a name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FieldReference {
    /// One or two fields, outermost first, each with its position.
    pub fields: Vec<(String, SourceSpan)>,
}

impl FieldReference {
    pub(crate) fn new(fields: &[String], node: &YamlNode) -> Self {
        Self { fields: fields.iter().map(|field| (field.clone(), node.span_of_field(field))).collect() }
    }
}

#[derive(Debug)]
pub(crate) struct EdgeSpec {
    pub from: SpannedValue<String>,
    pub to: SpannedValue<String>,
    pub when: Option<SpannedValue<String>>,
    pub condition: Option<Condition>,
    pub references: Vec<NameReference>,
    pub span: SourceSpan,
}

/// The agent of a node.
#[derive(Debug)]
pub(crate) enum AgentSelector {
    ByName(SpannedValue<String>),
    /// Any agent with this capability, up to this cost.
    ByCapability {
        capability: SpannedValue<String>,
        cost: Option<CostTier>,
    },
}

impl AgentSelector {
    pub fn span(&self) -> SourceSpan {
        match self {
            Self::ByName(name) => name.span,
            Self::ByCapability { capability, .. } => capability.span,
        }
    }
}

#[derive(Debug)]
pub(crate) struct AgentNodeSpec {
    pub agent: AgentSelector,
    /// Replaces the agent's own fallback.
    pub fallback: Option<SpannedValue<String>>,
    pub max_execution_time: Option<u64>,
    pub prompt: Option<JinjaTemplate>,
    pub system: Option<(String, JinjaTemplate)>,
    pub only_selects_tools: bool,
    pub question_deadline: node::WaitDeadline,
    pub profile: Option<ModelProfile>,
    pub model: Option<String>,
    pub temperature: Option<f64>,
    pub max_tokens: Option<u32>,
    pub max_iterations: Option<u32>,
    pub tools: Option<Vec<SpannedValue<String>>>,
    pub output_schema: Option<Json>,
    /// Stored with the agent for the assembly of its context.
    pub metadata: BTreeMap<String, Json>,
}

#[derive(Debug)]
pub(crate) enum ToolNodeSpec<'t> {
    Fixed {
        tool: SpannedValue<String>,
        parameters: ParamsTemplate,
        tree: Option<&'t YamlNode>,
    },
    /// The calls that a selection requested; `None` allows every tool of the workflow's agents.
    AgentRequests {
        tools: Option<Vec<SpannedValue<String>>>,
    },
}

#[derive(Debug)]
pub(crate) struct LoopNodeSpec<'t> {
    pub over: node::LoopMode,
    pub body: BodySpec<'t>,
    pub max_iterations: u32,
    pub on_item_error: node::OnItemError,
}

#[derive(Debug)]
pub(crate) struct SubworkflowNodeSpec {
    pub workflow: SpannedValue<String>,
    pub input: ParamsTemplate,
}

/// The written part of a node's policy; the rest comes from the tool or agent.
#[derive(Debug, Default)]
pub(crate) struct PolicySpec<'t> {
    pub timeout: Option<Duration>,
    pub retry: Option<RetrySpec>,
    pub on_error: Option<SpannedValue<OnErrorSpec>>,
    pub compensation: Option<SpannedValue<CompensationSpec<'t>>>,
    pub max_cost: Option<Usd>,
}

#[derive(Debug, Default)]
pub(crate) struct RetrySpec {
    pub max_attempts: Option<u32>,
    pub initial: Option<Duration>,
    pub multiplier: Option<f64>,
    pub max: Option<Duration>,
    pub jitter: Option<f64>,
    pub retry_on: Option<Vec<String>>,
}

#[derive(Debug, PartialEq)]
pub(crate) enum OnErrorSpec {
    Fail,
    Continue,
    Compensate,
    Goto(String),
}

#[derive(Debug)]
pub(crate) enum CompensationSpec<'t> {
    /// The effect is meant to stay.
    None,
    Undo {
        tool: SpannedValue<String>,
        parameters: ParamsTemplate,
        tree: Option<&'t YamlNode>,
    },
}

/// Returns the literal parameters, by name: those that do not depend on a run.
pub(crate) fn literals(parameters: Option<&YamlNode>, dialect: ParamsDialect) -> Json {
    let map = parameters.and_then(YamlNode::as_map);
    let literal = |(key, value): (&YamlKey, &YamlNode)| {
        Some((key.name.clone(), ParamsTemplate::parse(&value.to_json(), dialect).ok()?.literal()?.clone()))
    };
    Json::Object(map.into_iter().flat_map(YamlMapping::iter).filter_map(literal).collect())
}

/// Returns the contract that applies to a written call: that of its action, if the action is a literal.
pub(crate) fn action_facts<'f>(
    facts: &'f ToolContract,
    parameters: Option<&YamlNode>,
    dialect: ParamsDialect,
) -> &'f ToolContract {
    if facts.actions.is_empty() { facts } else { facts.for_arguments(&literals(parameters, dialect)) }
}

impl DefinitionForm {
    /// Returns the dialect of its parameters.
    pub(crate) fn dialect(self) -> ParamsDialect {
        match self {
            Self::Nodes => ParamsDialect::Edges,
            Self::Steps => ParamsDialect::Steps,
        }
    }
}
