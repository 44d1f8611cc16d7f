//! One node: what it does, when it runs, and what happens when it fails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{EdgeIx, Graph, Join, NodeIx};
use crate::agent::Agent;
use crate::expr::{Condition, Params, Template};
use crate::id::NodeId;
use crate::money::Usd;
use crate::tool::{Facts, Retry};

/// Items one for-each may run over.
pub const ITEMS_MAX: usize = 100_000;
/// Iterations of a loop unless `max_iterations` says otherwise.
pub const ITERATIONS_DEFAULT: u32 = 1_000;
/// Bodies of one loop that may be open at once.
pub const CONCURRENCY_MAX: u32 = 256;

#[derive(Clone, Debug)]
pub struct Node {
    pub id: NodeId,
    /// For people; the id where none was written.
    pub name: String,
    pub kind: Kind,
    /// False skips the node and kills its out-edges. Sees node ids.
    pub condition: Option<Condition>,
    pub join: Join,
    pub policy: Policy,
    /// The output is also published under this variable: the `output_key` of a step.
    pub output_key: Option<String>,
    /// Variables set when the node completes; sees `output` beside all names.
    pub sets: Vec<(String, Params)>,
}

/// What holds for any node; what is not written comes from the tool or agent.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    pub timeout: Option<Duration>,
    pub retry: Option<Retry>,
    pub on_error: Option<OnError>,
    /// How this node's effect is undone, in place of the tool's own way.
    pub compensation: Option<Undo>,
    pub max_cost: Option<Usd>,
}

/// A compensation, compiled.
#[derive(Clone, Debug)]
pub struct Undo {
    pub tool: String,
    /// Sees `output`, `arguments` and all names; rendered when the effect completes.
    pub parameters: Params,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    Fail,
    Continue,
    /// The error edge to follow; the target is its end.
    Goto(EdgeIx),
    Compensate,
}

#[derive(Clone, Debug)]
pub enum Kind {
    /// Where a run begins; its output is the run's input.
    Trigger,
    Agent(Box<AgentNode>),
    Tool(Box<ToolNode>),
    /// Chooses the branch `true` or `false`; output `{result}`.
    Condition(Condition),
    Switch(Switch),
    Loop(Box<Loop>),
    Parallel(Parallel),
    Merge(Merge),
    Human(Box<Human>),
    Wait(Wait),
    Subworkflow(Box<Subworkflow>),
    /// Sets variables; output is what it set.
    Transform(Vec<(String, Params)>),
    End(End),
    Sink(Sink),
}

impl Kind {
    /// The word for it in definitions, journals and messages.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Trigger => "trigger",
            Self::Agent(_) => "agent",
            Self::Tool(_) => "tool",
            Self::Condition(_) => "condition",
            Self::Switch(_) => "switch",
            Self::Loop(_) => "loop",
            Self::Parallel(_) => "parallel",
            Self::Merge(_) => "merge",
            Self::Human(_) => "human",
            Self::Wait(_) => "wait",
            Self::Subworkflow(_) => "subworkflow",
            Self::Transform(_) => "transform",
            Self::End(_) => "end",
            Self::Sink(_) => "sink",
        }
    }
}

#[derive(Clone, Debug)]
pub struct AgentNode {
    /// The definition it runs, the node's overrides applied.
    pub agent: Agent,
    /// `prompt_template` or `task`, else the agent's own prompt.
    pub prompt: Template,
    pub system: Template,
    /// In place of it, by the customer's language.
    pub spoken: BTreeMap<String, Template>,
    /// Facts of every tool it may ask for, and of their compensations, by name.
    pub tools: BTreeMap<String, Arc<Facts>>,
    /// Those it may ask for.
    pub offered: BTreeSet<String>,
    /// It only chooses tools (`mode: select`): its requests go to `shared_context.tool_requests`.
    pub selects: bool,
    pub asks: Deadline,
    /// Who stands in for it, in this order. What of the node does not depend on who it is, is the node's own.
    pub fallbacks: Vec<AgentNode>,
}

