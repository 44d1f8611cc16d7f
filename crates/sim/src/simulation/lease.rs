//! Processes come and go: leases, polls, claims.

use std::sync::Arc;
use std::time::Duration;

use baton_core::bundle::Hash;
use baton_core::graph::Workflow;
use baton_core::id::RunId;
use baton_core::run::{FOLD_VERSION, Run};
use baton_core::time::Time;
use baton_engine::dispatcher::Admission;
use baton_engine::owner::{Owner, versions_of};
use baton_ports::journal::{Claimed, Error, Kind, LEASE};

use super::tasks::{COMPARED, OTHER_FOLD};
use super::{Happening, Simulation, tell};
use crate::process::State;

/// Renewals per lease.
const RENEWALS_PER_LEASE: u32 = 6;
/// Runs asked for at once.
const DUE_MAX: usize = 512;

impl Simulation<'_> {
    pub(super) fn start_process(&mut self, process: usize) {
        let lease = self.books.join(self.now);
        let found = &mut self.processes[process];
        found.state = State::Up;
        found.lease = lease;
        tell!(self, "p{process} joins as {}", lease.process.0);
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
            let id = found.lease.process;
            let has_work = !found.fallen.is_empty()
                || !self.books.due(id, self.now, 1).is_empty()
                || !self.books.nudged(id, 1).is_empty();
            if has_work {
                self.poll_soon(process);
            }
        }
        if let Some(next) = self.books.next_due(self.now)
            && self.alarm.is_none_or(|alarm| next < alarm)
        {
            self.alarm = Some(next);
            self.put(next, Happening::Alarm);
        }
    }

    fn poll_soon(&mut self, process: usize) {
        self.processes[process].polls = true;
        let incarnation = self.processes[process].incarnation;
        self.soon(1, 100, Happening::Polls { process, incarnation });
    }

    pub(super) fn poll(&mut self, process: usize) {
        self.processes[process].polls = false;
        for run in std::mem::take(&mut self.processes[process].fallen) {
            self.announce(process, &run);
        }
        let id = self.processes[process].lease.process;
        let room = self.processes[process].dispatcher.room().min(DUE_MAX);
        for run in self.books.due(id, self.now, room) {
            self.announce(process, &run);
        }
        for run in self.books.nudged(id, DUE_MAX) {
            self.announce(process, &run);
        }
        let has_more = room == 0 && !self.books.due(id, self.now, 1).is_empty();
        if has_more {
            self.poll_soon(process);
        }
    }

    pub(super) fn announce(&mut self, process: usize, run: &RunId) {
        match self.processes[process].dispatcher.announce(run) {
            Admission::Claim => {
                let incarnation = self.processes[process].incarnation;
                self.soon(0, 3, Happening::Claims { process, incarnation, run: run.clone() });
            }
            Admission::Nudge => self.look_into_inbox(process, run),
            Admission::Later => {}
        }
    }

    pub(super) fn claim(&mut self, process: usize, run: RunId) {
        let lease = self.processes[process].lease;
        // An idle process renews all the time; here it does so when it matters.
        if lease.until.since(self.now) < LEASE - LEASE / RENEWALS_PER_LEASE {
            self.renew_now(process);
        }
        let (lease, fold) = (self.processes[process].lease, self.processes[process].fold_version);
        match self.books.claim(&run, lease.process, fold, self.now) {
            Ok(Some(claimed)) => {
                tell!(self, "p{process} claims {run}, epoch {}, at {}", claimed.ownership.epoch, claimed.seq);
                self.witness.claimed(&run, claimed.ownership);
                let incarnation = self.processes[process].incarnation;
                let claimed = Box::new(claimed);
                self.soon(0, 2, Happening::Spawned { process, incarnation, run, claimed, until: lease.until });
            }
            Ok(None) => self.left(process, &run),
            Err(error) => {
                tell!(self, "p{process} cannot claim {run}: {error}");
                self.left(process, &run);
                if matches!(error, Error::LeaseEnded { .. }) {
                    self.renew_now(process);
                }
            }
        }
    }

    pub(super) fn spawned(&mut self, process: usize, run: RunId, claimed: &Claimed, until: Time) {
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
        let owner = Owner::claimed(run.clone(), claimed, state, tail, versions, until);
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

    pub(super) fn left(&mut self, process: usize, run: &RunId) {
        self.stirred = true;
        for run in self.processes[process].dispatcher.left(run) {
            self.announce(process, &run);
        }
    }

    pub(super) fn renew_soon(&mut self, process: usize) {
        let found = &mut self.processes[process];
        if found.renews {
            return;
        }
        found.renews = true;
        let incarnation = found.incarnation;
        let at = self.now + LEASE / RENEWALS_PER_LEASE;
        self.put(at, Happening::Renews { process, incarnation });
    }

    pub(super) fn renew(&mut self, process: usize) {
        self.processes[process].renews = false;
        if self.processes[process].is_idle() {
            return;
        }
        self.renew_now(process);
        self.renew_soon(process);
    }

    fn renew_now(&mut self, process: usize) {
        let held = self.processes[process].lease;
        let lease = match self.books.renew(held.process, self.now) {
            Ok(lease) => lease,
            Err(_) => {
                tell!(self, "p{process} lost its lease and joins anew");
                self.books.join(self.now)
            }
        };
        self.processes[process].lease = lease;
        self.stirred = true;
        let runs: Vec<RunId> = self.processes[process].tasks.keys().cloned().collect();
        for run in runs {
            self.feed(process, &run, baton_engine::owner::Input::Lease { until: lease.until });
        }
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
