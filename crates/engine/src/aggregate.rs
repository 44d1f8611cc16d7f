//! Aggregates without effects of their own: conversations and routing queues. They reach others only by messages, so
//! they need no more than an inbox, a timer, and one append for everything that was decided.

pub(crate) mod conversation;
mod conversation_handle;
mod routing;
mod routing_client;

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use baton_core::id::{RunId, TenantId};
use baton_core::run::FOLD_VERSION;
use baton_core::time::Time;
use baton_ports::journal::{
    AggregateId, ClaimedAggregate, InboxItem, InboxSubmission, JournalAppend, Ownership, ProjectionRow, StateSnapshot,
};

use crate::aggregate_clock::{AggregateClock, ClockReading};
use crate::{EngineError, EngineOptions};

pub use conversation::routing_queue_id;
pub use conversation_handle::{ConversationHandle, SubmitResult};
pub use routing_client::{RoutingQueueFollower, RoutingQueues};

/// Maximum number of items decided with one append.
const ITEMS_MAX: usize = 256;
/// Refusal code of an item that cannot be read.
const UNREADABLE: &str = "ITEM_UNREADABLE";

/// A pure aggregate. It decides commands as a run does, and folds its events as it decides.
pub trait Aggregate: Default + Serialize + DeserializeOwned + Send + 'static {
    type Command: DeserializeOwned;
    type Event: Serialize + DeserializeOwned;
    type Refusal: std::error::Error;

    /// The command that is decided when a timer is due; it is never refused.
    fn wake_command() -> Self::Command;
    fn decide(&mut self, command: Self::Command, now: Time) -> Result<Vec<Self::Event>, Self::Refusal>;
    fn apply(&mut self, at: Time, event: &Self::Event);
    fn wake_at(&self) -> Option<Time>;
    fn refusal_code(refusal: &Self::Refusal) -> &'static str;
    /// Messages to other aggregates that follow from these events, which are already folded. Their ids are derived from
    /// the events.
    fn messages(
        &self,
        tenant: &TenantId,
        id: &AggregateId,
        events: &[Self::Event],
        now: Time,
    ) -> Result<Vec<InboxSubmission>, serde_json::Error>;
    /// The reply to the sender of a refused command; `None` if no sender waits for a reply.
    fn refusal_reply(
        _command: Self::Command,
        _refusal: &Self::Refusal,
    ) -> Result<Option<RefusalReply>, serde_json::Error> {
        Ok(None)
    }
    /// Updates of the list projections after these events, which are already folded.
    fn projections(&self, tenant: &TenantId, id: &AggregateId, events: &[Self::Event], now: Time)
    -> Vec<ProjectionRow>;
}

/// The reply to the sender of a refused command.
pub struct RefusalReply {
    to: AggregateId,
    payload: Vec<u8>,
}

/// An inbox item that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedItem {
    pub item: i64,
    pub code: &'static str,
    pub message: String,
}

#[derive(Serialize, Deserialize)]
struct AggregateEntry<E> {
    at: Time,
    events: Vec<E>,
}

/// One aggregate and the right of this process to move it. Like [`RunOwner`](crate::owner::RunOwner), it does no IO: it
/// returns what must be written, and the driver appends that before the next decision.
pub struct AggregateOwner<P> {
    state: P,
    id: AggregateId,
    tenant: TenantId,
    ownership: Ownership,
    seq: u64,
    inbox_seen: i64,
    /// Not earlier than the last entry.
    now: Time,
    time: AggregateClock,
    since_snapshot: (u64, usize),
    snapshot_bytes: usize,
}

/// An append, and what is published once it is durable.
pub struct AggregateAppend {
    pub append: JournalAppend,
    pub refused: Vec<RefusedItem>,
}

impl<P: Aggregate> AggregateOwner<P> {
    /// Folds the claimed aggregate.
    pub fn claimed(id: RunId, claimed: &ClaimedAggregate, clock: ClockReading) -> Result<Self, EngineError> {
        let mut it = match &claimed.snapshot {
            Some(snapshot) => serde_json::from_slice::<P>(&snapshot.state)?,
            None => P::default(),
        };
        let mut now = Time::EPOCH;
        for entry in &claimed.tail {
            let entry: AggregateEntry<P::Event> = serde_json::from_slice(entry)?;
            now = entry.at;
            entry.events.iter().for_each(|event| it.apply(entry.at, event));
        }
        let now = claimed.last_at.map_or(now, |at| at.max(now));
        let time = AggregateClock::resumed(now, it.wake_at(), claimed.wake_at, clock);
        let bytes = claimed.tail.iter().map(|entry| entry.len()).sum();
        Ok(Self {
            state: it,
            id,
            tenant: claimed.tenant.clone(),
            ownership: claimed.ownership,
            seq: claimed.seq,
            inbox_seen: 0,
            now,
            time,
            since_snapshot: (claimed.tail.len() as u64, bytes),
            snapshot_bytes: claimed.snapshot.as_ref().map_or(0, |snapshot| snapshot.state.len()),
        })
    }

    /// The state after all decisions so far.
    pub fn state(&self) -> &P {
        &self.state
    }

