//! Events. They are journaled and never rewritten: the fold of an event kind is frozen, and a fix is a new kind.

mod call;
mod wait;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::address::{CallId, EffectId, NodeAddress, ScopePath};
use super::command::{DoubtResolution, HumanDecision, RunOrigin, Signal};
use crate::agent;
use crate::bundle;
use crate::fault::Fault;
use crate::id::{RunId, TenantId};
use crate::money::Usd;
use crate::time::Time;
use crate::tool::{Caller, QuestionOutcome};

use call::is_free;
pub use call::{
    BlockReason, CallCompleted, CallOutput, CallScheduled, DoubtFollowUp, EffectRequest, OutageAction, UndoAction,
};
pub use wait::{HumanPrompt, NodeWait};

/// Deserializes a value that is present, even if it is `null`: an item of a list, the output of an `end`.
pub(super) fn present<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Arc<Value>>, D::Error> {
    Arc::deserialize(d).map(Some)
}

/// One append: everything decided at one instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunEntry {
    pub at: Time,
    pub events: Vec<RunEvent>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEvent {
    Started(Box<RunStarted>),
    /// A call must be sent.
    Scheduled(Box<CallScheduled>),
    /// The marker before a `once` or `verify` call is sent. `deadline` is when the sender gives up.
    Sending {
        effect: EffectId,
        epoch: u64,
        deadline: Time,
    },
    /// The marker's deadline passed before the call was sent: it was certainly not sent, and may be sent again.
    Unsent {
        effect: EffectId,
    },
    /// A process took the run over while acting calls without a marker could be sent: the previous owner may have sent
    /// them.
    TakenOver {
        epoch: u64,
        /// The clock was set back since then: calls that only waited for their time may also have been sent.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        went_back: bool,
    },
    Done(Box<CallCompleted>),
    /// The call certainly did not act. With `again_at` it is sent again under the next generation.
    NotDone {
        effect: EffectId,
        fault: Fault,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        again_at: Option<Time>,
        /// The cost of the attempt, even though it failed.
        #[serde(default, skip_serializing_if = "is_free")]
        cost: Usd,
    },
    /// The service of the call's tool is down, and the call certainly did not act: the tool's policy for that applies.
    /// With `attempted`, if it is sent again, it has the next generation; otherwise its circuit was open.
    Degraded {
        effect: EffectId,
        fault: Fault,
        attempted: bool,
        detour: OutageAction,
    },
    /// A model call is paid for although no answer is recorded: its answer was lost with the process that sent it, and
    /// counts with its reserved amount; or attempts failed before the call was blocked; or it was no longer needed, and
    /// was dropped.
    HoldLost {
        effect: EffectId,
        cost: Usd,
    },
    /// It is unknown whether the call acted; `next` is the follow-up.
    Doubted {
        effect: EffectId,
        fault: Fault,
        next: DoubtFollowUp,
    },
    /// A person decided the outcome of a call in doubt.
    Resolved {
        effect: EffectId,
        by: String,
        resolution: DoubtResolution,
    },
    /// The call was not sent: it waits for this.
    Blocked {
        effect: EffectId,
        by: BlockReason,
    },
    /// The call is no longer blocked: an approval was given.
    Unblocked {
        effect: EffectId,
        by: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
    },
    /// One of several required approvals of a call was given; the last one also unblocks it.
    Approved {
        effect: EffectId,
        by: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
    },
    /// A call's question was answered or declined: the call is sent with that, under the next generation; or under this
    /// one (`same_key`), if an earlier attempt may have acted.
    Replied {
        effect: EffectId,
        by: String,
        said: QuestionOutcome,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        same_key: bool,
    },
    /// An answer to a call that is no longer awaited.
    ArrivedLate(Box<CallCompleted>),
    /// The call's answer is no longer needed, and it cannot have changed anything.
    Abandoned {
        call: CallId,
    },
    /// A node waits for something other than a call.
    Began {
        node: NodeAddress,
        #[serde(flatten)]
        wait: Box<NodeWait>,
    },
    /// A node is settled; `taken` are the indices of the taken out-edges.
    Ended(Box<NodeEnded>),
    Stepped {
        node: NodeAddress,
        step: Box<agent::AgentStep>,
    },
    /// An agent gave up before it changed anything: another one starts in its place.
    AgentReplaced {
        node: NodeAddress,
        gave_up: AgentWork,
        task: Box<agent::AgentTask>,
        fault: Fault,
    },
    /// An agent requested a tool that it may not use: it is informed.
    RequestRefused {
        node: NodeAddress,
        id: String,
        tool: String,
        fault: Fault,
    },
    /// An agent's question to the customer; the next message answers it.
    CustomerAsked {
        node: NodeAddress,
        question: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Time>,
    },
    VariableSet {
        key: String,
        value: Arc<Value>,
        node: NodeAddress,
    },
    ScopeOpened {
        path: ScopePath,
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
        item: Option<Arc<Value>>,
    },
    /// Nothing new starts in this scope; work in flight is settled first.
    ScopeWinding {
        path: ScopePath,
        why: DrainReason,
    },
    /// Closed with its output, or with the fault.
    ScopeClosed {
        path: ScopePath,
        #[serde(default)]
        output: Arc<Value>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fault: Option<Fault>,
    },
    /// A merge has enough results: its remaining branches drain.
    BranchesCut {
        scope: ScopePath,
        nodes: Vec<crate::id::NodeId>,
        undo: bool,
    },
    SignalKept {
        signal: Signal,
    },
    SignalTaken {
        node: NodeAddress,
        name: String,
    },
    SignalHeld {
        signal: Signal,
        until: Time,
    },
    Answered {
        node: NodeAddress,
        by: String,
        decision: HumanDecision,
    },
    Paused {
        by: String,
    },
    Resumed {
        by: String,
    },
    /// A single node drains: its time is used up.
    NodeWinding {
        node: NodeAddress,
        fault: Fault,
    },
    /// The child of a draining node is asked to stop.
    ChildCancelling {
        node: NodeAddress,
        run: RunId,
    },
    /// The run drains: nothing new starts, and work in flight is settled. `compensate`: then everything that can be
    /// undone is undone.
    Winding {
        why: DrainReason,
        compensate: bool,
    },
    Compensating,
    /// A compensation finally failed: it becomes a task, and the run will end `failed`.
    NotUndone {
        effect: EffectId,
        fault: Fault,
    },
    /// A failed compensation is attempted once more, under the next generation; `effect` is the failed attempt. A run
    /// that ended resumes it.
    UndoAgain {
        effect: EffectId,
        by: String,
    },
    /// A person undid the effect at the service, after its compensation failed.
    UndoneByHand {
        effect: EffectId,
        by: String,
    },
    /// Another run undoes its part.
    ChildUndoing {
        effect: EffectId,
        run: RunId,
    },
    ChildUndone {
        effect: EffectId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fault: Option<Fault>,
    },
    /// The rollback is complete: the `on_compensated` node runs.
    Aftermath,
    Finished(Box<RunFinished>),
    /// A failed run continues, or a finished one is rolled back.
    Reopened(Box<RunReopened>),
    Forked(Box<RunForked>),
    /// 80 % of the journal limit is used.
    JournalFilling {
        events: u64,
        limit: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunStarted {
    pub run: RunId,
    pub tenant: TenantId,
    pub bundle: bundle::ContentHash,
    pub input: Arc<Value>,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub context: Value,
    #[serde(default)]
    pub caller: Caller,
    #[serde(default)]
    pub origin: RunOrigin,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeEnded {
    pub node: NodeAddress,
    pub how: NodeOutcome,
    /// Indices of the taken out-edges in the node's graph.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken: Vec<u32>,
    /// If it failed after it had a result: that result, so that a retry need not request it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Box<HeldResult>>,
    /// For an agent's node: the agent that worked on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Box<AgentWork>>,
}

/// An agent's work on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentWork {
    pub agent: String,
    /// Waiting for people is not counted.
    pub work_ms: u64,
    /// Number of its model's replies.
    pub iterations: u32,
}

/// The result of a node at the failure of one of its own expressions: a variable it sets, the condition of an edge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldResult {
    pub output: Arc<Value>,
    /// The branch it chose, if it chooses one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Number of its variables that were set.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sets: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeOutcome {
    /// Its output is the answer of its only tool call, which was just recorded.
    Answered,
    Completed {
        output: Arc<Value>,
    },
    Skipped,
    /// Failed and not caught: its scope drains.
    Failed {
        fault: Fault,
    },
    /// Failed and caught: by `continue` (out-edges taken) or by an error edge.
    Caught {
        fault: Fault,
    },
    /// Cancelled by a merge, a cancel request or a failure elsewhere.
    Cancelled,
}

/// Why a scope or a run drains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrainReason {
    Failed {
        fault: Fault,
        node: NodeAddress,
    },
    Cancelled {
        by: String,
        /// Further requesters, if another run cancels it: the resulting compensation is their request, too.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        asked_by: Vec<String>,
    },
    TimedOut,
    /// An `end` node was reached and the rest is not awaited.
    EndReached,
    /// Its surroundings drain.
    CutOff,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunFinished {
    pub state: super::RunState,
    #[serde(default)]
    pub output: Arc<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// It ended before, and was rolled back on request.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rolled_back: bool,
    /// What was undone and what was not, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunReopened {
    /// Continues from its failure, on this version.
    Retry { by: String, bundle: bundle::ContentHash },
    /// Everything it did is undone, as the request of this principal.
    Rollback {
        by: String,
        /// Further requesters, if another run has it rolled back.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        asked_by: Vec<String>,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunForked {
    pub run: RunId,
    pub from: RunId,
    pub by: String,
    /// Variables that were changed.
    pub variables: BTreeMap<String, Value>,
    /// Whether this run undoes what it inherited; by default the original does.
    pub owns_undo: bool,
}
