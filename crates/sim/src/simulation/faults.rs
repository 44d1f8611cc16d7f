//! The storm: what goes wrong, and when it ends.

use std::time::Duration;

use baton_core::run::IncomingCommand;
use baton_core::tool::EffectClass;
use baton_ports::journal::InboxSubmission;

use super::node_states::column;
use super::{SimEvent, Simulation, log_story};
use crate::case::{FaultPoint, PlannedFault, SimCallBlock, SimCase, SimFault};
use crate::coverage::CoverageColumn;
use crate::process::{SimProcessState, StopMode, TaskAddress};
use crate::rng::SeededRng;
use crate::services::RequestFate;

/// Number of hints that get lost once they do.
const HINTS_LOST: u32 = 6;

/// The faults that are still to come.
#[derive(Debug, Default)]
pub struct FaultInjector {
    plan: Vec<PlannedFault>,
    /// How often any effect reached each point.
    point_counts: [u32; FaultPoint::ALL.len()],
    fate_percent: u64,
    next_fates: Vec<RequestFate>,
    next_blocks: Vec<SimCallBlock>,
    hints_to_lose: u32,
    answers_to_repeat: u32,
    pub mistake_percent: u64,
    /// Store requests other than appends that still fail, and whether the store performs them.
    store_failures: (u32, bool),
    is_over: bool,
}

impl FaultInjector {
    pub fn of(case: &SimCase) -> Self {
        Self {
            plan: case.plan.clone(),
            fate_percent: case.fate_percent,
            mistake_percent: case.mistake_percent,
            ..Self::default()
        }
    }

    /// Faults that are due now.
    pub(super) fn due_faults(&mut self, instant: FaultPoint) -> Vec<SimFault> {
        if self.is_over {
            return Vec::new();
        }
        let seen = &mut self.point_counts[instant as usize];
        *seen += 1;
        let now = *seen;
        let due = self.plan.extract_if(.., |planned| planned.point == instant && planned.nth <= now);
        due.map(|planned| planned.fault).collect()
    }

    /// The fate of the next call.
    pub(super) fn next_fate(&mut self, rng: &mut SeededRng, class: EffectClass) -> RequestFate {
        if let Some(fate) = self.next_fates.pop() {
            return fate;
        }
        if self.is_over || !rng.chance(self.fate_percent) {
            return RequestFate::Done;
        }
        let declined = u64::from(class != EffectClass::Verify);
        let fate = rng.choose_weighted(&[
            (2, RequestFate::Slow),
            (6, RequestFate::Refused),
            (declined, RequestFate::Declined),
            (3, RequestFate::AnswerLost),
            (3, RequestFate::RequestLost),
            (2, RequestFate::Late),
            (3, RequestFate::Garbled),
        ]);
        // A model that is asked again after nonsense often returns nonsense again, and the agent gives up.
        if fate == RequestFate::Garbled && rng.chance(50) {
            self.next_fates.push(RequestFate::Garbled);
        }
        fate
    }

    pub(super) fn next_block(&mut self, rng: &mut SeededRng) -> Option<SimCallBlock> {
        if let Some(block) = self.next_blocks.pop() {
            return Some(block);
        }
        let may = !self.is_over && rng.chance(self.fate_percent / 5);
        may.then(|| *rng.choose(&SimCallBlock::ALL))
    }

    /// Whether the store fails this time and, if so, whether it performed the request.
    pub(super) fn store_failure(&mut self) -> Option<bool> {
        let (left, done) = &mut self.store_failures;
        *left = left.checked_sub(1)?;
        Some(*done)
    }

