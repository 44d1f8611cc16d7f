//! The only way to write: an append to an aggregate, with everything that must become durable together with it.
//!
//! A process that does not own an aggregate never appends to it: it submits to the aggregate's inbox, and being in the
//! inbox *is* the acknowledgement. A process owns aggregates under one lease. Each append names the owner and the
//! fencing epoch, and is refused if either is stale. Rules: `docs/concepts/durability.md`.

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

/// Maximum size of one append's entry, in bytes, blobs included.
pub const ENTRY_BYTES_MAX: usize = 16 << 20;
/// Entries larger than this are stored by hash in `blobs`, in the same transaction.
pub const BLOB_BYTES_MIN: usize = 64 << 10;
/// Maximum size of one inbox item's payload, in bytes.
pub const INBOX_BYTES_MAX: usize = 8 << 20;
/// Maximum number of unconsumed inbox items of one aggregate.
pub const INBOX_ITEMS_MAX: usize = 10_000;
/// How long a lease lasts unless it is renewed.
pub const LEASE: Duration = Duration::from_secs(45);

/// One process incarnation, numbered by the store; numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessId(pub i64);

/// Maximum length of a task inbox item's title, in bytes.
pub const TITLE_BYTES_MAX: usize = 300;

/// The kind of aggregate that a stream of events belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AggregateKind {
    Run,
    Conversation,
    Desk,
}

/// The id of an aggregate of any kind: today a run id.
pub type AggregateId = RunId;

/// The store's own number for an aggregate, so that hot statements need no text. Returned by a claim or a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AggregateHandle(pub i64);

/// Maximum number of timers that one scan for stranded aggregates reads.
pub const TIMERS_MAX: usize = 4_096;

/// The position of a timer among all timers: by its instant, then by its aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerKey {
    pub at: Time,
    pub handle: AggregateHandle,
}

impl TimerKey {
    /// Before all others.
    pub const FIRST: Self = Self { at: Time::EPOCH, handle: AggregateHandle(i64::MIN) };
}

/// A page of aggregates that a wrong clock put to sleep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrandedPage {
    pub found: Vec<AggregateId>,
    /// There may be more after this timer.
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
    /// Unique within the aggregate: a second submission under the same id is acknowledged and dropped. `start` is the
    /// id of the aggregate's first item.
    pub command_id: String,
    pub payload: Arc<[u8]>,
    pub at: Time,
    /// Only a first item may create an aggregate.
    pub creates: Option<NewAggregate>,
}

