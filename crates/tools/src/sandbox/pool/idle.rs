//! Children without a program.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::sandbox::config::SandboxConfig;
use crate::sandbox::worker::SandboxWorker;

pub(super) struct IdleWorkers {
    /// How many should stand ready.
    target: usize,
    /// How many may: those that come back from a program are more than should.
    max: usize,
    state: Mutex<IdleWorkerState>,
}

#[derive(Default)]
struct IdleWorkerState {
    ready: Vec<SandboxWorker>,
    /// Those that are on their way.
    starting: usize,
}

impl IdleWorkers {
    pub(super) fn new(config: &SandboxConfig) -> Self {
        Self { target: config.idle, max: config.idle.max(config.children), state: Mutex::default() }
    }

    /// A child that stands ready; a `fresh` one has run no program.
    pub(super) fn take(&self, fresh: bool) -> Option<SandboxWorker> {
        let mut kept = self.state();
        kept.ready.retain_mut(SandboxWorker::is_alive);
        let place = kept.ready.iter().rposition(|worker| worker.served == 0 || !fresh)?;
        Some(kept.ready.swap_remove(place))
    }

    /// Keeps a child, unless enough stand ready.
    pub(super) fn put(&self, worker: SandboxWorker) {
        let mut kept = self.state();
        if kept.ready.len() < self.max {
            kept.ready.push(worker);
        }
    }

    /// Whether fewer stand ready than should.
    pub(super) fn is_below_target(&self) -> bool {
        self.state().ready.len() < self.target
    }

    /// The place of a child to be started, if fewer are ready or on their way than should be.
    pub(super) fn reserve_slot(self: &Arc<Self>) -> Option<WorkerSlot> {
        let mut kept = self.state();
        if kept.ready.len() + kept.starting >= self.target {
            return None;
        }
        kept.starting += 1;
        Some(WorkerSlot { idle: self.clone() })
    }

    /// Nothing that holds the lock leaves what it guards half done.
    fn state(&self) -> MutexGuard<'_, IdleWorkerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a child that is on its way; given back if it does not come.
pub(super) struct WorkerSlot {
    idle: Arc<IdleWorkers>,
}

impl WorkerSlot {
    pub(super) fn fill(self, worker: SandboxWorker) {
        self.idle.put(worker);
    }
}

impl Drop for WorkerSlot {
    fn drop(&mut self) {
        let mut kept = self.idle.state();
        kept.starting = kept.starting.saturating_sub(1);
    }
}
