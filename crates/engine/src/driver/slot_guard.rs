//! What this process owns of a run, or may own: told to the dispatcher when it is let go of, however that comes.

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
    /// Of a run that the dispatcher has a place for.
    pub fn of(inner: Arc<EngineInner>, run: RunId) -> Self {
        Self { inner, run, exit: TaskExit::Unsettled { moved: false } }
    }

    /// For a run that is about to be created here; nothing where it cannot be owned from its first instant.
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

    /// Something of it was written.
    pub fn mark_progress(&mut self) {
        self.exit = TaskExit::Unsettled { moved: true };
    }

    /// The store has said that this process does not own it.
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