/// The head row of a new aggregate.
#[derive(Clone, Debug, PartialEq)]
pub struct NewAggregate {
    pub kind: AggregateKind,
    /// The workflow's name, for lists.
    pub workflow: String,
    pub parent: Option<AggregateId>,
    /// The initial owner; `None` leaves the aggregate to the next process that polls.
    pub owner: Option<ProcessId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InboxReceipt {
    /// Durable. Contains the ownership if the submission created an aggregate owned by the submitter, and the owning
    /// process if the aggregate is awake somewhere, so that it can be woken.
    Accepted { item: i64, owned: Option<Ownership>, awake_at: Option<ProcessId> },
    /// This command id is in the inbox or was consumed before.
    Duplicate,
}

/// An item read back.
#[derive(Clone, Debug, PartialEq)]
pub struct InboxItem {
    /// Increases within an aggregate, in commit order.
    pub item: i64,
    pub command_id: String,
    pub payload: Arc<[u8]>,
    pub at: Time,
}

/// Everything that becomes durable together, or not at all.
#[derive(Clone, Debug)]
pub struct JournalAppend {
    pub ownership: Ownership,
    pub aggregate: AggregateId,
    pub tenant: TenantId,
    /// Number of entries recorded so far; the new one, if any, is `expected_seq + 1`.
    pub expected_seq: u64,
    pub at: Time,
    /// The encoded entry. `None` if nothing happened: items are consumed, their senders are answered, and the journal
    /// stays as it is. Such an append has no audit rows, spends or snapshot, so that performing it twice is harmless.
    pub entry: Option<Arc<[u8]>>,
    /// When the aggregate must be woken, if nothing happens before.
    pub wake_at: Option<Time>,
    /// Ownership ends with this append: the aggregate waits, or has ended.
    pub release: bool,
    pub head: Option<RunHeadUpdate>,
    pub inbox_done: Vec<i64>,
    /// Messages to other aggregates, under derived ids: delivering one twice is harmless.
    pub outbox: Vec<InboxSubmission>,
    pub projections: Vec<ProjectionRow>,
    pub audit: Vec<AuditRow>,
    /// The cost of the calls whose outcomes the entry records.
    pub spends: Vec<CallSpend>,
    pub snapshot: Option<StateSnapshot>,
}

/// A run as shown in lists; written when it changes.
#[derive(Clone, Debug, PartialEq)]
pub struct RunHeadUpdate {
    pub state: RunState,
    pub started_at: Option<Time>,
    pub ended_at: Option<Time>,
    pub cost_nanos: i64,
    /// Short text for lists: the error's code and message, if any.
    pub fault: Option<String>,
}

/// A row that is derived from events and must never disagree with them.
#[derive(Clone, Debug, PartialEq)]
pub enum ProjectionRow {
    /// Something that a person must see or decide.
    TaskOpened(TaskItem),
    TaskClosed {
        id: String,
        at: Time,
        outcome: String,
    },
    /// A conversation as shown in lists.
    Conversation(Box<ConversationHead>),
    /// The values by which a run is found.
    RunBegun {
        run: RunId,
        /// The hash of the customer it was started for: [`customer_hash`](crate::read::customer_hash).
        customer: Option<String>,
        bundle: ContentHash,
    },
}

/// Something that a person must see or decide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskItem {
    /// `run/address` of what it is about, or another subject; unique.
    pub id: String,
    pub tenant: TenantId,
    /// `None` if it belongs to no run, such as a budget.
    pub run: Option<RunId>,
    pub kind: TaskItemKind,
    /// One line for lists, at most [`TITLE_BYTES_MAX`]; a longer text is in full in the details.
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
    /// A call with an unknown outcome.
    Doubt,
    /// A tool call that needs approval.
    ToolApproval,
    /// A compensation that finally failed.
    NotUndone,
    /// A question to the customer.
    Question,
    /// A budget that is nearly or fully used up.
    Budget,
    /// A model call that waits for budget.
    OverBudget,
    /// A model call that waits for the consumer's own key.
    NeedsKey,
    /// An account at another service that must be connected again.
    Connection,
    /// A conversation that has waited for a person for too long.
    Late,
}

/// A cached fold result: discarded if its version does not match.
#[derive(Clone, Debug, PartialEq)]
pub struct StateSnapshot {
    pub fold_version: u32,
    /// Number of entries folded into it.
    pub seq: u64,
    pub state: Arc<[u8]>,
}

/// An aggregate as its new owner receives it.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimedAggregate {
    pub ownership: Ownership,
    pub tenant: TenantId,
    pub kind: AggregateKind,
    pub workflow: String,
    pub seq: u64,
    /// How the previous owner gave it up.
    pub departure: OwnerDeparture,
    /// The wake-up time that its last owner set.
    pub wake_at: Option<Time>,
    /// When its last entry was decided.
    pub last_at: Option<Time>,
    /// The newest snapshot of the requested fold version.
    pub snapshot: Option<StateSnapshot>,
    /// Entries after the snapshot, in order.
    pub tail: Vec<Arc<[u8]>>,
    pub inbox: Vec<InboxItem>,
}

