//! Folding. It never fails, so replay never fails.

use super::event::{Author, Entry, Event, Line};
use super::handover::Trigger;
use super::state::{Active, Conversation, Owner, Returning, State};
use super::{RECENT_MAX, TRIED_MAX};
use crate::id::RunId;
use crate::time::Time;

impl Conversation {
    pub fn fold(&mut self, entry: &Entry) {
        for event in &entry.events {
            self.apply(entry.at, event);
        }
    }

    pub fn apply(&mut self, at: Time, event: &Event) {
        self.now = self.now.max(at);
        match event {
            Event::Begun(begun) => {
                self.begun_at = at;
                self.number = 1;
                self.version = Some(Box::new(begun.version.clone()));
                self.service = begun.service;
                self.begun = Some(begun.clone());
            }
            Event::Versioned(version) => self.version = Some(version.clone()),
            Event::Held { message, until } => {
                self.signals.hold(&message.signal(), *until);
                self.early.push(message.clone());
            }
            Event::Said { line } => self.say(line),
            Event::ToPeople { messages } => {
                for message in messages {
                    self.queue.remove(message);
                }
            }
            Event::RunBegun { run, message, .. } => self.begin_run(run, *message),
            Event::Given { sequence, message, .. } => self.give(*sequence, *message),
            Event::RunHeard { run, waits, arrived, kept } => {
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
            Event::RunOver { run, arrived, kept, cost, confidence, tried, failed, .. } => {
                self.cost += *cost;
                self.confidence = *confidence;
                self.errors = if *failed { self.errors.saturating_add(1) } else { 0 };
                self.tried.extend(tried.iter().cloned());
                while self.tried.len() > TRIED_MAX {
                    self.tried.pop_front();
                }
                self.end_run(run, *arrived, kept);
            }
            Event::Returned { run, sequence } => {
                let place = self.returning.iter().position(|one| one.run == *run && one.sequence == *sequence);
                if let Some(returned) = place.map(|place| self.returning.remove(place)) {
                    self.take_back(returned.message);
                }
            }
            Event::Finished => {
                self.state = State::Finished;
                self.ended_at = Some(at);
            }
            Event::HandedOver { handover, number } => {
                self.state = State::Handover;
                self.owner = Owner::Nobody;
                self.number = *number;
                self.handovers += 1;
                self.service = handover.service.or(self.service);
                self.handover = Some(handover.clone());
                self.errors = 0;
            }
            Event::Enqueued { number, .. } => {
                self.wait_for_person(*number);
                self.at_desk = Some(*number);
                (self.asks_again_at, self.asked_again) = (None, 0);
                self.waiting_since = Some(at);
                self.first_response_at = None;
            }
            Event::NotQueued { again_at, .. } => self.asks_again_at = Some(*again_at),
            Event::AskedAgain { attempt, .. } => (self.asks_again_at, self.asked_again) = (None, *attempt),
            Event::Assigned { number, person } => self.owned_by(person, *number),
            Event::Requeued { number } => self.wait_for_person(*number),
            Event::TakenOver { number, by, handover, .. } => {
                self.at_desk = None;
                self.owned_by(by, *number);
                if let Some(handover) = handover {
                    self.handover = Some(handover.clone());
                    self.handovers += 1;
                    self.waiting_since = Some(at);
                    self.first_response_at = None;
                }
            }
            Event::GivenBack { number, note, .. } => self.give_back(*number, note),
            Event::Resolved { number, .. } => {
                self.state = State::Resolved;
                self.owner = Owner::Nobody;
                self.number = *number;
                self.at_desk = None;
                self.ended_at = Some(at);
            }
            Event::Reopened { number, by } => {
                self.reopened += 1;
                self.number = *number;
                self.ended_at = None;
                self.rating = None;
                if by.is_none() {
                    self.owner = Owner::Ai;
                    self.state = State::BackToAi;
                }
            }
            Event::ServiceLevelSet { service, change, .. } => {
                (self.service, self.service_changes) = (*service, *change)
            }
            Event::Rated { score, comment } => self.rating = Some((*score, comment.clone())),
            Event::Closed { .. } => {
                self.state = State::Finished;
                self.ended_at = Some(at);
            }
        }
    }

    fn say(&mut self, line: &Line) {
        self.lines = line.number;
        match &line.from {
            Author::Customer => {
                self.messages += 1;
                self.ended_at = None;
                if line.sequence.is_some() {
                    self.early.retain(|early| early.source != line.source || early.sequence != line.sequence);
                    self.signals.pass(&line.source, line.sequence);
                }
                if self.first_words.is_none() {
                    self.first_words = Some(line.text.clone());
                }
                self.queue.insert(line.number, line.clone());
            }
            Author::Ai { .. } => self.suggested = None,
            Author::Person { .. } => {
                self.suggested = None;
                self.first_response_at.get_or_insert(line.at);
            }
            Author::Suggestion { .. } => self.suggested = Some(line.text.clone()),
            Author::Note { .. } => {}
        }
        self.recent.push_back(line.clone());
        while self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
    }

    fn begin_run(&mut self, run: &RunId, message: u64) {
        self.runs += 1;
        self.state = State::AiProcessing;
        self.lend(message);
        self.note = None;
        self.active = Some(Active {
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

    fn give(&mut self, sequence: u64, message: u64) {
        self.state = State::AiProcessing;
        self.note = None;
        let (number, muted) = (self.number, self.muted.take());
        self.lend(message);
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
                self.returning.push(Returning { run: run.clone(), sequence, message });
            } else if kept.contains(&sequence) {
                self.take_back(message);
            } else {
                self.lent.remove(&message);
            }
        }
    }

    fn lend(&mut self, message: u64) {
        if let Some(line) = self.queue.remove(&message) {
            self.lent.insert(message, line);
        }
    }

    fn take_back(&mut self, message: u64) {
        if let Some(line) = self.lent.remove(&message) {
            self.queue.insert(message, line);
        }
    }

    fn wait_for_person(&mut self, number: u64) {
        self.state = State::PendingHuman;
        self.owner = Owner::Nobody;
        self.number = number;
        self.ended_at = None;
    }

    fn owned_by(&mut self, person: &str, number: u64) {
        self.state = State::HumanActive;
        self.owner = Owner::Person(person.to_owned());
        self.number = number;
        self.ended_at = None;
    }

    fn give_back(&mut self, number: u64, note: &str) {
        self.state = State::BackToAi;
        self.owner = Owner::Ai;
        self.number = number;
        self.at_desk = None;
        self.errors = 0;
        self.note = Some(note.to_owned()).filter(|note| !note.is_empty());
        let trigger = self.handover.as_ref().map(|handover| handover.trigger);
        // Who asks for a person again means it.
        self.muted = trigger.filter(|trigger| *trigger != Trigger::ExplicitRequest);
        // A run that waits speaks for the AI again, once it is told something.
        if let Some(active) = self.active.as_mut().filter(|active| active.waits) {
            active.number = number;
        }
    }
}
