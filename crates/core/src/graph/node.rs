//! One node: what it does, when it runs, and what happens when it fails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{EdgeIndex, Graph, JoinRule, NodeIndex};
use crate::agent::AgentDefinition;
use crate::expr::{Condition, JinjaTemplate, ParamsTemplate};
use crate::id::NodeId;
use crate::money::Usd;
use crate::tool::{RetryPolicy, ToolContract};

/// Items one for-each may run over.
pub const ITEMS_MAX: usize = 100_000;
/// Iterations of a loop unless `max_iterations` says otherwise.
pub const ITERATIONS_DEFAULT: u32 = 1_000;
/// Bodies of one loop that may be open at once.
pub const CONCURRENCY_MAX: u32 = 256;

#[derive(Clone, Debug)]
pub struct GraphNode {
    pub id: NodeId,
    /// For people; the id where none was written.
    pub name: String,
    pub kind: NodeKind,
    /// False skips the node and kills its out-edges. Sees node ids.
    pub condition: Option<Condition>,
    pub join: JoinRule,
    pub policy: NodePolicy,
    /// The output is also published under this variable: the `output_key` of a step.
    pub output_key: Option<String>,
    /// Variables set when the node completes; sees `output` beside all names.
    pub sets: Vec<(String, ParamsTemplate)>,
}

/// What holds for any node; what is not written comes from the tool or agent.
#[derive(Clone, Debug, Default)]
pub struct NodePolicy {
    pub timeout: Option<Duration>,
    pub retry: Option<RetryPolicy>,
    pub on_error: Option<OnNodeError>,
    /// How this node's effect is undone, in place of the tool's own way.
    pub compensation: Option<NodeCompensation>,
    pub max_cost: Option<Usd>,
}

/// A compensation, compiled.
#[derive(Clone, Debug)]
pub struct NodeCompensation {
    pub tool: String,
    /// Sees `output`, `arguments` and all names; rendered when the effect completes.
    pub parameters: ParamsTemplate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnNodeError {
    Fail,
    Continue,
    /// The error edge to follow; the target is its end.
    Goto(EdgeIndex),
    Compensate,
}

#[derive(Clone, Debug)]
pub enum NodeKind {
    /// Where a run begins; its output is the run's input.
    Trigger,
    Agent(Box<AgentNode>),
    Tool(Box<ToolNode>),
    /// Chooses the branch `true` or `false`; output `{result}`.
    Condition(Condition),
    Switch(SwitchNode),
    Loop(Box<LoopNode>),
    Parallel(ParallelNode),
    Merge(MergeNode),
    Human(Box<HumanNode>),
    Wait(WaitNode),
    Subworkflow(Box<SubworkflowNode>),
    /// Sets variables; output is what it set.
    Transform(Vec<(String, ParamsTemplate)>),
    End(EndNode),
    Sink(SinkNode),
}

impl NodeKind {
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
    pub agent: AgentDefinition,
    /// `prompt_template` or `task`, else the agent's own prompt.
    pub prompt: JinjaTemplate,
    pub system: JinjaTemplate,
    /// In place of it, by the customer's language.
    pub system_by_language: BTreeMap<String, JinjaTemplate>,
    /// Facts of every tool it may ask for, and of their compensations, by name.
    pub tools: BTreeMap<String, Arc<ToolContract>>,
    /// Those it may ask for.
    pub offered: BTreeSet<String>,
    /// It only chooses tools (`mode: select`): its requests go to `shared_context.tool_requests`.
    pub only_selects_tools: bool,
    pub question_deadline: WaitDeadline,
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
    pub facts: BTreeMap<String, Arc<ToolContract>>,
}

#[derive(Clone, Debug)]
pub enum ToolSource {
    /// One call of one tool.
    Fixed { tool: String, parameters: ParamsTemplate },
    /// Each of `shared_context.tool_requests`; results go to `shared_context.tool_results`.
    AgentRequests,
}

#[derive(Clone, Debug)]
pub struct SwitchNode {
    /// First case that holds, by name.
    pub cases: Vec<(String, Condition)>,
    /// Followed where none holds; without one the node fails no one: all its labelled edges die.
    pub default: Option<String>,
}

#[derive(Clone, Debug)]
pub struct LoopNode {
    pub over: LoopMode,
    pub body: Arc<Graph>,
    pub max_iterations: u32,
    pub on_item_error: OnItemError,
}

#[derive(Clone, Debug)]
pub enum LoopMode {
    /// One body per item of a list; sees `item` and `index`.
    Each { items: ParamsTemplate, concurrency: u32 },
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
pub struct ParallelNode {
    /// Bodies by name; empty is a plain fan-out over the out-edges.
    pub branches: BTreeMap<String, Arc<Graph>>,
}

#[derive(Clone, Debug)]
pub struct MergeNode {
    pub mode: MergeMode,
    pub rest: RemainingWork,
    /// The nodes of each in-edge's branch: those before it whose every path leads here. A node before several stands in
    /// each; one before all, in none. Used by `rest: cancel`.
    pub branches: BTreeMap<EdgeIndex, Vec<NodeIndex>>,
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
pub enum RemainingWork {
    Cancel,
    Wait,
}

#[derive(Clone, Debug)]
pub struct HumanNode {
    pub task: HumanTaskKind,
    /// What the person reads.
    pub title: JinjaTemplate,
    pub details: ParamsTemplate,
    /// Who may answer, as written: see [`crate::run::Assignees`].
    pub assignees: Value,
    pub deadline: WaitDeadline,
}

#[derive(Clone, Debug)]
pub enum HumanTaskKind {
    /// Chooses the branch `approved` or `rejected`. `needed` people must approve; one rejection rejects.
    Approval { needed: u32 },
    /// A form by JSON Schema; output is what was filled in.
    Form { schema: Value },
}

#[derive(Clone, Debug, Default)]
pub struct WaitDeadline {
    pub after: Option<Duration>,
    pub on_expiry: OnDeadline,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub enum OnDeadline {
    /// The node fails with `DEADLINE_PASSED`.
    #[default]
    Fail,
    Approve,
    Reject,
    /// Completes with this output.
    Default(Value),
}

#[derive(Clone, Debug)]
pub enum WaitNode {
    For(Duration),
    /// An RFC 3339 instant, or milliseconds since the epoch.
    Until(ParamsTemplate),
    /// The first signal of this name; output is its payload.
    Signal {
        name: String,
        deadline: WaitDeadline,
    },
}

#[derive(Clone, Debug)]
pub struct SubworkflowNode {
    pub workflow: String,
    /// The bundle the child runs, pinned with the parent's.
    pub bundle: crate::bundle::ContentHash,
    pub input: ParamsTemplate,
}

#[derive(Clone, Debug)]
pub struct EndNode {
    pub output: Option<ParamsTemplate>,
    pub rest: RemainingWork,
}

#[derive(Clone, Debug)]
pub struct SinkNode {
    pub action: SinkAction,
    pub config: ParamsTemplate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkAction {
    FinishConversation,
    HandoverToHuman,
}
