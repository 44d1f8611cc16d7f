//! A circuit breaker: calls to a failing service stop for a while, then one call at a time probes it (Nygard, *Release
//! It!*). Pure: time and outcomes are arguments.

use std::time::Duration;

use crate::time::Time;

/// Size of the sliding window, in calls. A circuit also opens if half of the window failed.
const WINDOW_CALLS: u32 = 20;
const OUTCOMES_MASK: u32 = (1 << WINDOW_CALLS) - 1;
/// Maximum time a circuit stays open at the service's request: one day.
const OPEN_FOR_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// How long to wait before the next check while another call is probing.
const PROBE_WAIT: Duration = Duration::from_secs(1);

/// When a circuit opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitLimits {
    /// Number of consecutive failures that open it.
    pub failures: u32,
    /// How long it stays open, unless the service asks for longer.
    pub open_for: Duration,
}

/// The state of one service's circuit.
#[derive(Clone, Debug, PartialEq)]
pub struct CircuitBreaker {
    limits: CircuitLimits,
    state: BreakerState,
    failures_in_a_row: u32,
    /// The newest outcome is the lowest bit; a failure is 1.
    outcomes: u32,
    calls_in_window: u32,
    /// When it last changed state.
    since: Time,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum BreakerState {
    Closed,
    /// `until` is `None` if it stays open until it is closed explicitly. `probing`: a probe is in flight.
    Open {
        until: Option<Time>,
        probing: bool,
    },
}

/// The status of a circuit as a caller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitStatus {
    Closed,
    /// One call may probe whether the service answers again.
    Due,
    /// How long it stays open; `None` if a person holds it open.
    Open(Option<Duration>),
}

/// An admitted call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitAdmission {
    Normal,
    /// The call that probes the service.
    Probe,
}

/// The state change that an outcome caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitTransition {
    Opened { until: Time },
    Closed,
}

impl CircuitBreaker {
    /// Creates a closed circuit.
    pub fn new(limits: CircuitLimits) -> Self {
        Self {
            limits,
            state: BreakerState::Closed,
            failures_in_a_row: 0,
            outcomes: 0,
            calls_in_window: 0,
            since: Time::EPOCH,
        }
    }

    pub fn status(&self, now: Time) -> CircuitStatus {
        match self.state {
            BreakerState::Closed => CircuitStatus::Closed,
            BreakerState::Open { until: Some(until), probing: false } if until <= now => CircuitStatus::Due,
            // A probe is in flight: other callers check again a little later.
            BreakerState::Open { until: Some(until), .. } => {
                CircuitStatus::Open(Some(until.since(now).max(PROBE_WAIT)))
            }
            BreakerState::Open { until: None, .. } => CircuitStatus::Open(None),
        }
    }

    /// Admits a call, or returns `None`.
    pub fn admit(&mut self, now: Time) -> Option<CircuitAdmission> {
        match self.status(now) {
            CircuitStatus::Closed => Some(CircuitAdmission::Normal),
            CircuitStatus::Due => {
                if let BreakerState::Open { probing, .. } = &mut self.state {
                    *probing = true;
                }
                Some(CircuitAdmission::Probe)
            }
            CircuitStatus::Open(_) => None,
        }
    }

    pub fn succeeded(&mut self, pass: CircuitAdmission, now: Time) -> Option<CircuitTransition> {
        match (pass, self.state) {
            (CircuitAdmission::Normal, BreakerState::Closed) => {
                self.failures_in_a_row = 0;
                self.record_outcome(0);
                None
            }
            // If a person opened the circuit meanwhile, it stays open.
            (CircuitAdmission::Probe, BreakerState::Open { until: Some(_), .. }) => {
                self.close(now);
                Some(CircuitTransition::Closed)
            }
            // The call was admitted before the circuit opened: the failures since then are newer.
            (CircuitAdmission::Normal, BreakerState::Open { .. })
            | (CircuitAdmission::Probe, BreakerState::Closed | BreakerState::Open { until: None, .. }) => None,
        }
    }

