//! Awake runs: feeds their owners, and carries out their outputs, as the engine's own shell does.

use std::collections::BTreeMap;
use std::time::Duration;

use baton_core::id::RunId;
use baton_core::run::FOLD_VERSION;
use baton_core::time::Time;
use baton_engine::dispatcher::TaskExit;
use baton_engine::owner::{OwnerInput, OwnerOutput, RunOwner, versions_of};
use baton_ports::journal::{InboxItem, JournalAppend, JournalError, Ownership};

use super::script::CallStage;
use super::{SimEvent, Simulation, log_story};
use crate::case::{FaultPoint, SimFault};
use crate::coverage::CoverageColumn;
use crate::process::{SimProcessState, SimRunTask, StopMode, TaskAddress};
use crate::sim_thinker::SimThinker;

/// The percentage of states that are compared with the fold of their whole journal: a comparison costs as much as a
/// run.
pub(super) const COMPARED_PERCENT: u64 = 15;
/// The prefix of snapshots of another fold version.
pub(super) const OTHER_FOLD: &[u8] = b"another fold: ";

impl Simulation<'_> {
    pub(super) fn start_task(&mut self, process: usize, run: &RunId, owner: RunOwner, items: Vec<InboxItem>) {
        let number = self.next_number();
        let task = SimRunTask {
            number,
            owner,
            looked_at: Time::EPOCH,
            permits: BTreeMap::new(),
            attempts: BTreeMap::new(),
            wake_at: None,
            pending_append: None,
            last_recorded: None,
        };
        self.processes[process].tasks.insert(run.clone(), task);
        self.renew_soon(process);
        let nudged = self.processes[process].dispatcher.task_started(run);
        self.feed_input(process, run, OwnerInput::Items(items));
        if nudged {
            self.read_inbox(process, run);
        }
    }

    pub(super) fn feed_input(&mut self, process: usize, run: &RunId, input: OwnerInput) {
        let Some(task) = self.processes[process].tasks.get_mut(run) else { return };
        let number = task.number;
        if self.story.is_some() {
            let line = format!("p{process} {run} ← {}", shown(&input));
            self.push_story_line(line);
        }
        let now = self.clocks(process);
        let Some(task) = self.processes[process].tasks.get_mut(run) else { return };
        task.looked_at = now.wall;
        let outputs = task.owner.handle(input, now, &SimThinker, &self.options);
        let ownership = task.owner.ownership();
        let place = self.place(process, run, number);
        for output in outputs {
            let let_out = match &output {
                OwnerOutput::Dispatch(send) | OwnerOutput::LookUp(send) => Some(&send.effect),
                OwnerOutput::Perform { effect, .. } => Some(effect),
                _ => None,
            };
            if let Some(effect) = let_out {
                let checked = self.oracle.check_dispatch(run, effect, ownership);
                self.record_check(checked);
            }
            self.check_sleep(process, run, ownership, &output);
            self.apply_output(&place, output);
        }
        self.leave_if_idle(&place);
    }

    /// Carries out one output; between any two the process may be killed or freeze.
    pub(super) fn apply_output(&mut self, place: &TaskAddress, output: OwnerOutput) {
        if self.processes[place.process].incarnation != place.incarnation {
            return;
        }
        self.stop_between_outputs(place);
        let found = &mut self.processes[place.process];
        match found.state {
            SimProcessState::Up if found.incarnation == place.incarnation => {}
            SimProcessState::Frozen { .. } => return found.deferred_outputs.push_back((place.clone(), output)),
            SimProcessState::Up | SimProcessState::Down => return,
        }
        if !found.has_task(place) {
            return;
        }
        match output {
            OwnerOutput::Append(append) => self.begin_append(place, *append),
            OwnerOutput::Dispatch(send) => self.check(place, send),
            OwnerOutput::Perform { effect, until } => self.perform(place, &effect, until),
            OwnerOutput::LookUp(send) => self.begin_look_up(place, send),
            OwnerOutput::Drop { effect } => self.drop_call(place, effect),
            OwnerOutput::Refused { item, refusal } => {
                log_story!(self, "p{} {} refuses item {item}: {refusal}", place.process, place.run);
                if let Some(script) = &mut self.script {
                    script.refused.push(refusal.to_string());
                }
                if let Some(ownership) = self.ownership(place) {
                    self.oracle.item_refused(&place.run, ownership, item);
                }
            }
            // No run depends on the health of agents.
            OwnerOutput::AgentsEnded(_) => {}
            OwnerOutput::Announce(run) => {
                if !self.faults.loses_hint(&mut self.rng) {
                    let (process, incarnation) = (place.process, place.incarnation);
                    self.schedule_within(0, 5, SimEvent::InboxHint { process, incarnation, run });
                }
            }
            OwnerOutput::WakeAt(at) => self.set_timer(place, at),
            OwnerOutput::Released => {
                self.compare(place);
                self.end_task(place, TaskExit::NotOwned);
            }
            OwnerOutput::Failed => self.end_task(place, TaskExit::Unsettled { moved: true }),
            OwnerOutput::Release { wake_at } => self.release(place, wake_at),
        }
    }

    /// A run that sleeps past its time would be listed as due at every poll and never advance.
    pub(super) fn check_sleep(&mut self, process: usize, run: &RunId, ownership: Ownership, output: &OwnerOutput) {
        let wake_at = match output {
            OwnerOutput::Append(append) if append.release => append.wake_at,
            OwnerOutput::Release { wake_at } if self.oracle.is_owner(run, &ownership) => *wake_at,
            _ => None,
        };
        let wall = self.clocks(process).wall;
        if let Some(at) = wake_at.filter(|at| *at <= wall) {
            self.record_violation("spin", format!("`{run}` goes to sleep, and was to be woken at {at}"));
        }
    }

    fn stop_between_outputs(&mut self, place: &TaskAddress) {
        let found = &mut self.processes[place.process];
        let Some((left, stop)) = found.stops_after.as_mut() else { return };
        if let Some(less) = left.checked_sub(1) {
            *left = less;
            return;
        }
        let stop = *stop;
        found.stops_after = None;
        match stop {
            StopMode::Killed => {
                let noticed = self.rng.chance(50);
                let after = Duration::from_secs(self.rng.between(1, 30));
                self.kill(place.process, noticed, after);
            }
            StopMode::Frozen => self.freeze(place.process, 60, true),
        }
    }

    fn begin_append(&mut self, place: &TaskAddress, append: JournalAppend) {
        self.oracle.append_started(&append);
        if let Some(under_way) = self.processes[place.process].pending_append(place) {
            *under_way = Some((append.entry.clone().unwrap_or_default(), false));
        }
        let faults = self.faults.due_faults(FaultPoint::BeforeAppend);
        let mut delay = Duration::from_millis(self.rng.between(1, 5));
        let mut lost = false;
        for fault in faults {
            match fault {
                SimFault::SlowWrite { seconds } => {
                    self.cover(place, CoverageColumn::SlowWrite);
                    delay = Duration::from_secs(seconds);
                }
                SimFault::FailWrite { .. } => {
                    self.cover(place, CoverageColumn::FailedWrite);
                    lost = true;
                }
                fault => self.inject_fault(place, fault),
            }
        }
        log_story!(self, "p{} {} appends {}: {}", place.process, place.run, append.expected_seq + 1, entry_of(&append));
        self.schedule(
            self.now + delay,
            SimEvent::AppendArrives { place: place.clone(), append: Box::new(append), lost },
        );
    }

    pub(super) fn append_arrives(&mut self, place: TaskAddress, mut append: JournalAppend, lost: bool) {
        // What a killed process had not handed over is lost with it.
        if self.processes[place.process].incarnation != place.incarnation && self.chance_unless_scripted(50) {
            return;
        }
        if lost {
            let answer = Err(JournalError::Unwritable { reason: "the disk is full".to_owned() });
            return self.schedule_within(1, 3, SimEvent::AppendAnswered { place, answer });
        }
        self.rewrite_snapshot(&place, &mut append);
        let kept = append.clone();
        let taken = self.journal.items_to_consume(&kept);
        let mut answer = self.journal.append(append);
        let mut delay = Duration::from_millis(self.rng.between(1, 3));
        if answer.is_ok() {
            log_story!(self, "p{} {} is at {}", place.process, place.run, kept.expected_seq + 1);
            if let Some(Some((_, committed))) = self.processes[place.process].pending_append(&place) {
                *committed = true;
            }
            self.store_changed = true;
            self.committed(&place, &kept, &taken);
            self.cue_entry(&place, kept.entry.as_deref(), CallStage::Marked);
            for fault in self.faults.due_faults(FaultPoint::AfterAppend) {
                match fault {
                    SimFault::FailWrite { .. } => {
                        self.cover(&place, CoverageColumn::FailedWrite);
                        answer = Err(JournalError::Unwritable { reason: "nobody knows".to_owned() });
                    }
                    SimFault::SlowWrite { seconds } => {
                        self.cover(&place, CoverageColumn::SlowWrite);
                        delay = Duration::from_secs(seconds);
                    }
                    fault => self.inject_fault(&place, fault),
                }
            }
        } else {
            log_story!(
                self,
                "p{} {} is refused its append {}: {answer:?}",
                place.process,
                place.run,
                kept.expected_seq + 1
            );
        }
        self.schedule(self.now + delay, SimEvent::AppendAnswered { place, answer });
    }

    /// Checks that the state of an owner is the fold of its journal.
    fn compare(&mut self, place: &TaskAddress) {
        if !self.rng.chance(COMPARED_PERCENT) {
            return;
        }
        self.compare_aggregate_fold(place);
        let Some(task) = self.processes[place.process].tasks.get(&place.run) else { return };
        let checked = self.oracle.check_fold(&place.run, task.owner.run(), task.owner.seq());
        self.record_check(checked);
    }

    /// A binary with another fold version writes snapshots that this one cannot read.
    pub(super) fn rewrite_snapshot(&self, place: &TaskAddress, append: &mut JournalAppend) {
        let fold_version = self.processes[place.process].fold_version;
        if let Some(snapshot) = append.snapshot.as_mut().filter(|_| fold_version != FOLD_VERSION) {
            snapshot.fold_version = fold_version;
            snapshot.state = [OTHER_FOLD, &snapshot.state].concat().into();
        }
    }

    fn committed(&mut self, place: &TaskAddress, append: &JournalAppend, taken: &[InboxItem]) {
        if self.oracle.conversations.contains(&append.aggregate) {
            return self.aggregate_committed(append, taken);
        }
        let checked = self.oracle.append_committed(append, taken, &self.services, self.catalog);
        self.record_check(checked);
        let asks = self.processes[place.process].task_mut(place).map(|task| task.owner.run().human_tasks());
        if let Some(asks) = asks {
            let checked = self.oracle.check_tasks(&append.aggregate, &asks, &self.journal);
            self.record_check(checked);
        }
        if append.entry.is_some() {
            self.react_to_append(append);
        }
    }

    pub(super) fn append_answered(&mut self, place: &TaskAddress, answer: Result<(), JournalError>) {
        if self.processes[place.process].aggregate_task_mut(place).is_some() {
            return self.aggregate_append_answered(place, answer);
        }
        let Some(task) = self.processes[place.process].task_mut(place) else { return };
        task.last_recorded = task.pending_append.take().map(|(entry, _)| entry);
        let recorded = task.last_recorded.clone();
        let ownership = task.owner.ownership();
        match answer {
            Ok(()) => {
                self.oracle.append_acknowledged(&place.run, ownership);
                self.feed_input(place.process, &place.run, OwnerInput::Appended);
                // A process that stopped in the middle has not reported all refusals.
                if self.is_up(place.process, place.incarnation)
                    && self.processes[place.process].deferred_outputs.is_empty()
                {
                    let checked = self.oracle.settle_refusals(&place.run, ownership);
                    self.record_check(checked);
                }
                self.cue_entry(place, recorded.as_deref(), CallStage::Recorded);
                for fault in self.faults.due_faults(FaultPoint::Recorded) {
                    self.inject_fault(place, fault);
                }
            }
            Err(_) => self.end_task(place, TaskExit::Unsettled { moved: true }),
        }
    }

    pub(super) fn ownership(&mut self, place: &TaskAddress) -> Option<Ownership> {
        self.processes[place.process].ownership(place)
    }

    fn set_timer(&mut self, place: &TaskAddress, at: Time) {
        let found = &mut self.processes[place.process];
        let of_keeping = found.aggregate_task_mut(place).map(|aggregate_task| &mut aggregate_task.wake_at).is_some();
        let wake_at = match of_keeping {
            true => found.aggregate_task_mut(place).map(|aggregate_task| &mut aggregate_task.wake_at),
            false => found.task_mut(place).map(|task| &mut task.wake_at),
        };
        if let Some(wake_at) = wake_at
            && *wake_at != Some(at)
        {
            *wake_at = Some(at);
            self.schedule_wake(place, at);
        }
    }

    /// By its own clock, which advances with the world's unless it is set.
    pub(super) fn schedule_wake(&mut self, place: &TaskAddress, at: Time) {
        let now = self.clocks(place.process);
        let found = &mut self.processes[place.process];
        let wait = match found.task_mut(place) {
            Some(task) => Some(task.owner.time_until(at, now)),
            None => found.aggregate_task_mut(place).and_then(|aggregate_task| aggregate_task.aggregate.time_left(now)),
        };
        if let Some(wait) = wait {
            self.schedule(self.now + wait, SimEvent::TimerFires { place: place.clone(), at });
        }
    }

    fn release(&mut self, place: &TaskAddress, wake_at: Option<Time>) {
        let Some(ownership) = self.ownership(place) else { return };
        let fails = self.faults.store_failure();
        let released = if fails == Some(false) { None } else { Some(self.journal.release(ownership, wake_at)) };
        if matches!(released, Some(Ok(()))) {
            self.oracle.released(&place.run, ownership);
        }
        let is_gone = fails.is_none() && matches!(released, Some(Ok(())));
        self.end_task(place, if is_gone { TaskExit::NotOwned } else { TaskExit::Unsettled { moved: true } });
    }

    pub(super) fn timer_fired(&mut self, place: &TaskAddress, at: Time) {
        if self.processes[place.process].aggregate_task_mut(place).is_some() {
            return self.aggregate_timer_fired(place, at);
        }
        let now = self.clocks(place.process);
        let Some(task) = self.processes[place.process].task_mut(place) else { return };
        if task.wake_at == Some(at) {
            if !task.owner.time_until(at, now).is_zero() {
                return self.schedule_wake(place, at);
            }
            task.wake_at = None;
            self.feed_input(place.process, &place.run, OwnerInput::Wake);
        }
    }

    /// Items from outside, with the versions that they name.
    pub(super) fn read_inbox(&mut self, process: usize, run: &RunId) {
        if self.processes[process].aggregate_tasks.contains_key(run) {
            return self.wake_aggregate(process, run);
        }
        // A run that is still being claimed is notified by its dispatcher when the claim is done.
        let Some(task) = self.processes[process].tasks.get(run) else { return };
        let (handle, seen) = (task.owner.ownership().handle, task.owner.inbox_seen());
        self.processes[process].dispatcher.wake_handled(run);
        if self.faults.store_failure().is_some() {
            // It soon reads again.
            let incarnation = self.processes[process].incarnation;
            return self.schedule_within(900, 1_000, SimEvent::InboxHint { process, incarnation, run: run.clone() });
        }
        let items = self.journal.inbox(handle, seen);
        let named = versions_of(&[], &items, None);
        let known: Vec<_> = named.into_iter().filter_map(|hash| self.version(hash)).collect();
        if let Some(task) = self.processes[process].tasks.get_mut(run) {
            task.owner.add_versions(known);
        }
        self.feed_input(process, run, OwnerInput::Items(items));
    }

    pub(super) fn end_task(&mut self, place: &TaskAddress, left: TaskExit) {
        let found = &mut self.processes[place.process];
        if !found.has_task(place) {
            return;
        }
        found.tasks.remove(&place.run);
        found.aggregate_tasks.remove(&place.run);
        log_story!(
            self,
            "p{} lets go of {}{}",
            place.process,
            place.run,
            if left != TaskExit::NotOwned { " and claims it afresh" } else { "" }
        );
        self.task_exited(place.process, &place.run, left);
        self.leave_if_idle(place);
    }
}

fn shown(input: &OwnerInput) -> String {
    match input {
        OwnerInput::Items(items) => {
            let ids: Vec<&str> = items.iter().map(|item| item.command_id.as_str()).collect();
            format!("items {ids:?}")
        }
        OwnerInput::Outcome { effect, outcome, .. } => format!("{effect}: {outcome:?}"),
        OwnerInput::KeyProvided => "a key is given".to_owned(),
        OwnerInput::Permitted { effect } => format!("{effect} may go out"),
        OwnerInput::Appended => "appended".to_owned(),
        OwnerInput::Wake => "wake".to_owned(),
        OwnerInput::Lease { .. } => "lease".to_owned(),
    }
}

fn entry_of(append: &JournalAppend) -> String {
    let entry = append.entry.as_deref().map_or("nothing".into(), String::from_utf8_lossy);
    let done = if append.inbox_done.is_empty() { String::new() } else { format!(" items {:?}", append.inbox_done) };
    format!("{entry}{done}{}", if append.release { " and lets go" } else { "" })
}
