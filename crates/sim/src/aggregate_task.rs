//! An awake conversation or routing queue of a simulated process: the state that the engine's shell holds of one,
//! without its thread.

use std::time::Duration;

use baton_core::conversation::Conversation;
use baton_core::id::RunId;
use baton_core::routing::RoutingQueue;
use baton_core::time::Time;
use baton_engine::EngineOptions;
use baton_engine::aggregate::{Aggregate, AggregateAppend, AggregateOwner};
use baton_engine::aggregate_clock::ClockReading;
use baton_engine::owner::OwnerOutput;
use baton_ports::journal::{AggregateKind, ClaimedAggregate, InboxItem, Ownership};

use crate::process::PendingEntry;

/// The aggregate and its owner.
pub enum SimAggregate {
    Conversation(Box<AggregateOwner<Conversation>>),
    Desk(Box<AggregateOwner<RoutingQueue>>),
}

pub struct SimAggregateTask {
    pub number: u64,
    pub aggregate: SimAggregate,
    /// Read from the inbox, and not decided yet.
    pub items: Vec<InboxItem>,
    /// It was woken while its append was in flight.
    pub was_woken: bool,
    pub wake_at: Option<Time>,
    pub pending_append: Option<PendingEntry>,
    /// It has decided, and has not learned the result of the append yet, sent or not.
    pub is_writing: bool,
    /// It was told that an entry is durable.
    pub has_recorded: bool,
    /// The items that the append in flight refuses, the runs to announce, and whether it releases the aggregate.
    follow_up: AppendFollowUp,
}

#[derive(Default)]
struct AppendFollowUp {
    refused: Vec<i64>,
    announce: Vec<RunId>,
    released: bool,
}

impl SimAggregateTask {
    pub fn new(
        number: u64,
        id: &RunId,
        claimed: &ClaimedAggregate,
        now: ClockReading,
    ) -> Result<Option<Self>, baton_engine::EngineError> {
        let kept = match claimed.kind {
            AggregateKind::Run => return Ok(None),
            AggregateKind::Conversation => {
                SimAggregate::Conversation(Box::new(AggregateOwner::claimed(id.clone(), claimed, now)?))
            }
            AggregateKind::Desk => SimAggregate::Desk(Box::new(AggregateOwner::claimed(id.clone(), claimed, now)?)),
        };
        Ok(Some(Self {
            number,
            aggregate: kept,
            items: claimed.inbox.clone(),
            was_woken: false,
            wake_at: None,
            pending_append: None,
            is_writing: false,
            has_recorded: false,
            follow_up: AppendFollowUp::default(),
        }))
    }

    /// Decides the items that were read, as the engine's shell does.
    pub fn decide_next(
        &mut self,
        now: ClockReading,
        options: &EngineOptions,
    ) -> Result<Vec<OwnerOutput>, baton_engine::EngineError> {
        let Some(AggregateAppend { append, refused }) = self.aggregate.decide(&mut self.items, now, options)? else {
            let output = match self.aggregate.will_sleep(now, options) {
                true => Some(OwnerOutput::Release { wake_at: self.aggregate.release_wake_at() }),
                false => self.aggregate.wake_at().map(OwnerOutput::WakeAt),
            };
            return Ok(output.into_iter().collect());
        };
        self.follow_up = AppendFollowUp {
            refused: refused.iter().map(|refused| refused.item).collect(),
            announce: append.outbox.iter().map(|submit| submit.aggregate.clone()).collect(),
            released: append.release,
        };
        self.is_writing = true;
        Ok(vec![OwnerOutput::Append(Box::new(append))])
    }

    /// Items that the append in flight refuses.
    pub fn refused_items(&self) -> &[i64] {
        &self.follow_up.refused
    }

    /// Its append is durable.
    pub fn appended(
        &mut self,
        now: ClockReading,
        options: &EngineOptions,
    ) -> Result<Vec<OwnerOutput>, baton_engine::EngineError> {
        (self.is_writing, self.has_recorded) = (false, true);
        let AppendFollowUp { announce, released, .. } = std::mem::take(&mut self.follow_up);
        let mut outputs: Vec<OwnerOutput> = announce.into_iter().map(OwnerOutput::Announce).collect();
        match released {
            true => outputs.push(OwnerOutput::Released),
            false => outputs.extend(self.decide_next(now, options)?),
        }
        Ok(outputs)
    }
}

impl SimAggregate {
    /// Its name in the coverage table.
    pub fn row(&self) -> &'static str {
        match self {
            Self::Conversation(_) => "conversation",
            Self::Desk(_) => "desk",
        }
    }

    pub fn ownership(&self) -> Ownership {
        match self {
            Self::Conversation(owner) => owner.ownership(),
            Self::Desk(owner) => owner.ownership(),
        }
    }

    pub fn last_seen_item(&self) -> i64 {
        match self {
            Self::Conversation(owner) => owner.inbox_seen(),
            Self::Desk(owner) => owner.inbox_seen(),
        }
    }

    /// Number of the last entry that was handed out, and the state after it.
    pub fn state(&self) -> (u64, Result<String, serde_json::Error>) {
        match self {
            Self::Conversation(owner) => (owner.seq(), serde_json::to_string(owner.state())),
            Self::Desk(owner) => (owner.seq(), serde_json::to_string(owner.state())),
        }
    }

    fn wake_at(&self) -> Option<Time> {
        match self {
            Self::Conversation(owner) => Aggregate::wake_at(owner.state()),
            Self::Desk(owner) => Aggregate::wake_at(owner.state()),
        }
    }

    fn release_wake_at(&self) -> Option<Time> {
        match self {
            Self::Conversation(owner) => owner.wakes_at(),
            Self::Desk(owner) => owner.wakes_at(),
        }
    }

    /// The time until its next timer.
    pub fn time_left(&self, now: ClockReading) -> Option<Duration> {
        match self {
            Self::Conversation(owner) => owner.time_until_wake(now),
            Self::Desk(owner) => owner.time_until_wake(now),
        }
    }

    fn will_sleep(&self, now: ClockReading, options: &EngineOptions) -> bool {
        match self {
            Self::Conversation(owner) => owner.will_sleep(now, options),
            Self::Desk(owner) => owner.will_sleep(now, options),
        }
    }

    fn decide(
        &mut self,
        items: &mut Vec<InboxItem>,
        now: ClockReading,
        options: &EngineOptions,
    ) -> Result<Option<AggregateAppend>, baton_engine::EngineError> {
        match self {
            Self::Conversation(owner) => owner.decide(items, now, options),
            Self::Desk(owner) => owner.decide(items, now, options),
        }
    }
}

/// The state that these entries fold to, as text.
pub fn folded<P: Aggregate>(entries: &[(Time, Vec<P::Event>)]) -> Result<String, serde_json::Error> {
    let mut it = P::default();
    for (at, events) in entries {
        events.iter().for_each(|event| it.apply(*at, event));
    }
    serde_json::to_string(&it)
}
