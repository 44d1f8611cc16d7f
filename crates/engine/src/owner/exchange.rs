//! What comes to an owner, and what it wants done.

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

/// What happened to the run from outside.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "most inputs are outcomes, the largest")]
pub enum OwnerInput {
    /// Items read from the inbox, oldest first.
    Items(Vec<InboxItem>),
    /// A call came back, with the row the audit keeps of it and what it cost.
    Outcome { effect: EffectId, outcome: CallOutcome, audit: Option<Box<AuditRow>>, spends: Vec<CallSpend> },
    /// The consumer's key is in this process's memory: what waited for it goes on with the next items.
    KeyProvided,
    /// A marked call may go out: its marker is to be written first.
    Permitted { effect: EffectId },
    /// The append under way is durable.
    Appended,
    /// A timer may be due.
    Wake,
    /// The process's lease was renewed until then.
    Lease { until: MonotonicTime },
}

/// What the shell must do.
#[derive(Debug)]
pub enum OwnerOutput {
    /// One at a time; answered by [`OwnerInput::Appended`], or by dropping the owner.
    Append(Box<JournalAppend>),
    /// Check and perform a call; a marked one is checked, then asks leave by [`OwnerInput::Permitted`]. Whoever finds that the
    /// process's lease is over by then answers [`CallOutcome::NotSent`], and is asked again once it was renewed.
    Dispatch(Box<Attempt>),
    /// The marker is durable: perform the permitted call now, and give it up then. Whoever finds that it is too late
    /// answers [`CallOutcome::NotSent`].
    Perform { effect: EffectId, until: MonotonicTime },
    /// Ask the service what became of a call.
    LookUp(Box<Attempt>),
    /// Nobody waits for this call any more: it, or its permit, is not needed. What a model call has cost until then is
    /// answered by [`CallOutcome::Dropped`], and nothing is appended before.
    Drop { effect: EffectId },
    /// An inbox item was refused.
    Refused { item: i64, refusal: RunRefusal },
    /// How tasks of agents ended.
    AgentsEnded(Vec<agent_registry::AgentOutcome>),
    /// These aggregates have something in their inbox.
    Announce(RunId),
    /// Ask again then, by its own time: [`RunOwner::time_until`](super::RunOwner::time_until) says how long that is.
    WakeAt(Time),
    /// The run sleeps or has ended, and its ownership was given back with the last append.
    Released,
    /// The run sleeps, and its ownership is still to be given back. It is to be looked at again when the wall's clock shows
    /// that instant.
    Release { wake_at: Option<Time> },
    /// What was decided cannot be written: the run is claimed afresh, and its ownership is kept until then, so that what may be
    /// out is not taken for what only waited.
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
        /// The most all its attempts may cost together; nothing where no limit of the run or the node bounds it.
        cost_limit: Option<Usd>,
        /// The workflow's name.
        workflow: String,
        /// Of what type the agent is that asks.
        agent_type: Option<baton_core::agent::AgentKind>,
        caller: Caller,
    },
    Code {
        key: String,
        program: baton_core::agent::SandboxProgram,
    },
    /// The next step of an agent that somebody else thinks for.
    Step {
        key: String,
        endpoint: String,
        task: Box<AgentTask>,
        seen: Vec<AgentObservation>,
    },
}

impl CallRequest {
    /// Whether a model is asked: that costs something however it ends.
    pub fn asks_model(&self) -> bool {
        matches!(self, Self::Model { .. })
    }

    /// Whether a tenant's agent waits for it: it counts against what they may have at once.
    pub fn counts_as_agent(&self) -> bool {
        matches!(self, Self::Model { .. } | Self::Code { .. } | Self::Step { .. })
    }
}