    pub(super) fn loses_hint(&mut self, rng: &mut SeededRng) -> bool {
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
    pub(super) fn inject_fault(&mut self, place: &TaskAddress, fault: SimFault) {
        let process = place.process;
        // Its process may have stopped by an earlier fault of the same instant.
        if !self.is_up(process, place.incarnation) {
            return;
        }
        // Conversations cannot be paused or cancelled: the fault waits for the next run.
        if matches!(fault, SimFault::Pause | SimFault::Cancel { .. }) && self.oracle.conversations.contains(&place.run)
        {
            return self.reschedule_fault(fault);
        }
        log_story!(self, "FAULT {fault:?} at p{process} {}", place.run);
        match fault {
            SimFault::Call(fate) => self.faults.next_fates.push(fate),
            SimFault::Block(block) => self.faults.next_blocks.push(block),
            SimFault::AnswerTwice => self.faults.answers_to_repeat += 1,
            SimFault::SlowWrite { .. } | SimFault::FailWrite { .. } => self.reschedule_fault(fault),
            SimFault::Kill { .. }
            | SimFault::KillMidway { .. }
            | SimFault::Freeze { .. }
            | SimFault::FreezeMidway { .. }
            | SimFault::Leave
            | SimFault::LoseHints
            | SimFault::FailStore { .. }
            | SimFault::SetClock { .. }
            | SimFault::Duplicate => {
                if let Some(column) = column(fault) {
                    self.cover_all(place, column);
                }
            }
            SimFault::Pause => self.cover(place, CoverageColumn::Pause),
            SimFault::Cancel { .. } => self.cover(place, CoverageColumn::Cancel),
        }
        match fault {
            SimFault::Kill { noticed } => {
                let after = Duration::from_secs(self.rng.between(1, 60));
                self.kill(process, noticed, after);
            }
            SimFault::KillMidway { after } => self.processes[process].stops_after = Some((after, StopMode::Killed)),
            SimFault::FreezeMidway { after } => self.processes[process].stops_after = Some((after, StopMode::Frozen)),
            SimFault::Freeze { seconds, holds } => self.freeze(process, seconds, holds),
            SimFault::Leave => {
                self.processes[process].is_draining = true;
                self.leave_if_idle(place);
            }
            SimFault::LoseHints => self.faults.hints_to_lose += HINTS_LOST,
            SimFault::FailStore { calls, done } => self.faults.store_failures = (calls, done),
            SimFault::SetClock { by } => self.set_clock(process, by),
            SimFault::Duplicate => self.submit_again(place),
            SimFault::Pause => {
                self.command(place, IncomingCommand::Pause { by: "operator".to_owned() }, 0);
                let after = self.rng.between(1_000, 60_000);
                self.command(place, IncomingCommand::Resume { by: "operator".to_owned() }, after);
            }
            SimFault::Cancel { compensate } => {
                self.command(
                    place,
                    IncomingCommand::Cancel { by: "operator".to_owned(), compensate, asked_by: Vec::new() },
                    0,
                );
            }
            SimFault::Call(_)
            | SimFault::Block(_)
            | SimFault::AnswerTwice
            | SimFault::SlowWrite { .. }
            | SimFault::FailWrite { .. } => {}
        }
    }

    /// A fault that only an append can have waits for the next append.
    fn reschedule_fault(&mut self, fault: SimFault) {
        self.faults.plan.push(PlannedFault { point: FaultPoint::BeforeAppend, nth: 0, fault });
    }

    fn command(&mut self, place: &TaskAddress, incoming: IncomingCommand, after: u64) {
        let number = self.next_number();
        let Some(submit) = self.encode_item(&place.run, format!("operator/{number}"), &incoming) else { return };
        self.schedule_within(after, after + 5, SimEvent::SubmitItem { submit: Box::new(submit) });
    }

    pub(super) fn freeze(&mut self, process: usize, seconds: u64, holds: bool) {
        let found = &mut self.processes[process];
        found.state = SimProcessState::Frozen { holds };
        let incarnation = found.incarnation;
        log_story!(self, "p{process} stands still for {seconds} s");
        let at = self.now + Duration::from_secs(seconds) + Duration::from_millis(self.rng.below(500));
        self.schedule(at, SimEvent::ThawProcess { process, incarnation });
    }

    /// A process that shuts down in order lets its appends finish and releases everything.
    pub(super) fn leave_if_idle(&mut self, place: &TaskAddress) {
        let found = &mut self.processes[place.process];
        if !found.is_draining || !found.is_up() || found.is_appending() {
            return;
        }
        let id = found.lease.process;
        found.reset();
        self.journal.leave_cluster(id);
        log_story!(self, "p{} leaves", place.process);
        let after = Duration::from_secs(self.rng.between(1, 20));
        self.schedule(self.now + after, SimEvent::RestartProcess { process: place.process });
        self.store_changed = true;
    }

    fn submit_again(&mut self, place: &TaskAddress) {
        let again: Vec<InboxSubmission> = self.oracle.submitted(&place.run).to_vec();
        for submit in again {
            self.schedule_within(0, 500, SimEvent::SubmitItem { submit: Box::new(submit) });
        }
    }

    /// Nothing goes wrong any more; stopped processes continue.
    pub(super) fn end_faults(&mut self) {
        log_story!(self, "the storm is over");
        let people = 0;
        self.faults = FaultInjector { is_over: true, mistake_percent: people, ..FaultInjector::default() };
        self.calm_since = Some(self.now);
        for process in 0..self.processes.len() {
            self.processes[process].stops_after = None;
            let incarnation = self.processes[process].incarnation;
            match self.processes[process].state {
                SimProcessState::Up => {}
                SimProcessState::Down => self.start_process(process),
                SimProcessState::Frozen { .. } => self.thaw(process, incarnation),
            }
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.faults.is_over
    }
}
