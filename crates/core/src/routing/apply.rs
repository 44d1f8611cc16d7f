//! Applies events to the state. It never fails, so replay never fails. The behaviour of each event kind is frozen once
//! released.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::escalation::{EscalationAction, EscalationProgress, SlaBreach};
use super::event::RoutingEvent;
use super::index::RoutingIndex;
use super::person::{HumanAgent, PersonProfile, Presence};
use super::routed_conversation::{Priority, RoutedConversation, RoutingRequirements};
use super::state::RoutingQueue;
use crate::id::{PersonId, RunId};
use crate::mutant::{Mutant, planted};
use crate::time::Time;

impl RoutingQueue {
    /// Applies one event that happened at `at`.
    pub fn apply(&mut self, at: Time, event: &RoutingEvent) {
        self.kept.now = self.kept.now.max(at);
        match event {
            RoutingEvent::SettingsSet(settings) => {
                self.kept.settings = (**settings).clone();
                self.index = RoutingIndex::of(&self.kept);
            }
            RoutingEvent::PersonPut(profile) => self.put_person(at, profile),
            RoutingEvent::PersonRemoved { person } => {
                let wanted = self.lines_open_to(person);
                self.remove_person(person);
                self.refresh_unserved(at, &wanted);
            }
            RoutingEvent::PresenceSet { person, presence, unheard } => self.update_person(person, |person| {
                if person.presence != Presence::Online && *presence == Presence::Online {
                    person.idle_since = at;
                }
                if !unheard {
                    person.heard_at = at;
                }
                person.presence = *presence;
            }),
            RoutingEvent::Heard { person } => self.update_person(person, |person| person.heard_at = at),
            RoutingEvent::Queued {
                conversation,
                number,
                wants,
                priority,
                waiting_since,
                respond_by,
                resolve_by,
                service,
            } => {
                self.insert_conversation(RoutedConversation {
                    conversation: conversation.clone(),
                    stay: *number,
                    number: *number,
                    alone_since: self.unserved_since(at, wants),
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
            RoutingEvent::ServiceLevelSet { conversation, service, priority, respond_by, resolve_by, .. } => {
                self.update_conversation(conversation, |case| {
                    // A new deadline can be missed again.
                    if case.respond_by != *respond_by {
                        case.chains.remove(&SlaBreach::FirstResponse);
                    }
                    if case.resolve_by != *resolve_by {
                        case.chains.remove(&SlaBreach::Resolution);
                    }
                    case.service = *service;
                    case.priority = *priority;
                    case.respond_by = *respond_by;
                    case.resolve_by = *resolve_by;
                });
            }
            RoutingEvent::Assigned { conversation, number, person, .. } => {
                self.update_conversation(conversation, |case| {
                    case.owner = Some(person.clone());
                    case.number = *number;
                    case.set_unserved(None);
                });
                self.update_person(person, |person| {
                    person.has.insert(conversation.clone());
                    person.idle_since = at;
                });
            }
            RoutingEvent::Requeued { conversation, number, from, wants, respond_by, .. } => {
                self.unassign(at, from, conversation);
                let alone = self.unserved_since(at, wants);
                self.update_conversation(conversation, |case| {
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
                    case.set_unserved(alone);
                });
            }
            RoutingEvent::Redirected { conversation, wants } => {
                let alone = self.unserved_since(at, wants);
                self.update_conversation(conversation, |case| {
                    case.wants = wants.clone();
                    case.set_unserved(alone);
                });
            }
            RoutingEvent::Answered { conversation, .. } => self.update_conversation(conversation, |case| {
                case.respond_by = None;
                case.chains.remove(&SlaBreach::FirstResponse);
            }),
            RoutingEvent::Left { conversation, .. } => {
                if let Some(owner) = self.remove_conversation(conversation).and_then(|case| case.owner) {
                    self.unassign(at, &owner, conversation);
                }
            }
            RoutingEvent::Escalated { conversation, breach, chain, act, .. } => {
                self.apply_step(at, conversation, *breach, *chain, *act);
            }
        }
    }

    fn put_person(&mut self, at: Time, profile: &PersonProfile) {
        let mut wanted = self.lines_open_to(&profile.id);
        if self.kept.people.contains_key(&profile.id) {
            self.update_person(&profile.id, |person| person.profile = profile.clone());
        } else {
            self.insert_person(HumanAgent {
                profile: profile.clone(),
                presence: Presence::Offline,
                heard_at: at,
                idle_since: at,
                created_at: at,
                has: BTreeSet::new(),
            });
        }
        wanted.extend(self.lines_open_to(&profile.id));
        self.refresh_unserved(at, &wanted);
    }

    /// Returns the lines from which a person can take conversations.
    fn lines_open_to(&self, person: &PersonId) -> BTreeSet<Arc<RoutingRequirements>> {
        let Some(person) = self.kept.people.get(person) else { return BTreeSet::new() };
        self.index.lines.keys().filter(|wants| person.profile.qualifies_for(wants)).cloned().collect()
    }

    /// Updates whether the conversations in these lines can be served at all.
    fn refresh_unserved(&mut self, at: Time, lines: &BTreeSet<Arc<RoutingRequirements>>) {
        for wants in lines {
            let alone = self.unserved_since(at, wants);
            let waiting: Vec<_> =
                self.index.lines.get(wants).into_iter().flatten().map(|place| place.2.clone()).collect();
            for conversation in waiting {
                self.update_conversation(&conversation, |case| case.set_unserved(alone));
            }
        }
    }

    /// Returns the time since which no person in the queue meets these requirements, if none does.
    fn unserved_since(&self, at: Time, wants: &RoutingRequirements) -> Option<Time> {
        (!self.kept.people.values().any(|person| person.profile.qualifies_for(wants))).then_some(at)
    }

    fn unassign(&mut self, at: Time, person: &PersonId, conversation: &RunId) {
        self.update_person(person, |person| {
            person.has.remove(conversation);
            person.idle_since = at;
        });
    }

    fn apply_step(
        &mut self,
        at: Time,
        conversation: &RunId,
        breach: SlaBreach,
        chain: EscalationProgress,
        act: EscalationAction,
    ) {
        let nobody = Arc::new(RoutingRequirements::default());
        let alone = self.unserved_since(at, &nobody);
        self.update_conversation(conversation, |case| {
            case.chains.insert(breach, EscalationProgress { next: chain.next + 1, ..chain });
            match act {
                EscalationAction::RaisePriority => case.priority = Priority::Urgent,
                EscalationAction::DropSkills => {
                    case.wants = nobody;
                    if case.is_waiting() {
                        case.set_unserved(alone);
                    }
                }
                EscalationAction::Tell => {}
            }
        });
    }
}

impl RoutedConversation {
    /// Keeps the time since which no person qualifies. Once one does, earlier escalation steps for that no longer
    /// count.
    fn set_unserved(&mut self, since: Option<Time>) {
        self.alone_since = since.map(|at| self.alone_since.unwrap_or(at));
        if since.is_none() {
            self.chains.remove(&SlaBreach::Nobody);
        }
    }
}
