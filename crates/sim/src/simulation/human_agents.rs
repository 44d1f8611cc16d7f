//! The human agents of a routing queue: they go online and offline, take conversations over, answer or ignore them,
//! post where they must not, and hand them back.

use std::time::Duration;

use baton_core::conversation::{ConversationCommand, ConversationEvent};
use baton_core::id::RunId;
use baton_core::routing::{self, Presence, TransferTarget};
use baton_engine::aggregate::routing_queue_id;
use baton_ports::journal::{AggregateKind, NewAggregate};

use super::{Simulation, tenant};
use crate::case::FaultPoint;
use crate::conversation_plan::{PlannedShift, ShiftChange};
use crate::coverage::CoverageColumn;
use crate::oracle::ConversationHolder;

/// A person who owns no conversation, and posts nevertheless.
const UNASSIGNED_PERSON: &str = "nobody";

impl Simulation<'_> {
    /// Schedules the human agents, and when they go online and offline.
    pub(super) fn schedule_people(&mut self) {
        let Some(talks) = &self.case.conversations else { return };
        self.submit_to_routing("settings", &routing::RoutingCommand::Settings(talks.settings.clone()), Duration::ZERO);
        for person in &talks.people {
            self.submit_to_routing(
                &format!("put/{}", person.id),
                &routing::RoutingCommand::PutPerson(person.clone()),
                Duration::ZERO,
            );
        }
        for (place, PlannedShift { after, person: who, change: what }) in talks.shifts.iter().enumerate() {
            let said = match what {
                ShiftChange::SetPresence(presence) => {
                    routing::RoutingCommand::Presence { person: who.clone(), presence: *presence }
                }
                ShiftChange::Removed => routing::RoutingCommand::RemovePerson { person: who.clone() },
                ShiftChange::SetCapacity(max_capacity) => {
                    let Some(person) = talks.people.iter().find(|person| person.id == *who) else { continue };
                    routing::RoutingCommand::PutPerson(routing::PersonProfile {
                        max_capacity: *max_capacity,
                        ..person.clone()
                    })
                }
            };
            self.submit_to_routing(&format!("shift/{place}"), &said, *after + Duration::from_millis(10));
        }
    }

    fn submit_to_routing(&mut self, id: &str, said: &routing::RoutingCommand, after: Duration) {
        let creates = NewAggregate { kind: AggregateKind::Desk, workflow: String::new(), parent: None, owner: None };
        self.submit_to_conversation(&routing_queue_id(&tenant()), id.to_owned(), said, Some(creates), after);
    }

    /// The reactions of people and customers to the conversation entry that was just recorded.
    pub(super) fn react_to_conversation(&mut self, id: &RunId) {
        for event in self.oracle.conversations.last_entry(id) {
            match event {
                ConversationEvent::Assigned { number, person: by }
                | ConversationEvent::TakenOver { number, by, .. } => {
                    self.serve_conversation(id, &by, number);
                }
                ConversationEvent::RunHeard { waits: true, .. } => self.write_back(id),
                ConversationEvent::RunBegun { .. } | ConversationEvent::Enqueued { .. }
                    if !self.is_over() && self.rng.chance(6) =>
                {
                    self.schedule_takeover(id);
                }
                ConversationEvent::Resolved { .. } if !self.is_over() && self.rng.chance(30) => {
                    match self.rng.chance(50) {
                        true => self.schedule_reopen(id),
                        false => self.write_back(id),
                    }
                }
                _ => {}
            }
        }
    }

    fn schedule_takeover(&mut self, id: &RunId) {
        let Some(talks) = &self.case.conversations else { return };
        let by = self.rng.choose(&talks.people).id.to_string();
        let number = self.next_number();
        let after = Duration::from_millis(self.rng.between(1, 5_000));
        self.submit_to_conversation(id, format!("over/{number}"), &ConversationCommand::TakeOver { by }, None, after);
    }

    fn schedule_reopen(&mut self, id: &RunId) {
        let number = self.next_number();
        let after = Duration::from_millis(self.rng.between(1, 20_000));
        self.submit_to_conversation(
            id,
            format!("open/{number}"),
            &ConversationCommand::Reopen { by: "d0".to_owned() },
            None,
            after,
        );
    }

    /// A person holds it now: they answer sooner or later, or too late, and finish.
    fn serve_conversation(&mut self, id: &RunId, by: &str, number: u64) {
        let is_late = self.rng.chance(self.faults.mistake_percent / 2);
        let first = if is_late { self.rng.between(30_000, 200_000) } else { self.rng.between(200, 15_000) };
        let answers = self.rng.chance(80);
        if answers {
            self.post_message(id, by, number, first);
        }
        if answers && self.rng.chance(self.faults.mistake_percent) {
            self.coverage.hit("conversation", CoverageColumn::AnsweredTwice, FaultPoint::Sent);
            let again = first + self.rng.between(1, 150_000);
            self.post_message(id, by, number, again);
        }
        if self.rng.chance(self.faults.mistake_percent) {
            self.coverage.hit("conversation", CoverageColumn::WrongAnswer, FaultPoint::Sent);
            self.post_message(id, UNASSIGNED_PERSON, number, first);
        }
        // Some ignore it.
        if !self.is_over() && self.rng.chance(20) {
            return;
        }
        let after = first + self.rng.between(1, 30_000);
        self.finish_conversation(id, by, number, after);
    }

    fn post_message(&mut self, id: &RunId, by: &str, number: u64, after: u64) {
        let unique = self.next_number();
        // The text contains the number that they quote, for the oracle.
        let text = format!("{by} under {number}");
        let post = ConversationCommand::Post { by: by.to_owned(), number, text };
        self.submit_to_conversation(id, format!("post/{unique}"), &post, None, Duration::from_millis(after));
        if by != UNASSIGNED_PERSON && self.rng.chance(70) {
            let heard = routing::RoutingCommand::Heard { person: by.into() };
            self.submit_to_routing(&format!("heard/{unique}"), &heard, Duration::from_millis(after));
        }
    }

    fn finish_conversation(&mut self, id: &RunId, by: &str, number: u64, after: u64) {
        let (unique, after) = (self.next_number(), Duration::from_millis(after));
        let by = by.to_owned();
        let said = match self.rng.below(10) {
            0..=4 => ConversationCommand::GiveBack { by, note: "look again".to_owned() },
            5..=7 => ConversationCommand::Resolve { by },
            _ => return self.pass_conversation(id, number, unique, after),
        };
        self.submit_to_conversation(id, format!("done/{unique}"), &said, None, after);
    }

    /// It goes to another person, or back into the queue.
    fn pass_conversation(&mut self, id: &RunId, number: u64, unique: u64, after: Duration) {
        let Some(talks) = &self.case.conversations else { return };
        let to = match self.rng.chance(50) {
            true => TransferTarget::Person(self.rng.choose(&talks.people).id.clone()),
            false => TransferTarget::Skills(std::collections::BTreeSet::new()),
        };
        let said = routing::RoutingCommand::Transfer { conversation: id.clone(), number, to };
        self.submit_to_routing(&format!("pass/{unique}"), &said, after);
    }

    /// Nothing is in flight any more: the routing queue and the conversations must agree.
    pub(super) fn check_conversations(&mut self) {
        let checked = self.oracle.conversations.check_agreement(&self.journal);
        self.record_check(checked);
    }

    /// People resolve a conversation or routing queue that is not at rest; returns false for a run.
    pub(super) fn resolve_conversation(&mut self, id: &RunId) -> bool {
        let talk = self.oracle.conversations.conversation_of(id).unwrap_or_else(|| id.clone());
        let number = self.next_number();
        let soon = Duration::from_millis(10);
        match self.oracle.conversations.standing(&talk) {
            Some(ConversationHolder::Person(by)) => {
                let back = ConversationCommand::GiveBack { by, note: String::new() };
                self.submit_to_conversation(&talk, format!("help/{number}"), &back, None, soon);
            }
            Some(ConversationHolder::Waiting) => self.bring_everyone_online(),
            // A run waits for a customer who considers the conversation finished.
            Some(ConversationHolder::Closed) if *id != talk => self.write_later(&talk, soon),
            Some(ConversationHolder::Closed | ConversationHolder::Ai) | None => {}
        }
        self.oracle.conversations.contains(id)
    }

    fn bring_everyone_online(&mut self) {
        let Some(talks) = &self.case.conversations else { return };
        for person in &talks.people {
            let number = self.next_number();
            self.submit_to_routing(
                &format!("help/put/{number}"),
                &routing::RoutingCommand::PutPerson(person.clone()),
                Duration::ZERO,
            );
            let online = routing::RoutingCommand::Presence { person: person.id.clone(), presence: Presence::Online };
            self.submit_to_routing(&format!("help/{number}"), &online, Duration::from_millis(200));
        }
    }
}
