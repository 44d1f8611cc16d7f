//! Guards what this process owns of a run, or may own: the dispatcher is notified when the guard is dropped, for
//! whatever reason.

use std::sync::Arc;

use baton_core::id::RunId;

use super::{EngineInner, lock};
use crate::dispatcher::TaskExit;

pub struct SlotGuard {
    inner: Arc<EngineInner>,
    run: RunId,
    exit: TaskExit,
}

impl SlotGuard {
    /// The guard of a run for which the dispatcher has a slot.
    pub fn of(inner: Arc<EngineInner>, run: RunId) -> Self {
        Self { inner, run, exit: TaskExit::Unsettled { moved: false } }
    }

    /// Reserves a slot for a run that is about to be created here; `None` if this process cannot own it from the start.
    pub fn reserve(inner: &Arc<EngineInner>, run: &RunId, forced: bool) -> Option<Self> {
        let may = !inner.is_stopping() && lock(&inner.dispatcher).reserve_slot(run, forced);
        may.then(|| Self::of(inner.clone(), run.clone()))
    }

    pub fn inner(&self) -> Arc<EngineInner> {
        self.inner.clone()
    }

    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// Marks that something was written.
    pub fn mark_progress(&mut self) {
        self.exit = TaskExit::Unsettled { moved: true };
    }

    /// Marks that the store has confirmed that this process does not own the run.
    pub fn mark_not_owned(&mut self) {
        self.exit = TaskExit::NotOwned;
    }

    pub fn mark_unreadable(&mut self) {
        self.exit = TaskExit::Unreadable;
    }
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        self.inner.task_exited(&self.run, self.exit);
    }
}
