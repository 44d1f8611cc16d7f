//! Which runs are awake in this process, and which wait for room. No IO.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use baton_core::id::RunId;

/// What to do with a run that somebody says has something to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Admission {
    /// Claim it and own it.
    Claim,
    /// It is awake here: look into its inbox.
    Nudge,
    /// No room: it waits its turn, here or, if the process stops, in the store.
    Later,
}

pub struct Dispatcher {
    /// Awake runs; `true` once somebody nudged one that is still being claimed.
    awake: BTreeMap<RunId, bool>,
    later: VecDeque<RunId>,
    queued: BTreeSet<RunId>,
    awake_max: usize,
}

impl Dispatcher {
    pub fn new(awake_max: usize) -> Self {
        Self { awake: BTreeMap::new(), later: VecDeque::new(), queued: BTreeSet::new(), awake_max }
    }

    /// Somebody says this run has something to do.
    pub fn announce(&mut self, run: &RunId) -> Admission {
        if let Some(nudged) = self.awake.get_mut(run) {
            *nudged = true;
            return Admission::Nudge;
        }
        if self.awake.len() >= self.awake_max {
            if self.queued.len() < self.awake_max && self.queued.insert(run.clone()) {
                self.later.push_back(run.clone());
            }
            return Admission::Later;
        }
        self.awake.insert(run.clone(), false);
        Admission::Claim
    }

    /// A run that was just created here and is owned already. `false` if there is no room to move it now.
    pub fn admit_owned(&mut self, run: &RunId) -> bool {
        self.awake.insert(run.clone(), false).is_none()
    }

    /// A run sleeps or has ended. Returns the runs to announce anew: itself, if it was nudged meanwhile, and the next
    /// that waits for room.
    pub fn left(&mut self, run: &RunId) -> Vec<RunId> {
        let mut again = Vec::new();
        if self.awake.remove(run) == Some(true) {
            again.push(run.clone());
        }
        if self.awake.len() + again.len() < self.awake_max
            && let Some(next) = self.later.pop_front()
        {
            self.queued.remove(&next);
            again.push(next);
        }
        again
    }

    /// The nudge was seen: the inbox is being read.
    pub fn seen(&mut self, run: &RunId) {
        if let Some(nudged) = self.awake.get_mut(run) {
            *nudged = false;
        }
    }

    pub fn awake(&self) -> usize {
        self.awake.len()
    }

    pub fn is_awake(&self, run: &RunId) -> bool {
        self.awake.contains_key(run)
    }

    /// Room for more.
    pub fn room(&self) -> usize {
        self.awake_max.saturating_sub(self.awake.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_beyond_the_room_waits_its_turn() {
        let mut dispatcher = Dispatcher::new(1);
        assert_eq!(dispatcher.announce(&"a".into()), Admission::Claim);
        assert_eq!(dispatcher.announce(&"a".into()), Admission::Nudge);
        assert_eq!(dispatcher.announce(&"b".into()), Admission::Later);
        dispatcher.seen(&"a".into());
        assert_eq!(dispatcher.left(&"a".into()), vec!["b".into()]);
        assert_eq!(dispatcher.announce(&"b".into()), Admission::Claim);
    }

    #[test]
    fn a_nudge_that_came_too_late_is_announced_again() {
        let mut dispatcher = Dispatcher::new(4);
        dispatcher.announce(&"a".into());
        dispatcher.announce(&"a".into());
        assert_eq!(dispatcher.left(&"a".into()), vec!["a".into()]);
    }
}
