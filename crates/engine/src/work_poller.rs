//! Decides when a process asks the store for work, and for which work beyond what is due. No IO.

use std::time::Duration;

use baton_ports::clock::MonotonicTime;
use baton_ports::journal::TimerKey;

use crate::aggregate_clock::ClockReading;

/// The longest pause after the store did not answer.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// The wall clock counts as set back if it lost more than this against the monotonic clock, in milliseconds.
const SET_BACK_MS: i64 = 1_000;

/// Polls at once, then each time it is checked; less and less often while the store does not answer.
#[derive(Debug)]
pub struct WorkPoller {
    next_poll: MonotonicTime,
    failed: u32,
    /// How far the wall clock was ahead of the monotonic clock, in milliseconds.
    ahead: Option<i64>,
    /// The timer after which to look for aggregates that a wrong clock put to sleep; `None` once all were looked for.
    stranded: Option<TimerKey>,
}

impl Default for WorkPoller {
    /// The clock may have been set while no process was running.
    fn default() -> Self {
        Self { next_poll: MonotonicTime::default(), failed: 0, ahead: None, stranded: Some(TimerKey::FIRST) }
    }
}

impl WorkPoller {
    /// Whether the store should be asked now.
    pub fn is_due(&mut self, now: ClockReading) -> bool {
        if now.monotonic < self.next_poll {
            return false;
        }
        let ahead = now.wall.as_ms().saturating_sub(now.monotonic.as_ms());
        if self.ahead.replace(ahead).is_some_and(|before| before.saturating_sub(ahead) > SET_BACK_MS) {
            tracing::warn!("the clock was set back; timers that it had set are put right");
            self.stranded = Some(TimerKey::FIRST);
        }
        true
    }

    pub fn next_poll(&self) -> MonotonicTime {
        self.next_poll
    }

    pub fn poll_succeeded(&mut self) {
        self.failed = 0;
    }

    /// The store did not answer; `poll` is the normal interval.
    pub fn poll_failed(&mut self, now: ClockReading, poll: Duration) {
        self.next_poll = now.monotonic + poll.saturating_mul(1 << self.failed.min(10)).min(WAIT_MAX);
        self.failed = self.failed.saturating_add(1);
    }

    /// The timer after which to look for aggregates that a wrong clock put to sleep.
    pub fn stranded_after(&self) -> Option<TimerKey> {
        self.stranded
    }

    /// A page of them was found; there may be more after `next`.
    pub fn stranded_found(&mut self, next: Option<TimerKey>) {
        self.stranded = next;
    }
}

#[cfg(test)]
mod tests {
    use baton_core::time::Time;
    use baton_ports::journal::AggregateHandle;

    use super::*;

    fn now(wall: i64, steady: i64) -> ClockReading {
        ClockReading { wall: Time::from_ms(wall), monotonic: MonotonicTime::from_ms(steady) }
    }

    #[test]
    fn a_store_that_does_not_answer_is_asked_less_and_less_often() {
        let (mut poller, mut at, mut waits) = (WorkPoller::default(), 0, Vec::new());
        for _ in 0..8 {
            assert!(poller.is_due(now(at, at)));
            poller.poll_failed(now(at, at), Duration::from_millis(100));
            assert!(!poller.is_due(now(at, at)));
            waits.push(poller.next_poll().as_ms() - at);
            at = poller.next_poll().as_ms();
        }
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        poller.poll_succeeded();
        poller.poll_failed(now(at, at), Duration::from_millis(100));
        assert_eq!(poller.next_poll().as_ms() - at, 100);
    }

    #[test]
    fn what_a_wrong_clock_put_to_sleep_is_looked_for_once_it_was_set_back() {
        let mut poller = WorkPoller::default();
        assert!(poller.is_due(now(9_000, 10)));
        assert_eq!(poller.stranded_after(), Some(TimerKey::FIRST), "it may have been before");
        let next = TimerKey { at: Time::from_ms(70), handle: AggregateHandle(3) };
        poller.stranded_found(Some(next));
        assert_eq!(poller.stranded_after(), Some(next));
        poller.stranded_found(None);
        poller.is_due(now(99_000, 20));
        assert_eq!(poller.stranded_after(), None, "a step forward puts nothing to sleep");
        poller.is_due(now(9_100, 30));
        assert_eq!(poller.stranded_after(), Some(TimerKey::FIRST));
    }
}
