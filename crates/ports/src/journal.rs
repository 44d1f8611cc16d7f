//! The one way to write: an append to an aggregate, with everything that must be true together with it.
//!
//! Whoever is not the owner never appends: it submits to the aggregate's inbox, and being in it *is* the
//! acknowledgement. A process owns aggregates under one lease; each append names the owner and the fencing epoch and
//! is refused if either is stale. Rules: `docs/concepts/durability.md`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::bundle::ContentHash;
use baton_core::id::{RunId, TenantId};
use baton_core::run::{OwnerDeparture, RunState};
use baton_core::time::Time;
use baton_core::tool::AuditRow;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::budget::CallSpend;
use crate::clock::MonotonicTime;
use crate::conversations::ConversationHead;
use crate::health::StoreOutage;

/// Bytes of one append's entry, blobs included.
pub const ENTRY_BYTES_MAX: usize = 16 << 20;
/// Entries larger than this are kept by hash in `blobs`, written in the same transaction.
pub const BLOB_BYTES_MIN: usize = 64 << 10;
/// Bytes of one inbox item's payload.
pub const INBOX_BYTES_MAX: usize = 8 << 20;
/// Unconsumed inbox items of one aggregate.
pub const INBOX_ITEMS_MAX: usize = 10_000;
/// How long a lease holds unless it is renewed.
pub const LEASE: Duration = Duration::from_secs(45);

/// One process incarnation, numbered by the store; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessId(pub i64);

/// Bytes of a desk item's title.
pub const TITLE_BYTES_MAX: usize = 300;

/// What kind of aggregate a stream of events belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AggregateKind {
    Run,
    Conversation,
    Desk,
}

/// An aggregate's name, whatever its kind: a run's id today.
pub type AggregateId = RunId;

/// The store's own number for an aggregate, so that hot statements carry no text. Learned from a claim or a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AggregateHandle(pub i64);

/// Most timers that one look at what a wrong clock put to sleep goes through.
pub const TIMERS_MAX: usize = 4_096;

/// The place of a timer among all: by its instant, then by whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerKey {
    pub at: Time,
    pub handle: AggregateHandle,
}

impl TimerKey {
    /// Before all others.
    pub const FIRST: Self = Self { at: Time::EPOCH, handle: AggregateHandle(i64::MIN) };
}

/// A page of what a wrong clock put to sleep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrandedPage {
    pub found: Vec<AggregateId>,
    /// Behind this timer there may be more.
    pub next: Option<TimerKey>,
}

/// The right to append: valid until another process takes the aggregate over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ownership {
    pub handle: AggregateHandle,
    pub process: ProcessId,
    pub epoch: u64,
}

/// An item for an aggregate's inbox.
#[derive(Clone, Debug, PartialEq)]
pub struct InboxSubmission {
    pub aggregate: AggregateId,
    pub tenant: TenantId,
    /// Unique within the aggregate: a second submission under the same id is acknowledged and dropped.
    /// `start` is the aggregate's first.
    pub command_id: String,
    pub payload: Arc<[u8]>,
    pub at: Time,
    /// Only a first item may bring an aggregate into being.
    pub creates: Option<NewAggregate>,
}

