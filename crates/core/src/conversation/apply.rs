//! Applies events to the state. It never fails, so replay never fails.

use super::event::{ConversationEntry, ConversationEvent, ConversationLine, LineAuthor};
use super::handover::HandoverTrigger;
use super::state::{ActiveRun, Conversation, ConversationOwner, ConversationState, ReturnedMessage};
use super::{ATTEMPTED_STEPS_MAX, RECENT_LINES_MAX};
use crate::id::RunId;
use crate::time::Time;

impl Conversation {
    pub fn fold(&mut self, entry: &ConversationEntry) {
        for event in &entry.events {
            self.apply(entry.at, event);
        }
    }

    pub fn apply(&mut self, at: Time, event: &ConversationEvent) {
        self.now = self.now.max(at);
        match event {
            ConversationEvent::Begun(begun) => {
                self.begun_at = at;
                self.number = 1;
                self.version = Some(Box::new(begun.version.clone()));
                self.service = begun.service;
                self.begun = Some(begun.clone());
            }
            ConversationEvent::Versioned(version) => self.version = Some(version.clone()),
            ConversationEvent::Held { message, until } => {
                self.signals.hold(&message.signal(), *until);
                self.early.push(message.clone());
            }
            ConversationEvent::Said { line } => self.append_line(line),
            ConversationEvent::ToPeople { messages } => {
                for message in messages {
                    self.queue.remove(message);
                }
            }
            ConversationEvent::RunBegun { run, message, .. } => self.begin_run(run, *message),
            ConversationEvent::Given { sequence, message, .. } => self.hand_message(*sequence, *message),
            ConversationEvent::RunHeard { run, waits, arrived, kept } => {
                let taken = match self.active.as_mut().filter(|active| active.run == *run) {
                    Some(active) => {
                        active.arrived = active.arrived.max(*arrived);
                        active.waits = *waits && active.given.range(arrived + 1..).next().is_none() && kept.is_empty();
                        let taken = active.given.extract_if(..=*arrived, |sequence, _| !kept.contains(sequence));
                        taken.map(|(_, message)| message).collect()
                    }
                    None => Vec::new(),
                };
                self.lent.retain(|message, _| !taken.contains(message));
            }
            ConversationEvent::RunOver { run, arrived, kept, cost, confidence, tried, failed, .. } => {
                self.cost += *cost;
                self.confidence = *confidence;
                self.errors = if *failed { self.errors.saturating_add(1) } else { 0 };
                self.tried.extend(tried.iter().cloned());
                while self.tried.len() > ATTEMPTED_STEPS_MAX {
                    self.tried.pop_front();
                }
                self.end_run(run, *arrived, kept);
            }
            ConversationEvent::Returned { run, sequence } => {
                let place = self.returning.iter().position(|one| one.run == *run && one.sequence == *sequence);
                if let Some(returned) = place.map(|place| self.returning.remove(place)) {
                    self.return_line(returned.message);
                }
            }
            ConversationEvent::Finished => {
                self.state = ConversationState::Finished;
                self.ended_at = Some(at);
            }
            ConversationEvent::HandedOver { handover, number } => {
                self.state = ConversationState::Handover;
                self.owner = ConversationOwner::Nobody;
                self.number = *number;
                self.handovers += 1;
                self.service = handover.service.or(self.service);
                self.handover = Some(handover.clone());
                self.errors = 0;
            }
            ConversationEvent::Enqueued { number, .. } => {
                self.wait_for_person(*number);
                self.at_desk = Some(*number);
                (self.asks_again_at, self.asked_again) = (None, 0);
                self.waiting_since = Some(at);
                self.first_response_at = None;
            }
            ConversationEvent::NotQueued { again_at, .. } => self.asks_again_at = Some(*again_at),
            ConversationEvent::AskedAgain { attempt, .. } => (self.asks_again_at, self.asked_again) = (None, *attempt),
            ConversationEvent::Assigned { number, person } => self.owned_by(person, *number),
            ConversationEvent::Requeued { number } => self.wait_for_person(*number),
            ConversationEvent::TakenOver { number, by, handover, .. } => {
                self.at_desk = None;
                self.owned_by(by, *number);
                if let Some(handover) = handover {
                    self.handover = Some(handover.clone());
                    self.handovers += 1;
                    self.waiting_since = Some(at);
                    self.first_response_at = None;
                }
            }
            ConversationEvent::GivenBack { number, note, .. } => self.give_back(*number, note),
            ConversationEvent::Resolved { number, .. } => {
                self.state = ConversationState::Resolved;
                self.owner = ConversationOwner::Nobody;
                self.number = *number;
                self.at_desk = None;
                self.ended_at = Some(at);
            }
            ConversationEvent::Reopened { number, by } => {
                self.reopened += 1;
                self.number = *number;
                self.ended_at = None;
                self.rating = None;
                if by.is_none() {
                    self.owner = ConversationOwner::Ai;
                    self.state = ConversationState::BackToAi;
                }
            }
            ConversationEvent::ServiceLevelSet { service, change, .. } => {
                (self.service, self.service_changes) = (*service, *change)
            }
            ConversationEvent::Rated { score, comment } => self.rating = Some((*score, comment.clone())),
            ConversationEvent::Closed { .. } => {
                self.state = ConversationState::Finished;
                self.ended_at = Some(at);
            }
        }
    }

