//! Awake conversations and routing queues: feeds their owners, and carries out their outputs, as the engine's own shell
//! does.

use baton_core::id::RunId;
use baton_core::run::FOLD_VERSION;
use baton_core::time::Time;
use baton_engine::dispatcher::TaskExit;
use baton_engine::owner::OwnerOutput;
use baton_ports::journal::{ClaimedAggregate, InboxItem, JournalAppend, JournalError};

use super::tasks::{COMPARED_PERCENT, OTHER_FOLD};
use super::{SimEvent, Simulation, log_story};
use crate::aggregate_task::SimAggregateTask;
use crate::case::FaultPoint;
use crate::process::TaskAddress;

impl Simulation<'_> {
    pub(super) fn start_aggregate(&mut self, process: usize, id: &RunId, claimed: &ClaimedAggregate) {
        let mut claimed = claimed.clone();
        if self.processes[process].fold_version != FOLD_VERSION
            && let Some(snapshot) = &mut claimed.snapshot
            && let Some(own) = snapshot.state.strip_prefix(OTHER_FOLD)
        {
            snapshot.state = own.into();
        }
        let number = self.next_number();
        let aggregate_task = match SimAggregateTask::new(number, id, &claimed, self.clocks(process)) {
            Ok(Some(aggregate_task)) => aggregate_task,
            Ok(None) => {
                return self.record_violation("codec", format!("`{id}` is a run, and was taken for a conversation"));
            }
            Err(error) => return self.record_violation("codec", format!("`{id}` cannot be read back: {error}")),
        };
        self.processes[process].aggregate_tasks.insert(id.clone(), aggregate_task);
        self.renew_soon(process);
        let nudged = self.processes[process].dispatcher.task_started(id);
        let place = self.place(process, id, number);
        if claimed.snapshot.is_some() {
            self.sample_aggregate_fold(&place);
        }
        self.advance_aggregate(&place);
        if nudged {
            self.read_inbox(process, id);
        }
    }

    /// Decides the items of its inbox and the timers that are due.
    fn advance_aggregate(&mut self, place: &TaskAddress) {
        let now = self.clocks(place.process);
        let Some(aggregate_task) = self.processes[place.process].aggregate_task_mut(place) else { return };
        aggregate_task.was_woken = false;
        let outputs = aggregate_task.decide_next(now, &self.options);
        self.apply_aggregate_outputs(place, outputs);
    }

    fn apply_aggregate_outputs(
        &mut self,
        place: &TaskAddress,
        outputs: Result<Vec<OwnerOutput>, baton_engine::EngineError>,
    ) {
        let outputs = match outputs {
            Ok(outputs) => outputs,
            Err(error) => return self.record_violation("codec", format!("`{}` cannot be written: {error}", place.run)),
        };
        let Some(ownership) = self.ownership(place) else { return };
        for output in outputs {
            self.check_sleep(place.process, &place.run, ownership, &output);
            self.apply_output(place, output);
        }
        self.leave_if_idle(place);
    }

    pub(super) fn aggregate_append_answered(&mut self, place: &TaskAddress, answer: Result<(), JournalError>) {
        let Some(aggregate_task) = self.processes[place.process].aggregate_task_mut(place) else { return };
        aggregate_task.pending_append = None;
        match answer {
            Ok(()) => {}
            Err(_) => return self.end_task(place, TaskExit::Unsettled { moved: true }),
        }
        let refused = aggregate_task.refused_items().to_vec();
        if !refused.is_empty() {
            log_story!(self, "p{} {} refuses items {refused:?}", place.process, place.run);
        }
        let now = self.clocks(place.process);
        let Some(aggregate_task) = self.processes[place.process].aggregate_task_mut(place) else { return };
        let outputs = aggregate_task.appended(now, &self.options);
        for fault in self.faults.due_faults(FaultPoint::Recorded) {
            self.inject_fault(place, fault);
        }
        let lets_go = outputs.iter().flatten().any(|output| matches!(output, OwnerOutput::Released));
        self.apply_aggregate_outputs(place, outputs);
        let is_nudged = self.processes[place.process]
            .aggregate_task_mut(place)
            .is_some_and(|aggregate_task| aggregate_task.was_woken);
        // A released aggregate is announced again by its dispatcher.
        if !is_nudged || lets_go {
            return;
        }
        let (process, incarnation, run) = (place.process, place.incarnation, place.run.clone());
        match self.is_up(process, incarnation) {
            true => self.wake_aggregate(process, &run),
            // It reads the inbox when it continues.
            false => self.schedule_within(0, 2, SimEvent::InboxHint { process, incarnation, run }),
        }
    }

    pub(super) fn wake_aggregate(&mut self, process: usize, id: &RunId) {
        let Some(aggregate_task) = self.processes[process].aggregate_tasks.get_mut(id) else { return };
        aggregate_task.was_woken = true;
        if aggregate_task.is_writing {
            return;
        }
        let (handle, seen, number) = (
            aggregate_task.aggregate.ownership().handle,
            aggregate_task.aggregate.last_seen_item(),
            aggregate_task.number,
        );
        if self.faults.store_failure().is_some() {
            let place = self.place(process, id, number);
            return self.end_task(&place, TaskExit::Unsettled { moved: true });
        }
        let items = self.journal.inbox(handle, seen);
        log_story!(self, "p{process} {id} ← items {:?}", items.iter().map(|item| &item.command_id).collect::<Vec<_>>());
        self.processes[process].dispatcher.wake_handled(id);
        if let Some(aggregate_task) = self.processes[process].aggregate_tasks.get_mut(id) {
            aggregate_task.items = items;
        }
        let place = self.place(process, id, number);
        self.advance_aggregate(&place);
    }

    pub(super) fn aggregate_timer_fired(&mut self, place: &TaskAddress, at: Time) {
        let now = self.clocks(place.process);
        let Some(aggregate_task) = self.processes[place.process].aggregate_task_mut(place) else { return };
        if aggregate_task.wake_at != Some(at) {
            return;
        }
        if aggregate_task.aggregate.time_left(now).is_some_and(|left| !left.is_zero()) {
            return self.schedule_wake(place, at);
        }
        let Some(aggregate_task) = self.processes[place.process].aggregate_task_mut(place) else { return };
        aggregate_task.wake_at = None;
        // Once its append is durable it reads the clock by itself.
        if !aggregate_task.is_writing {
            self.advance_aggregate(place);
        }
    }

    fn sample_aggregate_fold(&mut self, place: &TaskAddress) {
        if self.rng.chance(COMPARED_PERCENT) {
            self.compare_aggregate_fold(place);
        }
    }

    /// Checks that its state is the fold of its journal.
    pub(super) fn compare_aggregate_fold(&mut self, place: &TaskAddress) {
        let Some(aggregate_task) = self.processes[place.process].aggregate_tasks.get(&place.run) else { return };
        let (seq, state) = aggregate_task.aggregate.state();
        let checked = self.oracle.conversations.check_fold(&place.run, seq, state);
        self.record_check(checked);
    }

    /// An append of a conversation or routing queue was accepted.
    pub(super) fn aggregate_committed(&mut self, append: &JournalAppend, taken: &[InboxItem]) {
        let checked = self.oracle.conversations.committed(append, taken);
        self.record_check(checked);
        if append.entry.is_some() {
            self.react_to_conversation(&append.aggregate);
        }
    }
}