/// What the head row of a new aggregate says.
#[derive(Clone, Debug, PartialEq)]
pub struct NewAggregate {
    pub kind: AggregateKind,
    /// The workflow's name, for lists.
    pub workflow: String,
    pub parent: Option<AggregateId>,
    /// Who owns it from its first instant; nobody leaves it to whoever looks next.
    pub owner: Option<ProcessId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InboxReceipt {
    /// Durable. Where the submission created an aggregate owned by the submitter, with its ownership; where the
    /// aggregate is awake somewhere, with that process, so that it may be nudged.
    Accepted { item: i64, owned: Option<Ownership>, awake_at: Option<ProcessId> },
    /// This command id is in the inbox or was consumed before.
    Duplicate,
}

/// An item read back.
#[derive(Clone, Debug, PartialEq)]
pub struct InboxItem {
    /// Rises within an aggregate: commit order.
    pub item: i64,
    pub command_id: String,
    pub payload: Arc<[u8]>,
    pub at: Time,
}

/// Everything that becomes true together, or not at all.
#[derive(Clone, Debug)]
pub struct JournalAppend {
    pub ownership: Ownership,
    pub aggregate: AggregateId,
    pub tenant: TenantId,
    /// Entries recorded so far; the new one, if any, is `expected_seq + 1`.
    pub expected_seq: u64,
    pub at: Time,
    /// The encoded entry. `None` where nothing happened: items are consumed and whoever sent them is answered, and the
    /// journal stays as it is. Such an append carries neither audit rows nor spends nor a snapshot, so that performing it
    /// twice does no harm.
    pub entry: Option<Arc<[u8]>>,
    /// When the aggregate must be looked at again, if nothing happens before.
    pub wake_at: Option<Time>,
    /// Ownership ends with this append: the aggregate waits, or has ended.
    pub release: bool,
    pub head: Option<RunHeadUpdate>,
    pub inbox_done: Vec<i64>,
    /// Messages to other aggregates, under derived ids: delivering one twice is harmless.
    pub outbox: Vec<InboxSubmission>,
    pub projections: Vec<ProjectionRow>,
    pub audit: Vec<AuditRow>,
    /// What the calls cost whose outcomes the entry records.
    pub spends: Vec<CallSpend>,
    pub snapshot: Option<StateSnapshot>,
}

/// What lists show of a run; written when it changes.
#[derive(Clone, Debug, PartialEq)]
pub struct RunHeadUpdate {
    pub state: RunState,
    pub started_at: Option<Time>,
    pub ended_at: Option<Time>,
    pub cost_nanos: i64,
    /// Short text for lists: the fault's code and message, or nothing.
    pub fault: Option<String>,
}

/// A row that is derived from events and must never disagree with them.
#[derive(Clone, Debug, PartialEq)]
pub enum ProjectionRow {
    /// Something a person must see or decide.
    TaskOpened(TaskItem),
    TaskClosed {
        id: String,
        at: Time,
        outcome: String,
    },
    /// What lists show of a conversation.
    Conversation(Box<ConversationHead>),
    /// What a run is found by.
    RunBegun {
        run: RunId,
        /// Of the customer it was begun for: [`customer_hash`](crate::read::customer_hash).
        customer: Option<String>,
        bundle: ContentHash,
    },
}

/// What a person must see or decide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskItem {
    /// `run/address` with what it is about, or what else it is about; unique.
    pub id: String,
    pub tenant: TenantId,
    /// Nothing where it is no run's: a budget.
    pub run: Option<RunId>,
    pub kind: TaskItemKind,
    /// One line for lists, at most [`TITLE_BYTES_MAX`]; what is longer is whole in the details.
    pub title: String,
    pub details: Value,
    pub opened_at: Time,
    pub deadline: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskItemKind {
    Approval,
    Form,
    /// A call whose outcome nobody knows.
    Doubt,
    /// A tool call that needs leave.
    ToolApproval,
    /// A compensation that finally failed.
    NotUndone,
    /// A question to the customer.
    Question,
    /// A budget that is nearly or wholly used up.
    Budget,
    /// A model call that waits for money.
    OverBudget,
    /// A model call that waits for the consumer's own key.
    NeedsKey,
    /// An account at another service that must be connected again.
    Connection,
    /// A conversation that waits for a person for too long.
    Late,
}

/// A cache of the fold: on a version mismatch it is thrown away.
#[derive(Clone, Debug, PartialEq)]
pub struct StateSnapshot {
    pub fold_version: u32,
    /// Entries folded into it.
    pub seq: u64,
    pub state: Arc<[u8]>,
}

/// An aggregate as its new owner finds it.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimedAggregate {
    pub ownership: Ownership,
    pub tenant: TenantId,
    pub kind: AggregateKind,
    pub workflow: String,
    pub seq: u64,
    /// How its owner before came to let go of it.
    pub departure: OwnerDeparture,
    /// When it was to be looked at again, as its last owner said.
    pub wake_at: Option<Time>,
    /// When its last entry was decided.
    pub last_at: Option<Time>,
    /// The newest snapshot of the asked fold version.
    pub snapshot: Option<StateSnapshot>,
    /// Entries behind the snapshot, in order.
    pub tail: Vec<Arc<[u8]>>,
    pub inbox: Vec<InboxItem>,
}

