//! The state of the routing queue, folded from its events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::HEARTBEAT_DIVISOR;
use super::index::RoutingIndex;
use super::person::HumanAgent;
use super::routed_conversation::RoutedConversation;
use super::settings::RoutingSettings;
use crate::id::{PersonId, RunId};
use crate::time::Time;

/// One tenant's routing queue. Folding its events again gives an equal state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "RoutingSnapshot", into = "RoutingSnapshot")]
pub struct RoutingQueue {
    pub(super) kept: RoutingSnapshot,
    pub(super) index: RoutingIndex,
}

/// The part that a snapshot stores; the index is rebuilt from it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct RoutingSnapshot {
    /// Time of the newest event.
    pub now: Time,
    pub settings: RoutingSettings,
    pub people: BTreeMap<PersonId, HumanAgent>,
    pub cases: BTreeMap<RunId, RoutedConversation>,
}

impl RoutingQueue {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn settings(&self) -> &RoutingSettings {
        &self.kept.settings
    }

    /// Returns all people, by id.
    pub fn people(&self) -> impl ExactSizeIterator<Item = &HumanAgent> {
        self.kept.people.values()
    }

    pub fn person(&self, id: &PersonId) -> Option<&HumanAgent> {
        self.kept.people.get(id)
    }

    /// Returns whether their activity now must be recorded as a sign of life.
    pub fn needs_heartbeat(&self, id: &PersonId, now: Time) -> bool {
        let part = self.kept.settings.unheard_after / HEARTBEAT_DIVISOR;
        self.person(id).is_some_and(|person| now.since(person.heard_at) >= part)
    }

    /// Returns all conversations, by id, waiting or assigned.
    pub fn conversations(&self) -> impl ExactSizeIterator<Item = &RoutedConversation> {
        self.kept.cases.values()
    }

    pub fn conversation(&self, conversation: &RunId) -> Option<&RoutedConversation> {
        self.kept.cases.get(conversation)
    }

    /// Returns when it must be woken if nothing happens before.
    pub fn wake_at(&self) -> Option<Time> {
        let case = self.index.steps.first().map(|(at, _)| *at);
        let person = self.index.unheard.first().map(|(at, _)| *at);
        case.into_iter().chain(person).min()
    }
}

impl From<RoutingSnapshot> for RoutingQueue {
    fn from(kept: RoutingSnapshot) -> Self {
        let index = RoutingIndex::of(&kept);
        Self { kept, index }
    }
}

impl From<RoutingQueue> for RoutingSnapshot {
    fn from(desk: RoutingQueue) -> Self {
        desk.kept
    }
}
