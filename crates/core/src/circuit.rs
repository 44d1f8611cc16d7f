//! A circuit breaker: a service that fails is left alone for a while, then tried by one call at a time (Nygard, *Release
//! It!*). Pure: time and outcomes come in.

use std::time::Duration;

use crate::time::Time;

/// Of so many calls, half failing opens a circuit too.
const CALLS_SEEN: u32 = 20;
const OUTCOMES_MASK: u32 = (1 << CALLS_SEEN) - 1;
/// However long a service asks to be left alone: a day.
const OPEN_FOR_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// When to look again while somebody else finds out.
const PROBE_WAIT: Duration = Duration::from_secs(1);

/// When a circuit opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long the service is left alone, where it asks for no more.
    pub open_for: Duration,
}

/// The state of one service's circuit.
#[derive(Clone, Debug, PartialEq)]
pub struct Circuit {
    limits: Limits,
    state: State,
    failures_in_a_row: u32,
    /// The newest outcome is the lowest bit; a failure is 1.
    outcomes: u32,
    seen: u32,
    /// When it last became what it is.
    since: Time,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Closed,
    /// `until` nothing: until somebody closes it. `probing`: a call is finding out.
    Open {
        until: Option<Time>,
        probing: bool,
    },
}

/// How a circuit stands for whoever chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    Closed,
    /// One call may find out whether the service answers again.
    Due,
    /// Not before this; nothing where a person holds it open.
    Open(Option<Duration>),
}

/// A call that was let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    Free,
    /// The one that finds out.
    Probe,
}

/// What an outcome made of a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Opened { until: Time },
    Closed,
}

impl Circuit {
    /// Closed.
    pub fn new(limits: Limits) -> Self {
        Self { limits, state: State::Closed, failures_in_a_row: 0, outcomes: 0, seen: 0, since: Time::EPOCH }
    }

    pub fn stand(&self, now: Time) -> Stand {
        match self.state {
            State::Closed => Stand::Closed,
            State::Open { until: Some(until), probing: false } if until <= now => Stand::Due,
            // A probe is under way: whoever comes now looks again a little later.
            State::Open { until: Some(until), .. } => Stand::Open(Some(until.since(now).max(PROBE_WAIT))),
            State::Open { until: None, .. } => Stand::Open(None),
        }
    }

    /// Lets a call through, or not.
    pub fn admit(&mut self, now: Time) -> Option<Pass> {
        match self.stand(now) {
            Stand::Closed => Some(Pass::Free),
            Stand::Due => {
                if let State::Open { probing, .. } = &mut self.state {
                    *probing = true;
                }
                Some(Pass::Probe)
            }
            Stand::Open(_) => None,
        }
    }

    pub fn succeeded(&mut self, pass: Pass, now: Time) -> Option<Turn> {
        match (pass, self.state) {
            (Pass::Free, State::Closed) => {
                self.failures_in_a_row = 0;
                self.see(0);
                None
            }
            // A person who opened it meanwhile has the last word.
            (Pass::Probe, State::Open { until: Some(_), .. }) => {
                self.close(now);
                Some(Turn::Closed)
            }
            // Let through before it opened: the failures since then are newer.
            (Pass::Free, State::Open { .. }) | (Pass::Probe, State::Closed | State::Open { until: None, .. }) => None,
        }
    }

    /// `wait` is what the service asked for.
    pub fn failed(&mut self, pass: Pass, now: Time, wait: Option<Duration>) -> Option<Turn> {
        match (pass, self.state) {
            (Pass::Free, State::Closed) => {
                self.failures_in_a_row += 1;
                self.see(1);
                let half = self.seen >= CALLS_SEEN && self.outcomes.count_ones() * 2 >= CALLS_SEEN;
                (self.failures_in_a_row >= self.limits.failures || half).then(|| self.open(now, wait))
            }
            (Pass::Probe, State::Open { until: Some(_), .. }) => Some(self.open(now, wait)),
            (Pass::Free, State::Open { .. }) | (Pass::Probe, State::Closed | State::Open { until: None, .. }) => None,
        }
    }

    /// The call ended without telling anything of the service: the next one may find out.
    pub fn abandoned(&mut self, pass: Pass) {
        if let (Pass::Probe, State::Open { probing, .. }) = (pass, &mut self.state) {
            *probing = false;
        }
    }

    /// What a person or another process said at `since`; an older word changes nothing.
    pub fn told(&mut self, open: bool, until: Option<Time>, since: Time) {
        if since <= self.since {
            return;
        }
        match (open, self.state) {
            (false, State::Open { .. }) => self.close(since),
            (false, State::Closed) => {}
            (true, _) => {
                self.state = State::Open { until, probing: false };
                self.since = since;
            }
        }
    }

    /// How many failures in a row all processes together had before one that is about to be counted here.
    pub fn know_failures(&mut self, failures: u32) {
        if self.state == State::Closed {
            self.failures_in_a_row = failures;
        }
    }

    pub fn since(&self) -> Time {
        self.since
    }

    fn open(&mut self, now: Time, wait: Option<Duration>) -> Turn {
        let until = now + wait.unwrap_or_default().max(self.limits.open_for).min(OPEN_FOR_MAX);
        self.state = State::Open { until: Some(until), probing: false };
        self.since = now;
        Turn::Opened { until }
    }

