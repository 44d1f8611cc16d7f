//! Assignment of conversations to people.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::event::RoutingEvent;
use super::routed_conversation::{QueuePosition, RoutingRequirements};
use super::state::RoutingQueue;
use crate::id::PersonId;
use crate::time::Time;

/// What has changed since the last complete assignment.
#[derive(Clone, Debug, Default)]
pub(super) enum RoutingChange {
    #[default]
    Nothing,
    /// One person can take conversations that they could not take before.
    Person(PersonId),
    /// One line has become longer.
    Line(Arc<RoutingRequirements>),
    /// More than that.
    Much,
}

impl RoutingQueue {
    /// Assigns every conversation that can be assigned.
    ///
    /// Only changed lines are examined, and only the first conversation of each: if no person can take it, none can
    /// take the rest of the line, which has the same requirements. The changes of one command are bounded, and so are
    /// the assignments.
    pub(super) fn assign(&mut self, changed: &RoutingChange, now: Time, events: &mut Vec<RoutingEvent>) {
        let mut heads = self.line_heads(changed);
        while let Some((place, wants)) = heads.pop_first() {
            let Some(person) = self.best_person(&wants, changed) else { continue };
            self.assign_to(&place, person, now, events);
            if let Some(next) = self.index.lines.get(&wants).and_then(|line| line.first()) {
                heads.insert(next.clone(), wants);
            }
        }
    }

    /// Returns the first conversation of each line that may have changed.
    fn line_heads(&self, changed: &RoutingChange) -> BTreeMap<QueuePosition, Arc<RoutingRequirements>> {
        let all = self.index.lines.iter().filter_map(|(wants, line)| Some((line.first()?.clone(), wants.clone())));
        match changed {
            RoutingChange::Nothing => BTreeMap::new(),
            RoutingChange::Much => all.collect(),
            RoutingChange::Person(id) => match self.kept.people.get(id).filter(|person| person.is_assignable()) {
                Some(person) => all.filter(|(_, wants)| person.profile.qualifies_for(wants)).collect(),
                None => BTreeMap::new(),
            },
            RoutingChange::Line(wants) => {
                let first = self.index.lines.get(wants).and_then(|line| line.first());
                first.map(|place| (place.clone(), wants.clone())).into_iter().collect()
            }
        }
    }

    /// Returns the best person for these requirements. If only one person has changed, no other could take anything
    /// before.
    fn best_person(&self, wants: &RoutingRequirements, changed: &RoutingChange) -> Option<PersonId> {
        let able = |id: &&PersonId| {
            self.kept
                .people
                .get(*id)
                .is_some_and(|person| person.is_assignable() && person.profile.qualifies_for(wants))
        };
        match changed {
            RoutingChange::Person(id) => Some(id).filter(able).cloned(),
            RoutingChange::Nothing | RoutingChange::Line(_) | RoutingChange::Much => {
                self.index.free.iter().map(|(.., id)| id).find(able).cloned()
            }
        }
    }

    fn assign_to(&mut self, place: &QueuePosition, person: PersonId, now: Time, events: &mut Vec<RoutingEvent>) {
        let Some(case) = self.kept.cases.get(&place.2) else { return };
        let (conversation, stay, number) = (case.conversation.clone(), case.stay, case.number + 1);
        self.emit(RoutingEvent::Assigned { conversation, stay, number, person }, now, events);
    }
}