/// This process's lease. The local deadline is computed from the time before the request, so it never ends later than
/// the store's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessLease {
    pub process: ProcessId,
    /// By this process's own monotonic clock, whatever clock the store judges leases by.
    pub until: MonotonicTime,
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// Another process owns the aggregate now: drop its in-memory state.
    #[error("the aggregate `{aggregate}` was taken over by another process")]
    LeaseLost { aggregate: AggregateId },
    /// This process was taken for dead: its lease ended and its aggregates went to others. Join again.
    #[error("the lease of process {} has ended and what it owned was taken over", process.0)]
    LeaseEnded { process: ProcessId },
    /// Another append came in between: reload.
    #[error("`{aggregate}` is at entry {found}, not {expected}")]
    WrongSequence { aggregate: AggregateId, expected: u64, found: u64 },
    #[error("no aggregate `{aggregate}`")]
    NotFound { aggregate: AggregateId },
    /// Its contents were permanently deleted; only its row in lists is left.
    #[error("`{aggregate}` was erased: nothing it held can be read any more, and nothing can be done with it")]
    Erased { aggregate: AggregateId },
    /// Another tenant's aggregate has this id: choose another.
    #[error("the name `{aggregate}` is taken")]
    Taken { aggregate: AggregateId },
    /// The caller's input exceeds a named limit.
    #[error("{what} is {size} bytes or items, over the limit of {limit}")]
    TooLarge { what: &'static str, size: usize, limit: usize },
    /// Nothing was acknowledged and nothing is lost; try again when there is room.
    #[error("the store is overloaded; try again in {} ms", retry_after.as_millis())]
    Busy { retry_after: Duration },
    /// The disk is full or failing. It is unknown whether this write is durable; nothing more is acknowledged until
    /// writing works again.
    #[error("the store cannot write: {reason}")]
    Unwritable { reason: String },
    #[error("the store cannot be read: {reason}")]
    Unreadable { reason: String },
    #[error("`{aggregate}` cannot be read back: {reason}")]
    Corrupt { aggregate: AggregateId, reason: String },
    #[error("the store cannot be opened: {reason}")]
    Unopenable { reason: String },
    /// Nothing more is acknowledged until an operator has intervened.
    #[error(transparent)]
    Outage(#[from] StoreOutage),
}

/// Journals, inboxes and ownership. One writer commits for all: batches of many aggregates share a commit, and each is
/// refused separately.
///
/// Leases are judged by one clock that no process can set. If all processes share a machine, that is the machine's
/// [`MonotonicTime`], which the caller passes. A store shared by many machines uses its own clock, and uses the
/// caller's only for the local deadline that it returns.
#[async_trait]
pub trait JournalStore: Send + Sync {
    /// Registers a new incarnation of this process, with its first lease.
    async fn join(&self, steady: MonotonicTime) -> Result<ProcessLease, JournalError>;

    /// Extends the lease; refused if it has ended and another process has taken something over since.
    async fn renew(&self, process: ProcessId, steady: MonotonicTime) -> Result<ProcessLease, JournalError>;

    /// Releases everything: what this process owns is free, and its lease is over. Idempotent.
    async fn leave(&self, process: ProcessId) -> Result<(), JournalError>;

    /// Durable when it returns.
    async fn submit(&self, submit: InboxSubmission) -> Result<InboxReceipt, JournalError>;

    /// Durable when it returns. On [`JournalError::Unwritable`] the caller drops the aggregate and claims it again.
    async fn append(&self, append: JournalAppend) -> Result<(), JournalError>;

    /// Claims an aggregate that has no owner, or whose owner's lease has ended: increments the epoch, *then* reads the
    /// tail. Returns `None` if another live process owns it. A process may claim what it owns itself again: the
    /// previous ownership is stale from then on. An owner that has lost anything this way is dead, and stays dead.
    async fn claim(
        &self,
        aggregate: &AggregateId,
        process: ProcessId,
        fold_version: u32,
        steady: MonotonicTime,
    ) -> Result<Option<ClaimedAggregate>, JournalError>;

    /// Releases one aggregate without an append; it is to be woken at `wake_at`.
    async fn release(&self, ownership: Ownership, wake_at: Option<Time>) -> Result<(), JournalError>;

    /// Open inbox items of an owned aggregate after `after`, oldest first.
    async fn inbox(&self, handle: AggregateHandle, after: i64) -> Result<Vec<InboxItem>, JournalError>;

    /// Aggregates that this process should claim: those without an owner that have a due timer or inbox items, and
    /// those of a dead owner. In no particular order.
    async fn due(
        &self,
        process: ProcessId,
        now: Time,
        steady: MonotonicTime,
        limit: usize,
    ) -> Result<Vec<AggregateId>, JournalError>;

    /// Aggregates without an owner that were put to sleep by a clock that has been set back since: both their last
    /// entry and their timer lie in the future. Returns up to `limit` of them after `after`, ordered by timer, earliest
    /// first; reads at most [`TIMERS_MAX`] timers.
    async fn stranded(&self, now: Time, after: TimerKey, limit: usize) -> Result<StrandedPage, JournalError>;

    /// Aggregates that this process owns and whose inbox has items from other processes; they are returned until the
    /// items are consumed.
    async fn with_new_items(&self, process: ProcessId, limit: usize) -> Result<Vec<AggregateId>, JournalError>;
}
