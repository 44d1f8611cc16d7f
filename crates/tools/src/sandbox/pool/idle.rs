//! Children without a program.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::sandbox::config::Config;
use crate::sandbox::worker::Worker;

pub(super) struct Idle {
    /// How many should stand ready.
    wanted: usize,
    /// How many may: those that come back from a program are more than should.
    most: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    ready: Vec<Worker>,
    /// Those that are on their way.
    starting: usize,
}

impl Idle {
    pub(super) fn new(config: &Config) -> Self {
        Self { wanted: config.idle, most: config.idle.max(config.children), kept: Mutex::default() }
    }

    /// A child that stands ready; a `fresh` one has run no program.
    pub(super) fn take(&self, fresh: bool) -> Option<Worker> {
        let mut kept = self.kept();
        kept.ready.retain_mut(Worker::is_alive);
        let place = kept.ready.iter().rposition(|worker| worker.served == 0 || !fresh)?;
        Some(kept.ready.swap_remove(place))
    }

    /// Keeps a child, unless enough stand ready.
    pub(super) fn put(&self, worker: Worker) {
        let mut kept = self.kept();
        if kept.ready.len() < self.most {
            kept.ready.push(worker);
        }
    }

    /// Whether fewer stand ready than should.
    pub(super) fn is_short(&self) -> bool {
        self.kept().ready.len() < self.wanted
    }

    /// The place of a child to be started, if fewer are ready or on their way than should be.
    pub(super) fn missing(self: &Arc<Self>) -> Option<Place> {
        let mut kept = self.kept();
        if kept.ready.len() + kept.starting >= self.wanted {
            return None;
        }
        kept.starting += 1;
        Some(Place { idle: self.clone() })
    }

    /// Nothing that holds the lock leaves what it guards half done.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a child that is on its way; given back if it does not come.
pub(super) struct Place {
    idle: Arc<Idle>,
}

impl Place {
    pub(super) fn fill(self, worker: Worker) {
        self.idle.put(worker);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut kept = self.idle.kept();
        kept.starting = kept.starting.saturating_sub(1);
    }
}
