//! The health of a model: its circuit, its averages, and how long its provider accepts no more requests. Shared by all
//! calls of the process; every access is short and never waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use baton_core::circuit::{CircuitAdmission, CircuitBreaker, CircuitLimits, CircuitStatus, CircuitTransition};
use baton_core::time::Time;

use crate::call_averages::CallAverages;

/// How long a failing model is not called.
pub(crate) const OPEN_FOR: Duration = Duration::from_secs(30);
/// Three consecutive failures open a model's circuit.
const LIMITS: CircuitLimits = CircuitLimits { failures: 3, open_for: OPEN_FOR };

#[derive(Debug, Default)]
pub(crate) struct HealthTracker(Mutex<HealthState>);

#[derive(Debug)]
struct HealthState {
    circuit: CircuitBreaker,
    learned: CallAverages,
    /// The instant until which its provider accepts no more requests.
    exhausted_until: Time,
}

impl Default for HealthState {
    fn default() -> Self {
        Self { circuit: CircuitBreaker::new(LIMITS), learned: CallAverages::default(), exhausted_until: Time::EPOCH }
    }
}

/// The state that the router sees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct HealthSnapshot {
    pub stand: CircuitStatus,
    /// How long its provider accepts no more requests.
    pub exhausted_for: Duration,
    pub latency: Duration,
    pub error_rate: f64,
    pub calls: u64,
    pub since: Time,
}

impl HealthTracker {
    pub fn snapshot(&self, expected: Duration, now: Time) -> HealthSnapshot {
        let inner = self.lock();
        HealthSnapshot {
            stand: inner.circuit.status(now),
            exhausted_for: inner.exhausted_until.since(now),
            latency: inner.learned.latency(expected, now),
            error_rate: inner.learned.error_rate(now),
            calls: inner.learned.calls(),
            since: inner.circuit.since(),
        }
    }

    /// Admits a call, or not. Its outcome is reported to the returned value; if that is dropped unreported, it changes
    /// nothing.
    pub fn admit(self: &Arc<Self>, now: Time) -> Option<ModelAdmission> {
        let pass = self.lock().circuit.admit(now)?;
        Some(ModelAdmission { health: Arc::clone(self), pass: Some(pass) })
    }

    pub fn apply_shared_state(&self, open: bool, until: Option<Time>, since: Time) {
        let mut inner = self.lock();
        inner.circuit.override_state(open, until, since);
        if !open {
            inner.exhausted_until = Time::EPOCH;
        }
    }

    fn mark_exhausted(&self, until: Time) {
        let mut inner = self.lock();
        inner.exhausted_until = inner.exhausted_until.max(until);
    }

    fn lock(&self) -> MutexGuard<'_, HealthState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that was admitted.
#[derive(Debug)]
pub(crate) struct ModelAdmission {
    health: Arc<HealthTracker>,
    pass: Option<CircuitAdmission>,
}

impl ModelAdmission {
    /// The model answered. `full_for`: its provider reports that the quota is exhausted for this long.
    pub fn succeeded(
        mut self,
        latency: Duration,
        expected: Duration,
        full_for: Option<Duration>,
        now: Time,
    ) -> Option<CircuitTransition> {
        if let Some(full_for) = full_for {
            self.health.mark_exhausted(now + full_for);
        }
        let pass = self.pass.take()?;
        let mut inner = self.health.lock();
        inner.learned.succeeded(latency, expected, now);
        inner.circuit.succeeded(pass, now)
    }

    /// The model or its provider failed. `wait` is the delay that the provider requested.
    pub fn failed(mut self, expected: Duration, wait: Option<Duration>, now: Time) -> Option<CircuitTransition> {
        if let Some(wait) = wait {
            self.health.mark_exhausted(now + wait);
        }
        let pass = self.pass.take()?;
        let mut inner = self.health.lock();
        inner.learned.failed(expected, now);
        inner.circuit.failed(pass, now, wait)
    }
}

impl Drop for ModelAdmission {
    fn drop(&mut self) {
        if let Some(pass) = self.pass.take() {
            self.health.lock().circuit.abandoned(pass);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: Duration = Duration::from_secs(1);
    const NOW: Time = Time::from_ms(1_000_000);

    #[test]
    fn a_probe_that_is_dropped_frees_its_place() {
        let health = Arc::new(HealthTracker::default());
        for _ in 0..3 {
            health.admit(NOW).expect("admitted").failed(EXPECTED, None, NOW);
        }
        let later = NOW + OPEN_FOR;
        let probe = health.admit(later).expect("a probe");
        assert!(health.admit(later).is_none());
        drop(probe);
        assert!(health.admit(later).is_some());
    }

    #[test]
    fn whoever_closes_the_circuit_of_a_full_model_lets_it_be_asked_again() {
        let health = Arc::new(HealthTracker::default());
        health.admit(NOW).expect("admitted").succeeded(EXPECTED, EXPECTED, Some(Duration::from_secs(7)), NOW);
        health.apply_shared_state(true, None, NOW);
        assert_eq!(health.snapshot(EXPECTED, NOW).exhausted_for, Duration::from_secs(7));
        health.apply_shared_state(false, None, NOW);
        assert_eq!(health.snapshot(EXPECTED, NOW).exhausted_for, Duration::ZERO);
    }

    #[test]
    fn a_provider_that_is_full_is_left_alone_as_long_as_it_says() {
        let health = Arc::new(HealthTracker::default());
        let wait = Duration::from_secs(7);
        health.admit(NOW).expect("admitted").failed(EXPECTED, Some(wait), NOW);
        assert_eq!(health.snapshot(EXPECTED, NOW).exhausted_for, wait);
        health.admit(NOW).expect("admitted").succeeded(EXPECTED, EXPECTED, Some(Duration::from_secs(1)), NOW);
        assert_eq!(health.snapshot(EXPECTED, NOW).exhausted_for, wait, "the longer wait counts");
        assert_eq!(health.snapshot(EXPECTED, NOW + wait).exhausted_for, Duration::ZERO);
    }
}
