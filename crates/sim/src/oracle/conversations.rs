//! Conversations and their routing queue: every acknowledged message is in the journal, and is handled once and in
//! order; there is one owner at any time; waiting conversations are assigned to people who are available and qualified;
//! no person exceeds their capacity; and the steps of an escalation chain are taken once. All of this is judged from
//! their journals, the acknowledgements, and the journals of their runs.

mod routing;
mod transcript;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use baton_core::conversation::{self, Conversation, ConversationCommand};
use baton_core::id::RunId;
use baton_core::routing::{RoutingEntry, RoutingQueue};
use baton_core::run::RunEvent;
use baton_engine::aggregate::routing_queue_id;
use baton_ports::journal::{InboxItem, InboxSubmission, JournalAppend, Ownership};

use super::{PromiseViolation, RunHistory, violation};
use crate::aggregate_task::folded;
use crate::conversation_plan;
use crate::fake::FakeJournal;
use crate::simulation::tenant;

use routing::SimRoutingOracle;
use transcript::TranscriptOracle;

/// The holder of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConversationHolder {
    Ai,
    /// Waiting for a human agent of the routing queue.
    Waiting,
    Person(String),
    Closed,
}

/// The durable entries of conversations and their routing queue.
#[derive(Debug, Default)]
pub struct ConversationOracle {
    journals: BTreeMap<RunId, OracleJournal>,
    transcripts: BTreeMap<RunId, TranscriptOracle>,
    routing: SimRoutingOracle,
    desk: Option<RunId>,
}

/// One journal of any aggregate.
#[derive(Debug, Default)]
struct OracleJournal {
    entries: Vec<Arc<[u8]>>,
    owner: Option<Ownership>,
    at: baton_core::time::Time,
    consumed: BTreeSet<i64>,
}

impl ConversationOracle {
    pub fn new(drawn: Option<&conversation_plan::ConversationPlan>) -> Self {
        let Some(drawn) = drawn else { return Self::default() };
        let desk = routing_queue_id(&tenant());
        let ids: Vec<RunId> = drawn.conversations.iter().map(|begun| begun.conversation.clone()).collect();
        Self {
            journals: ids.iter().chain([&desk]).map(|id| (id.clone(), OracleJournal::default())).collect(),
            transcripts: ids.iter().map(|id| (id.clone(), TranscriptOracle::new(id.clone()))).collect(),
            routing: SimRoutingOracle::new(drawn.settings.clone()),
            desk: Some(desk),
        }
    }

    /// Whether this is a conversation or a routing queue, not a run.
    pub fn contains(&self, id: &RunId) -> bool {
        self.journals.contains_key(id)
    }

    /// The conversation that a run answers.
    pub fn conversation_of(&self, run: &RunId) -> Option<RunId> {
        let (conversation, _) = run.as_str().split_once('.')?;
        self.transcripts.get_key_value(&RunId::from(conversation)).map(|(id, _)| id.clone())
    }

    pub fn claimed(&mut self, id: &RunId, ownership: Ownership) {
        if let Some(stream) = self.journals.get_mut(id) {
            stream.owner = Some(ownership);
        }
    }

    pub fn released(&mut self, id: &RunId, ownership: Ownership) {
        if let Some(stream) = self.journals.get_mut(id) {
            stream.owner.take_if(|owner| *owner == ownership);
        }
    }

    pub fn is_owner(&self, id: &RunId, ownership: &Ownership) -> bool {
        self.journals.get(id).is_some_and(|stream| stream.owner == Some(*ownership))
    }

    /// A submission was acknowledged: it is in the inbox.
    pub fn accepted(&mut self, submit: &InboxSubmission) {
        let Some(words) = self.transcripts.get_mut(&submit.aggregate) else { return };
        if let Ok(ConversationCommand::Message(message)) = serde_json::from_slice(&submit.payload) {
            words.accepted(message);
        }
    }

    pub fn committed(&mut self, append: &JournalAppend, taken: &[InboxItem]) -> Result<(), PromiseViolation> {
        let id = &append.aggregate;
        let Some(stream) = self.journals.get_mut(id) else { return Ok(()) };
        if stream.owner != Some(append.ownership) {
            let epoch = append.ownership.epoch;
            return violation(
                "fence",
                format!("`{id}` took an append of epoch {epoch}, and {:?} owns it", stream.owner),
            );
        }
        if stream.at > append.at {
            return violation("time", format!("`{id}` went back from {} to {}", stream.at, append.at));
        }
        if let Some(item) = taken.iter().find(|item| !stream.consumed.insert(item.item)) {
            return violation("inbox", format!("`{id}` consumed item {} twice", item.item));
        }
        if append.release {
            stream.owner = None;
        }
        let Some(entry) = &append.entry else { return Ok(()) };
        stream.at = append.at;
        stream.entries.push(entry.clone());
        let unreadable = |error| violation("codec", format!("an entry of `{id}` cannot be read back: {error}"));
        let empty =
            |id: &RunId| violation("empty entry", format!("`{id}` recorded an entry in which nothing happened"));
        match self.transcripts.get_mut(id) {
            Some(words) => match serde_json::from_slice::<conversation::ConversationEntry>(entry) {
                Ok(entry) if entry.events.is_empty() => empty(id),
                Ok(entry) => words.recorded(entry),
                Err(error) => unreadable(error),
            },
            None => match serde_json::from_slice::<RoutingEntry>(entry) {
                Ok(entry) if entry.events.is_empty() => empty(id),
                Ok(entry) => self.routing.recorded(&entry),
                Err(error) => unreadable(error),
            },
        }
    }

