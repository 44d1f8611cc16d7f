//! Processes come and go: leases, polls, claims.

use std::sync::Arc;
use std::time::Duration;

use baton_core::bundle::Hash;
use baton_core::graph::Workflow;
use baton_core::id::RunId;
use baton_core::run::{FOLD_VERSION, Run};
use baton_core::time::Time;
use baton_engine::dispatcher::{Admission, Left};
use baton_engine::owner::{Owner, versions_of};
use baton_ports::journal::{Claimed, Error, Kind, LEASE, Lease};

use super::tasks::{COMPARED, OTHER_FOLD};
use super::{Happening, Simulation, tell};
use crate::process::State;

/// Renewals per lease.
const RENEWALS_PER_LEASE: u32 = 6;
/// How soon a renewal that failed is tried again.
const RENEWED_AGAIN: Duration = Duration::from_secs(2);
/// Runs asked for at once.
const DUE_MAX: usize = 512;

impl Simulation<'_> {
    pub(super) fn start_process(&mut self, process: usize) {
        let steady = self.clocks(process).for_leases();
        if self.storm.fails().is_some() {
            // Whoever runs it starts it again.
            return self.soon(1_000, 5_000, Happening::Restarts { process });
        }
        let lease = self.books.join(steady);
        let found = &mut self.processes[process];
        found.state = State::Up;
        found.lease = lease;
        tell!(self, "p{process} joins as {}", lease.process.0);
        self.poll_soon(process);
        self.stirred = true;
    }

    pub(super) fn restart(&mut self, process: usize) {
        if self.processes[process].state == State::Down {
            self.start_process(process);
        }
    }

    /// Whoever may have something to look at looks, at the latest by its next poll.
    pub(super) fn stir(&mut self) {
        if !std::mem::take(&mut self.stirred) {
            return;
        }
        for process in 0..self.processes.len() {
            let found = &self.processes[process];
            if !found.is_up() || found.polls {
                continue;
            }
            let (id, now) = (found.lease.process, self.clocks(process));
            let has_work =
                !self.books.due(id, now.wall, now.for_leases(), 1).is_empty() || !self.books.nudged(id, 1).is_empty();
            if has_work {
                self.poll_soon(process);
            }
        }
        if let Some(next) = self.next_due()
            && self.alarm.is_none_or(|alarm| next < alarm)
        {
            self.alarm = Some(next);
            self.put(next, Happening::Alarm);
        }
    }

    /// When something becomes due by a clock alone.
    fn next_due(&self) -> Option<Time> {
        let up = || (0..self.processes.len()).filter(|process| self.processes[*process].is_up());
        let set = up().map(|process| self.processes[process].clock).max()?;
        let timers = self.books.timers().map(|at| at.as_ms() - set);
        let now = self.clocks(up().next()?);
        let seen = self.now.as_ms() - now.for_leases().as_ms();
        let leases = self.books.ends_of_leases().map(|until| until.as_ms() + seen);
        timers.chain(leases).map(Time::from_ms).filter(|at| *at > self.now).min()
    }

    fn poll_soon(&mut self, process: usize) {
        if std::mem::replace(&mut self.processes[process].polls, true) {
            return;
        }
        let incarnation = self.processes[process].incarnation;
        // It asks less often where the store does not answer.
        let wait = self.processes[process].lookout.asks_at().since(self.clocks(process).steady);
        let at = self.now + wait + Duration::from_millis(self.rng.between(1, 100));
        self.put(at, Happening::Polls { process, incarnation });
    }

    pub(super) fn poll(&mut self, process: usize) {
        self.processes[process].polls = false;
        let now = self.clocks(process);
        if !self.processes[process].lookout.asks(now) {
            return self.poll_soon(process);
        }
        if self.storm.fails().is_some() {
            tell!(self, "p{process} cannot look for work");
            self.processes[process].lookout.failed(now, self.options.poll);
            return self.poll_soon(process);
        }
        let id = self.processes[process].lease.process;
        let found = &self.processes[process];
        let (room, waiting) = (found.dispatcher.room().min(DUE_MAX), found.dispatcher.waiting());
        if room > 0 {
            for run in self.books.due(id, now.wall, now.for_leases(), room + waiting) {
                self.announce(process, &run);
            }
        }
        for run in self.books.nudged(id, DUE_MAX + waiting) {
            self.announce(process, &run);
        }
        if let Some(after) = self.processes[process].lookout.astray_after().filter(|_| room > 0) {
            let page = self.books.astray(now.wall, after, room);
            for run in &page.found {
                tell!(self, "p{process} finds that {run} was put to sleep by a wrong clock");
                self.announce(process, run);
            }
            self.processes[process].lookout.astray_found(page.next);
        }
        self.processes[process].lookout.answered();
        let has_more = self.processes[process].lookout.astray_after().is_some()
            || room == 0 && !self.books.due(id, now.wall, now.for_leases(), 1).is_empty();
        if has_more {
            self.poll_soon(process);
        }
    }

    /// Claims what waits to be claimed afresh, as its time has come.
    pub(super) fn again(&mut self, process: usize) {
        let steady = self.clocks(process).steady;
        for run in self.processes[process].dispatcher.again(steady) {
            self.claims(process, run);
        }
    }

    fn again_later(&mut self, process: usize) {
        if let Some(next) = self.processes[process].dispatcher.next_again() {
            let incarnation = self.processes[process].incarnation;
            let at = self.now + next.since(self.clocks(process).steady) + Duration::from_millis(self.rng.below(100));
            self.put(at, Happening::Again { process, incarnation });
        }
    }

    fn claims(&mut self, process: usize, run: RunId) {
        let incarnation = self.processes[process].incarnation;
        self.soon(0, 3, Happening::Claims { process, incarnation, run });
    }

    pub(super) fn announce(&mut self, process: usize, run: &RunId) {
        match self.processes[process].dispatcher.announce(run) {
            Admission::Claim => self.claims(process, run.clone()),
            Admission::Nudge => self.look_into_inbox(process, run),
            Admission::Later | Admission::Waits => {}
        }
    }

    pub(super) fn claim(&mut self, process: usize, run: RunId) {
        let (lease, now) = (self.processes[process].lease, self.clocks(process));
        // An idle process renews all the time; here it does so when it matters.
        if lease.until.since(now.for_leases()) < LEASE - LEASE / RENEWALS_PER_LEASE {
            self.renew_now(process);
        }
        let (lease, fold) = (self.processes[process].lease, self.processes[process].fold_version);
        let fails = self.storm.fails();
        let claimed = match fails {
            Some(false) => Err(unanswered()),
            Some(true) | None => self.books.claim(&run, lease.process, fold, now.for_leases()),
        };
        if let Ok(Some(claimed)) = &claimed {
            tell!(self, "p{process} claims {run}, epoch {}, at {}", claimed.ownership.epoch, claimed.seq);
            self.witness.claimed(&run, claimed.ownership);
        }
        match if fails.is_some() { claimed.and(Err(unanswered())) } else { claimed } {
            Ok(Some(claimed)) => {
                let incarnation = self.processes[process].incarnation;
                let claimed = Box::new(claimed);
                self.soon(0, 2, Happening::Spawned { process, incarnation, run, claimed, lease });
            }
            Ok(None) | Err(Error::NotFound { .. }) => self.left(process, &run, Left::Gone),
            Err(error) => {
                tell!(self, "p{process} cannot claim {run}: {error}");
                self.left(process, &run, Left::Unsettled { moved: false });
                if matches!(error, Error::LeaseEnded { .. }) {
                    self.renew_now(process);
                }
            }
        }
    }

    pub(super) fn spawned(&mut self, process: usize, run: RunId, claimed: &Claimed, lease: Lease) {
        if claimed.kind != Kind::Run {
            return self.begin_keeping(process, &run, claimed);
        }
        let state = match self.loaded(process, claimed) {
            Ok(state) => state,
            Err(error) => return self.violate("codec", format!("the snapshot of `{run}` cannot be read: {error}")),
        };
        // Entries were read back from their bytes when they became durable, and are not read again.
        let tail = self.witness.tail(&run, claimed);
        let named = versions_of(tail, &claimed.inbox, Some(&state));
        let versions: Vec<_> = named.into_iter().filter_map(|hash| self.version(hash)).collect();
        let now = self.clocks(process);
        let owner = Owner::claimed(run.clone(), claimed, state, tail, versions, lease.until, now);
        if claimed.snapshot.is_some() && self.rng.chance(COMPARED) {
            let checked = self.witness.folded(&run, owner.run(), claimed.seq);
            self.heed(checked);
        }
        self.begin_task(process, &run, owner, claimed.inbox.clone());
    }

    fn loaded(&self, process: usize, claimed: &Claimed) -> Result<Run, serde_json::Error> {
        let prefix = if self.processes[process].fold_version == FOLD_VERSION { &[] } else { OTHER_FOLD };
        match &claimed.snapshot {
            Some(snapshot) => serde_json::from_slice(snapshot.state.strip_prefix(prefix).unwrap_or(&snapshot.state)),
            None => Ok(Run::new()),
        }
    }

    pub(super) fn version(&self, hash: Hash) -> Option<(Hash, Arc<Workflow>)> {
        let workflow = self.case.drawing.versions.get(&hash)?.clone();
        Some((hash, workflow))
    }

    pub(super) fn left(&mut self, process: usize, run: &RunId, left: Left) {
        self.stirred = true;
        let steady = self.clocks(process).steady;
        for run in self.processes[process].dispatcher.left(run, left, steady) {
            self.announce(process, &run);
        }
        self.again_later(process);
    }

    /// A run that a process owns, which is up, has its place there.
    pub(super) fn look_after_owned(&mut self) {
        let up = self.processes.iter().filter(|process| process.is_up() && process.todo.is_empty());
        let mut lost = up.flat_map(|process| {
            let owned = self.books.owned_by(process.lease.process);
            owned.filter(|run| !process.dispatcher.is_awake(run))
        });
        if let Some(run) = lost.next().cloned() {
            drop(lost);
            self.violate("owned", format!("`{run}` is owned by a process that has no place for it"));
        }
    }

    pub(super) fn renew_soon(&mut self, process: usize) {
        self.renew_in(process, LEASE / RENEWALS_PER_LEASE);
    }

    fn renew_in(&mut self, process: usize, wait: Duration) {
        let found = &mut self.processes[process];
        if std::mem::replace(&mut found.renews, true) {
            return;
        }
        let incarnation = found.incarnation;
        self.put(self.now + wait, Happening::Renews { process, incarnation });
    }

    pub(super) fn renew(&mut self, process: usize) {
        self.processes[process].renews = false;
        let found = &self.processes[process];
        if found.is_idle() && !found.has_lost_lease {
            return;
        }
        if self.renew_now(process) {
            self.renew_soon(process);
        }
    }

    /// As the engine's shell does it: renewed, or everything let go of and joined anew.
    fn renew_now(&mut self, process: usize) -> bool {
        let steady = self.clocks(process).for_leases();
        let held = self.processes[process].lease;
        let fails = self.storm.fails().is_some();
        let renewed = if fails { Err(unanswered()) } else { self.books.renew(held.process, steady) };
        let lease = match renewed {
            Ok(lease) => lease,
            Err(Error::LeaseEnded { .. }) => {
                tell!(self, "p{process} lost its lease and joins anew");
                self.books.leave(held.process);
                if self.storm.fails().is_some() {
                    self.processes[process].has_lost_lease = true;
                    self.renew_in(process, RENEWED_AGAIN);
                    return false;
                }
                self.books.join(steady)
            }
            Err(_) => {
                tell!(self, "p{process} cannot renew its lease");
                self.renew_in(process, RENEWED_AGAIN);
                return false;
            }
        };
        let found = &mut self.processes[process];
        (found.lease, found.has_lost_lease) = (lease, false);
        self.stirred = true;
        let runs: Vec<RunId> = found.tasks.keys().chain(found.keepings.keys()).cloned().collect();
        for run in runs {
            if lease.process == held.process {
                self.feed(process, &run, baton_engine::owner::Input::Lease { until: lease.until });
                continue;
            }
            let found = &self.processes[process];
            let number = found.tasks.get(&run).map(|task| task.number);
            let number = number.or_else(|| found.keepings.get(&run).map(|keeping| keeping.number));
            if let Some(number) = number {
                let place = self.place(process, &run, number);
                self.end_task(&place, Left::Unsettled { moved: false });
            }
        }
        true
    }

    /// Somebody sets the clock of a machine, by so many seconds.
    pub(super) fn set_clock(&mut self, process: usize, by: i64) {
        for other in 0..self.processes.len() {
            if other != process && !self.one_clock {
                continue;
            }
            self.processes[other].clock += by * 1_000;
            // Who sleeps looks at the clock again before long.
            let tasks = self.processes[other].tasks.iter();
            let tasks = tasks.filter_map(|(run, task)| Some((run.clone(), task.number, task.wake_at?)));
            let keepings = self.processes[other].keepings.iter();
            let keepings = keepings.filter_map(|(run, keeping)| Some((run.clone(), keeping.number, keeping.wake_at?)));
            for (run, number, at) in tasks.chain(keepings).collect::<Vec<_>>() {
                let place = self.place(other, &run, number);
                self.soon(0, 1_000, Happening::Woken { place, at });
            }
            if self.processes[other].is_up() {
                self.poll_soon(other);
            }
        }
        self.stirred = true;
    }

    pub(super) fn thaw(&mut self, process: usize, incarnation: u32) {
        let found = &mut self.processes[process];
        if found.incarnation != incarnation || !matches!(found.state, State::Frozen { .. }) {
            return;
        }
        tell!(self, "p{process} goes on");
        let found = &mut self.processes[process];
        found.state = State::Up;
        let (todo, held) = (std::mem::take(&mut found.todo), std::mem::take(&mut found.held));
        for (place, output) in todo {
            self.carry_out(&place, output);
        }
        for what in held {
            self.soon(0, 2, what);
        }
        self.stirred = true;
    }

    /// Everything in the process's memory is lost.
    pub(super) fn kill(&mut self, process: usize, noticed: bool, restarts_after: Duration) {
        let id = self.processes[process].lease.process;
        self.processes[process].forget();
        if noticed {
            self.books.bury(id);
        }
        tell!(self, "p{process} is killed{}", if noticed { " and missed at once" } else { "" });
        self.put(self.now + restarts_after, Happening::Restarts { process });
        self.stirred = true;
    }
}

/// What a store says that fails; whether it did what it was asked is not known.
fn unanswered() -> Error {
    Error::Unwritable { reason: "the disk is full".to_owned() }
}
