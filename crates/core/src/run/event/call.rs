//! Requests to the world, their answers, and what a call waits for.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::address::EffectId;
use super::super::approval::Approval;
use crate::agent;
use crate::fault::Fault;
use crate::id::RunId;
use crate::model;
use crate::money::Usd;
use crate::time::{Time, duration_ms};
use crate::tool::{EffectClass, RetryPolicy, ToolQuestion};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallScheduled {
    pub effect: EffectId,
    pub request: EffectRequest,
    pub class: EffectClass,
    #[serde(rename = "timeout_ms", with = "duration_ms")]
    pub timeout: Duration,
    /// Its approximate maximum cost: counts against the limits of the run and the node while it is open.
    #[serde(default, skip_serializing_if = "is_free")]
    pub hold: Usd,
}

/// The fully rendered request of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectRequest {
    Tool {
        tool: String,
        arguments: Arc<Value>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<String>,
        /// Performs it instead of the provider that the settings choose.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider: Option<String>,
    },
    Model(Box<model::ModelRequest>),
    /// The next step of an agent of type `custom`, from its endpoint. Its task and observations are in the state, which
    /// does not change while the request is open.
    Step {
        agent: String,
        endpoint: String,
    },
    /// An agent's program, for the sandbox.
    Code {
        agent: String,
        program: Box<agent::SandboxProgram>,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallCompleted {
    pub effect: EffectId,
    pub output: CallOutput,
    #[serde(default, skip_serializing_if = "is_free")]
    pub cost: Usd,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
    /// How it is undone, rendered now; absent for calls that only read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Box<UndoAction>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
pub(super) fn is_free(cost: &Usd) -> bool {
    *cost == Usd::ZERO
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallOutput {
    Tool(Arc<Value>),
    Model(Box<model::ModelReply>),
    Code(Box<agent::ProgramOutcome>),
    Step(Box<agent::AgentStep>),
}

/// How a completed effect is undone; stored when it completes, never rendered again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoAction {
    Call {
        tool: String,
        arguments: Value,
        class: EffectClass,
        #[serde(rename = "timeout_ms", with = "duration_ms")]
        timeout: Duration,
        retry: RetryPolicy,
        /// The provider that performed it, if that was not the one that the settings choose: it is undone there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider: Option<String>,
    },
    /// It cannot be undone, for this reason.
    Irreversible { reason: String },
    /// It should be undone, but the arguments could not be rendered: a person must do it.
    Broken { fault: Fault },
    /// Another run's whole saga.
    Child { run: RunId },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoubtFollowUp {
    /// The same key is sent again then.
    SendAgain { at: Time },
    /// The service is queried, not before then.
    LookUp { at: Time },
    /// A person decides.
    Person,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockReason {
    RateLimit {
        until: Time,
    },
    Circuit {
        until: Time,
    },
    /// An approval by people.
    Approval(Box<Approval>),
    /// A budget is used up: until its next window, or until a person says that there is money now.
    Budget {
        line: String,
        until: Time,
    },
    /// The consumer's own key is not in the memory of the process: until it is provided again.
    Key,
    /// A person's answer, until the deadline at the latest.
    Question {
        question: Box<ToolQuestion>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
    },
}

/// The action for a call whose service is down, by its tool's policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutageAction {
    /// This stands in for the answer.
    Answered { output: Arc<Value> },
    /// It fails now.
    Refused,
    /// It is sent again then, and given up at `until` at the latest.
    Queued { at: Time, until: Time },
    /// It is sent now, to this provider.
    Provider { name: String },
    /// A person does it by hand.
    Person,
}
