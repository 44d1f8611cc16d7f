//! What this process owns of a run, or may own: told to the dispatcher when it is let go of, however that comes.

use std::sync::Arc;

use baton_core::id::RunId;

use super::{Inner, lock};
use crate::dispatcher::Left;

pub struct Held {
    inner: Arc<Inner>,
    run: RunId,
    left: Left,
}

impl Held {
    /// Of a run that the dispatcher has a place for.
    pub fn of(inner: Arc<Inner>, run: RunId) -> Self {
        Self { inner, run, left: Left::Unsettled { moved: false } }
    }

    /// For a run that is about to be created here; nothing where it cannot be owned from its first instant.
    pub fn begin(inner: &Arc<Inner>, run: &RunId, forced: bool) -> Option<Self> {
        let may = !inner.is_stopping() && lock(&inner.dispatcher).begin(run, forced);
        may.then(|| Self::of(inner.clone(), run.clone()))
    }

    pub fn inner(&self) -> Arc<Inner> {
        self.inner.clone()
    }

    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// Something of it was written.
    pub fn moved(&mut self) {
        self.left = Left::Unsettled { moved: true };
    }

    /// The store has said that this process does not own it.
    pub fn is_gone(&mut self) {
        self.left = Left::Gone;
    }

    pub fn is_unreadable(&mut self) {
        self.left = Left::Unreadable;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.inner.left(&self.run, self.left);
    }
}