    fn close(&mut self, now: Time) {
        *self = Self { since: now, ..Self::new(self.limits) };
    }

    fn see(&mut self, failure: u32) {
        self.outcomes = (self.outcomes << 1 | failure) & OUTCOMES_MASK;
        self.seen = (self.seen + 1).min(CALLS_SEEN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { failures: 3, open_for: Duration::from_secs(30) };

    fn at(seconds: u64) -> Time {
        Time::EPOCH + Duration::from_secs(1_000 + seconds)
    }

    /// A circuit after these outcomes at time 0: `.` is a reply, `x` a failure.
    fn after(outcomes: &str) -> (Circuit, Option<Turn>) {
        let (mut circuit, mut turn) = (Circuit::new(LIMITS), None);
        for outcome in outcomes.chars() {
            turn = match outcome {
                '.' => circuit.succeeded(Pass::Free, at(0)),
                _ => circuit.failed(Pass::Free, at(0), None),
            };
        }
        (circuit, turn)
    }

    #[test]
    fn three_failures_in_a_row_open_it() {
        assert_eq!(after("xx.xx").0.stand(at(0)), Stand::Closed);
        let (circuit, turn) = after("..xxx");
        assert_eq!(turn, Some(Turn::Opened { until: at(30) }));
        assert_eq!(circuit.stand(at(1)), Stand::Open(Some(Duration::from_secs(29))));
        assert_eq!(circuit.stand(at(30)), Stand::Due);
    }

    #[test]
    fn failures_that_others_had_count_as_its_own() {
        let (mut circuit, _) = after("x");
        circuit.know_failures(2);
        assert_eq!(circuit.failed(Pass::Free, at(0), None), Some(Turn::Opened { until: at(30) }));
        let (mut circuit, _) = after("xx");
        circuit.know_failures(0);
        assert_eq!(circuit.failed(Pass::Free, at(0), None), None, "another process had an answer meanwhile");
    }

    #[test]
    fn half_of_the_last_twenty_opens_it() {
        assert_eq!(after("x.x.x.x.x.x.x.x.x.").0.stand(at(0)), Stand::Closed, "eighteen are too few");
        assert_eq!(after("x.x.x.x.x.x.x.x.x..x").1, Some(Turn::Opened { until: at(30) }));
        assert_eq!(after("x.x.x.x.x.x.x.x.x....x").1, None, "nine of the last twenty");
    }

    #[test]
    fn one_call_alone_finds_out() {
        let (mut circuit, _) = after("xxx");
        assert_eq!(circuit.admit(at(29)), None);
        assert_eq!(circuit.admit(at(30)), Some(Pass::Probe));
        assert_eq!((circuit.admit(at(31)), circuit.stand(at(31))), (None, Stand::Open(Some(PROBE_WAIT))));
        assert_eq!(circuit.failed(Pass::Probe, at(32), None), Some(Turn::Opened { until: at(62) }));
        assert_eq!(circuit.admit(at(62)), Some(Pass::Probe));
        assert_eq!(circuit.succeeded(Pass::Probe, at(63)), Some(Turn::Closed));
        assert_eq!(circuit.admit(at(63)), Some(Pass::Free));
    }

    #[test]
    fn a_probe_that_was_given_up_lets_the_next_one_try() {
        let (mut circuit, _) = after("xxx");
        assert_eq!(circuit.admit(at(30)), Some(Pass::Probe));
        circuit.abandoned(Pass::Probe);
        assert_eq!(circuit.admit(at(30)), Some(Pass::Probe));
    }

    #[test]
    fn late_outcomes_of_earlier_calls_change_nothing() {
        let (mut circuit, _) = after("xxx");
        assert_eq!(circuit.succeeded(Pass::Free, at(1)), None);
        assert_eq!(circuit.failed(Pass::Free, at(20), None), None);
        assert_eq!(circuit.stand(at(30)), Stand::Due);
    }

    #[test]
    fn a_provider_that_asks_for_longer_is_left_alone_for_longer() {
        let (mut circuit, _) = after("xx");
        let turn = circuit.failed(Pass::Free, at(0), Some(Duration::from_secs(90)));
        assert_eq!(turn, Some(Turn::Opened { until: at(90) }));
        let (mut circuit, _) = after("xx");
        let turn = circuit.failed(Pass::Free, at(0), Some(Duration::MAX));
        assert_eq!(turn, Some(Turn::Opened { until: at(0) + OPEN_FOR_MAX }));
    }

    #[test]
    fn a_person_opens_and_closes_it() {
        let mut circuit = Circuit::new(LIMITS);
        circuit.told(true, None, at(1));
        assert_eq!(circuit.stand(at(1_000_000)), Stand::Open(None));
        assert_eq!(circuit.succeeded(Pass::Probe, at(2)), None, "a probe does not overrule a person");
        circuit.told(false, None, at(1));
        assert_eq!(circuit.stand(at(3)), Stand::Open(None), "no newer word than the last");
        circuit.told(false, None, at(4));
        assert_eq!(circuit.stand(at(4)), Stand::Closed);
    }
}
