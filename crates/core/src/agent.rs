//! Agents as data: what defines an agent, its observations, and its possible next steps. The step functions are in the
//! `agents` crate; this module holds only what the journal must keep.

pub mod context;
mod limits;
pub mod whitelist;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fault::Fault;
use crate::model::{self, ModelProfile};
use crate::money::{PriceQuote, Usd};
use crate::tool::ToolEnvelope;

pub use limits::{AgentConstraints, AgentLimits, OverLimitPolicy, TenantTier};

/// The key in an agent's `metadata` of the secret that is sent to its endpoint. Only agents defined in the project's
/// own files may name one.
pub const ENDPOINT_SECRET: &str = "endpoint_secret";
/// Default number of iterations of a reasoning agent.
pub const ITERATIONS_DEFAULT: u32 = 10;
/// A pseudo-tool in an agent's `tools`: it lets the model ask the customer. Input: `{question}`.
pub const ASK_CUSTOMER: &str = "ask_customer";
/// A pseudo-tool that lets the model hand the conversation to a person. Input: `{reason}`.
pub const HAND_OVER: &str = "hand_over";
/// Default number of attempts of a code agent at its goal, including the first.
pub const ATTEMPTS_DEFAULT: u32 = 3;
/// Maximum number of attempts that a definition may set.
pub const ATTEMPTS_MAX: u32 = 10;
/// Names that no tool may have.
pub const RESERVED_TOOLS: [&str; 2] = [ASK_CUSTOMER, HAND_OVER];
/// Maximum number of iterations that a definition may set.
pub const ITERATIONS_MAX: u32 = 100;

/// An agent's definition: a file in `agents/`, a shipped configuration, or registered by API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Agent")]
pub struct AgentDefinition {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: AgentKind,
    #[serde(default)]
    pub description: String,
    /// Jinja over the run's names.
    #[serde(default)]
    pub system_prompt: String,
    /// Jinja; used where the node brings neither `prompt_template` nor `task`.
    #[serde(default)]
    pub prompt: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_profile: Option<ModelProfile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// Tool names or `app.*` wildcards it may ask for.
    #[serde(default)]
    pub tools: Vec<String>,
    /// JSON Schema of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_iterations: Option<u32>,
    /// Attempts of a code agent at its goal, the first included; at most [`ATTEMPTS_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
    /// Seconds it may work, waiting for people not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_execution_time: Option<u64>,
    /// What it is good for: `structured_output`, `tool_calling`, `code`, `vision`, `streaming`, or a word of your own.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// `low`, `medium` or `high`; by its type where it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_tier: Option<CostTier>,
    /// Models it is known to work with, for people; the router chooses among all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supported_models: Vec<String>,
    /// The agent that stands in for it where it is not well, or gives up before it changed anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// Of type `custom`: who is asked for each step, an `https` address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The most one step of its endpoint costs, in US dollars: held of a `max_cost_usd` while the endpoint is asked, and
    /// counted as what the step cost. Counted as nothing where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "price")]
    pub cost_per_step_usd: Option<f64>,
    /// Further prompts, Jinja, by name and language: `system.es` in place of the system prompt where the customer speaks
    /// Spanish, `plan.en` in place of ours.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prompts: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, Value>,
}

impl AgentDefinition {
    /// Creates an agent with a name, a kind and defaults for everything else.
    pub fn new(name: impl Into<String>, kind: AgentKind) -> Self {
        Self {
            name: name.into(),
            kind,
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
            max_retries: None,
            max_execution_time: None,
            capabilities: Vec::new(),
            cost_tier: None,
            supported_models: Vec::new(),
            fallback: None,
            endpoint: None,
            cost_per_step_usd: None,
            prompts: BTreeMap::new(),
            metadata: BTreeMap::new(),
        }
    }
}

/// An upper bound above any price of a step; it keeps sums far from overflow.
const STEP_USD_MAX: f64 = 1e6;

fn price<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    let price = Option::<f64>::deserialize(from)?;
    if price.is_none_or(|usd| (0.0..=STEP_USD_MAX).contains(&usd)) {
        return Ok(price);
    }
    let message = format!("`cost_per_step_usd` is a number of US dollars from 0 to {STEP_USD_MAX}");
    Err(serde::de::Error::custom(message))
}

impl AgentDefinition {
    /// Returns the cost that is recorded for one step of its endpoint.
    pub fn step_cost(&self) -> Usd {
        self.cost_per_step_usd.map(Usd::from_f64).unwrap_or_default()
    }

    /// Returns the agent's approximate cost: its own setting, or the default of its type.
    pub fn cost_tier(&self) -> CostTier {
        self.cost_tier.unwrap_or(match self.kind {
            AgentKind::Simple => CostTier::Low,
            AgentKind::Reasoning | AgentKind::Custom => CostTier::Medium,
            AgentKind::Code => CostTier::High,
        })
    }

