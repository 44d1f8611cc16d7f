//! The storm: what goes wrong, and when it is over.

use std::time::Duration;

use baton_core::run::Incoming;
use baton_core::tool::Class;
use baton_ports::journal::Submit;

use super::standing::column;
use super::{Happening, Simulation, tell};
use crate::case::{Block, Case, Fault, Instant, Planned};
use crate::coverage::Column;
use crate::process::{Place, State, Stop};
use crate::rng::Rng;
use crate::services::Fate;

/// Hints that get lost once they do.
const HINTS_LOST: u32 = 6;

/// What is still to go wrong.
#[derive(Debug, Default)]
pub struct Storm {
    plan: Vec<Planned>,
    /// How often anything stood at each instant.
    seen: [u32; Instant::ALL.len()],
    fates: u64,
    next_fates: Vec<Fate>,
    next_blocks: Vec<Block>,
    hints_to_lose: u32,
    answers_to_repeat: u32,
    pub people: u64,
    /// Calls of the store, but for appends, that fail, and whether it does what it does not answer.
    fails: (u32, bool),
    is_over: bool,
}

impl Storm {
    pub fn of(case: &Case) -> Self {
        Self { plan: case.plan.clone(), fates: case.fates, people: case.people, ..Self::default() }
    }

    /// Faults whose moment this is.
    pub(super) fn due(&mut self, instant: Instant) -> Vec<Fault> {
        if self.is_over {
            return Vec::new();
        }
        let seen = &mut self.seen[instant as usize];
        *seen += 1;
        let now = *seen;
        let due = self.plan.extract_if(.., |planned| planned.instant == instant && planned.nth <= now);
        due.map(|planned| planned.fault).collect()
    }

    /// What the next call meets.
    pub(super) fn fate(&mut self, rng: &mut Rng, class: Class) -> Fate {
        if let Some(fate) = self.next_fates.pop() {
            return fate;
        }
        if self.is_over || !rng.chance(self.fates) {
            return Fate::Done;
        }
        let declined = u64::from(class != Class::Verify);
        let fate = rng.weighted(&[
            (2, Fate::Slow),
            (6, Fate::Refused),
            (declined, Fate::Declined),
            (3, Fate::AnswerLost),
            (3, Fate::RequestLost),
            (2, Fate::Late),
            (3, Fate::Garbled),
        ]);
        // Whoever is asked again after nonsense often says nonsense again, and is given up.
        if fate == Fate::Garbled && rng.chance(50) {
            self.next_fates.push(Fate::Garbled);
        }
        fate
    }

    pub(super) fn block(&mut self, rng: &mut Rng) -> Option<Block> {
        if let Some(block) = self.next_blocks.pop() {
            return Some(block);
        }
        let may = !self.is_over && rng.chance(self.fates / 5);
        may.then(|| *rng.pick(&Block::ALL))
    }

    /// Whether the store fails this time; then, whether it did what it was asked.
    pub(super) fn fails(&mut self) -> Option<bool> {
        let (left, done) = &mut self.fails;
        *left = left.checked_sub(1)?;
        Some(*done)
    }

    pub(super) fn loses_hint(&mut self, rng: &mut Rng) -> bool {
        if self.hints_to_lose > 0 {
            self.hints_to_lose -= 1;
            return true;
        }
        // Even in calm a hint is only a hint.
        rng.chance(5)
    }

    pub(super) fn answers_twice(&mut self) -> bool {
        let twice = self.answers_to_repeat > 0;
        self.answers_to_repeat -= u32::from(twice);
        twice
    }
}

