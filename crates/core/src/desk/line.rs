//! The line, for those who look at it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::case::{Case, Wants};
use super::person::Presence;
use super::state::Desk;

/// A conversation that waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Waiting<'a> {
    pub case: &'a Case,
    /// From 1.
    pub place: usize,
    pub waits_for: WaitsFor,
}

/// Why a conversation is nobody's yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// Nobody of the desk has what it wants.
    Skills,
    /// Nobody who has it is online.
    Presence,
    /// All who have it and are online have as many conversations as they may.
    Room,
    /// It is being given out.
    Nothing,
}

impl WaitsFor {
    /// For programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Skills => "nobody_has_the_skills",
            Self::Presence => "nobody_is_online",
            Self::Room => "nobody_has_room",
            Self::Nothing => "being_assigned",
        }
    }
}

impl Desk {
    pub fn waiting(&self) -> usize {
        self.index.line.len()
    }

    /// Who waits, first first, from the place behind `after` on, at most `limit`.
    pub fn line(&self, after: usize, limit: usize) -> Vec<Waiting<'_>> {
        let mut known: BTreeMap<Arc<Wants>, WaitsFor> = BTreeMap::new();
        let places = self.index.line.iter().enumerate().skip(after).take(limit);
        let cases = places.filter_map(|(place, (.., id))| Some((place + 1, self.kept.cases.get(id)?)));
        let waiting = cases.map(|(place, case)| {
            let waits_for = *known.entry(case.wants.clone()).or_insert_with(|| self.waits_for(&case.wants));
            Waiting { case, place, waits_for }
        });
        waiting.collect()
    }

    fn waits_for(&self, wants: &Wants) -> WaitsFor {
        let mut known = WaitsFor::Skills;
        for person in self.kept.people.values().filter(|person| person.profile.can(wants)) {
            match (person.presence == Presence::Online, person.has_room()) {
                (true, true) => return WaitsFor::Nothing,
                (true, false) => known = WaitsFor::Room,
                (false, _) if known == WaitsFor::Skills => known = WaitsFor::Presence,
                (false, _) => {}
            }
        }
        known
    }
}
