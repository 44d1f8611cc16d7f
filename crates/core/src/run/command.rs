//! What is asked of a run. A command is decided into events, or refused.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::address::{EffectId, NodeAddress};
use super::decision_maker::DecisionMaker;
use super::event::{BlockReason, RunStarted};
use super::refusal::RunRefusal;
use crate::agent;
use crate::bundle;
use crate::fault::Fault;
use crate::graph::Workflow;
use crate::id::RunId;
use crate::model;
use crate::money::{PriceQuote, Usd};
use crate::tool;

/// How a run's owner came to let go of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerDeparture {
    /// It gave the run back with nothing out, since nothing was to be done.
    Released,
    /// It stopped, or began afresh: what acts may be out.
    Dropped,
    /// It died over it: its model calls may have been asked, too, and their answers be lost.
    Crashed,
}

impl OwnerDeparture {
    /// `is_dead`: another process owned the run, and is gone. `released`: whoever owned it gave it back.
    pub fn of(is_dead: bool, released: bool) -> Self {
        match (is_dead, released) {
            (true, _) => Self::Crashed,
            (false, true) => Self::Released,
            (false, false) => Self::Dropped,
        }
    }
}

#[derive(Clone, Debug)]
pub enum RunCommand {
    Start {
        started: Box<RunStarted>,
        workflow: Arc<Workflow>,
    },
    /// An attempt came back. `epoch` is that of the process that sent it.
    Outcome {
        effect: EffectId,
        outcome: CallOutcome,
    },
    /// About to send a call that must be marked first.
    Sending {
        effect: EffectId,
        epoch: u64,
        deadline: crate::time::Time,
    },
    /// A process took the run over: calls that an earlier owner marked are in doubt. `went_back`: the clock shows less than
    /// it did, so that nobody knows what time it was for that owner in the end.
    TakenOver {
        epoch: u64,
        departure: OwnerDeparture,
        went_back: bool,
    },
    /// A timer may be due.
    Wake,
    /// `quote`: what the model call it asks for may cost.
    Stepped {
        node: NodeAddress,
        step: agent::AgentStep,
        quote: PriceQuote,
    },
    Signal(Signal),
    Answer {
        node: NodeAddress,
        by: DecisionMaker,
        decision: HumanDecision,
    },
    Approve {
        effect: EffectId,
        by: DecisionMaker,
        approved: bool,
        /// Why.
        note: String,
    },
    /// A person answers what a call asks. Who will not answer does not approve of it.
    Fill {
        effect: EffectId,
        by: String,
        form: Value,
    },
    Resolve {
        effect: EffectId,
        by: String,
        resolution: DoubtResolution,
    },
    /// The process has the consumer's key now: calls that waited for it may go out.
    KeyGiven {
        by: String,
    },
    ChildEnded {
        node: NodeAddress,
        ended: ChildResult,
    },
    ChildUndone {
        run: RunId,
        fault: Option<Fault>,
    },
    Pause {
        by: String,
    },
    Resume {
        by: String,
    },
    Cancel {
        by: String,
        compensate: bool,
        /// For whom else `by` says it: the other requesters of a run that asks its child.
        asked_by: Vec<String>,
    },
    Retry {
        by: String,
        bundle: bundle::ContentHash,
        workflow: Arc<Workflow>,
    },
    Rollback {
        by: String,
        /// For whom else `by` says it: the other requesters of a run that asks its child.
        asked_by: Vec<String>,
    },
    Fork {
        forked: Box<super::event::RunForked>,
    },
}

impl RunCommand {
    /// The word for it in tables and messages.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Outcome { .. } => "outcome",
            Self::Sending { .. } => "sending",
            Self::TakenOver { .. } => "taken_over",
            Self::Wake => "wake",
            Self::Stepped { .. } => "stepped",
            Self::Signal(_) => "signal",
            Self::Answer { .. } => "answer",
            Self::Approve { .. } => "approve",
            Self::Fill { .. } => "fill",
            Self::Resolve { .. } => "resolve",
            Self::KeyGiven { .. } => "key_given",
            Self::ChildEnded { .. } => "child_ended",
            Self::ChildUndone { .. } => "child_undone",
            Self::Pause { .. } => "pause",
            Self::Resume { .. } => "resume",
            Self::Cancel { .. } => "cancel",
            Self::Retry { .. } => "retry",
            Self::Rollback { .. } => "rollback",
            Self::Fork { .. } => "fork",
        }
    }
}

/// What an attempt came to.
#[derive(Clone, Debug, PartialEq)]
pub enum CallOutcome {
    Tool(tool::ToolOutcome),
    Model(Result<model::ModelReply, ModelCallError>),
    /// What a program came to; a fault where the sandbox itself could not run it.
    Code(Result<agent::ProgramOutcome, Fault>),
    /// What whoever thinks for an agent of type `custom` says it wants next.
    Step(Result<agent::AgentStep, ModelCallError>),
    /// The call was not let out; `cost` is what earlier attempts at it cost, which brought no answer.
    Blocked {
        by: BlockReason,
        cost: Usd,
    },
    /// The service is known to be failing, and is left alone until then; the fault says so to whoever must be told.
    CircuitOpen {
        until: crate::time::Time,
        fault: Fault,
    },
    /// A check did not let the call out, and will not another time: nobody was asked.
    Stopped {
        fault: Fault,
    },
    /// A model call that nobody waits for any more was dropped where it was; `cost` is what it cost all the same.
    Dropped {
        cost: Usd,
    },
    /// A look-up found nothing: the call did not act.
    NotFound,
    /// It was too late to send a call: the time that its marker names is over or, where it has none, its sender's lease.
    NotSent,
}

