//! An agent's working time: waiting for its own calls counts, waiting for people does not.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// A clock that is stopped while the agent waits for a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::run) struct WorkClock {
    #[serde(default, skip_serializing_if = "is_zero")]
    ms: u64,
    /// It runs since then, or from then on if that is in the future.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<Time>,
}

impl WorkClock {
    pub fn start(&mut self, at: Time) {
        self.since = Some(self.since.map_or(at, |since| since.min(at)));
    }

    pub fn stop(&mut self, now: Time) {
        if let Some(since) = self.since.take() {
            let more = u64::try_from(now.since(since).as_millis()).unwrap_or(u64::MAX);
            self.ms = self.ms.saturating_add(more);
        }
    }

    /// Continues from `now` if it was running: the time in between does not count.
    pub fn renew(&mut self, now: Time) {
        self.since = self.since.map(|since| since.max(now));
    }

    /// Returns the elapsed time while it is stopped.
    pub fn elapsed(&self) -> Duration {
        Duration::from_millis(self.ms)
    }

    /// Milliseconds up to `now`.
    pub fn elapsed_until(mut self, now: Time) -> u64 {
        self.stop(now);
        self.ms
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(ms: &u64) -> bool {
    *ms == 0
}
