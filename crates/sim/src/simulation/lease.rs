//! Processes join and leave: leases, polls, claims.

use std::sync::Arc;
use std::time::Duration;

use baton_core::bundle::ContentHash;
use baton_core::graph::Workflow;
use baton_core::id::RunId;
use baton_core::run::{FOLD_VERSION, Run};
use baton_core::time::Time;
use baton_engine::dispatcher::{RunAdmission, TaskExit};
use baton_engine::owner::{RunOwner, versions_of};
use baton_ports::journal::{AggregateKind, ClaimedAggregate, JournalError, LEASE, ProcessLease};

use super::tasks::{COMPARED_PERCENT, OTHER_FOLD};
use super::{SimEvent, Simulation, log_story};
use crate::process::SimProcessState;

/// Renewals per lease.
const RENEWALS_PER_LEASE: u32 = 6;
/// The delay before a failed renewal is retried.
const RENEWAL_RETRY: Duration = Duration::from_secs(2);
/// Maximum number of runs per poll.
const DUE_MAX: usize = 512;

impl Simulation<'_> {
    pub(super) fn start_process(&mut self, process: usize) {
        let steady = self.clocks(process).for_leases();
        if self.faults.store_failure().is_some() {
            // Its supervisor starts it again.
            return self.schedule_within(1_000, 5_000, SimEvent::RestartProcess { process });
        }
        let lease = self.journal.join(steady);
        let found = &mut self.processes[process];
        found.state = SimProcessState::Up;
        found.lease = lease;
        log_story!(self, "p{process} joins as {}", lease.process.0);
        self.poll_soon(process);
        self.store_changed = true;
    }

    pub(super) fn restart(&mut self, process: usize) {
        if self.processes[process].state == SimProcessState::Down {
            self.start_process(process);
        }
    }

    /// Processes that may have work look for it, at the latest by their next poll.
    pub(super) fn schedule_due_work(&mut self) {
        if !std::mem::take(&mut self.store_changed) {
            return;
        }
        for process in 0..self.processes.len() {
            let found = &self.processes[process];
            if !found.is_up() || found.poll_scheduled {
                continue;
            }
            let (id, now) = (found.lease.process, self.clocks(process));
            let has_work = !self.journal.due(id, now.wall, now.for_leases(), 1).is_empty()
                || !self.journal.with_new_items(id, 1).is_empty();
            if has_work {
                self.poll_soon(process);
            }
        }
        if let Some(next) = self.next_due()
            && self.alarm.is_none_or(|alarm| next < alarm)
        {
            self.alarm = Some(next);
            self.schedule(next, SimEvent::Alarm);
        }
    }

    /// When an aggregate becomes due by a clock alone.
    fn next_due(&self) -> Option<Time> {
        let up = || (0..self.processes.len()).filter(|process| self.processes[*process].is_up());
        let set = up().map(|process| self.processes[process].clock).max()?;
        let timers = self.journal.timers().map(|at| at.as_ms() - set);
        let now = self.clocks(up().next()?);
        let seen = self.now.as_ms() - now.for_leases().as_ms();
        let leases = self.journal.lease_ends().map(|until| until.as_ms() + seen);
        timers.chain(leases).map(Time::from_ms).filter(|at| *at > self.now).min()
    }

    fn poll_soon(&mut self, process: usize) {
        if std::mem::replace(&mut self.processes[process].poll_scheduled, true) {
            return;
        }
        let incarnation = self.processes[process].incarnation;
        // It polls less often while the store does not answer.
        let wait = self.processes[process].poller.next_poll().since(self.clocks(process).monotonic);
        let at = self.now + wait + Duration::from_millis(self.rng.between(1, 100));
        self.schedule(at, SimEvent::PollStore { process, incarnation });
    }

    pub(super) fn poll(&mut self, process: usize) {
        self.processes[process].poll_scheduled = false;
        let now = self.clocks(process);
        if !self.processes[process].poller.is_due(now) {
            return self.poll_soon(process);
        }
        if self.faults.store_failure().is_some() {
            log_story!(self, "p{process} cannot look for work");
            self.processes[process].poller.poll_failed(now, self.options.poll);
            return self.poll_soon(process);
        }
        let id = self.processes[process].lease.process;
        let found = &self.processes[process];
        let (room, waiting) = (found.dispatcher.free_slots().min(DUE_MAX), found.dispatcher.waiting());
        if room > 0 {
            for run in self.journal.due(id, now.wall, now.for_leases(), room + waiting) {
                self.announce(process, &run);
            }
        }
        for run in self.journal.with_new_items(id, DUE_MAX + waiting) {
            self.announce(process, &run);
        }
        if let Some(after) = self.processes[process].poller.stranded_after().filter(|_| room > 0) {
            let page = self.journal.stranded(now.wall, after, room);
            for run in &page.found {
                log_story!(self, "p{process} finds that {run} was put to sleep by a wrong clock");
                self.announce(process, run);
            }
            self.processes[process].poller.stranded_found(page.next);
        }
        self.processes[process].poller.poll_succeeded();
        let has_more = self.processes[process].poller.stranded_after().is_some()
            || room == 0 && !self.journal.due(id, now.wall, now.for_leases(), 1).is_empty();
        if has_more {
            self.poll_soon(process);
        }
    }

    /// Retries the claims whose time has come.
    pub(super) fn reclaim_due(&mut self, process: usize) {
        let steady = self.clocks(process).monotonic;
        for run in self.processes[process].dispatcher.due_retries(steady) {
            self.schedule_claim(process, run);
        }
    }

    fn schedule_reclaim(&mut self, process: usize) {
        if let Some(next) = self.processes[process].dispatcher.next_retry() {
            let incarnation = self.processes[process].incarnation;
            let at = self.now + next.since(self.clocks(process).monotonic) + Duration::from_millis(self.rng.below(100));
            self.schedule(at, SimEvent::ReclaimDue { process, incarnation });
        }
    }

    fn schedule_claim(&mut self, process: usize, run: RunId) {
        let incarnation = self.processes[process].incarnation;
        self.schedule_within(0, 3, SimEvent::ClaimRun { process, incarnation, run });
    }

    pub(super) fn announce(&mut self, process: usize, run: &RunId) {
        match self.processes[process].dispatcher.announce(run) {
            RunAdmission::Claim => self.schedule_claim(process, run.clone()),
            RunAdmission::Wake => self.read_inbox(process, run),
            RunAdmission::Queued | RunAdmission::Backoff => {}
        }
    }

    pub(super) fn claim(&mut self, process: usize, run: RunId) {
        let (lease, now) = (self.processes[process].lease, self.clocks(process));
        // An idle process renews all the time; here it does so when it matters.
        if lease.until.since(now.for_leases()) < LEASE - LEASE / RENEWALS_PER_LEASE {
            self.renew_now(process);
        }
        let (lease, fold) = (self.processes[process].lease, self.processes[process].fold_version);
        let fails = self.faults.store_failure();
        let claimed = match fails {
            Some(false) => Err(outage_error()),
            Some(true) | None => self.journal.claim(&run, lease.process, fold, now.for_leases()),
        };
        if let Ok(Some(claimed)) = &claimed {
            log_story!(self, "p{process} claims {run}, epoch {}, at {}", claimed.ownership.epoch, claimed.seq);
            self.oracle.claimed(&run, claimed.ownership);
        }
        match if fails.is_some() { claimed.and(Err(outage_error())) } else { claimed } {
            Ok(Some(claimed)) => {
                let incarnation = self.processes[process].incarnation;
                let claimed = Box::new(claimed);
                self.schedule_within(0, 2, SimEvent::RunClaimed { process, incarnation, run, claimed, lease });
            }
            Ok(None) | Err(JournalError::NotFound { .. }) => self.task_exited(process, &run, TaskExit::NotOwned),
            Err(error) => {
                log_story!(self, "p{process} cannot claim {run}: {error}");
                self.task_exited(process, &run, TaskExit::Unsettled { moved: false });
                if matches!(error, JournalError::LeaseEnded { .. }) {
                    self.renew_now(process);
                }
            }
        }
    }

    pub(super) fn run_claimed(&mut self, process: usize, run: RunId, claimed: &ClaimedAggregate, lease: ProcessLease) {
        if claimed.kind != AggregateKind::Run {
            return self.start_aggregate(process, &run, claimed);
        }
        let state = match self.load_run(process, claimed) {
            Ok(state) => state,
            Err(error) => {
                return self.record_violation("codec", format!("the snapshot of `{run}` cannot be read: {error}"));
            }
        };
        // Entries were decoded from their bytes when they became durable, and are not decoded again.
        let tail = self.oracle.tail(&run, claimed);
        let named = versions_of(tail, &claimed.inbox, Some(&state));
        let versions: Vec<_> = named.into_iter().filter_map(|hash| self.version(hash)).collect();
        let now = self.clocks(process);
        let owner = RunOwner::claimed(run.clone(), claimed, state, tail, versions, lease.until, now);
        if claimed.snapshot.is_some() && self.rng.chance(COMPARED_PERCENT) {
            let checked = self.oracle.check_fold(&run, owner.run(), claimed.seq);
            self.record_check(checked);
        }
        self.start_task(process, &run, owner, claimed.inbox.clone());
    }

    fn load_run(&self, process: usize, claimed: &ClaimedAggregate) -> Result<Run, serde_json::Error> {
        let prefix = if self.processes[process].fold_version == FOLD_VERSION { &[] } else { OTHER_FOLD };
        match &claimed.snapshot {
            Some(snapshot) => serde_json::from_slice(snapshot.state.strip_prefix(prefix).unwrap_or(&snapshot.state)),
            None => Ok(Run::new()),
        }
    }

    pub(super) fn version(&self, hash: ContentHash) -> Option<(ContentHash, Arc<Workflow>)> {
        let workflow = self.case.workflows.versions.get(&hash)?.clone();
        Some((hash, workflow))
    }

    pub(super) fn task_exited(&mut self, process: usize, run: &RunId, left: TaskExit) {
        self.store_changed = true;
        let steady = self.clocks(process).monotonic;
        for run in self.processes[process].dispatcher.task_exited(run, left, steady) {
            self.announce(process, &run);
        }
        self.schedule_reclaim(process);
    }

    /// Checks that a run that a running process owns has its task there.
    pub(super) fn check_owned_runs(&mut self) {
        let up = self.processes.iter().filter(|process| process.is_up() && process.deferred_outputs.is_empty());
        let mut lost = up.flat_map(|process| {
            let owned = self.journal.owned_by(process.lease.process);
            owned.filter(|run| !process.dispatcher.is_awake(run))
        });
        if let Some(run) = lost.next().cloned() {
            drop(lost);
            self.record_violation("owned", format!("`{run}` is owned by a process that has no place for it"));
        }
    }

    pub(super) fn renew_soon(&mut self, process: usize) {
        self.renew_in(process, LEASE / RENEWALS_PER_LEASE);
    }

    fn renew_in(&mut self, process: usize, wait: Duration) {
        let found = &mut self.processes[process];
        if std::mem::replace(&mut found.renewal_scheduled, true) {
            return;
        }
        let incarnation = found.incarnation;
        self.schedule(self.now + wait, SimEvent::RenewLease { process, incarnation });
    }

    pub(super) fn renew(&mut self, process: usize) {
        self.processes[process].renewal_scheduled = false;
        let found = &self.processes[process];
        if found.is_idle() && !found.has_lost_lease {
            return;
        }
        if self.renew_now(process) {
            self.renew_soon(process);
        }
    }

    /// As the engine's shell does: the lease is renewed, or everything is released and the process joins again.
    fn renew_now(&mut self, process: usize) -> bool {
        let steady = self.clocks(process).for_leases();
        let held = self.processes[process].lease;
        let fails = self.faults.store_failure().is_some();
        let renewed = if fails { Err(outage_error()) } else { self.journal.renew(held.process, steady) };
        let lease = match renewed {
            Ok(lease) => lease,
            Err(JournalError::LeaseEnded { .. }) => {
                log_story!(self, "p{process} lost its lease and joins anew");
                self.journal.leave_cluster(held.process);
                if self.faults.store_failure().is_some() {
                    self.processes[process].has_lost_lease = true;
                    self.renew_in(process, RENEWAL_RETRY);
                    return false;
                }
                self.journal.join(steady)
            }
            Err(_) => {
                log_story!(self, "p{process} cannot renew its lease");
                self.renew_in(process, RENEWAL_RETRY);
                return false;
            }
        };
        let found = &mut self.processes[process];
        (found.lease, found.has_lost_lease) = (lease, false);
        self.store_changed = true;
        let runs: Vec<RunId> = found.tasks.keys().chain(found.aggregate_tasks.keys()).cloned().collect();
        for run in runs {
            if lease.process == held.process {
                self.feed_input(process, &run, baton_engine::owner::OwnerInput::Lease { until: lease.until });
                continue;
            }
            let found = &self.processes[process];
            let number = found.tasks.get(&run).map(|task| task.number);
            let number = number.or_else(|| found.aggregate_tasks.get(&run).map(|aggregate_task| aggregate_task.number));
            if let Some(number) = number {
                let place = self.place(process, &run, number);
                self.end_task(&place, TaskExit::Unsettled { moved: false });
            }
        }
        true
    }

    /// Sets the clock of a machine, by this number of seconds.
    pub(super) fn set_clock(&mut self, process: usize, by: i64) {
        for other in 0..self.processes.len() {
            if other != process && !self.one_clock {
                continue;
            }
            self.processes[other].clock += by * 1_000;
            // Sleeping tasks soon look at the clock again.
            let tasks = self.processes[other].tasks.iter();
            let tasks = tasks.filter_map(|(run, task)| Some((run.clone(), task.number, task.wake_at?)));
            let keepings = self.processes[other].aggregate_tasks.iter();
            let keepings = keepings.filter_map(|(run, aggregate_task)| {
                Some((run.clone(), aggregate_task.number, aggregate_task.wake_at?))
            });
            for (run, number, at) in tasks.chain(keepings).collect::<Vec<_>>() {
                let place = self.place(other, &run, number);
                self.schedule_within(0, 1_000, SimEvent::TimerFires { place, at });
            }
            if self.processes[other].is_up() {
                self.poll_soon(other);
            }
        }
        self.store_changed = true;
    }

    pub(super) fn thaw(&mut self, process: usize, incarnation: u32) {
        let found = &mut self.processes[process];
        if found.incarnation != incarnation || !matches!(found.state, SimProcessState::Frozen { .. }) {
            return;
        }
        log_story!(self, "p{process} goes on");
        let found = &mut self.processes[process];
        found.state = SimProcessState::Up;
        let (todo, held) = (std::mem::take(&mut found.deferred_outputs), std::mem::take(&mut found.deferred_events));
        for (place, output) in todo {
            self.apply_output(&place, output);
        }
        for what in held {
            self.schedule_within(0, 2, what);
        }
        self.store_changed = true;
    }

    /// Everything in the process's memory is lost.
    pub(super) fn kill(&mut self, process: usize, noticed: bool, restarts_after: Duration) {
        let id = self.processes[process].lease.process;
        self.processes[process].reset();
        if noticed {
            self.journal.mark_dead(id);
        }
        log_story!(self, "p{process} is killed{}", if noticed { " and missed at once" } else { "" });
        self.schedule(self.now + restarts_after, SimEvent::RestartProcess { process });
        self.store_changed = true;
    }
}

/// The error of a store that fails; whether it performed the request is unknown.
fn outage_error() -> JournalError {
    JournalError::Unwritable { reason: "the disk is full".to_owned() }
}
