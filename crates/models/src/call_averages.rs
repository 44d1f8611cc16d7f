//! Moving averages of a model's latency and failure rate, learned from its calls.
//!
//! The averages are exponentially weighted. Between calls they decay to the values of the catalogue, so that a model
//! that was avoided after a bad hour is tried again.

use std::time::Duration;

use baton_core::time::Time;

/// The weight of the newest call.
const NEWEST_WEIGHT: f64 = 0.2;
/// Half-life of the failure rate without calls.
const FAILURES_HALF_LIFE: Duration = Duration::from_secs(60);
/// Half-life of the latency without calls.
const LATENCY_HALF_LIFE: Duration = Duration::from_secs(600);

/// Averages as of the last call.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct CallAverages {
    latency_ms: Option<f64>,
    failures: f64,
    calls: u64,
    at: Time,
}

impl CallAverages {
    pub fn succeeded(&mut self, latency: Duration, expected: Duration, now: Time) {
        let before = self.latency(expected, now).as_secs_f64() * 1_000.0;
        self.latency_ms = Some(before + NEWEST_WEIGHT * (latency.as_secs_f64() * 1_000.0 - before));
        self.failures = self.error_rate(now) * (1.0 - NEWEST_WEIGHT);
        self.called(now);
    }

    /// A failure does not change the latency.
    pub fn failed(&mut self, expected: Duration, now: Time) {
        if self.latency_ms.is_some() {
            self.latency_ms = Some(self.latency(expected, now).as_secs_f64() * 1_000.0);
        }
        self.failures = self.error_rate(now) * (1.0 - NEWEST_WEIGHT) + NEWEST_WEIGHT;
        self.called(now);
    }

    fn called(&mut self, now: Time) {
        self.calls += 1;
        self.at = self.at.max(now);
    }

    /// The expected latency now; `expected` is the value of the catalogue.
    pub fn latency(&self, expected: Duration, now: Time) -> Duration {
        let Some(learned) = self.latency_ms else { return expected };
        let expected_ms = expected.as_secs_f64() * 1_000.0;
        let kept = decay(now.since(self.at), LATENCY_HALF_LIFE);
        // A latency that no catalogue states is known only from calls.
        let ms = if expected.is_zero() { learned } else { expected_ms + (learned - expected_ms) * kept };
        Duration::from_secs_f64((ms / 1_000.0).max(0.0))
    }

    /// From 0 to 1.
    pub fn error_rate(&self, now: Time) -> f64 {
        self.failures * decay(now.since(self.at), FAILURES_HALF_LIFE)
    }

    /// The number of calls in this process that changed the averages.
    pub fn calls(&self) -> u64 {
        self.calls
    }
}

/// The fraction that is left after a time.
fn decay(passed: Duration, half_life: Duration) -> f64 {
    0.5_f64.powf(passed.as_secs_f64() / half_life.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Time {
        Time::EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn latency_follows_the_calls_and_returns_to_the_catalogue() {
        let mut learned = CallAverages::default();
        assert_eq!(learned.latency(EXPECTED, at(0)), EXPECTED);
        for _ in 0..50 {
            learned.succeeded(Duration::from_secs(3), EXPECTED, at(0));
        }
        assert!(learned.latency(EXPECTED, at(0)) > Duration::from_millis(2_990));
        assert_eq!(learned.latency(EXPECTED, at(600)).as_millis(), 1_999);
        assert!(learned.latency(EXPECTED, at(36_000)) < Duration::from_millis(1_001));
    }

    #[test]
    fn failures_count_and_are_forgotten() {
        let mut learned = CallAverages::default();
        learned.failed(EXPECTED, at(0));
        learned.failed(EXPECTED, at(0));
        let rate = learned.error_rate(at(0));
        assert!((rate - 0.36).abs() < 1e-9, "{rate}");
        assert!((learned.error_rate(at(60)) - rate / 2.0).abs() < 1e-9);
        learned.succeeded(EXPECTED, EXPECTED, at(0));
        assert!(learned.error_rate(at(0)) < rate);
        assert_eq!((learned.latency(EXPECTED, at(0)), learned.calls()), (EXPECTED, 3));
    }

    #[test]
    fn what_no_catalogue_says_is_learned_alone() {
        let mut learned = CallAverages::default();
        learned.succeeded(Duration::from_secs(1), Duration::ZERO, at(0));
        learned.succeeded(Duration::from_secs(1), Duration::ZERO, at(0));
        assert_eq!(learned.latency(Duration::ZERO, at(36_000)).as_millis(), 360);
    }
}
