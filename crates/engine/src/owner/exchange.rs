//! What comes to an owner, and what it wants done.

use std::time::Duration;

use baton_core::agent::{Seen, Task};
use baton_core::id::RunId;
use baton_core::money::Usd;
use baton_core::run::{EffectId, Outcome, Refusal};
use baton_core::time::Time;
use baton_core::tool::{AuditRow, Call, Caller, Class};
use baton_ports::budget::Spend;
use baton_ports::clock::Steady;
use baton_ports::journal::{Append, InboxItem};

use crate::roster;

/// What happened to the run from outside.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "most inputs are outcomes, the largest")]
pub enum Input {
    /// Items read from the inbox, oldest first.
    Items(Vec<InboxItem>),
    /// A call came back, with the row the audit keeps of it and what it cost.
    Outcome { effect: EffectId, outcome: Outcome, audit: Option<Box<AuditRow>>, spends: Vec<Spend> },
    /// The consumer's key is in this process's memory: what waited for it goes on with the next items.
    KeyGiven,
    /// A marked call may go out: its marker is to be written first.
    Permitted { effect: EffectId },
    /// The append under way is durable.
    Appended,
    /// A timer may be due.
    Wake,
    /// The process's lease was renewed until then.
    Lease { until: Steady },
}

/// What the shell must do.
#[derive(Debug)]
pub enum Output {
    /// One at a time; answered by [`Input::Appended`], or by dropping the owner.
    Append(Box<Append>),
    /// Check and perform a call; a marked one is checked, then asks leave by [`Input::Permitted`]. Whoever finds that the
    /// process's lease is over by then answers [`Outcome::NotSent`], and is asked again once it was renewed.
    Send(Box<Send>),
    /// The marker is durable: perform the permitted call now, and give it up then. Whoever finds that it is too late
    /// answers [`Outcome::NotSent`].
    Perform { effect: EffectId, until: Steady },
    /// Ask the service what became of a call.
    LookUp(Box<Send>),
    /// Nobody waits for this call any more: it, or its permit, is not needed. What a model call has cost until then is
    /// answered by [`Outcome::Dropped`], and nothing is appended before.
    Drop { effect: EffectId },
    /// An inbox item was refused.
    Refused { item: i64, refusal: Refusal },
    /// How tasks of agents ended.
    Noted(Vec<roster::Outcome>),
    /// These aggregates have something in their inbox.
    Announce(RunId),
    /// Ask again then, by its own time: [`Owner::time_until`](super::Owner::time_until) says how long that is.
    WakeAt(Time),
    /// The run sleeps or has ended, and its ownership was given back with the last append.
    Released,
    /// The run sleeps, and its ownership is still to be given back. It is to be looked at again when the wall's clock shows
    /// that instant.
    Release { wake_at: Option<Time> },
    /// What was decided cannot be written: the run is claimed afresh, and its ownership is kept until then, so that what may be
    /// out is not taken for what only waited.
    Fallen,
}

/// One attempt of one call.
#[derive(Clone, Debug)]
pub struct Send {
    pub effect: EffectId,
    pub what: What,
    pub class: Class,
    pub limit: Duration,
    pub approved: Option<String>,
}

#[derive(Clone, Debug)]
pub enum What {
    Tool(Call),
    Model {
        key: String,
        request: baton_core::model::Request,
        /// The most all its attempts may cost together; nothing where no limit of the run or the node bounds it.
        most: Option<Usd>,
        /// The workflow's name.
        workflow: String,
        /// Of what type the agent is that asks.
        agent_type: Option<baton_core::agent::Kind>,
        caller: Caller,
    },
    Code {
        key: String,
        program: baton_core::agent::Program,
    },
    /// The next step of an agent that somebody else thinks for.
    Step {
        key: String,
        endpoint: String,
        task: Box<Task>,
        seen: Vec<Seen>,
    },
}

impl What {
    /// Whether a model is asked: that costs something however it ends.
    pub fn is_of_a_model(&self) -> bool {
        matches!(self, Self::Model { .. })
    }

    /// Whether a tenant's agent waits for it: it counts against what they may have at once.
    pub fn is_of_an_agent(&self) -> bool {
        matches!(self, Self::Model { .. } | Self::Code { .. } | Self::Step { .. })
    }
}