    /// Sequence number of the last entry that was handed out.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    pub fn ownership(&self) -> Ownership {
        self.ownership
    }

    /// The newest inbox item that was decided.
    pub fn inbox_seen(&self) -> i64 {
        self.inbox_seen
    }

    /// Time until the next timer; `None` if there is no timer.
    pub fn time_until_wake(&self, now: ClockReading) -> Option<Duration> {
        self.state.wake_at().map(|at| at.since(self.time.read(now)))
    }

    /// The instant of the next wake-up, in wall-clock time.
    pub fn wakes_at(&self) -> Option<Time> {
        self.state.wake_at().map(|at| self.time.to_wall(at))
    }

    /// Whether the aggregate may be released until something happens.
    pub fn will_sleep(&self, now: ClockReading, options: &EngineOptions) -> bool {
        self.time_until_wake(now).is_none_or(|left| left > options.keep_awake)
    }

    /// Decides the first of these items and any due timers. Returns `None` if there is nothing to write.
    pub fn decide(
        &mut self,
        items: &mut Vec<InboxItem>,
        clock: ClockReading,
        options: &EngineOptions,
    ) -> Result<Option<AggregateAppend>, EngineError> {
        let now = self.time.advance(clock).max(self.now);
        let (mut events, mut done, mut refused, mut answers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for item in items.drain(..items.len().min(ITEMS_MAX)) {
            if item.item <= self.inbox_seen {
                continue;
            }
            self.inbox_seen = item.item;
            done.push(item.item);
            let command = match serde_json::from_slice::<P::Command>(&item.payload) {
                Ok(command) => command,
                Err(error) => {
                    let message = format!("the item cannot be read: {error}");
                    refused.push(RefusedItem { item: item.item, code: UNREADABLE, message });
                    continue;
                }
            };
            match self.state.decide(command, now) {
                Ok(decided) => events.extend(decided),
                Err(refusal) => {
                    answers.extend(self.refusal_message(&item, &refusal, now)?);
                    let (code, message) = (P::refusal_code(&refusal), refusal.to_string());
                    refused.push(RefusedItem { item: item.item, code, message });
                }
            }
        }
        events.extend(self.state.decide(P::wake_command(), now).unwrap_or_default());
        if events.is_empty() && done.is_empty() {
            return Ok(None);
        }
        let mut append = self.build_append(events, done, items.is_empty(), (now, clock), options)?;
        append.outbox.extend(answers);
        Ok(Some(AggregateAppend { append, refused }))
    }

    /// The message to the sender of a refused item. Its id is derived from the item.
    fn refusal_message(
        &self,
        item: &InboxItem,
        refusal: &P::Refusal,
        now: Time,
    ) -> Result<Option<InboxSubmission>, EngineError> {
        let answer = P::refusal_reply(serde_json::from_slice(&item.payload)?, refusal)?;
        Ok(answer.map(|RefusalReply { to, payload }| InboxSubmission {
            aggregate: to,
            tenant: self.tenant.clone(),
            command_id: format!("{}/refused/{}", self.id, item.item),
            payload: payload.into(),
            at: now,
            creates: None,
        }))
    }

    fn build_append(
        &mut self,
        events: Vec<P::Event>,
        inbox_done: Vec<i64>,
        is_last: bool,
        (now, clock): (Time, ClockReading),
        options: &EngineOptions,
    ) -> Result<JournalAppend, EngineError> {
        let outbox = self.state.messages(&self.tenant, &self.id, &events, now)?;
        let projections = match events.is_empty() {
            true => Vec::new(),
            false => self.state.projections(&self.tenant, &self.id, &events, now),
        };
        // A refused item leaves no entry.
        let is_recorded = !events.is_empty();
        let (mut entry, mut snapshot) = (None, None);
        if is_recorded {
            let bytes = serde_json::to_vec(&AggregateEntry { at: now, events })?;
            self.now = now;
            self.since_snapshot.0 += 1;
            self.since_snapshot.1 += bytes.len();
            entry = Some(bytes.into());
            snapshot = self.snapshot_if_due(options)?;
        }
        let append = JournalAppend {
            ownership: self.ownership,
            aggregate: self.id.clone(),
            tenant: self.tenant.clone(),
            expected_seq: self.seq,
            at: now,
            entry,
            wake_at: self.wakes_at(),
            release: is_last && self.will_sleep(clock, options),
            head: None,
            inbox_done,
            outbox,
            projections,
            audit: Vec::new(),
            spends: Vec::new(),
            snapshot,
        };
        self.seq += u64::from(is_recorded);
        Ok(append)
    }

    /// As for runs: a snapshot is worth its size once that many bytes were journaled since the last one.
    fn snapshot_if_due(&mut self, options: &EngineOptions) -> Result<Option<StateSnapshot>, EngineError> {
        let (entries, bytes) = self.since_snapshot;
        if entries < options.snapshot_entries || bytes < self.snapshot_bytes {
            return Ok(None);
        }
        let state = serde_json::to_vec(&self.state)?;
        self.since_snapshot = (0, 0);
        self.snapshot_bytes = state.len();
        Ok(Some(StateSnapshot { fold_version: FOLD_VERSION, seq: self.seq + 1, state: state.into() }))
    }
}

#[cfg(test)]
mod tests;
