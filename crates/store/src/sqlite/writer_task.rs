//! One task for the writer: performed inside a group's transaction, answered after its commit.

use std::time::Duration;

use baton_ports::budget::{AllowanceGrant, BudgetHolder};
use baton_ports::health::StoreOutage;
use baton_ports::journal::{ClaimedAggregate, InboxReceipt, Ownership, ProcessLease};
use baton_ports::rate_limits::RateDecision;
use baton_ports::{index, journal, records, registry};
use tokio::sync::oneshot;

use super::session::WriterSession;

/// Why the writer could not perform a task of any kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WriterError {
    /// The queue is full, or other processes write continuously.
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

impl From<WriterError> for journal::JournalError {
    fn from(failure: WriterError) -> Self {
        match failure {
            WriterError::Busy { retry_after } => Self::Busy { retry_after },
            WriterError::Unwritable { reason } => Self::Unwritable { reason },
            WriterError::Unreadable { reason } => Self::Unreadable { reason },
            WriterError::Outage(outage) => Self::Outage(outage),
            WriterError::Stopped => Self::Unwritable { reason: STOPPED.into() },
        }
    }
}

impl From<WriterError> for records::RecordError {
    fn from(failure: WriterError) -> Self {
        match failure {
            WriterError::Busy { retry_after } => Self::Busy { retry_after },
            WriterError::Unwritable { reason } => Self::Unwritable { reason },
            WriterError::Unreadable { reason } => Self::Unreadable { reason },
            WriterError::Outage(outage) => Self::Outage(outage),
            WriterError::Stopped => Self::Unwritable { reason: STOPPED.into() },
        }
    }
}

impl From<WriterError> for index::IndexError {
    fn from(failure: WriterError) -> Self {
        match failure {
            WriterError::Busy { retry_after } => Self::Busy { retry_after },
            WriterError::Unwritable { reason } => Self::Unwritable { reason },
            WriterError::Unreadable { reason } => Self::Unreadable { reason },
            WriterError::Outage(outage) => Self::Unwritable { reason: outage.to_string() },
            WriterError::Stopped => Self::Unwritable { reason: STOPPED.into() },
        }
    }
}

/// The possible answer of a task.
pub(super) trait WriteAnswer: Send {
    /// Ownership in the answer that must be released if the receiver is gone.
    fn ownership(&self) -> Option<Ownership> {
        None
    }
}

impl WriteAnswer for () {}
impl WriteAnswer for bool {}
impl WriteAnswer for BudgetHolder {}
impl WriteAnswer for Vec<AllowanceGrant> {}
impl WriteAnswer for ProcessLease {}
impl WriteAnswer for registry::ChangeResult {}
impl WriteAnswer for RateDecision {}

impl WriteAnswer for InboxReceipt {
    fn ownership(&self) -> Option<Ownership> {
        match self {
            Self::Accepted { owned, .. } => *owned,
            Self::Duplicate => None,
        }
    }
}

impl WriteAnswer for Option<ClaimedAggregate> {
    fn ownership(&self) -> Option<Ownership> {
        self.as_ref().map(|claimed| claimed.ownership)
    }
}

/// The result of a query; used if reads go through the writer.
pub(super) struct ReadAnswer<T>(pub(super) T);

impl<T: Send> WriteAnswer for ReadAnswer<T> {}

/// A task as the writer sees it.
pub(super) trait WriterTask: Send {
    /// Whether its group's commit must reach the disk before any caller is answered.
    fn is_durable(&self) -> bool;

    /// May be performed again after a rollback. An error is the database's; a refusal is an ordinary outcome and has
    /// written nothing.
    fn perform(&mut self, session: &mut WriterSession<'_>) -> rusqlite::Result<()>;

    /// Replaces the outcome with this failure.
    fn fail(&mut self, failure: WriterError);

    /// Answers the caller. If the caller is gone, returns the ownership that must be released.
    fn answer(self: Box<Self>) -> Option<Ownership>;
}

/// A task with a caller that waits.
pub(super) struct PendingWrite<A, T, E> {
    act: A,
    durable: bool,
    outcome: Result<T, E>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<A, T, E: From<WriterError>> PendingWrite<A, T, E>
where
    A: FnMut(&mut WriterSession<'_>) -> rusqlite::Result<Result<T, E>>,
{
    pub(super) fn new(act: A) -> (Self, oneshot::Receiver<Result<T, E>>) {
        let (reply, answer) = oneshot::channel();
        (Self { act, durable: true, outcome: Err(WriterError::Stopped.into()), reply }, answer)
    }

    /// The same for tasks that may be lost if the machine crashes.
    pub(super) fn relaxed(act: A) -> (Self, oneshot::Receiver<Result<T, E>>) {
        let (task, answer) = Self::new(act);
        (Self { durable: false, ..task }, answer)
    }
}

impl<A, T, E> WriterTask for PendingWrite<A, T, E>
where
    A: FnMut(&mut WriterSession<'_>) -> rusqlite::Result<Result<T, E>> + Send,
    T: WriteAnswer,
    E: From<WriterError> + Send,
{
    fn is_durable(&self) -> bool {
        self.durable
    }

    fn perform(&mut self, session: &mut WriterSession<'_>) -> rusqlite::Result<()> {
        self.outcome = (self.act)(session)?;
        Ok(())
    }

    fn fail(&mut self, failure: WriterError) {
        self.outcome = Err(failure.into());
    }

    fn answer(self: Box<Self>) -> Option<Ownership> {
        let Self { act, outcome, reply, durable: _ } = *self;
        // Shared data is left for the caller to free: there are more caller threads than writer threads.
        drop(act);
        match reply.send(outcome) {
            Err(Ok(unheard)) => unheard.ownership(),
            Ok(()) | Err(Err(_)) => None,
        }
    }
}
