//! Conversations and their desk: every message that was acknowledged is in the journal, is handled once and in its order;
//! one owner speaks at any time; what waits is given to whoever is free and able, nobody has more than they may, and a
//! chain's steps are taken once. From their journals, what was acknowledged, and the journals of their runs.

mod desk;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use baton_core::conversation::{self, Command, Conversation};
use baton_core::desk::{Desk, Entry as DeskEntry};
use baton_core::id::RunId;
use baton_core::run::Event as RunEvent;
use baton_engine::plain::desk_of;
use baton_ports::journal::{Append, InboxItem, Ownership, Submit};

use super::{Chronicle, Violation, broken};
use crate::fake::Books;
use crate::keeping::folded;
use crate::simulation::tenant;
use crate::talks;

use desk::Line;
use words::Words;

/// Who has a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Ais,
    /// Of a person of the desk's.
    Waits,
    Persons(String),
    Over,
}

/// What became durable of conversations and their desk.
#[derive(Debug, Default)]
pub struct Talks {
    streams: BTreeMap<RunId, Stream>,
    words: BTreeMap<RunId, Words>,
    line: Line,
    desk: Option<RunId>,
}

/// One journal, whosever.
#[derive(Debug, Default)]
struct Stream {
    entries: Vec<Arc<[u8]>>,
    owner: Option<Ownership>,
    at: baton_core::time::Time,
    consumed: BTreeSet<i64>,
}

impl Talks {
    pub fn new(drawn: Option<&talks::Talks>) -> Self {
        let Some(drawn) = drawn else { return Self::default() };
        let desk = desk_of(&tenant());
        let ids: Vec<RunId> = drawn.conversations.iter().map(|begun| begun.conversation.clone()).collect();
        Self {
            streams: ids.iter().chain([&desk]).map(|id| (id.clone(), Stream::default())).collect(),
            words: ids.iter().map(|id| (id.clone(), Words::new(id.clone()))).collect(),
            line: Line::new(drawn.settings.clone()),
            desk: Some(desk),
        }
    }

    /// Whether this is a conversation or a desk, and no run.
    pub fn has(&self, id: &RunId) -> bool {
        self.streams.contains_key(id)
    }

    /// The conversation that a run thinks about.
    pub fn of_run(&self, run: &RunId) -> Option<RunId> {
        let (conversation, _) = run.as_str().split_once('.')?;
        self.words.get_key_value(&RunId::from(conversation)).map(|(id, _)| id.clone())
    }

    pub fn claimed(&mut self, id: &RunId, ownership: Ownership) {
        if let Some(stream) = self.streams.get_mut(id) {
            stream.owner = Some(ownership);
        }
    }

    pub fn released(&mut self, id: &RunId, ownership: Ownership) {
        if let Some(stream) = self.streams.get_mut(id) {
            stream.owner.take_if(|owner| *owner == ownership);
        }
    }

    pub fn is_owner(&self, id: &RunId, ownership: &Ownership) -> bool {
        self.streams.get(id).is_some_and(|stream| stream.owner == Some(*ownership))
    }

    /// Somebody was told that this is in the inbox.
    pub fn accepted(&mut self, submit: &Submit) {
        let Some(words) = self.words.get_mut(&submit.aggregate) else { return };
        if let Ok(Command::Message(message)) = serde_json::from_slice(&submit.payload) {
            words.accepted(message);
        }
    }

    pub fn committed(&mut self, append: &Append, taken: &[InboxItem]) -> Result<(), Violation> {
        let id = &append.aggregate;
        let Some(stream) = self.streams.get_mut(id) else { return Ok(()) };
        if stream.owner != Some(append.ownership) {
            let epoch = append.ownership.epoch;
            return broken("fence", format!("`{id}` took an append of epoch {epoch}, and {:?} owns it", stream.owner));
        }
        if stream.at > append.at {
            return broken("time", format!("`{id}` went back from {} to {}", stream.at, append.at));
        }
        if let Some(item) = taken.iter().find(|item| !stream.consumed.insert(item.item)) {
            return broken("inbox", format!("`{id}` consumed item {} twice", item.item));
        }
        if append.release {
            stream.owner = None;
        }
        let Some(entry) = &append.entry else { return Ok(()) };
        stream.at = append.at;
        stream.entries.push(entry.clone());
        let unreadable = |error| broken("codec", format!("an entry of `{id}` cannot be read back: {error}"));
        let empty = |id: &RunId| broken("empty entry", format!("`{id}` recorded an entry in which nothing happened"));
        match self.words.get_mut(id) {
            Some(words) => match serde_json::from_slice::<conversation::Entry>(entry) {
                Ok(entry) if entry.events.is_empty() => empty(id),
                Ok(entry) => words.recorded(entry),
                Err(error) => unreadable(error),
            },
            None => match serde_json::from_slice::<DeskEntry>(entry) {
                Ok(entry) if entry.events.is_empty() => empty(id),
                Ok(entry) => self.line.recorded(&entry),
                Err(error) => unreadable(error),
            },
        }
    }

