//! The clock port: wall-clock time and monotonic time. The only source of time for the engine.

use std::ops::{Add, Sub};
use std::time::Duration;

use baton_core::time::Time;

/// An instant of a clock that cannot be set: whole milliseconds since an arbitrary start, the same for all processes of
/// a machine. It advances while the machine is suspended and restarts at boot, so it measures elapsed time, never the
/// time of day. Leases are kept and judged by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonotonicTime(i64);

impl MonotonicTime {
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms)
    }

    pub const fn as_ms(self) -> i64 {
        self.0
    }

    /// Time elapsed since `earlier`; zero if `self` is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for MonotonicTime {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(later.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for MonotonicTime {
    type Output = Self;

    fn sub(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(earlier.as_millis()).unwrap_or(i64::MAX)))
    }
}

pub trait Clock: Send + Sync {
    /// The wall-clock time. It may be set by the operator, forward and back.
    fn now(&self) -> Time;

    /// The monotonic time. A clock that is never set, such as those of tests, needs no separate one.
    fn monotonic(&self) -> MonotonicTime {
        MonotonicTime::from_ms(self.now().as_ms())
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Time::from_ms(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    #[cfg(unix)]
    fn monotonic(&self) -> MonotonicTime {
        let passed = rustix::time::clock_gettime(STEADY);
        MonotonicTime(passed.tv_sec.saturating_mul(1_000).saturating_add(passed.tv_nsec / 1_000_000))
    }
}

/// The time since boot, including suspension.
#[cfg(any(target_os = "linux", target_os = "android"))]
const STEADY: rustix::time::ClockId = rustix::time::ClockId::Boottime;
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
const STEADY: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_passed_never_goes_back_and_all_clocks_of_a_machine_agree() {
        let first = SystemClock.monotonic();
        let second = SystemClock.monotonic();
        assert!(second >= first);
        assert!(second.since(first) < Duration::from_secs(3_600));
        assert_eq!(MonotonicTime::from_ms(5).since(MonotonicTime::from_ms(7)), Duration::ZERO);
    }
}
