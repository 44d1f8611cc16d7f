//! The desk as its events made it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::HEARD_PART;
use super::case::Case;
use super::index::Index;
use super::person::Person;
use super::settings::Settings;
use crate::id::{PersonId, RunId};
use crate::time::Time;

/// One tenant's desk. It is what its events made it; a copy of them folded anew is equal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Kept", into = "Kept")]
pub struct Desk {
    pub(super) kept: Kept,
    pub(super) index: Index,
}

/// What a snapshot keeps; the index is made of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Of the newest event.
    pub now: Time,
    pub settings: Settings,
    pub people: BTreeMap<PersonId, Person>,
    pub cases: BTreeMap<RunId, Case>,
}

impl Desk {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn settings(&self) -> &Settings {
        &self.kept.settings
    }

    /// By their ids.
    pub fn people(&self) -> impl ExactSizeIterator<Item = &Person> {
        self.kept.people.values()
    }

    pub fn person(&self, id: &PersonId) -> Option<&Person> {
        self.kept.people.get(id)
    }

    /// Whether what they do now is to be written down as a sign of life.
    pub fn should_hear(&self, id: &PersonId, now: Time) -> bool {
        let part = self.kept.settings.unheard_after / HEARD_PART;
        self.person(id).is_some_and(|person| now.since(person.heard_at) >= part)
    }

    /// By their ids, waiting or with somebody.
    pub fn cases(&self) -> impl ExactSizeIterator<Item = &Case> {
        self.kept.cases.values()
    }

    pub fn case(&self, conversation: &RunId) -> Option<&Case> {
        self.kept.cases.get(conversation)
    }

    /// When it must be told that time has passed, if nothing happens before.
    pub fn wake_at(&self) -> Option<Time> {
        let case = self.index.steps.first().map(|(at, _)| *at);
        let person = self.index.unheard.first().map(|(at, _)| *at);
        case.into_iter().chain(person).min()
    }
}

impl From<Kept> for Desk {
    fn from(kept: Kept) -> Self {
        let index = Index::of(&kept);
        Self { kept, index }
    }
}

impl From<Desk> for Kept {
    fn from(desk: Desk) -> Self {
        desk.kept
    }
}
