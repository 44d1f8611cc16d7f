//! One node: what it does, when it runs, and what happens if it fails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{EdgeIndex, Graph, JoinRule, NodeIndex};
use crate::agent::AgentDefinition;
use crate::id::NodeId;
use crate::money::Usd;
use crate::tool::{RetryPolicy, ToolContract};
use baton_expr::{Condition, JinjaTemplate, ParamsTemplate};

/// Maximum number of items of one for-each loop.
pub const ITEMS_MAX: usize = 100_000;
/// Default of a loop's `max_iterations`.
pub const ITERATIONS_DEFAULT: u32 = 1_000;
/// Maximum number of concurrently open bodies of one loop.
pub const CONCURRENCY_MAX: u32 = 256;

#[derive(Clone, Debug)]
pub struct GraphNode {
    pub id: NodeId,
    /// For people; the id if none was written.
    pub name: String,
    pub kind: NodeKind,
    /// False skips the node and disables its out-edges. Sees node ids.
    pub condition: Option<Condition>,
    pub join: JoinRule,
    pub policy: NodePolicy,
    /// The output is also published under this variable: the `output_key` of a step.
    pub output_key: Option<String>,
    /// Variables set when the node completes; sees `output` and all names.
    pub sets: Vec<(String, ParamsTemplate)>,
}

/// The policy of any node; unset fields come from the tool or agent.
#[derive(Clone, Debug, Default)]
pub struct NodePolicy {
    pub timeout: Option<Duration>,
    pub retry: Option<RetryPolicy>,
    pub on_error: Option<OnNodeError>,
    /// How this node's effect is undone, instead of the tool's own compensation.
    pub compensation: Option<NodeCompensation>,
    pub max_cost: Option<Usd>,
}

/// A compiled compensation.
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
    /// The error edge to follow; its target is the end of the edge.
    Goto(EdgeIndex),
    Compensate,
}

#[derive(Clone, Debug)]
pub enum NodeKind {
    /// The start of a run; its output is the run's input.
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
    /// Sets variables; its output is the values it set.
    Transform(Vec<(String, ParamsTemplate)>),
    End(EndNode),
    Sink(SinkNode),
}

impl NodeKind {
    /// Returns the name of the kind in definitions, journals and messages.
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
    /// The agent's definition, with the node's overrides applied.
    pub agent: AgentDefinition,
    /// `prompt_template` or `task`, otherwise the agent's own prompt.
    pub prompt: JinjaTemplate,
    pub system: JinjaTemplate,
    /// Replaces it, by the customer's language.
    pub system_by_language: BTreeMap<String, JinjaTemplate>,
    /// Contracts of every tool it may request, and of their compensations, by name.
    pub tools: BTreeMap<String, Arc<ToolContract>>,
    /// The tools it may request.
    pub offered: BTreeSet<String>,
    /// It only selects tools (`mode: select`): its requests go to `shared_context.tool_requests`.
    pub only_selects_tools: bool,
    pub question_deadline: WaitDeadline,
    /// Fallback agents, in order. Settings that do not depend on the agent are the node's own.
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
    /// Contracts of every tool it may call, and of their compensations, by name.
    pub facts: BTreeMap<String, Arc<ToolContract>>,
}

#[derive(Clone, Debug)]
pub enum ToolSource {
    /// One call of one tool.
    Fixed { tool: String, parameters: ParamsTemplate },
    /// Each request in `shared_context.tool_requests`; results go to `shared_context.tool_results`.
    AgentRequests,
}

#[derive(Clone, Debug)]
pub struct SwitchNode {
    /// The first case that holds is chosen, by name.
    pub cases: Vec<(String, Condition)>,
    /// Followed if no case holds; without a default, the node still completes and none of its labelled edges is taken.
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
    /// The nodes of each in-edge's branch: those before it whose every path leads here. A node before several is in
    /// each; a node before all is in none. Used by `rest: cancel`.
    pub branches: BTreeMap<EdgeIndex, Vec<NodeIndex>>,
    pub undo_losers: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeMode {
    All,
    Any,
    NOfM(u32),
}

/// What happens to work that is no longer needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemainingWork {
    Cancel,
    Wait,
}

#[derive(Clone, Debug)]
pub struct HumanNode {
    pub task: HumanTaskKind,
    /// The text that the person reads.
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
    /// A form by JSON Schema; the output is the submitted form.
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
    /// The node completes with this output.
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
    /// The bundle of the child run, pinned with the parent's.
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