    /// Checks that the state of an owner at this entry is the fold of all entries.
    pub fn check_fold(
        &self,
        id: &RunId,
        seq: u64,
        state: Result<String, serde_json::Error>,
    ) -> Result<(), PromiseViolation> {
        let Some(stream) = self.journals.get(id).filter(|stream| stream.entries.len() as u64 == seq) else {
            return Ok(());
        };
        let folded = match self.transcripts.contains_key(id) {
            true => folded::<Conversation>(
                &stream
                    .read::<conversation::ConversationEntry>()
                    .map(|entry| (entry.at, entry.events))
                    .collect::<Vec<_>>(),
            ),
            false => folded::<RoutingQueue>(
                &stream.read::<RoutingEntry>().map(|entry| (entry.at, entry.events)).collect::<Vec<_>>(),
            ),
        };
        match (folded, state) {
            (Ok(ours), Ok(theirs)) if ours == theirs => Ok(()),
            (Ok(ours), Ok(theirs)) => {
                violation("fold", format!("`{id}` holds\n{theirs}\nand its journal folds to\n{ours}"))
            }
            (Err(error), _) | (_, Err(error)) => violation("codec", format!("a state cannot be written: {error}")),
        }
    }

    /// The events of a conversation's last entry.
    pub fn last_entry(&self, id: &RunId) -> Vec<conversation::ConversationEvent> {
        self.transcripts.get(id).map(|words| words.last.clone()).unwrap_or_default()
    }

    pub fn events(&self) -> impl Iterator<Item = conversation::ConversationEvent> {
        let streams = self.journals.iter().filter(|(id, _)| self.transcripts.contains_key(*id));
        streams.flat_map(|(_, stream)| stream.read::<conversation::ConversationEntry>()).flat_map(|entry| entry.events)
    }

    pub fn desk_events(&self) -> impl Iterator<Item = baton_core::routing::RoutingEvent> {
        let stream = self.desk.as_ref().and_then(|desk| self.journals.get(desk));
        stream.into_iter().flat_map(OracleJournal::read::<RoutingEntry>).flat_map(|entry| entry.events)
    }

    /// The current holder of a conversation.
    pub fn standing(&self, id: &RunId) -> Option<ConversationHolder> {
        self.transcripts.get(id).map(TranscriptOracle::standing)
    }

    /// Whether something must still happen to this aggregate.
    pub fn is_open(&self, id: &RunId) -> bool {
        match self.transcripts.get(id) {
            Some(words) => words.is_open(),
            None => self.routing.is_open(),
        }
    }

    /// While nothing is in flight, the routing queue and each conversation agree on the holder.
    pub fn check_agreement(&self, books: &FakeJournal) -> Result<(), PromiseViolation> {
        if books.names().any(|id| books.inbox_len(id) > 0 || books.owner(id).is_some()) {
            return Ok(());
        }
        for (id, words) in &self.transcripts {
            let (ours, theirs) = (words.routing_ticket(), self.routing.ticket_of(id));
            if ours != theirs {
                return violation(
                    "agreement",
                    format!("`{id}` says of its place at the desk {ours:?}, the desk {theirs:?}"),
                );
            }
        }
        Ok(())
    }

    pub fn verdict(&self, books: &FakeJournal, runs: &BTreeMap<RunId, RunHistory>) -> Result<(), PromiseViolation> {
        for (id, stream) in &self.journals {
            if books.inbox_len(id) > 0 || stream.consumed.len() as i64 != books.items_received(id) {
                return violation("inbox", format!("`{id}` left items in its inbox"));
            }
        }
        self.check_agreement(books)?;
        for words in self.transcripts.values() {
            words.verdict()?;
            words.check_deliveries(|run, sequence| {
                runs.get(run).is_some_and(|history| was_delivered(history, &words.id, sequence))
            })?;
        }
        Ok(())
    }
}

/// Whether a run's journal says that it received this message; 0 is the one that it began with.
fn was_delivered(history: &RunHistory, conversation: &RunId, sequence: u64) -> bool {
    history.events().any(|event| match event {
        RunEvent::Started(_) => sequence == 0,
        RunEvent::SignalKept { signal } | RunEvent::SignalHeld { signal, .. } => {
            signal.source == conversation.as_str() && signal.sequence == Some(sequence)
        }
        _ => false,
    })
}

impl OracleJournal {
    fn read<E: serde::de::DeserializeOwned>(&self) -> impl Iterator<Item = E> {
        self.entries.iter().filter_map(|entry| serde_json::from_slice(entry).ok())
    }
}