/// A model call that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelCallError {
    pub fault: Fault,
    pub retryable: bool,
    /// Milliseconds the provider asked us to wait.
    pub retry_after: Option<u64>,
    /// What the attempt cost all the same: what was sent and never answered counts as its hold.
    pub cost: Usd,
    /// The call need not fail: it may wait for this.
    pub block: Option<BlockReason>,
}

impl ModelCallError {
    /// A fault that another attempt may not have.
    pub fn transient(fault: Fault) -> Self {
        Self { fault, retryable: true, retry_after: None, cost: Usd::ZERO, block: None }
    }

    /// A fault that every attempt would have.
    pub fn permanent(fault: Fault) -> Self {
        Self { retryable: false, ..Self::transient(fault) }
    }
}

/// A message from outside, kept until a wait of its name takes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// [`MESSAGE`] is a customer's message.
    pub name: String,
    pub payload: Arc<Value>,
    /// Who sent it; orders `sequence`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The sender's own number, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// It came after a gap that was never filled.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub after_gap: bool,
}

/// The signal name under which a customer's messages arrive.
pub const MESSAGE: &str = "message";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HumanDecision {
    Approve {
        #[serde(default)]
        note: String,
    },
    Reject {
        #[serde(default)]
        note: String,
    },
    Fill {
        form: Value,
    },
}

/// What a person says about a call whose outcome nobody knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoubtResolution {
    /// It acted, with this output.
    Done { output: Value },
    /// It did not act: the node fails, or is tried again where attempts are left.
    NotDone,
    /// Send it again, whatever became of it.
    Repeat,
}

/// How a child run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChildResult {
    pub run: RunId,
    pub state: super::RunState,
    pub output: Arc<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    #[serde(default)]
    pub cost: Usd,
    /// Whether it did anything that a rollback would have to undo.
    #[serde(default)]
    pub acted: bool,
}

/// Where a run came from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOrigin {
    #[default]
    Caller,
    /// A conversation, which is told what the run asks its customer and how it ends.
    Conversation { conversation: RunId },
    /// A subworkflow node of another run.
    Parent {
        run: RunId,
        node: NodeAddress,
        depth: u32,
        /// What it leaves this run to spend.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_cost: Option<Usd>,
    },
}

impl RunOrigin {
    /// What the run that began this one leaves it to spend, where that is limited.
    pub fn max_cost(&self) -> Option<Usd> {
        match self {
            Self::Caller | Self::Conversation { .. } => None,
            Self::Parent { max_cost, .. } => *max_cost,
        }
    }
}

impl IncomingCommand {
    /// The command it is; `version` gives the workflow of a hash. A fork's past is the caller's to fold first.
    pub fn into_command(
        self,
        version: impl FnOnce(&bundle::ContentHash) -> Result<Arc<Workflow>, RunRefusal>,
    ) -> Result<RunCommand, RunRefusal> {
        Ok(match self {
            Self::Start(started) => {
                let workflow = version(&started.bundle)?;
                RunCommand::Start { started, workflow }
            }
            Self::Retry { by, bundle } => {
                let workflow = version(&bundle)?;
                RunCommand::Retry { by, bundle, workflow }
            }
            Self::Fork { past: _, forked } => RunCommand::Fork { forked },
            Self::Signal(signal) => RunCommand::Signal(signal),
            Self::Answer { node, by, decision } => RunCommand::Answer { node, by, decision },
            Self::Approve { effect, by, approved, note } => RunCommand::Approve { effect, by, approved, note },
            Self::Fill { effect, by, form } => RunCommand::Fill { effect, by, form },
            Self::Resolve { effect, by, resolution } => RunCommand::Resolve { effect, by, resolution },
            Self::ChildEnded { node, ended } => RunCommand::ChildEnded { node, ended },
            Self::ChildUndone { run, fault } => RunCommand::ChildUndone { run, fault },
            Self::Pause { by } => RunCommand::Pause { by },
            Self::Resume { by } => RunCommand::Resume { by },
            Self::Cancel { by, compensate, asked_by } => RunCommand::Cancel { by, compensate, asked_by },
            Self::Rollback { by, asked_by } => RunCommand::Rollback { by, asked_by },
        })
    }
}

/// What may come in from outside this process: the payload of an inbox item. The engine adds what only it knows
/// (workflows, sequence numbers) and makes a [`RunCommand`] of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncomingCommand {
    Start(Box<RunStarted>),
    Signal(Signal),
    Answer {
        node: NodeAddress,
        by: DecisionMaker,
        decision: HumanDecision,
    },
    Approve {
        effect: EffectId,
        by: DecisionMaker,
        approved: bool,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
    },
    Fill {
        effect: EffectId,
        by: String,
        form: Value,
    },
    Resolve {
        effect: EffectId,
        by: String,
        resolution: DoubtResolution,
    },
    ChildEnded {
        node: NodeAddress,
        ended: ChildResult,
    },
    ChildUndone {
        run: RunId,
        #[serde(default)]
        fault: Option<Fault>,
    },
    Pause {
        by: String,
    },
    Resume {
        by: String,
    },
    Cancel {
        by: String,
        compensate: bool,
        /// For whom else `by` says it: the other requesters of a run that asks its child.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        asked_by: Vec<String>,
    },
    Retry {
        by: String,
        bundle: bundle::ContentHash,
    },
    Rollback {
        by: String,
        /// For whom else `by` says it: the other requesters of a run that asks its child.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        asked_by: Vec<String>,
    },
    /// The first item of a forked run: the recorded past it inherits, and what is different.
    Fork {
        past: Vec<super::event::RunEntry>,
        forked: Box<super::event::RunForked>,
    },
}
