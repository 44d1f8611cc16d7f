//! The inputs and outputs of an owner.

use std::time::Duration;

use baton_core::agent::{AgentObservation, AgentTask};
use baton_core::id::RunId;
use baton_core::money::Usd;
use baton_core::run::{CallOutcome, EffectId, RunRefusal};
use baton_core::time::Time;
use baton_core::tool::{AuditRow, Caller, EffectClass, ToolInvocation};
use baton_ports::budget::CallSpend;
use baton_ports::clock::MonotonicTime;
use baton_ports::journal::{InboxItem, JournalAppend};

use crate::agent_registry;

/// An input: something that happened to the run from outside.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "most inputs are outcomes, the largest")]
pub enum OwnerInput {
    /// Items read from the inbox, oldest first.
    Items(Vec<InboxItem>),
    /// A call returned, with its audit row and its cost.
    Outcome { effect: EffectId, outcome: CallOutcome, audit: Option<Box<AuditRow>>, spends: Vec<CallSpend> },
    /// The consumer's key is in this process's memory: calls that wait for it go on with the next items.
    KeyProvided,
    /// A marked call may be sent: its marker must be written first.
    Permitted { effect: EffectId },
    /// The append in progress is durable.
    Appended,
    /// A timer may be due.
    Wake,
    /// The process's lease was renewed until then.
    Lease { until: MonotonicTime },
}

/// An output: what the shell must do.
#[derive(Debug)]
pub enum OwnerOutput {
    /// One at a time; answered by [`OwnerInput::Appended`], or by dropping the owner.
    Append(Box<JournalAppend>),
    /// Check and perform a call. A marked call is checked, then asks for permission with [`OwnerInput::Permitted`]. If
    /// the process's lease is over by then, the shell answers [`CallOutcome::NotSent`], and is asked again once the
    /// lease was renewed.
    Dispatch(Box<Attempt>),
    /// The marker is durable: perform the permitted call now, and abandon it at `until`. If it is too late, the shell
    /// answers [`CallOutcome::NotSent`].
    Perform { effect: EffectId, until: MonotonicTime },
    /// Ask the service what became of a call.
    LookUp(Box<Attempt>),
    /// Nothing waits for this call any more: it, or its permit, is not needed. The cost of a model call so far is
    /// answered with [`CallOutcome::Dropped`], and nothing is appended before.
    Drop { effect: EffectId },
    /// An inbox item was refused.
    Refused { item: i64, refusal: RunRefusal },
    /// Tasks of agents ended with these outcomes.
    AgentsEnded(Vec<agent_registry::AgentOutcome>),
    /// These aggregates have something in their inbox.
    Announce(RunId),
    /// Wake the owner at this instant of its own time: [`RunOwner::time_until`](super::RunOwner::time_until) converts
    /// it to a delay.
    WakeAt(Time),
    /// The run sleeps or has ended, and its ownership was released with the last append.
    Released,
    /// The run sleeps, and its ownership must still be released. It must be claimed again at this wall-clock time.
    Release { wake_at: Option<Time> },
    /// The decision cannot be written: the run is claimed again. Its ownership is kept until then, so that calls that
    /// may be in flight are not taken for calls that were only waiting.
    Failed,
}

/// One attempt of one call.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub effect: EffectId,
    pub request: CallRequest,
    pub class: EffectClass,
    pub limit: Duration,
    pub approved: Option<String>,
}

#[derive(Clone, Debug)]
pub enum CallRequest {
    Tool(ToolInvocation),
    Model {
        key: String,
        request: baton_core::model::ModelRequest,
        /// The cost limit for all its attempts together; `None` if neither the run nor the node has a limit.
        cost_limit: Option<Usd>,
        /// The workflow's name.
        workflow: String,
        /// The type of the agent that asks.
        agent_type: Option<baton_core::agent::AgentKind>,
        caller: Caller,
    },
    Code {
        key: String,
        program: baton_core::agent::SandboxProgram,
    },
    /// The next step of an agent whose steps are computed by an external service.
    Step {
        key: String,
        endpoint: String,
        task: Box<AgentTask>,
        seen: Vec<AgentObservation>,
    },
}

impl CallRequest {
    /// Whether a model is asked, which has a cost however it ends.
    pub fn asks_model(&self) -> bool {
        matches!(self, Self::Model { .. })
    }

    /// Whether it counts against the tenant's limit of concurrent agents.
    pub fn counts_as_agent(&self) -> bool {
        matches!(self, Self::Model { .. } | Self::Code { .. } | Self::Step { .. })
    }
}
