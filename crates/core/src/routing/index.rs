//! Indexes for frequent queries of the routing queue.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::person::{HumanAgent, Presence};
use super::routed_conversation::{QueuePosition, RoutedConversation, RoutingRequirements};
use super::settings::RoutingSettings;
use super::state::{RoutingQueue, RoutingSnapshot};
use crate::id::{PersonId, RunId};
use crate::time::Time;

/// Contains only data derived from the people and the conversations.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RoutingIndex {
    /// Waiting conversations in order.
    pub line: BTreeSet<QueuePosition>,
    /// The same, by requirements.
    pub lines: BTreeMap<Arc<RoutingRequirements>, BTreeSet<QueuePosition>>,
    /// Assignable people: those with the fewest conversations first, then those idle longest.
    pub free: BTreeSet<(u32, Time, PersonId)>,
    /// When a conversation's next step is due.
    pub steps: BTreeSet<(Time, RunId)>,
    /// When a person without a sign of life is taken to be offline.
    pub unheard: BTreeSet<(Time, PersonId)>,
    /// People by e-mail address, in lower case.
    pub emails: BTreeMap<String, PersonId>,
}

impl RoutingIndex {
    pub fn of(kept: &RoutingSnapshot) -> Self {
        let mut index = Self::default();
        kept.people.values().for_each(|person| index.add_person(person, &kept.settings));
        kept.cases.values().for_each(|case| index.add_conversation(case, &kept.settings));
        index
    }

    fn add_person(&mut self, person: &HumanAgent, settings: &RoutingSettings) {
        let id = || person.profile.id.clone();
        self.emails.insert(person.profile.email.to_lowercase(), id());
        if person.is_assignable() {
            self.free.insert((person.load(), person.idle_since, id()));
        }
        if person.presence != Presence::Offline {
            self.unheard.insert((person.heard_at + settings.unheard_after, id()));
        }
    }

    fn remove_person(&mut self, person: &HumanAgent, settings: &RoutingSettings) {
        let id = || person.profile.id.clone();
        self.emails.remove(&person.profile.email.to_lowercase());
        self.free.remove(&(person.load(), person.idle_since, id()));
        self.unheard.remove(&(person.heard_at + settings.unheard_after, id()));
    }

    fn add_conversation(&mut self, case: &RoutedConversation, settings: &RoutingSettings) {
        if let Some((at, ..)) = case.next_step(settings) {
            self.steps.insert((at, case.conversation.clone()));
        }
        if case.is_waiting() {
            self.line.insert(case.queue_position());
            self.lines.entry(case.wants.clone()).or_default().insert(case.queue_position());
        }
    }

    fn remove_conversation(&mut self, case: &RoutedConversation, settings: &RoutingSettings) {
        if let Some((at, ..)) = case.next_step(settings) {
            self.steps.remove(&(at, case.conversation.clone()));
        }
        self.line.remove(&case.queue_position());
        if let Some(line) = self.lines.get_mut(&case.wants) {
            line.remove(&case.queue_position());
            if line.is_empty() {
                self.lines.remove(&case.wants);
            }
        }
    }
}

impl RoutingQueue {
    /// Changes a person, and updates the indexes.
    pub(super) fn update_person(&mut self, id: &PersonId, change: impl FnOnce(&mut HumanAgent)) {
        let RoutingSnapshot { people, settings, .. } = &mut self.kept;
        let Some(person) = people.get_mut(id) else { return };
        self.index.remove_person(person, settings);
        change(person);
        self.index.add_person(person, settings);
    }

    pub(super) fn insert_person(&mut self, person: HumanAgent) {
        self.index.add_person(&person, &self.kept.settings);
        self.kept.people.insert(person.profile.id.clone(), person);
    }

    pub(super) fn remove_person(&mut self, id: &PersonId) {
        if let Some(person) = self.kept.people.remove(id) {
            self.index.remove_person(&person, &self.kept.settings);
        }
    }

    /// Changes a conversation, and updates the indexes.
    pub(super) fn update_conversation(&mut self, id: &RunId, change: impl FnOnce(&mut RoutedConversation)) {
        let RoutingSnapshot { cases, settings, .. } = &mut self.kept;
        let Some(case) = cases.get_mut(id) else { return };
        self.index.remove_conversation(case, settings);
        change(case);
        self.index.add_conversation(case, settings);
    }

    pub(super) fn insert_conversation(&mut self, case: RoutedConversation) {
        self.index.add_conversation(&case, &self.kept.settings);
        self.kept.cases.insert(case.conversation.clone(), case);
    }

    pub(super) fn remove_conversation(&mut self, id: &RunId) -> Option<RoutedConversation> {
        let case = self.kept.cases.remove(id)?;
        self.index.remove_conversation(&case, &self.kept.settings);
        Some(case)
    }
}