    fn append_line(&mut self, line: &ConversationLine) {
        self.lines = line.number;
        match &line.from {
            LineAuthor::Customer => {
                self.messages += 1;
                self.ended_at = None;
                if line.sequence.is_some() {
                    self.early.retain(|early| early.source != line.source || early.sequence != line.sequence);
                    self.signals.mark_delivered(&line.source, line.sequence);
                }
                if self.first_words.is_none() {
                    self.first_words = Some(line.text.clone());
                }
                self.queue.insert(line.number, line.clone());
            }
            LineAuthor::Ai { .. } => self.suggested = None,
            LineAuthor::Person { .. } => {
                self.suggested = None;
                self.first_response_at.get_or_insert(line.at);
            }
            LineAuthor::Suggestion { .. } => self.suggested = Some(line.text.clone()),
            LineAuthor::Note { .. } => {}
        }
        self.recent.push_back(line.clone());
        while self.recent.len() > RECENT_LINES_MAX {
            self.recent.pop_front();
        }
    }

    fn begin_run(&mut self, run: &RunId, message: u64) {
        self.runs += 1;
        self.state = ConversationState::AiProcessing;
        self.lend_line(message);
        self.note = None;
        self.active = Some(ActiveRun {
            run: run.clone(),
            number: self.number,
            waits: false,
            first: message,
            handed: 0,
            arrived: 0,
            given: std::collections::BTreeMap::new(),
            muted: self.muted.take(),
        });
    }

    fn hand_message(&mut self, sequence: u64, message: u64) {
        self.state = ConversationState::AiProcessing;
        self.note = None;
        let (number, muted) = (self.number, self.muted.take());
        self.lend_line(message);
        if let Some(active) = &mut self.active {
            active.waits = false;
            active.handed = sequence;
            active.number = number;
            active.given.insert(sequence, message);
            active.muted = muted.or(active.muted);
        }
    }

    fn end_run(&mut self, run: &RunId, arrived: u64, kept: &[u64]) {
        let Some(active) = self.active.take_if(|active| active.run == *run) else { return };
        self.lent.remove(&active.first);
        for (sequence, message) in active.given {
            if sequence > arrived {
                self.returning.push(ReturnedMessage { run: run.clone(), sequence, message });
            } else if kept.contains(&sequence) {
                self.return_line(message);
            } else {
                self.lent.remove(&message);
            }
        }
    }

    fn lend_line(&mut self, message: u64) {
        if let Some(line) = self.queue.remove(&message) {
            self.lent.insert(message, line);
        }
    }

    fn return_line(&mut self, message: u64) {
        if let Some(line) = self.lent.remove(&message) {
            self.queue.insert(message, line);
        }
    }

    fn wait_for_person(&mut self, number: u64) {
        self.state = ConversationState::PendingHuman;
        self.owner = ConversationOwner::Nobody;
        self.number = number;
        self.ended_at = None;
    }

    fn owned_by(&mut self, person: &str, number: u64) {
        self.state = ConversationState::HumanActive;
        self.owner = ConversationOwner::Person(person.to_owned());
        self.number = number;
        self.ended_at = None;
    }

    fn give_back(&mut self, number: u64, note: &str) {
        self.state = ConversationState::BackToAi;
        self.owner = ConversationOwner::Ai;
        self.number = number;
        self.at_desk = None;
        self.errors = 0;
        self.note = Some(note.to_owned()).filter(|note| !note.is_empty());
        let trigger = self.handover.as_ref().map(|handover| handover.trigger);
        // A repeated explicit request for a person always counts.
        self.muted = trigger.filter(|trigger| *trigger != HandoverTrigger::ExplicitRequest);
        // A waiting run speaks for the AI again once it receives something.
        if let Some(active) = self.active.as_mut().filter(|active| active.waits) {
            active.number = number;
        }
    }
}