    pub fn has_capability(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|one| one == capability)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CostTier {
    Low,
    Medium,
    High,
}

impl CostTier {
    pub const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];

    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Kind")]
pub enum AgentKind {
    /// One model call, structured output repaired once.
    Simple,
    /// A tool-calling loop.
    #[serde(alias = "conversational")]
    Reasoning,
    /// Plan, execute, reflect.
    Code,
    /// A step function that is not ours.
    Custom,
}

impl AgentKind {
    /// Returns the name of this kind in definitions.
    pub fn word(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Reasoning => "reasoning",
            Self::Code => "code",
            Self::Custom => "custom",
        }
    }
}

/// The name of an agent's own prompt among [`AgentDefinition::prompts`].
pub const SYSTEM_PROMPT: &str = "system";

/// Returns the primary language of an IETF tag, without region and script: `es` for `es-MX`.
pub fn primary_language(tag: &str) -> String {
    tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase()
}

/// The task of an agent node for its agent. It is rendered and journaled when the node starts, and never rendered
/// again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentTask {
    pub agent: AgentDefinition,
    pub system: String,
    pub prompt: String,
    /// The tools that the agent may request, each with its description for the model.
    #[serde(default)]
    pub tools: Vec<model::ToolOffer>,
    /// The agent only selects tools and does not request them (`mode: select`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub selects: bool,
    /// IETF language tag of the customer; empty if unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub language: String,
}

/// One observation of an agent. The ordered list of all observations is the agent's memory of this task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentObservation {
    Replied(model::ModelReply),
    /// The model call failed.
    ModelFailed(Fault),
    /// Results of one step's tool requests, in request order, with the model's call ids.
    Tools(Vec<(String, ToolEnvelope)>),
    /// The customer's answer to a question.
    Said(String),
    /// The outcome of its program.
    Ran(ProgramOutcome),
}

/// The next step of an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentStep {
    AskModel(model::ModelRequest),
    RequestTools(Vec<ToolRequest>),
    /// Run a program in the sandbox, to its end or to its next calls.
    RunCode(SandboxProgram),
    /// Ask the agent's `endpoint` for the next step.
    AskEndpoint,
    /// Post the question; the run waits for the customer's next message.
    AskCustomer {
        question: String,
    },
    Answer {
        output: Value,
    },
    HandOver {
        reason: String,
    },
    GiveUp(Fault),
}

/// Python code written by an agent, which runs in the sandbox to its end or to its next tool calls. A tool is called as
/// a function with the tool's name, with `_` for each character that a Python name cannot contain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxProgram {
    Start {
        source: String,
        /// Variables that are set before it starts.
        inputs: BTreeMap<String, Value>,
        /// The tools that it may call.
        tools: Vec<String>,
    },
    /// Continue where it paused, with the results of the calls it paused for, in order.
    Resume { snapshot: ProgramSnapshot, results: Vec<ToolEnvelope> },
    /// Start again and replay the recorded calls, if its snapshot can no longer be read. A call that differs from the
    /// recorded one stops the program.
    Replay {
        source: String,
        inputs: BTreeMap<String, Value>,
        tools: Vec<String>,
        calls: Vec<(ToolRequest, ToolEnvelope)>,
    },
}

/// A paused program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramSnapshot {
    /// Format version of the interpreter that wrote the snapshot.
    pub version: String,
    /// Base64; at most [`SNAPSHOT_BYTES_MAX`] bytes before encoding.
    pub bytes: String,
}

/// Maximum size of a paused program, in bytes.
pub const SNAPSHOT_BYTES_MAX: usize = 256 << 10;

/// The outcome of running a program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProgramOutcome {
    /// `output` is the value of the last expression.
    Finished { output: Value, printed: String },
    /// The program waits for these calls. Their ids are the sandbox's own.
    Calls { calls: Vec<ToolRequest>, snapshot: ProgramSnapshot, printed: String },
    /// The program raised an exception or exceeded a limit; the agent receives the fault.
    Failed { fault: Fault, printed: String },
    /// The snapshot has a format that this version does not read.
    Stale,
}

/// A tool call that an agent requests. The request itself performs nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolRequest {
    /// The model's id for the call.
    pub id: String,
    pub tool: String,
    pub arguments: Value,
}

/// A pure step function, implemented by the `agents` crate and by the simulation.
pub trait StepFunction: Send + Sync {
    /// Returns the agent's next step, given all its observations. The same arguments give the same step.
    fn step(&self, task: &AgentTask, seen: &[AgentObservation]) -> AgentStep;

    /// Returns the estimated cost of a model call. As much of it as the limits of the run and the node allow is
    /// reserved while the call is in flight. A later quote for the same request may differ; the reserved amount is
    /// journaled.
    fn quote(&self, _request: &model::ModelRequest) -> PriceQuote {
        PriceQuote::default()
    }
}