    /// What somebody holds who is at this entry is what all of them fold to.
    pub fn folded(&self, id: &RunId, seq: u64, state: Result<String, serde_json::Error>) -> Result<(), Violation> {
        let Some(stream) = self.streams.get(id).filter(|stream| stream.entries.len() as u64 == seq) else {
            return Ok(());
        };
        let folded = match self.words.contains_key(id) {
            true => folded::<Conversation>(
                &stream.read::<conversation::Entry>().map(|entry| (entry.at, entry.events)).collect::<Vec<_>>(),
            ),
            false => {
                folded::<Desk>(&stream.read::<DeskEntry>().map(|entry| (entry.at, entry.events)).collect::<Vec<_>>())
            }
        };
        match (folded, state) {
            (Ok(ours), Ok(theirs)) if ours == theirs => Ok(()),
            (Ok(ours), Ok(theirs)) => {
                broken("fold", format!("`{id}` holds\n{theirs}\nand its journal folds to\n{ours}"))
            }
            (Err(error), _) | (_, Err(error)) => broken("codec", format!("a state cannot be written: {error}")),
        }
    }

    /// What the last entry of a conversation says.
    pub fn last(&self, id: &RunId) -> Vec<conversation::Event> {
        self.words.get(id).map(|words| words.last.clone()).unwrap_or_default()
    }

    pub fn events(&self) -> impl Iterator<Item = conversation::Event> {
        let streams = self.streams.iter().filter(|(id, _)| self.words.contains_key(*id));
        streams.flat_map(|(_, stream)| stream.read::<conversation::Entry>()).flat_map(|entry| entry.events)
    }

    pub fn desk_events(&self) -> impl Iterator<Item = baton_core::desk::Event> {
        let stream = self.desk.as_ref().and_then(|desk| self.streams.get(desk));
        stream.into_iter().flat_map(Stream::read::<DeskEntry>).flat_map(|entry| entry.events)
    }

    /// Who has a conversation now.
    pub fn standing(&self, id: &RunId) -> Option<Standing> {
        self.words.get(id).map(Words::standing)
    }

    /// Whether something is to happen to this one still.
    pub fn is_open(&self, id: &RunId) -> bool {
        match self.words.get(id) {
            Some(words) => words.is_open(),
            None => self.line.is_open(),
        }
    }

    /// While nothing is on its way, the desk and each conversation say the same of who has it.
    pub fn agree(&self, books: &Books) -> Result<(), Violation> {
        if books.names().any(|id| books.left_in_inbox(id) > 0 || books.owner(id).is_some()) {
            return Ok(());
        }
        for (id, words) in &self.words {
            let (ours, theirs) = (words.at_desk(), self.line.of(id));
            if ours != theirs {
                return broken(
                    "agreement",
                    format!("`{id}` says of its place at the desk {ours:?}, the desk {theirs:?}"),
                );
            }
        }
        Ok(())
    }

    pub fn verdict(&self, books: &Books, runs: &BTreeMap<RunId, Chronicle>) -> Result<(), Violation> {
        for (id, stream) in &self.streams {
            if books.left_in_inbox(id) > 0 || stream.consumed.len() as i64 != books.filed(id) {
                return broken("inbox", format!("`{id}` left items in its inbox"));
            }
        }
        self.agree(books)?;
        for words in self.words.values() {
            words.verdict()?;
            words.taken(|run, sequence| {
                runs.get(run).is_some_and(|chronicle| has_arrived(chronicle, &words.id, sequence))
            })?;
        }
        Ok(())
    }
}

/// Whether a run's journal says that it was handed this message; 0 is what it began with.
fn has_arrived(chronicle: &Chronicle, conversation: &RunId, sequence: u64) -> bool {
    chronicle.events().any(|event| match event {
        RunEvent::Started(_) => sequence == 0,
        RunEvent::SignalKept { signal } | RunEvent::SignalHeld { signal, .. } => {
            signal.source == conversation.as_str() && signal.sequence == Some(sequence)
        }
        _ => false,
    })
}

impl Stream {
    fn read<E: serde::de::DeserializeOwned>(&self) -> impl Iterator<Item = E> {
        self.entries.iter().filter_map(|entry| serde_json::from_slice(entry).ok())
    }
}
