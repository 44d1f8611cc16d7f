//! What of the desk is looked for often, in the order it is looked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::case::{Case, Place, Wants};
use super::person::{Person, Presence};
use super::settings::Settings;
use super::state::{Desk, Kept};
use crate::id::{PersonId, RunId};
use crate::time::Time;

/// Holds nothing that the people and the conversations do not say.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Index {
    /// Who waits, first first.
    pub line: BTreeSet<Place>,
    /// The same, by what they want.
    pub lines: BTreeMap<Arc<Wants>, BTreeSet<Place>>,
    /// Who may be given a conversation: fewest first, then idle longest.
    pub free: BTreeSet<(u32, Time, PersonId)>,
    /// When a conversation's next step is due.
    pub steps: BTreeSet<(Time, RunId)>,
    /// When somebody of whom nothing is heard is taken to be offline.
    pub unheard: BTreeSet<(Time, PersonId)>,
    /// Whose e-mail address it is, in small letters.
    pub emails: BTreeMap<String, PersonId>,
}

impl Index {
    pub fn of(kept: &Kept) -> Self {
        let mut index = Self::default();
        kept.people.values().for_each(|person| index.add_person(person, &kept.settings));
        kept.cases.values().for_each(|case| index.add_case(case, &kept.settings));
        index
    }

    fn add_person(&mut self, person: &Person, settings: &Settings) {
        let id = || person.profile.id.clone();
        self.emails.insert(person.profile.email.to_lowercase(), id());
        if person.is_free() {
            self.free.insert((person.load(), person.idle_since, id()));
        }
        if person.presence != Presence::Offline {
            self.unheard.insert((person.heard_at + settings.unheard_after, id()));
        }
    }

    fn remove_person(&mut self, person: &Person, settings: &Settings) {
        let id = || person.profile.id.clone();
        self.emails.remove(&person.profile.email.to_lowercase());
        self.free.remove(&(person.load(), person.idle_since, id()));
        self.unheard.remove(&(person.heard_at + settings.unheard_after, id()));
    }

    fn add_case(&mut self, case: &Case, settings: &Settings) {
        if let Some((at, ..)) = case.next_step(settings) {
            self.steps.insert((at, case.conversation.clone()));
        }
        if case.waits() {
            self.line.insert(case.place());
            self.lines.entry(case.wants.clone()).or_default().insert(case.place());
        }
    }

    fn remove_case(&mut self, case: &Case, settings: &Settings) {
        if let Some((at, ..)) = case.next_step(settings) {
            self.steps.remove(&(at, case.conversation.clone()));
        }
        self.line.remove(&case.place());
        if let Some(line) = self.lines.get_mut(&case.wants) {
            line.remove(&case.place());
            if line.is_empty() {
                self.lines.remove(&case.wants);
            }
        }
    }
}

impl Desk {
    /// Changes somebody, and where they are found.
    pub(super) fn with_person(&mut self, id: &PersonId, change: impl FnOnce(&mut Person)) {
        let Kept { people, settings, .. } = &mut self.kept;
        let Some(person) = people.get_mut(id) else { return };
        self.index.remove_person(person, settings);
        change(person);
        self.index.add_person(person, settings);
    }

    pub(super) fn insert_person(&mut self, person: Person) {
        self.index.add_person(&person, &self.kept.settings);
        self.kept.people.insert(person.profile.id.clone(), person);
    }

    pub(super) fn take_person(&mut self, id: &PersonId) {
        if let Some(person) = self.kept.people.remove(id) {
            self.index.remove_person(&person, &self.kept.settings);
        }
    }

    /// Changes a conversation, and where it is found.
    pub(super) fn with_case(&mut self, id: &RunId, change: impl FnOnce(&mut Case)) {
        let Kept { cases, settings, .. } = &mut self.kept;
        let Some(case) = cases.get_mut(id) else { return };
        self.index.remove_case(case, settings);
        change(case);
        self.index.add_case(case, settings);
    }

    pub(super) fn insert_case(&mut self, case: Case) {
        self.index.add_case(&case, &self.kept.settings);
        self.kept.cases.insert(case.conversation.clone(), case);
    }

    pub(super) fn take_case(&mut self, id: &RunId) -> Option<Case> {
        let case = self.kept.cases.remove(id)?;
        self.index.remove_case(&case, &self.kept.settings);
        Some(case)
    }
}