    /// Records a failure. `wait` is how long the service asked to wait.
    pub fn failed(&mut self, pass: CircuitAdmission, now: Time, wait: Option<Duration>) -> Option<CircuitTransition> {
        match (pass, self.state) {
            (CircuitAdmission::Normal, BreakerState::Closed) => {
                self.failures_in_a_row += 1;
                self.record_outcome(1);
                let half = self.calls_in_window >= WINDOW_CALLS && self.outcomes.count_ones() * 2 >= WINDOW_CALLS;
                (self.failures_in_a_row >= self.limits.failures || half).then(|| self.open(now, wait))
            }
            (CircuitAdmission::Probe, BreakerState::Open { until: Some(_), .. }) => Some(self.open(now, wait)),
            (CircuitAdmission::Normal, BreakerState::Open { .. })
            | (CircuitAdmission::Probe, BreakerState::Closed | BreakerState::Open { until: None, .. }) => None,
        }
    }

    /// Records a call that ended without information about the service: the next call may probe.
    pub fn abandoned(&mut self, pass: CircuitAdmission) {
        if let (CircuitAdmission::Probe, BreakerState::Open { probing, .. }) = (pass, &mut self.state) {
            *probing = false;
        }
    }

    /// Applies a state that a person or another process set at `since`. An older state than the current one is ignored.
    pub fn override_state(&mut self, open: bool, until: Option<Time>, since: Time) {
        if since <= self.since {
            return;
        }
        match (open, self.state) {
            (false, BreakerState::Open { .. }) => self.close(since),
            (false, BreakerState::Closed) => {}
            (true, _) => {
                self.state = BreakerState::Open { until, probing: false };
                self.since = since;
            }
        }
    }

    /// Sets the number of consecutive failures of all processes together before the one that is counted next here.
    pub fn set_failure_count(&mut self, failures: u32) {
        if self.state == BreakerState::Closed {
            self.failures_in_a_row = failures;
        }
    }

    pub fn since(&self) -> Time {
        self.since
    }

    fn open(&mut self, now: Time, wait: Option<Duration>) -> CircuitTransition {
        let until = now + wait.unwrap_or_default().max(self.limits.open_for).min(OPEN_FOR_MAX);
        self.state = BreakerState::Open { until: Some(until), probing: false };
        self.since = now;
        CircuitTransition::Opened { until }
    }

    fn close(&mut self, now: Time) {
        *self = Self { since: now, ..Self::new(self.limits) };
    }

