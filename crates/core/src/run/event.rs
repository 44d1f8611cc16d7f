//! What happened. Events are journaled and never rewritten: a kind's fold is frozen, a fix is a new kind.

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

/// A value that is there, be it `null`: an item of a list, the output of an `end`.
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
    /// A call must go out.
    Scheduled(Box<CallScheduled>),
    /// The marker before a `once` or `verify` call is sent. `deadline` is when the sender gives up.
    Sending {
        effect: EffectId,
        epoch: u64,
        deadline: Time,
    },
    /// The marker's deadline passed before the call was sent: it certainly did not go out, and may.
    Unsent {
        effect: EffectId,
    },
    /// A process took the run over while acting calls without a marker could go out: the one before may have sent them.
    TakenOver {
        epoch: u64,
        /// The clock was set back since: what was held back by time alone may have been sent as well.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        went_back: bool,
    },
    Done(Box<CallCompleted>),
    /// The call certainly did not act. With `again_at` it goes out again under the next generation.
    NotDone {
        effect: EffectId,
        fault: Fault,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        again_at: Option<Time>,
        /// What the attempt cost all the same.
        #[serde(default, skip_serializing_if = "is_free")]
        cost: Usd,
    },
    /// The service of the call's tool is down, and the call certainly did not act: what the tool says for that is done.
    /// With `attempted` it goes out again, where it does, under the next generation; else its circuit was open.
    Degraded {
        effect: EffectId,
        fault: Fault,
        attempted: bool,
        detour: OutageAction,
    },
    /// What a model was asked is paid for though no answer is recorded: its answer was lost with the process that asked,
    /// and is paid for at its hold; or attempts failed before nothing more was let out; or nobody waited for it any more,
    /// and it was dropped.
    HoldLost {
        effect: EffectId,
        cost: Usd,
    },
    /// Nobody knows yet whether the call acted; `next` says what is done about it.
    Doubted {
        effect: EffectId,
        fault: Fault,
        next: DoubtFollowUp,
    },
    /// A person said what became of a doubted call.
    Resolved {
        effect: EffectId,
        by: String,
        resolution: DoubtResolution,
    },
    /// The call was not let out: it waits for this.
    Blocked {
        effect: EffectId,
        by: BlockReason,
    },
    /// What blocked the call is gone: an approval was given.
    Unblocked {
        effect: EffectId,
        by: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
    },
    /// One of the several people who must allow a call did; the last of them also unblocks it.
    Approved {
        effect: EffectId,
        by: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
    },
    /// What a call asked before it could act was answered, or was not: it goes out with that, under the next generation;
    /// or under this one (`same_key`), where an earlier attempt may have acted.
    Replied {
        effect: EffectId,
        by: String,
        said: QuestionOutcome,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        same_key: bool,
    },
    /// An answer to a call that nobody waits for any more.
    ArrivedLate(Box<CallCompleted>),
    /// The call's answer is not wanted any more, and it cannot have changed the world.
    Abandoned {
        call: CallId,
    },
    /// A node waits for something that is not a call.
    Began {
        node: NodeAddress,
        #[serde(flatten)]
        wait: Box<NodeWait>,
    },
    /// A node is settled; `taken` are the places of the out-edges taken.
    Ended(Box<NodeEnded>),
    Stepped {
        node: NodeAddress,
        step: Box<agent::AgentStep>,
    },
    /// An agent gave up before it changed anything: another begins in its place.
    AgentReplaced {
        node: NodeAddress,
        gave_up: AgentWork,
        task: Box<agent::AgentTask>,
        fault: Fault,
    },
    /// A tool an agent may not have: it is told so.
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
    /// Nothing new starts here; what is in flight is settled first.
    ScopeWinding {
        path: ScopePath,
        why: DrainReason,
    },
    /// Folded to its output, or to why it has none.
    ScopeClosed {
        path: ScopePath,
        #[serde(default)]
        output: Arc<Value>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fault: Option<Fault>,
    },
    /// A merge has enough: what is left of its branches winds down.
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
    /// A node winds down by itself: its time is over.
    NodeWinding {
        node: NodeAddress,
        fault: Fault,
    },
    /// The child of a node that winds down is asked to stop.
    ChildCancelling {
        node: NodeAddress,
        run: RunId,
    },
    /// The run winds down: nothing new starts, what is in flight is settled. `compensate`: then what can be undone is.
    Winding {
        why: DrainReason,
        compensate: bool,
    },
    Compensating,
    /// A compensation finally failed: it is a desk item, and the run will end `failed`.
    NotUndone {
        effect: EffectId,
        fault: Fault,
    },
    /// What could not be undone is tried once more, under the next generation; `effect` is the attempt that did not. A run
    /// that ended takes it up again.
    UndoAgain {
        effect: EffectId,
        by: String,
    },
    /// A person undid at the service what no compensation could.
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
    /// The rollback is over: the `on_compensated` node runs.
    Aftermath,
    Finished(Box<RunFinished>),
    /// A failed run goes on, or a finished one is rolled back.
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
    /// Places of the taken out-edges in the node's graph.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken: Vec<u32>,
    /// Where it failed with its result at hand: that result, so that a retry need not ask for it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Box<HeldResult>>,
    /// Of an agent's node: who worked on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Box<AgentWork>>,
}

/// An agent's work on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentWork {
    pub agent: String,
    /// Waiting for people not counted.
    pub work_ms: u64,
    /// Replies of its model.
    pub iterations: u32,
}

/// What a node had come to when one of its own expressions failed: a variable it sets, the condition of an edge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldResult {
    pub output: Arc<Value>,
    /// The branch it chose, where it chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// How many of the variables it sets were set.
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
    /// Its output is the answer of its one tool call, which was just recorded.
    Answered,
    Completed {
        output: Arc<Value>,
    },
    Skipped,
    /// Failed and not caught: its scope winds down.
    Failed {
        fault: Fault,
    },
    /// Failed and caught: by `continue` (out-edges taken) or by an error edge.
    Caught {
        fault: Fault,
    },
    /// Cut off by a merge, a cancel or a failure elsewhere.
    Cancelled,
}

/// Why a scope or a run winds down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrainReason {
    Failed {
        fault: Fault,
        node: NodeAddress,
    },
    Cancelled {
        by: String,
        /// For whom else, where another run cancels it: what is undone then is their request too.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        asked_by: Vec<String>,
    },
    TimedOut,
    /// An `end` node was reached and the rest is not waited for.
    EndReached,
    /// Its surroundings wind down.
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
    /// Goes on from its failure, on this version.
    Retry { by: String, bundle: bundle::ContentHash },
    /// Everything it did is undone, which is the request of whoever says so.
    Rollback {
        by: String,
        /// For whom else, where another run has it rolled back.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        asked_by: Vec<String>,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunForked {
    pub run: RunId,
    pub from: RunId,
    pub by: String,
    /// Variables changed on the way.
    pub variables: BTreeMap<String, Value>,
    /// Whether this run undoes what it inherited; the original does unless told.
    pub owns_undo: bool,
}
