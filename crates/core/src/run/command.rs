//! Commands to a run. A command is decided into events, or refused.

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

/// How a run's owner lost it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerDeparture {
    /// It released the run with nothing in flight, since there was nothing to do.
    Released,
    /// It stopped, or restarted: calls that act may be in flight.
    Dropped,
    /// It crashed: its model calls may also have been sent, and their answers lost.
    Crashed,
}

impl OwnerDeparture {
    /// `is_dead`: another process owned the run, and is gone. `released`: the owner released it.
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
    /// An attempt returned. `epoch` is that of the process that sent it.
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
    /// A process took the run over: calls that an earlier owner marked are in doubt. `went_back`: the clock shows an
    /// earlier time than before, so the time at which that owner stopped is unknown.
    TakenOver {
        epoch: u64,
        departure: OwnerDeparture,
        went_back: bool,
    },
    /// A timer may be due.
    Wake,
    /// `quote`: the estimated cost of the model call that the step requests.
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
        /// The reason.
        note: String,
    },
    /// A person answers a call's question. To decline, a person rejects it with [`Self::Approve`].
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
    /// The process has the consumer's key now: calls that waited for it may be sent.
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
        /// Principals for which `by` acts as well: the other requesters of a parent run's request to its child.
        asked_by: Vec<String>,
    },
    Retry {
        by: String,
        bundle: bundle::ContentHash,
        workflow: Arc<Workflow>,
    },
    Rollback {
        by: String,
        /// Principals for which `by` acts as well: the other requesters of a parent run's request to its child.
        asked_by: Vec<String>,
    },
    Fork {
        forked: Box<super::event::RunForked>,
    },
}

impl RunCommand {
    /// Returns the name of the command in tables and messages.
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

/// The outcome of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum CallOutcome {
    Tool(tool::ToolOutcome),
    Model(Result<model::ModelReply, ModelCallError>),
    /// The outcome of a program; a fault if the sandbox itself could not run it.
    Code(Result<agent::ProgramOutcome, Fault>),
    /// The next step of an agent of type `custom`, from its endpoint.
    Step(Result<agent::AgentStep, ModelCallError>),
    /// The call was blocked; `cost` is that of its earlier attempts, which brought no answer.
    Blocked {
        by: BlockReason,
        cost: Usd,
    },
    /// The service's circuit is open until then; the fault explains that.
    CircuitOpen {
        until: crate::time::Time,
        fault: Fault,
    },
    /// A check rejected the call for good: it was not sent.
    Stopped {
        fault: Fault,
    },
    /// A model call that was no longer needed was dropped in flight; `cost` is what it cost regardless.
    Dropped {
        cost: Usd,
    },
    /// A look-up found nothing: the call did not act.
    NotFound,
    /// The call was too late to send: the deadline of its marker or, without one, its sender's lease had passed.
    NotSent,
}

/// A failed model call.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelCallError {
    pub fault: Fault,
    pub retryable: bool,
    /// Milliseconds that the provider asked to wait.
    pub retry_after: Option<u64>,
    /// The cost of the attempt, even though it failed: a request that was sent and never answered counts with its
    /// reserved amount.
    pub cost: Usd,
    /// The call need not fail: it may wait for this.
    pub block: Option<BlockReason>,
}

impl ModelCallError {
    /// Creates a fault that another attempt may not have.
    pub fn transient(fault: Fault) -> Self {
        Self { fault, retryable: true, retry_after: None, cost: Usd::ZERO, block: None }
    }

    /// Creates a fault that every attempt would have.
    pub fn permanent(fault: Fault) -> Self {
        Self { retryable: false, ..Self::transient(fault) }
    }
}

/// A message from outside, stored until a wait with its name takes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// [`MESSAGE`] is a customer's message.
    pub name: String,
    pub payload: Arc<Value>,
    /// The sender; `sequence` is ordered by it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The sender's own sequence number, if it has one.
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

/// A person's decision about a call of unknown outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoubtResolution {
    /// It acted, with this output.
    Done { output: Value },
    /// It did not act: the node fails, or is retried if attempts are left.
    NotDone,
    /// Send it again, whatever its outcome was.
    Repeat,
}

/// The result of a child run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChildResult {
    pub run: RunId,
    pub state: super::RunState,
    pub output: Arc<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    #[serde(default)]
    pub cost: Usd,
    /// Whether it had any effect that a rollback would have to undo.
    #[serde(default)]
    pub acted: bool,
}

/// The origin of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOrigin {
    #[default]
    Caller,
    /// A conversation, which is notified of the run's questions to its customer and of its end.
    Conversation { conversation: RunId },
    /// A subworkflow node of another run.
    Parent {
        run: RunId,
        node: NodeAddress,
        depth: u32,
        /// The cost limit that it passes to this run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_cost: Option<Usd>,
    },
}

impl RunOrigin {
    /// Returns the cost limit that the parent run passes to this one, if there is one.
    pub fn max_cost(&self) -> Option<Usd> {
        match self {
            Self::Caller | Self::Conversation { .. } => None,
            Self::Parent { max_cost, .. } => *max_cost,
        }
    }
}

impl IncomingCommand {
    /// Converts it to a command; `version` returns the workflow of a hash. The caller must fold a fork's past first.
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

/// A command from outside this process: the payload of an inbox item. The engine adds what only it knows (workflows,
/// sequence numbers) and makes a [`RunCommand`] of it.
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
        /// Principals for which `by` acts as well: the other requesters of a parent run's request to its child.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        asked_by: Vec<String>,
    },
    Retry {
        by: String,
        bundle: bundle::ContentHash,
    },
    Rollback {
        by: String,
        /// Principals for which `by` acts as well: the other requesters of a parent run's request to its child.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        asked_by: Vec<String>,
    },
    /// The first item of a forked run: the recorded past that it inherits, and the changes.
    Fork {
        past: Vec<super::event::RunEntry>,
        forked: Box<super::event::RunForked>,
    },
}
