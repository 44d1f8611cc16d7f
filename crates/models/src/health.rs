//! How a model fares: its circuit, what was learned of it, and how long its provider takes nothing more. Shared by all
//! calls of the process; every look is short and none waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use baton_core::circuit::{Circuit, Limits, Pass, Stand, Turn};
use baton_core::time::Time;

use crate::learned::Learned;

/// How long a model that fails is left alone.
pub(crate) const OPEN_FOR: Duration = Duration::from_secs(30);
/// Three failures in a row open a model's circuit.
const LIMITS: Limits = Limits { failures: 3, open_for: OPEN_FOR };

#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    circuit: Circuit,
    learned: Learned,
    /// Until then its provider takes nothing more.
    full_until: Time,
}

impl Default for Inner {
    fn default() -> Self {
        Self { circuit: Circuit::new(LIMITS), learned: Learned::default(), full_until: Time::EPOCH }
    }
}

/// What whoever chooses sees of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Seen {
    pub stand: Stand,
    /// How long its provider takes nothing more.
    pub full_for: Duration,
    pub latency: Duration,
    pub error_rate: f64,
    pub calls: u64,
    pub since: Time,
}

impl Health {
    pub fn seen(&self, expected: Duration, now: Time) -> Seen {
        let inner = self.lock();
        Seen {
            stand: inner.circuit.stand(now),
            full_for: inner.full_until.since(now),
            latency: inner.learned.latency(expected, now),
            error_rate: inner.learned.error_rate(now),
            calls: inner.learned.calls(),
            since: inner.circuit.since(),
        }
    }

    /// Lets a call through, or not. What comes of it is told to the value; dropped untold, it says nothing of the model.
    pub fn admit(self: &Arc<Self>, now: Time) -> Option<Attempt> {
        let pass = self.lock().circuit.admit(now)?;
        Some(Attempt { health: Arc::clone(self), pass: Some(pass) })
    }

    pub fn told(&self, open: bool, until: Option<Time>, since: Time) {
        let mut inner = self.lock();
        inner.circuit.told(open, until, since);
        if !open {
            inner.full_until = Time::EPOCH;
        }
    }

    fn full(&self, until: Time) {
        let mut inner = self.lock();
        inner.full_until = inner.full_until.max(until);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that was let through.
#[derive(Debug)]
pub(crate) struct Attempt {
    health: Arc<Health>,
    pass: Option<Pass>,
}

impl Attempt {
    /// The model answered. `full_for`: its provider says that nothing is left for so long.
    pub fn succeeded(
        mut self,
        latency: Duration,
        expected: Duration,
        full_for: Option<Duration>,
        now: Time,
    ) -> Option<Turn> {
        if let Some(full_for) = full_for {
            self.health.full(now + full_for);
        }
        let pass = self.pass.take()?;
        let mut inner = self.health.lock();
        inner.learned.succeeded(latency, expected, now);
        inner.circuit.succeeded(pass, now)
    }

    /// The model, or its provider, failed. `wait` is what the provider asked for.
    pub fn failed(mut self, expected: Duration, wait: Option<Duration>, now: Time) -> Option<Turn> {
        if let Some(wait) = wait {
            self.health.full(now + wait);
        }
        let pass = self.pass.take()?;
        let mut inner = self.health.lock();
        inner.learned.failed(expected, now);
        inner.circuit.failed(pass, now, wait)
    }
}

impl Drop for Attempt {
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
        let health = Arc::new(Health::default());
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
        let health = Arc::new(Health::default());
        health.admit(NOW).expect("admitted").succeeded(EXPECTED, EXPECTED, Some(Duration::from_secs(7)), NOW);
        health.told(true, None, NOW);
        assert_eq!(health.seen(EXPECTED, NOW).full_for, Duration::from_secs(7));
        health.told(false, None, NOW);
        assert_eq!(health.seen(EXPECTED, NOW).full_for, Duration::ZERO);
    }

    #[test]
    fn a_provider_that_is_full_is_left_alone_as_long_as_it_says() {
        let health = Arc::new(Health::default());
        let wait = Duration::from_secs(7);
        health.admit(NOW).expect("admitted").failed(EXPECTED, Some(wait), NOW);
        assert_eq!(health.seen(EXPECTED, NOW).full_for, wait);
        health.admit(NOW).expect("admitted").succeeded(EXPECTED, EXPECTED, Some(Duration::from_secs(1)), NOW);
        assert_eq!(health.seen(EXPECTED, NOW).full_for, wait, "the longer wait counts");
        assert_eq!(health.seen(EXPECTED, NOW + wait).full_for, Duration::ZERO);
    }
}