impl Simulation<'_> {
    pub(super) fn strike(&mut self, place: &Place, fault: Fault) {
        let process = place.process;
        // Its process may have stopped by an earlier fault of the same instant.
        if !self.is_up(process, place.incarnation) {
            return;
        }
        // Nobody pauses or cancels a conversation: this is for the next run.
        if matches!(fault, Fault::Pause | Fault::Cancel { .. }) && self.witness.talks.has(&place.run) {
            return self.plan_again(fault);
        }
        tell!(self, "FAULT {fault:?} at p{process} {}", place.run);
        match fault {
            Fault::Call(fate) => self.storm.next_fates.push(fate),
            Fault::Block(block) => self.storm.next_blocks.push(block),
            Fault::AnswerTwice => self.storm.answers_to_repeat += 1,
            Fault::SlowWrite { .. } | Fault::FailWrite { .. } => self.plan_again(fault),
            Fault::Kill { .. }
            | Fault::KillMidway { .. }
            | Fault::Freeze { .. }
            | Fault::FreezeMidway { .. }
            | Fault::Leave
            | Fault::LoseHints
            | Fault::FailStore { .. }
            | Fault::SetClock { .. }
            | Fault::Duplicate => {
                if let Some(column) = column(fault) {
                    self.cover_all(place, column);
                }
            }
            Fault::Pause => self.cover(place, Column::Pause),
            Fault::Cancel { .. } => self.cover(place, Column::Cancel),
        }
        match fault {
            Fault::Kill { noticed } => {
                let after = Duration::from_secs(self.rng.between(1, 60));
                self.kill(process, noticed, after);
            }
            Fault::KillMidway { after } => self.processes[process].stops_after = Some((after, Stop::Killed)),
            Fault::FreezeMidway { after } => self.processes[process].stops_after = Some((after, Stop::Frozen)),
            Fault::Freeze { seconds, holds } => self.freeze(process, seconds, holds),
            Fault::Leave => {
                self.processes[process].leaving = true;
                self.leave_if_idle(place);
            }
            Fault::LoseHints => self.storm.hints_to_lose += HINTS_LOST,
            Fault::FailStore { calls, done } => self.storm.fails = (calls, done),
            Fault::SetClock { by } => self.set_clock(process, by),
            Fault::Duplicate => self.submit_again(place),
            Fault::Pause => {
                self.command(place, Incoming::Pause { by: "operator".to_owned() }, 0);
                let after = self.rng.between(1_000, 60_000);
                self.command(place, Incoming::Resume { by: "operator".to_owned() }, after);
            }
            Fault::Cancel { compensate } => {
                self.command(
                    place,
                    Incoming::Cancel { by: "operator".to_owned(), compensate, asked_by: Vec::new() },
                    0,
                );
            }
            Fault::Call(_)
            | Fault::Block(_)
            | Fault::AnswerTwice
            | Fault::SlowWrite { .. }
            | Fault::FailWrite { .. } => {}
        }
    }

    /// A fault that only an append can have waits for the next.
    fn plan_again(&mut self, fault: Fault) {
        self.storm.plan.push(Planned { instant: Instant::BeforeAppend, nth: 0, fault });
    }

    fn command(&mut self, place: &Place, incoming: Incoming, after: u64) {
        let number = self.number();
        let Some(submit) = self.written(&place.run, format!("operator/{number}"), &incoming) else { return };
        self.soon(after, after + 5, Happening::Submits { submit: Box::new(submit) });
    }

    pub(super) fn freeze(&mut self, process: usize, seconds: u64, holds: bool) {
        let found = &mut self.processes[process];
        found.state = State::Frozen { holds };
        let incarnation = found.incarnation;
        tell!(self, "p{process} stands still for {seconds} s");
        let at = self.now + Duration::from_secs(seconds) + Duration::from_millis(self.rng.below(500));
        self.put(at, Happening::Thaws { process, incarnation });
    }

    /// A process that stops in order lets its appends finish and gives everything back.
    pub(super) fn leave_if_idle(&mut self, place: &Place) {
        let found = &mut self.processes[place.process];
        if !found.leaving || !found.is_up() || found.is_appending() {
            return;
        }
        let id = found.lease.process;
        found.forget();
        self.books.leave(id);
        tell!(self, "p{} leaves", place.process);
        let after = Duration::from_secs(self.rng.between(1, 20));
        self.put(self.now + after, Happening::Restarts { process: place.process });
        self.stirred = true;
    }

    fn submit_again(&mut self, place: &Place) {
        let again: Vec<Submit> = self.witness.submitted(&place.run).to_vec();
        for submit in again {
            self.soon(0, 500, Happening::Submits { submit: Box::new(submit) });
        }
    }

    /// Nothing goes wrong any more; whatever stopped goes on.
    pub(super) fn calm_down(&mut self) {
        tell!(self, "the storm is over");
        let people = 0;
        self.storm = Storm { is_over: true, people, ..Storm::default() };
        self.calm_since = Some(self.now);
        for process in 0..self.processes.len() {
            self.processes[process].stops_after = None;
            let incarnation = self.processes[process].incarnation;
            match self.processes[process].state {
                State::Up => {}
                State::Down => self.start_process(process),
                State::Frozen { .. } => self.thaw(process, incarnation),
            }
        }
    }

    pub(super) fn is_calm(&self) -> bool {
        self.storm.is_over
    }
}
