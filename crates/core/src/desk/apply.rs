//! The fold. It never fails, so replay never fails; what each event kind does here is frozen once released.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::case::{Case, Priority, Wants};
use super::escalation::{Act, Breach, Chain};
use super::event::Event;
use super::index::Index;
use super::person::{Person, Presence, Profile};
use super::state::Desk;
use crate::id::{PersonId, RunId};
use crate::mutant::{Mutant, planted};
use crate::time::Time;

impl Desk {
    /// Folds one event that happened at `at`.
    pub fn apply(&mut self, at: Time, event: &Event) {
        self.kept.now = self.kept.now.max(at);
        match event {
            Event::SettingsSet(settings) => {
                self.kept.settings = (**settings).clone();
                self.index = Index::of(&self.kept);
            }
            Event::PersonPut(profile) => self.put_person(at, profile),
            Event::PersonRemoved { person } => {
                let wanted = self.wanted_by(person);
                self.take_person(person);
                self.look_who_can(at, &wanted);
            }
            Event::PresenceSet { person, presence, unheard } => self.with_person(person, |person| {
                if person.presence != Presence::Online && *presence == Presence::Online {
                    person.idle_since = at;
                }
                if !unheard {
                    person.heard_at = at;
                }
                person.presence = *presence;
            }),
            Event::Heard { person } => self.with_person(person, |person| person.heard_at = at),
            Event::Queued { conversation, number, wants, priority, waiting_since, respond_by, resolve_by, service } => {
                self.insert_case(Case {
                    conversation: conversation.clone(),
                    stay: *number,
                    number: *number,
                    alone_since: self.alone(at, wants),
                    wants: wants.clone(),
                    priority: *priority,
                    waiting_since: *waiting_since,
                    respond_by: Some(*respond_by),
                    resolve_by: *resolve_by,
                    service: *service,
                    again_since: None,
                    owner: None,
                    chains: BTreeMap::new(),
                });
            }
            Event::ServiceLevelSet { conversation, service, priority, respond_by, resolve_by, .. } => {
                self.with_case(conversation, |case| {
                    // What is promised anew is late anew.
                    if case.respond_by != *respond_by {
                        case.chains.remove(&Breach::FirstResponse);
                    }
                    if case.resolve_by != *resolve_by {
                        case.chains.remove(&Breach::Resolution);
                    }
                    case.service = *service;
                    case.priority = *priority;
                    case.respond_by = *respond_by;
                    case.resolve_by = *resolve_by;
                });
            }
            Event::Assigned { conversation, number, person, .. } => {
                self.with_case(conversation, |case| {
                    case.owner = Some(person.clone());
                    case.number = *number;
                    case.is_alone(None);
                });
                self.with_person(person, |person| {
                    person.has.insert(conversation.clone());
                    person.idle_since = at;
                });
            }
            Event::Requeued { conversation, number, from, wants, respond_by, .. } => {
                self.lose(at, from, conversation);
                let alone = self.alone(at, wants);
                self.with_case(conversation, |case| {
                    case.owner = None;
                    case.number = *number;
                    case.wants = wants.clone();
                    if respond_by.is_some() && case.respond_by.is_none() {
                        case.again_since = Some(at);
                    }
                    case.respond_by = case.respond_by.or(*respond_by);
                    if planted(Mutant::StepsAgain) {
                        case.chains.clear();
                    }
                    case.is_alone(alone);
                });
            }
            Event::Redirected { conversation, wants } => {
                let alone = self.alone(at, wants);
                self.with_case(conversation, |case| {
                    case.wants = wants.clone();
                    case.is_alone(alone);
                });
            }
            Event::Answered { conversation, .. } => self.with_case(conversation, |case| {
                case.respond_by = None;
                case.chains.remove(&Breach::FirstResponse);
            }),
            Event::Left { conversation, .. } => {
                if let Some(owner) = self.take_case(conversation).and_then(|case| case.owner) {
                    self.lose(at, &owner, conversation);
                }
            }
            Event::Escalated { conversation, breach, chain, act, .. } => {
                self.step(at, conversation, *breach, *chain, *act);
            }
        }
    }

    fn put_person(&mut self, at: Time, profile: &Profile) {
        let mut wanted = self.wanted_by(&profile.id);
        if self.kept.people.contains_key(&profile.id) {
            self.with_person(&profile.id, |person| person.profile = profile.clone());
        } else {
            self.insert_person(Person {
                profile: profile.clone(),
                presence: Presence::Offline,
                heard_at: at,
                idle_since: at,
                created_at: at,
                has: BTreeSet::new(),
            });
        }
        wanted.extend(self.wanted_by(&profile.id));
        self.look_who_can(at, &wanted);
    }

    /// Which lines somebody can take from.
    fn wanted_by(&self, person: &PersonId) -> BTreeSet<Arc<Wants>> {
        let Some(person) = self.kept.people.get(person) else { return BTreeSet::new() };
        self.index.lines.keys().filter(|wants| person.profile.can(wants)).cloned().collect()
    }

    /// Says of what waits in these lines whether anybody can take it.
    fn look_who_can(&mut self, at: Time, lines: &BTreeSet<Arc<Wants>>) {
        for wants in lines {
            let alone = self.alone(at, wants);
            let waiting: Vec<_> =
                self.index.lines.get(wants).into_iter().flatten().map(|place| place.2.clone()).collect();
            for conversation in waiting {
                self.with_case(&conversation, |case| case.is_alone(alone));
            }
        }
    }

    /// From when on nobody of the desk can take what wants this, where nobody can.
    fn alone(&self, at: Time, wants: &Wants) -> Option<Time> {
        (!self.kept.people.values().any(|person| person.profile.can(wants))).then_some(at)
    }

    fn lose(&mut self, at: Time, person: &PersonId, conversation: &RunId) {
        self.with_person(person, |person| {
            person.has.remove(conversation);
            person.idle_since = at;
        });
    }

    fn step(&mut self, at: Time, conversation: &RunId, breach: Breach, chain: Chain, act: Act) {
        let nobody = Arc::new(Wants::default());
        let alone = self.alone(at, &nobody);
        self.with_case(conversation, |case| {
            case.chains.insert(breach, Chain { next: chain.next + 1, ..chain });
            match act {
                Act::RaisePriority => case.priority = Priority::Urgent,
                Act::DropSkills => {
                    case.wants = nobody;
                    if case.waits() {
                        case.is_alone(alone);
                    }
                }
                Act::Tell => {}
            }
        });
    }
}

impl Case {
    /// It keeps the instant from which on nobody could; what was done about it counts no more once somebody can.
    fn is_alone(&mut self, since: Option<Time>) {
        self.alone_since = since.map(|at| self.alone_since.unwrap_or(at));
        if since.is_none() {
            self.chains.remove(&Breach::Nobody);
        }
    }
}
