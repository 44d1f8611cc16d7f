//! The people of a desk: they come and go, take conversations over, answer them or leave them lying, speak where they may
//! not, and give them back.

use std::time::Duration;

use baton_core::conversation::{Command, Event};
use baton_core::desk::{self, Presence, To};
use baton_core::id::RunId;
use baton_engine::plain::desk_of;
use baton_ports::journal::{Create, Kind};

use super::{Simulation, tenant};
use crate::case::Instant;
use crate::coverage::Column;
use crate::oracle::Standing;
use crate::talks::{Change, Shift};

/// Somebody who owns nothing, and speaks all the same.
const STRANGER: &str = "nobody";

impl Simulation<'_> {
    /// Puts on the agenda who the people are, and when they come and go.
    pub(super) fn open_desk_of_talks(&mut self) {
        let Some(talks) = &self.case.talks else { return };
        self.tell_desk("settings", &desk::Command::Settings(talks.settings.clone()), Duration::ZERO);
        for person in &talks.people {
            self.tell_desk(&format!("put/{}", person.id), &desk::Command::PutPerson(person.clone()), Duration::ZERO);
        }
        for (place, Shift { after, who, what }) in talks.shifts.iter().enumerate() {
            let said = match what {
                Change::Is(presence) => desk::Command::Presence { person: who.clone(), presence: *presence },
                Change::Removed => desk::Command::RemovePerson { person: who.clone() },
                Change::MayHave(max_capacity) => {
                    let Some(person) = talks.people.iter().find(|person| person.id == *who) else { continue };
                    desk::Command::PutPerson(desk::Profile { max_capacity: *max_capacity, ..person.clone() })
                }
            };
            self.tell_desk(&format!("shift/{place}"), &said, *after + Duration::from_millis(10));
        }
    }

    fn tell_desk(&mut self, id: &str, said: &desk::Command, after: Duration) {
        let creates = Create { kind: Kind::Desk, workflow: String::new(), parent: None, owner: None };
        self.tell_talk(&desk_of(&tenant()), id.to_owned(), said, Some(creates), after);
    }

    /// What people and customers make of what was just recorded of a conversation.
    pub(super) fn react_to_talk(&mut self, id: &RunId) {
        for event in self.witness.talks.last(id) {
            match event {
                Event::Assigned { number, person: by } | Event::TakenOver { number, by, .. } => {
                    self.sees_to(id, &by, number);
                }
                Event::RunHeard { waits: true, .. } => self.write_back(id),
                Event::RunBegun { .. } | Event::Enqueued { .. } if !self.is_calm() && self.rng.chance(6) => {
                    self.takes_over(id);
                }
                Event::Resolved { .. } if !self.is_calm() && self.rng.chance(30) => match self.rng.chance(50) {
                    true => self.reopens(id),
                    false => self.write_back(id),
                },
                _ => {}
            }
        }
    }

    fn takes_over(&mut self, id: &RunId) {
        let Some(talks) = &self.case.talks else { return };
        let by = self.rng.pick(&talks.people).id.to_string();
        let number = self.number();
        let after = Duration::from_millis(self.rng.between(1, 5_000));
        self.tell_talk(id, format!("over/{number}"), &Command::TakeOver { by }, None, after);
    }

    fn reopens(&mut self, id: &RunId) {
        let number = self.number();
        let after = Duration::from_millis(self.rng.between(1, 20_000));
        self.tell_talk(id, format!("open/{number}"), &Command::Reopen { by: "d0".to_owned() }, None, after);
    }

    /// Somebody has it now: they answer sooner or later, or too late, and are done with it.
    fn sees_to(&mut self, id: &RunId, by: &str, number: u64) {
        let is_late = self.rng.chance(self.storm.people / 2);
        let first = if is_late { self.rng.between(30_000, 200_000) } else { self.rng.between(200, 15_000) };
        let answers = self.rng.chance(80);
        if answers {
            self.posts(id, by, number, first);
        }
        if answers && self.rng.chance(self.storm.people) {
            self.coverage.hit("conversation", Column::AnsweredTwice, Instant::Sent);
            let again = first + self.rng.between(1, 150_000);
            self.posts(id, by, number, again);
        }
        if self.rng.chance(self.storm.people) {
            self.coverage.hit("conversation", Column::WrongAnswer, Instant::Sent);
            self.posts(id, STRANGER, number, first);
        }
        // Some leave it lying.
        if !self.is_calm() && self.rng.chance(20) {
            return;
        }
        let after = first + self.rng.between(1, 30_000);
        self.is_done(id, by, number, after);
    }

    fn posts(&mut self, id: &RunId, by: &str, number: u64, after: u64) {
        let unique = self.number();
        // What they quote is in their words, for whoever reads them.
        let text = format!("{by} under {number}");
        let post = Command::Post { by: by.to_owned(), number, text };
        self.tell_talk(id, format!("post/{unique}"), &post, None, Duration::from_millis(after));
        if by != STRANGER && self.rng.chance(70) {
            let heard = desk::Command::Heard { person: by.into() };
            self.tell_desk(&format!("heard/{unique}"), &heard, Duration::from_millis(after));
        }
    }

    fn is_done(&mut self, id: &RunId, by: &str, number: u64, after: u64) {
        let (unique, after) = (self.number(), Duration::from_millis(after));
        let by = by.to_owned();
        let said = match self.rng.below(10) {
            0..=4 => Command::GiveBack { by, note: "look again".to_owned() },
            5..=7 => Command::Resolve { by },
            _ => return self.passes_on(id, number, unique, after),
        };
        self.tell_talk(id, format!("done/{unique}"), &said, None, after);
    }

    /// It goes to somebody else, or back into the line.
    fn passes_on(&mut self, id: &RunId, number: u64, unique: u64, after: Duration) {
        let Some(talks) = &self.case.talks else { return };
        let to = match self.rng.chance(50) {
            true => To::Person(self.rng.pick(&talks.people).id.clone()),
            false => To::Skills(std::collections::BTreeSet::new()),
        };
        let said = desk::Command::Transfer { conversation: id.clone(), number, to };
        self.tell_desk(&format!("pass/{unique}"), &said, after);
    }

    /// Nothing is on its way any more: desk and conversations say the same.
    pub(super) fn heed_talks(&mut self) {
        let checked = self.witness.talks.agree(&self.books);
        self.heed(checked);
    }

    /// People see to a conversation or a desk that has not come to rest; false where it is a run.
    pub(super) fn help_talk(&mut self, id: &RunId) -> bool {
        let talk = self.witness.talks.of_run(id).unwrap_or_else(|| id.clone());
        let number = self.number();
        let soon = Duration::from_millis(10);
        match self.witness.talks.standing(&talk) {
            Some(Standing::Persons(by)) => {
                let back = Command::GiveBack { by, note: String::new() };
                self.tell_talk(&talk, format!("help/{number}"), &back, None, soon);
            }
            Some(Standing::Waits) => self.everybody_comes(),
            // A run waits for a customer who thinks that all is said.
            Some(Standing::Over) if *id != talk => self.write_later(&talk, soon),
            Some(Standing::Over | Standing::Ais) | None => {}
        }
        self.witness.talks.has(id)
    }

    fn everybody_comes(&mut self) {
        let Some(talks) = &self.case.talks else { return };
        for person in &talks.people {
            let number = self.number();
            self.tell_desk(&format!("help/put/{number}"), &desk::Command::PutPerson(person.clone()), Duration::ZERO);
            let online = desk::Command::Presence { person: person.id.clone(), presence: Presence::Online };
            self.tell_desk(&format!("help/{number}"), &online, Duration::from_millis(200));
        }
    }
}
