//! Exponential backoff for loops that call a store or another service.

use std::time::Duration;

/// Default for the longest delay.
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// Delays that double with each consecutive failure, up to a limit.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// Starts with this delay. Later delays double, up to [`BACKOFF_MAX`] or the first delay, whichever is longer.
    pub const fn from(first: Duration) -> Self {
        let max = if first.as_millis() > BACKOFF_MAX.as_millis() { first } else { BACKOFF_MAX };
        Self { first, max, failures: 0 }
    }

    /// Resets the backoff after a success.
    pub const fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Returns the delay after a failure.
    pub fn failed(&mut self) -> Duration {
        let factor = 2_u32.saturating_pow(self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        self.first.saturating_mul(factor).min(self.max)
    }

    /// Returns the delay after `done`: `usual` if it succeeded.
    pub fn after<T, E>(&mut self, done: &Result<T, E>, usual: Duration) -> Duration {
        match done {
            Ok(_) => {
                self.succeeded();
                usual
            }
            Err(_) => self.failed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_begin_anew_after_success() {
        let mut backoff = Backoff::from(Duration::from_secs(1));
        let waits: Vec<u64> = (0..8).map(|_| backoff.failed().as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
        backoff.succeeded();
        assert_eq!(backoff.failed(), Duration::from_secs(1));
    }

    #[test]
    fn no_wait_is_shorter_than_the_first() {
        let mut backoff = Backoff::from(Duration::from_secs(60));
        assert_eq!([backoff.failed(), backoff.failed()], [Duration::from_secs(60); 2]);
        assert_eq!(backoff.after::<(), ()>(&Ok(()), Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn failing_for_ever_overflows_nothing() {
        let mut backoff = Backoff::from(Duration::from_millis(50));
        (0..100_000).for_each(|_| assert!(backoff.failed() <= BACKOFF_MAX));
    }
}