impl AgentNode {
    pub fn offers(&self, tool: &str) -> bool {
        self.offered.contains(tool)
    }
}

#[derive(Clone, Debug)]
pub struct ToolNode {
    pub from: ToolSource,
    /// Facts of every tool it may call, and of their compensations, by name.
    pub facts: BTreeMap<String, Arc<Facts>>,
}

#[derive(Clone, Debug)]
pub enum ToolSource {
    /// One call of one tool.
    Written { tool: String, parameters: Params },
    /// Each of `shared_context.tool_requests`; results go to `shared_context.tool_results`.
    Requests,
}

#[derive(Clone, Debug)]
pub struct Switch {
    /// First case that holds, by name.
    pub cases: Vec<(String, Condition)>,
    /// Followed where none holds; without one the node fails no one: all its labelled edges die.
    pub default: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Loop {
    pub over: Over,
    pub body: Arc<Graph>,
    pub max_iterations: u32,
    pub on_item_error: OnItemError,
}

#[derive(Clone, Debug)]
pub enum Over {
    /// One body per item of a list; sees `item` and `index`.
    Each { items: Params, concurrency: u32 },
    /// Checked before each iteration; sees `index` and `last`.
    While(Condition),
    /// Checked after each iteration; sees `index` and `last`.
    Until(Condition),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnItemError {
    #[default]
    Fail,
    /// The item's result is null and its error is listed.
    Collect,
}

#[derive(Clone, Debug, Default)]
pub struct Parallel {
    /// Bodies by name; empty is a plain fan-out over the out-edges.
    pub branches: BTreeMap<String, Arc<Graph>>,
}

#[derive(Clone, Debug)]
pub struct Merge {
    pub mode: MergeMode,
    pub rest: Rest,
    /// The nodes of each in-edge's branch: those before it whose every path leads here. A node before several stands in
    /// each; one before all, in none. Used by `rest: cancel`.
    pub branches: BTreeMap<EdgeIx, Vec<NodeIx>>,
    pub undo_losers: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeMode {
    All,
    Any,
    NOfM(u32),
}

/// What becomes of work that is no longer needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    Cancel,
    Wait,
}

#[derive(Clone, Debug)]
pub struct Human {
    pub ask: Ask,
    /// What the person reads.
    pub title: Template,
    pub details: Params,
    /// Who may answer, as written: see [`crate::run::Assignees`].
    pub assignees: Value,
    pub deadline: Deadline,
}

#[derive(Clone, Debug)]
pub enum Ask {
    /// Chooses the branch `approved` or `rejected`. `needed` people must approve; one rejection rejects.
    Approval { needed: u32 },
    /// A form by JSON Schema; output is what was filled in.
    Form { schema: Value },
}

#[derive(Clone, Debug, Default)]
pub struct Deadline {
    pub after: Option<Duration>,
    pub then: AtDeadline,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub enum AtDeadline {
    /// The node fails with `DEADLINE_PASSED`.
    #[default]
    Fail,
    Approve,
    Reject,
    /// Completes with this output.
    Default(Value),
}

#[derive(Clone, Debug)]
pub enum Wait {
    For(Duration),
    /// An RFC 3339 instant, or milliseconds since the epoch.
    Until(Params),
    /// The first signal of this name; output is its payload.
    Signal {
        name: String,
        deadline: Deadline,
    },
}

#[derive(Clone, Debug)]
pub struct Subworkflow {
    pub workflow: String,
    /// The bundle the child runs, pinned with the parent's.
    pub bundle: crate::bundle::Hash,
    pub input: Params,
}

#[derive(Clone, Debug)]
pub struct End {
    pub output: Option<Params>,
    pub rest: Rest,
}

#[derive(Clone, Debug)]
pub struct Sink {
    pub action: SinkAction,
    pub config: Params,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkAction {
    FinishConversation,
    HandoverToHuman,
}
