//! Idle children.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::sandbox::config::SandboxConfig;
use crate::sandbox::worker::SandboxWorker;

pub(super) struct IdleWorkers {
    /// How many should be ready.
    target: usize,
    /// How many may be: children that return from a program may exceed the target.
    max: usize,
    state: Mutex<IdleWorkerState>,
}

#[derive(Default)]
struct IdleWorkerState {
    ready: Vec<SandboxWorker>,
    /// Children that are being started.
    starting: usize,
}

impl IdleWorkers {
    pub(super) fn new(config: &SandboxConfig) -> Self {
        Self { target: config.idle, max: config.idle.max(config.children), state: Mutex::default() }
    }

    /// Takes an idle child; with `fresh`, only one that has run no program.
    pub(super) fn take(&self, fresh: bool) -> Option<SandboxWorker> {
        let mut kept = self.state();
        kept.ready.retain_mut(SandboxWorker::is_alive);
        let place = kept.ready.iter().rposition(|worker| worker.served == 0 || !fresh)?;
        Some(kept.ready.swap_remove(place))
    }

    /// Keeps a child, unless enough are idle.
    pub(super) fn put(&self, worker: SandboxWorker) {
        let mut kept = self.state();
        if kept.ready.len() < self.max {
            kept.ready.push(worker);
        }
    }

    /// Returns whether fewer children are idle than the target.
    pub(super) fn is_below_target(&self) -> bool {
        self.state().ready.len() < self.target
    }

    /// Reserves a slot for a child to be started, if fewer than the target are idle or starting.
    pub(super) fn reserve_slot(self: &Arc<Self>) -> Option<WorkerSlot> {
        let mut kept = self.state();
        if kept.ready.len() + kept.starting >= self.target {
            return None;
        }
        kept.starting += 1;
        Some(WorkerSlot { idle: self.clone() })
    }

    /// No code that holds the lock leaves the state half changed.
    fn state(&self) -> MutexGuard<'_, IdleWorkerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The slot of a child that is being started; released if the start fails.
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
