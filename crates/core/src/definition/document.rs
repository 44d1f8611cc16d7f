//! A definition as it was written: every expression parsed, no name resolved yet.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;

use super::source::{Key, Located, Map, Node as Tree, Span};
use crate::agent::CostTier;
use crate::conversation::Hil;
use crate::expr::{Condition, Dialect, Params, Template};
use crate::graph::{Input, Join, Variable, node};
use crate::model::Profile;
use crate::money::Usd;
use crate::tool::Facts;

/// A whole file.
#[derive(Debug)]
pub(crate) struct Document<'t> {
    pub name: Option<Located<String>>,
    pub version: String,
    pub body: Body<'t>,
    pub input: Input,
    pub variables: BTreeMap<String, Located<Declared>>,
    pub timeout: Option<Duration>,
    pub max_cost: Option<Usd>,
    pub on_compensated: Option<Located<String>>,
    /// By Composio app: whose account it uses.
    pub entity_sources: BTreeMap<String, String>,
    /// When a conversation is handed to a person.
    pub hil: Hil,
}

/// A declared variable, and whether it is written how its writes combine.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    pub variable: Variable,
    pub says_how: bool,
}

/// One graph: the outer one, or the body of a loop or a branch.
#[derive(Debug)]
pub(crate) struct Body<'t> {
    pub form: Form,
    pub nodes: Vec<Node<'t>>,
    /// `None` where the file has no `edges`: order then follows from what nodes name.
    pub edges: Option<Vec<Edge>>,
    pub span: Span,
}

/// Which of the two ways to write a workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Nodes,
    Steps,
}

#[derive(Debug)]
pub(crate) struct Node<'t> {
    pub id: Located<String>,
    pub name: Option<String>,
    pub part: Part<'t>,
    pub condition: Option<Condition>,
    pub depends_on: Vec<Located<String>>,
    pub join: Option<Join>,
    pub policy: Policy<'t>,
    pub output_key: Option<Located<String>>,
    pub sets: Vec<(Located<String>, Params)>,
    /// Names its expressions use, but for those that are local to them.
    pub mentions: Vec<Mention>,
}

/// What a node does.
#[derive(Debug)]
pub(crate) enum Part<'t> {
    /// Names nothing outside the graph.
    Whole(node::Kind),
    Agent(Box<Agent>),
    Tool(Box<Tool<'t>>),
    Loop(Box<Loop<'t>>),
    Parallel(BTreeMap<String, Body<'t>>),
    Subworkflow(Box<Subworkflow>),
}

/// A name an expression uses.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mention {
    pub root: String,
    pub span: Span,
    /// It is evaluated once the node has completed, so the node may name itself.
    pub own: bool,
    /// Which of its fields the expression reads.
    pub reads: Vec<Read>,
}

/// A field that an expression reads of a name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Read {
    /// One or two, outermost first, and where each stands.
    pub fields: Vec<(String, Span)>,
}

impl Read {
    pub(crate) fn new(fields: &[String], node: &Tree) -> Self {
        Self { fields: fields.iter().map(|field| (field.clone(), node.span_of_field(field))).collect() }
    }
}

#[derive(Debug)]
pub(crate) struct Edge {
    pub from: Located<String>,
    pub to: Located<String>,
    pub when: Option<Located<String>>,
    pub condition: Option<Condition>,
    pub mentions: Vec<Mention>,
    pub span: Span,
}

/// Whose node it is.
#[derive(Debug)]
pub(crate) enum Who {
    Named(Located<String>),
    /// Whoever has this capability and costs no more than that.
    Able {
        capability: Located<String>,
        cost: Option<CostTier>,
    },
}

impl Who {
    pub fn span(&self) -> Span {
        match self {
            Self::Named(name) => name.span,
            Self::Able { capability, .. } => capability.span,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Agent {
    pub agent: Who,
    /// In place of the agent's own.
    pub fallback: Option<Located<String>>,
    pub max_execution_time: Option<u64>,
    pub prompt: Option<Template>,
    pub system: Option<(String, Template)>,
    pub selects: bool,
    pub asks: node::Deadline,
    pub profile: Option<Profile>,
    pub model: Option<String>,
    pub temperature: Option<f64>,
    pub max_tokens: Option<u32>,
    pub max_iterations: Option<u32>,
    pub tools: Option<Vec<Located<String>>>,
    pub output_schema: Option<Json>,
    /// Kept with the agent for those who assemble its context.
    pub metadata: BTreeMap<String, Json>,
}

#[derive(Debug)]
pub(crate) enum Tool<'t> {
    Written {
        tool: Located<String>,
        parameters: Params,
        tree: Option<&'t Tree>,
    },
    /// What a selection asked for; `None` allows every tool of the workflow's agents.
    Requests {
        tools: Option<Vec<Located<String>>>,
    },
}

#[derive(Debug)]
pub(crate) struct Loop<'t> {
    pub over: node::Over,
    pub body: Body<'t>,
    pub max_iterations: u32,
    pub on_item_error: node::OnItemError,
}

#[derive(Debug)]
pub(crate) struct Subworkflow {
    pub workflow: Located<String>,
    pub input: Params,
}

/// What is written of a node's policy; the rest comes from the tool or agent.
#[derive(Debug, Default)]
pub(crate) struct Policy<'t> {
    pub timeout: Option<Duration>,
    pub retry: Option<Retry>,
    pub on_error: Option<Located<OnError>>,
    pub compensation: Option<Located<Compensation<'t>>>,
    pub max_cost: Option<Usd>,
}

#[derive(Debug, Default)]
pub(crate) struct Retry {
    pub max_attempts: Option<u32>,
    pub initial: Option<Duration>,
    pub multiplier: Option<f64>,
    pub max: Option<Duration>,
    pub jitter: Option<f64>,
    pub retry_on: Option<Vec<String>>,
}

#[derive(Debug, PartialEq)]
pub(crate) enum OnError {
    Fail,
    Continue,
    Compensate,
    Goto(String),
}

#[derive(Debug)]
pub(crate) enum Compensation<'t> {
    /// The effect is meant to stay.
    None,
    Undo {
        tool: Located<String>,
        parameters: Params,
        tree: Option<&'t Tree>,
    },
}

/// The written parameters that do not depend on a run, by name.
pub(crate) fn literals(parameters: Option<&Tree>, dialect: Dialect) -> Json {
    let map = parameters.and_then(Tree::as_map);
    let literal = |(key, value): (&Key, &Tree)| {
        Some((key.name.clone(), Params::parse(&value.to_json(), dialect).ok()?.literal()?.clone()))
    };
    Json::Object(map.into_iter().flat_map(Map::iter).filter_map(literal).collect())
}

/// The facts that hold for a written call: of its action, where that is written plainly.
pub(crate) fn own_facts<'f>(facts: &'f Facts, parameters: Option<&Tree>, dialect: Dialect) -> &'f Facts {
    if facts.actions.is_empty() { facts } else { facts.of(&literals(parameters, dialect)) }
}

impl Form {
    /// How parameters are written in it.
    pub(crate) fn dialect(self) -> Dialect {
        match self {
            Self::Nodes => Dialect::Edges,
            Self::Steps => Dialect::Steps,
        }
    }
}
