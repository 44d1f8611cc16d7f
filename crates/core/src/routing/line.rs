//! A view of the waiting line.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::person::Presence;
use super::routed_conversation::{RoutedConversation, RoutingRequirements};
use super::state::RoutingQueue;

/// A waiting conversation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WaitingConversation<'a> {
    pub conversation: &'a RoutedConversation,
    /// From 1.
    pub position: usize,
    pub blocker: AssignmentBlocker,
}

/// Why a conversation is not assigned yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssignmentBlocker {
    /// No person in the queue meets its requirements.
    Skills,
    /// No person who meets them is online.
    Presence,
    /// All people who meet them and are online are at capacity.
    Capacity,
    /// It is being assigned.
    Nothing,
}

impl AssignmentBlocker {
    /// Returns the name of the blocker in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Skills => "nobody_has_the_skills",
            Self::Presence => "nobody_is_online",
            Self::Capacity => "nobody_has_room",
            Self::Nothing => "being_assigned",
        }
    }
}

impl RoutingQueue {
    pub fn waiting_count(&self) -> usize {
        self.index.line.len()
    }

    /// Returns waiting conversations in order, from the position after `after`, at most `limit`.
    pub fn waiting_page(&self, after: usize, limit: usize) -> Vec<WaitingConversation<'_>> {
        let mut known: BTreeMap<Arc<RoutingRequirements>, AssignmentBlocker> = BTreeMap::new();
        let places = self.index.line.iter().enumerate().skip(after).take(limit);
        let cases = places.filter_map(|(place, (.., id))| Some((place + 1, self.kept.cases.get(id)?)));
        let waiting = cases.map(|(place, case)| {
            let waits_for = *known.entry(case.wants.clone()).or_insert_with(|| self.assignment_blocker(&case.wants));
            WaitingConversation { conversation: case, position: place, blocker: waits_for }
        });
        waiting.collect()
    }

    fn assignment_blocker(&self, wants: &RoutingRequirements) -> AssignmentBlocker {
        let mut known = AssignmentBlocker::Skills;
        for person in self.kept.people.values().filter(|person| person.profile.qualifies_for(wants)) {
            match (person.presence == Presence::Online, person.has_capacity()) {
                (true, true) => return AssignmentBlocker::Nothing,
                (true, false) => known = AssignmentBlocker::Capacity,
                (false, _) if known == AssignmentBlocker::Skills => known = AssignmentBlocker::Presence,
                (false, _) => {}
            }
        }
        known
    }
}