/// This process's lease. The local deadline was taken before the request, so it never ends later than the store's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessLease {
    pub process: ProcessId,
    /// By this process's own steady clock, whatever clock the store judges leases by.
    pub until: MonotonicTime,
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// Another process owns the aggregate now: drop what you hold of it.
    #[error("the aggregate `{aggregate}` was taken over by another process")]
    LeaseLost { aggregate: AggregateId },
    /// This process was taken for dead: its lease ended and what it owned went to others. Join again.
    #[error("the lease of process {} has ended and what it owned was taken over", process.0)]
    LeaseEnded { process: ProcessId },
    /// Somebody appended in between: reload.
    #[error("`{aggregate}` is at entry {found}, not {expected}")]
    WrongSequence { aggregate: AggregateId, expected: u64, found: u64 },
    #[error("no aggregate `{aggregate}`")]
    NotFound { aggregate: AggregateId },
    /// Its contents were deleted for good; only its row in lists is left.
    #[error("`{aggregate}` was erased: nothing it held can be read any more, and nothing can be done with it")]
    Erased { aggregate: AggregateId },
    /// Another tenant's aggregate has this name: choose another.
    #[error("the name `{aggregate}` is taken")]
    Taken { aggregate: AggregateId },
    /// The caller's input breaks a named limit.
    #[error("{what} is {size} bytes or items, over the limit of {limit}")]
    TooLarge { what: &'static str, size: usize, limit: usize },
    /// Nothing was acknowledged and nothing is lost; try again when there is room.
    #[error("the store is overloaded; try again in {} ms", retry_after.as_millis())]
    Busy { retry_after: Duration },
    /// The disk is full or failing. Whether this write is durable is not known; nothing more is acknowledged until
    /// writing works again.
    #[error("the store cannot write: {reason}")]
    Unwritable { reason: String },
    #[error("the store cannot be read: {reason}")]
    Unreadable { reason: String },
    #[error("`{aggregate}` cannot be read back: {reason}")]
    Corrupt { aggregate: AggregateId, reason: String },
    #[error("the store cannot be opened: {reason}")]
    Unopenable { reason: String },
    /// Nothing more is acknowledged until a person has seen to it.
    #[error(transparent)]
    Outage(#[from] StoreOutage),
}

/// Journals, inboxes and ownership. One writer commits for all: many aggregates' batches share a commit, and each is
/// refused alone.
///
/// Leases are judged by one clock that no process can set: where all processes share a machine, that machine's
/// [`MonotonicTime`], which the caller brings; a store that many machines share uses its own, and takes the caller's only for the
/// local deadline that it answers.
#[async_trait]
pub trait JournalStore: Send + Sync {
    /// A new incarnation of this process, with its first lease.
    async fn join(&self, steady: MonotonicTime) -> Result<ProcessLease, JournalError>;

    /// Extends the lease; refused if it has ended and somebody has taken something over since.
    async fn renew(&self, process: ProcessId, steady: MonotonicTime) -> Result<ProcessLease, JournalError>;

    /// Gives everything back: what this process owns is free, its lease is over. Harmless twice.
    async fn leave(&self, process: ProcessId) -> Result<(), JournalError>;

    /// Durable when it returns.
    async fn submit(&self, submit: InboxSubmission) -> Result<InboxReceipt, JournalError>;

    /// Durable when it returns. On [`JournalError::Unwritable`] the caller drops the aggregate and claims it afresh.
    async fn append(&self, append: JournalAppend) -> Result<(), JournalError>;

    /// Takes an aggregate nobody owns, or whose owner's lease has ended: bumps the epoch, *then* reads the tail.
    /// `None` if another living process owns it. What this process owns itself it may claim afresh: whoever held it
    /// before is stale from then on. An owner from whom anything was taken is dead, and stays so.
    async fn claim(
        &self,
        aggregate: &AggregateId,
        process: ProcessId,
        fold_version: u32,
        steady: MonotonicTime,
    ) -> Result<Option<ClaimedAggregate>, JournalError>;

    /// Gives one aggregate back without an append; it is to be looked at again at `wake_at`.
    async fn release(&self, ownership: Ownership, wake_at: Option<Time>) -> Result<(), JournalError>;

    /// Open inbox items of an owned aggregate behind `after`, oldest first.
    async fn inbox(&self, handle: AggregateHandle, after: i64) -> Result<Vec<InboxItem>, JournalError>;

    /// Aggregates this process should claim: nobody owns them and a timer is due or the inbox has something, or their
    /// owner is dead. In no particular order.
    async fn due(
        &self,
        process: ProcessId,
        now: Time,
        steady: MonotonicTime,
        limit: usize,
    ) -> Result<Vec<AggregateId>, JournalError>;

    /// Aggregates that nobody owns and that were put to sleep by a clock that has been set back since: their last entry lies
    /// in the future, and so does the timer they sleep for. Up to `limit` of them, by their timers, earliest first, behind
    /// `after`; no more than [`TIMERS_MAX`] timers are looked at.
    async fn stranded(&self, now: Time, after: TimerKey, limit: usize) -> Result<StrandedPage, JournalError>;

    /// Aggregates that this process owns and whose inbox has items that arrived from other processes; named until
    /// the items are consumed.
    async fn with_new_items(&self, process: ProcessId, limit: usize) -> Result<Vec<AggregateId>, JournalError>;
}