    fn record_outcome(&mut self, failure: u32) {
        self.outcomes = (self.outcomes << 1 | failure) & OUTCOMES_MASK;
        self.calls_in_window = (self.calls_in_window + 1).min(WINDOW_CALLS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: CircuitLimits = CircuitLimits { failures: 3, open_for: Duration::from_secs(30) };

    fn at(seconds: u64) -> Time {
        Time::EPOCH + Duration::from_secs(1_000 + seconds)
    }

    /// Returns a circuit after these outcomes at time 0: `.` is a reply, `x` a failure.
    fn after(outcomes: &str) -> (CircuitBreaker, Option<CircuitTransition>) {
        let (mut circuit, mut turn) = (CircuitBreaker::new(LIMITS), None);
        for outcome in outcomes.chars() {
            turn = match outcome {
                '.' => circuit.succeeded(CircuitAdmission::Normal, at(0)),
                _ => circuit.failed(CircuitAdmission::Normal, at(0), None),
            };
        }
        (circuit, turn)
    }

    #[test]
    fn three_failures_in_a_row_open_it() {
        assert_eq!(after("xx.xx").0.status(at(0)), CircuitStatus::Closed);
        let (circuit, turn) = after("..xxx");
        assert_eq!(turn, Some(CircuitTransition::Opened { until: at(30) }));
        assert_eq!(circuit.status(at(1)), CircuitStatus::Open(Some(Duration::from_secs(29))));
        assert_eq!(circuit.status(at(30)), CircuitStatus::Due);
    }

    #[test]
    fn failures_that_others_had_count_as_its_own() {
        let (mut circuit, _) = after("x");
        circuit.set_failure_count(2);
        assert_eq!(
            circuit.failed(CircuitAdmission::Normal, at(0), None),
            Some(CircuitTransition::Opened { until: at(30) })
        );
        let (mut circuit, _) = after("xx");
        circuit.set_failure_count(0);
        assert_eq!(
            circuit.failed(CircuitAdmission::Normal, at(0), None),
            None,
            "another process had an answer meanwhile"
        );
    }

    #[test]
    fn half_of_the_last_twenty_opens_it() {
        assert_eq!(after("x.x.x.x.x.x.x.x.x.").0.status(at(0)), CircuitStatus::Closed, "eighteen are too few");
        assert_eq!(after("x.x.x.x.x.x.x.x.x..x").1, Some(CircuitTransition::Opened { until: at(30) }));
        assert_eq!(after("x.x.x.x.x.x.x.x.x....x").1, None, "nine of the last twenty");
    }

    #[test]
    fn one_call_alone_finds_out() {
        let (mut circuit, _) = after("xxx");
        assert_eq!(circuit.admit(at(29)), None);
        assert_eq!(circuit.admit(at(30)), Some(CircuitAdmission::Probe));
        assert_eq!((circuit.admit(at(31)), circuit.status(at(31))), (None, CircuitStatus::Open(Some(PROBE_WAIT))));
        assert_eq!(
            circuit.failed(CircuitAdmission::Probe, at(32), None),
            Some(CircuitTransition::Opened { until: at(62) })
        );
        assert_eq!(circuit.admit(at(62)), Some(CircuitAdmission::Probe));
        assert_eq!(circuit.succeeded(CircuitAdmission::Probe, at(63)), Some(CircuitTransition::Closed));
        assert_eq!(circuit.admit(at(63)), Some(CircuitAdmission::Normal));
    }

    #[test]
    fn a_probe_that_was_given_up_lets_the_next_one_try() {
        let (mut circuit, _) = after("xxx");
        assert_eq!(circuit.admit(at(30)), Some(CircuitAdmission::Probe));
        circuit.abandoned(CircuitAdmission::Probe);
        assert_eq!(circuit.admit(at(30)), Some(CircuitAdmission::Probe));
    }

    #[test]
    fn late_outcomes_of_earlier_calls_change_nothing() {
        let (mut circuit, _) = after("xxx");
        assert_eq!(circuit.succeeded(CircuitAdmission::Normal, at(1)), None);
        assert_eq!(circuit.failed(CircuitAdmission::Normal, at(20), None), None);
        assert_eq!(circuit.status(at(30)), CircuitStatus::Due);
    }

    #[test]
    fn a_provider_that_asks_for_longer_is_left_alone_for_longer() {
        let (mut circuit, _) = after("xx");
        let turn = circuit.failed(CircuitAdmission::Normal, at(0), Some(Duration::from_secs(90)));
        assert_eq!(turn, Some(CircuitTransition::Opened { until: at(90) }));
        let (mut circuit, _) = after("xx");
        let turn = circuit.failed(CircuitAdmission::Normal, at(0), Some(Duration::MAX));
        assert_eq!(turn, Some(CircuitTransition::Opened { until: at(0) + OPEN_FOR_MAX }));
    }

    #[test]
    fn a_person_opens_and_closes_it() {
        let mut circuit = CircuitBreaker::new(LIMITS);
        circuit.override_state(true, None, at(1));
        assert_eq!(circuit.status(at(1_000_000)), CircuitStatus::Open(None));
        assert_eq!(circuit.succeeded(CircuitAdmission::Probe, at(2)), None, "a probe does not overrule a person");
        circuit.override_state(false, None, at(1));
        assert_eq!(circuit.status(at(3)), CircuitStatus::Open(None), "no newer word than the last");
        circuit.override_state(false, None, at(4));
        assert_eq!(circuit.status(at(4)), CircuitStatus::Closed);
    }
}
