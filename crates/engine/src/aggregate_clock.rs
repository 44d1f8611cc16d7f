//! The own time of one aggregate, kept by its owner. No IO.
//!
//! Timers are instants of the wall clock, which may be set. While an aggregate is awake, its own time advances as fast
//! as real time passes, even if the wall clock is set back; it follows the wall clock forward, and never goes back.
//! While an aggregate is asleep, it is known by one timer, whose wall-clock instant the store keeps. Rules:
//! `docs/concepts/durability.md`.

use std::time::Duration;

use baton_core::mutant::{Mutant, planted};
use baton_core::time::Time;
use baton_ports::clock::{Clock, MonotonicTime};

/// One reading of the machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct ClockReading {
    pub wall: Time,
    pub monotonic: MonotonicTime,
}

impl ClockReading {
    pub fn of(clock: &dyn Clock) -> Self {
        Self { wall: clock.now(), monotonic: clock.monotonic() }
    }

    /// The clock by which leases are kept and judged.
    pub fn for_leases(self) -> MonotonicTime {
        if planted(Mutant::LeaseByWall) { MonotonicTime::from_ms(self.wall.as_ms()) } else { self.monotonic }
    }
}

/// Assumes a wall clock that is never set.
impl From<Time> for ClockReading {
    fn from(wall: Time) -> Self {
        Self { wall, monotonic: MonotonicTime::from_ms(wall.as_ms()) }
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct AggregateClock {
    at: Time,
    monotonic: MonotonicTime,
    /// How far own time is ahead of the wall clock, which was set back.
    ahead: Duration,
}

impl AggregateClock {
    /// The clock of an aggregate that slept since its `last` entry until its own `timer`, which the store keeps as the
    /// instant `on_the_wall`.
    pub fn resumed(last: Time, timer: Option<Time>, on_the_wall: Option<Time>, now: ClockReading) -> Self {
        let ahead = timer.zip(on_the_wall).map_or(Duration::ZERO, |(own, wall)| own.since(wall));
        let at = last.max(now.wall + ahead);
        Self { at, monotonic: now.monotonic, ahead: ahead_of(at, now) }
    }

    /// The current own time.
    pub fn read(&self, now: ClockReading) -> Time {
        let passed = if planted(Mutant::TimeStands) { Duration::ZERO } else { now.monotonic.since(self.monotonic) };
        now.wall.max(self.at + passed)
    }

    /// Advances own time to `now` and returns it.
    pub fn advance(&mut self, now: ClockReading) -> Time {
        let at = self.read(now);
        *self = Self { at, monotonic: now.monotonic, ahead: ahead_of(at, now) };
        at
    }

    /// Whether the wall clock was set back behind own time.
    pub fn is_ahead(&self) -> bool {
        !self.ahead.is_zero()
    }

    /// The wall-clock time at that instant, unless the clock is set again.
    pub fn to_wall(&self, at: Time) -> Time {
        at - self.ahead
    }

    /// The instant of own time at which the wall clock shows this time.
    pub fn from_wall(&self, at: Time) -> Time {
        at + self.ahead
    }
}

fn ahead_of(at: Time, now: ClockReading) -> Duration {
    if planted(Mutant::TimeStands) { Duration::ZERO } else { at.since(now.wall) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3_600;

    fn now(wall: i64, steady: i64) -> ClockReading {
        ClockReading { wall: at(wall), monotonic: MonotonicTime::from_ms(steady * 1_000) }
    }

    fn at(seconds: i64) -> Time {
        Time::from_ms(seconds * 1_000)
    }

    #[test]
    fn it_goes_on_as_time_passes_while_the_wall_stands_back() {
        let mut time = AggregateClock::default();
        assert_eq!(time.advance(now(100 * DAY, 5)), at(100 * DAY));
        assert_eq!(time.advance(now(70 * DAY, 7)), at(100 * DAY + 2));
        assert_eq!(time.read(now(70 * DAY + 8, 15)), at(100 * DAY + 10));
        assert_eq!(time.advance(now(130 * DAY, 16)), at(130 * DAY), "forward it goes with the wall");
    }

    #[test]
    fn a_timer_is_kept_as_the_instant_that_the_wall_will_show() {
        let mut time = AggregateClock::default();
        time.advance(now(100 * DAY, 0));
        time.advance(now(70 * DAY, 0));
        let (timer, on_the_wall) = (at(100 * DAY + 60), time.to_wall(at(100 * DAY + 60)));
        assert_eq!(on_the_wall, at(70 * DAY + 60));
        let resumed = |wall| AggregateClock::resumed(at(100 * DAY), Some(timer), Some(on_the_wall), now(wall, 9_000));
        assert_eq!(resumed(70 * DAY + 60).read(now(70 * DAY + 60, 9_000)), timer);
        assert_eq!(resumed(70 * DAY + 30).read(now(70 * DAY + 30, 9_000)), at(100 * DAY + 30));
        assert_eq!(resumed(200 * DAY).read(now(200 * DAY, 9_000)), at(230 * DAY));
    }

    #[test]
    fn nothing_is_ahead_where_nobody_sets_the_clock() {
        let resumed = AggregateClock::resumed(at(10), Some(at(60)), Some(at(60)), at(61).into());
        assert_eq!(resumed.read(at(61).into()), at(61));
        assert_eq!(resumed.to_wall(at(99)), at(99));
    }
}
