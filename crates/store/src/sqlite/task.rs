//! One thing for the writer to do: performed inside a group's transaction, answered after its commit.

use std::time::Duration;

use baton_ports::budget::{Grown, Holder};
use baton_ports::health::StoreOutage;
use baton_ports::journal::{Claimed, Lease, Ownership, Submitted};
use baton_ports::rate_limits::Turn;
use baton_ports::{index, journal, records, registry};
use tokio::sync::oneshot;

use super::session::Session;

/// Why the writer could not do something, whatever it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The queue is full, or other processes write without a pause.
    Busy {
        retry_after: Duration,
    },
    /// The disk is full or failing.
    Unwritable {
        reason: String,
    },
    Unreadable {
        reason: String,
    },
    /// Nothing is acknowledged any more.
    Outage(StoreOutage),
    /// The store has been closed.
    Stopped,
}

const STOPPED: &str = "it has been closed";

impl From<Failure> for journal::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Busy { retry_after } => Self::Busy { retry_after },
            Failure::Unwritable { reason } => Self::Unwritable { reason },
            Failure::Unreadable { reason } => Self::Unreadable { reason },
            Failure::Outage(outage) => Self::Outage(outage),
            Failure::Stopped => Self::Unwritable { reason: STOPPED.into() },
        }
    }
}

impl From<Failure> for records::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Busy { retry_after } => Self::Busy { retry_after },
            Failure::Unwritable { reason } => Self::Unwritable { reason },
            Failure::Unreadable { reason } => Self::Unreadable { reason },
            Failure::Outage(outage) => Self::Outage(outage),
            Failure::Stopped => Self::Unwritable { reason: STOPPED.into() },
        }
    }
}

impl From<Failure> for index::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Busy { retry_after } => Self::Busy { retry_after },
            Failure::Unwritable { reason } => Self::Unwritable { reason },
            Failure::Unreadable { reason } => Self::Unreadable { reason },
            Failure::Outage(outage) => Self::Unwritable { reason: outage.to_string() },
            Failure::Stopped => Self::Unwritable { reason: STOPPED.into() },
        }
    }
}

/// What a task may answer.
pub(super) trait Answer: Send {
    /// Ownership that came with the answer and must go back if nobody is left to receive it.
    fn owned(&self) -> Option<Ownership> {
        None
    }
}

impl Answer for () {}
impl Answer for bool {}
impl Answer for Holder {}
impl Answer for Vec<Grown> {}
impl Answer for Lease {}
impl Answer for registry::Changed {}
impl Answer for Turn {}

impl Answer for Submitted {
    fn owned(&self) -> Option<Ownership> {
        match self {
            Self::Accepted { owned, .. } => *owned,
            Self::Duplicate => None,
        }
    }
}

impl Answer for Option<Claimed> {
    fn owned(&self) -> Option<Ownership> {
        self.as_ref().map(|claimed| claimed.ownership)
    }
}

/// What a reader finds; used where reading goes through the writer.
pub(super) struct Found<T>(pub(super) T);

impl<T: Send> Answer for Found<T> {}

/// A task as the writer sees it.
pub(super) trait Work: Send {
    /// Whether its group's commit must reach the disk before anybody is answered.
    fn is_durable(&self) -> bool;

    /// May be performed again after a roll-back. An error is the database's; a refusal is an outcome like any other and
    /// has written nothing.
    fn perform(&mut self, session: &mut Session<'_>) -> rusqlite::Result<()>;

    /// Whatever it came to, this is the outcome now.
    fn fail(&mut self, failure: Failure);

    /// Tells the caller. If the caller has gone away, answers with the ownership that must go back.
    fn answer(self: Box<Self>) -> Option<Ownership>;
}

/// Work with a caller who waits.
pub(super) struct Task<A, T, E> {
    act: A,
    durable: bool,
    outcome: Result<T, E>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<A, T, E: From<Failure>> Task<A, T, E>
where
    A: FnMut(&mut Session<'_>) -> rusqlite::Result<Result<T, E>>,
{
    pub(super) fn new(act: A) -> (Self, oneshot::Receiver<Result<T, E>>) {
        let (reply, answer) = oneshot::channel();
        (Self { act, durable: true, outcome: Err(Failure::Stopped.into()), reply }, answer)
    }

    /// The same for what may be lost if the machine goes down.
    pub(super) fn relaxed(act: A) -> (Self, oneshot::Receiver<Result<T, E>>) {
        let (task, answer) = Self::new(act);
        (Self { durable: false, ..task }, answer)
    }
}

impl<A, T, E> Work for Task<A, T, E>
where
    A: FnMut(&mut Session<'_>) -> rusqlite::Result<Result<T, E>> + Send,
    T: Answer,
    E: From<Failure> + Send,
{
    fn is_durable(&self) -> bool {
        self.durable
    }

    fn perform(&mut self, session: &mut Session<'_>) -> rusqlite::Result<()> {
        self.outcome = (self.act)(session)?;
        Ok(())
    }

    fn fail(&mut self, failure: Failure) {
        self.outcome = Err(failure.into());
    }

    fn answer(self: Box<Self>) -> Option<Ownership> {
        let Self { act, outcome, reply, durable: _ } = *self;
        // What the caller shares with its task is the caller's to free: it has more threads than the writer.
        drop(act);
        match reply.send(outcome) {
            Err(Ok(unheard)) => unheard.owned(),
            Ok(()) | Err(Err(_)) => None,
        }
    }
}
