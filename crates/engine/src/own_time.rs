//! The time of one aggregate, as its owner keeps it. No IO.
//!
//! Timers are instants of the wall's clock, which may be set. While an aggregate is awake its own time goes on as fast as
//! time passes, whatever becomes of the wall's: it goes forward with the wall's clock, and never back. Asleep it is known
//! by one timer, whose instant on the wall the store keeps. Rules: `docs/concepts/durability.md`.

use std::time::Duration;

use baton_core::mutant::{Mutant, planted};
use baton_core::time::Time;
use baton_ports::clock::{Clock, Steady};

/// One look at the machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub wall: Time,
    pub steady: Steady,
}

impl Now {
    pub fn of(clock: &dyn Clock) -> Self {
        Self { wall: clock.now(), steady: clock.steady() }
    }

    /// What leases are kept and judged by.
    pub fn for_leases(self) -> Steady {
        if planted(Mutant::LeaseByWall) { Steady::from_ms(self.wall.as_ms()) } else { self.steady }
    }
}

/// By a clock that nobody sets.
impl From<Time> for Now {
    fn from(wall: Time) -> Self {
        Self { wall, steady: Steady::from_ms(wall.as_ms()) }
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct OwnTime {
    at: Time,
    steady: Steady,
    /// How far it is ahead of the wall's clock, which was set back.
    ahead: Duration,
}

impl OwnTime {
    /// Of an aggregate that was asleep since its `last` entry, until its own `timer`, which the store keeps as an instant
    /// `on_the_wall`.
    pub fn resumed(last: Time, timer: Option<Time>, on_the_wall: Option<Time>, now: Now) -> Self {
        let ahead = timer.zip(on_the_wall).map_or(Duration::ZERO, |(own, wall)| own.since(wall));
        let at = last.max(now.wall + ahead);
        Self { at, steady: now.steady, ahead: ahead_of(at, now) }
    }

    /// What time it is.
    pub fn read(&self, now: Now) -> Time {
        let passed = if planted(Mutant::TimeStands) { Duration::ZERO } else { now.steady.since(self.steady) };
        now.wall.max(self.at + passed)
    }

    /// What time it is from now on.
    pub fn go_on(&mut self, now: Now) -> Time {
        let at = self.read(now);
        *self = Self { at, steady: now.steady, ahead: ahead_of(at, now) };
        at
    }

    /// Whether the wall's clock was set back behind it.
    pub fn is_ahead(&self) -> bool {
        !self.ahead.is_zero()
    }

    /// What the wall's clock shows at that instant, unless somebody sets it again.
    pub fn on_the_wall(&self, at: Time) -> Time {
        at - self.ahead
    }

    /// The instant of its own time at which the wall's clock shows this.
    pub fn of_the_wall(&self, at: Time) -> Time {
        at + self.ahead
    }
}

fn ahead_of(at: Time, now: Now) -> Duration {
    if planted(Mutant::TimeStands) { Duration::ZERO } else { at.since(now.wall) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3_600;

    fn now(wall: i64, steady: i64) -> Now {
        Now { wall: at(wall), steady: Steady::from_ms(steady * 1_000) }
    }

    fn at(seconds: i64) -> Time {
        Time::from_ms(seconds * 1_000)
    }

    #[test]
    fn it_goes_on_as_time_passes_while_the_wall_stands_back() {
        let mut time = OwnTime::default();
        assert_eq!(time.go_on(now(100 * DAY, 5)), at(100 * DAY));
        assert_eq!(time.go_on(now(70 * DAY, 7)), at(100 * DAY + 2));
        assert_eq!(time.read(now(70 * DAY + 8, 15)), at(100 * DAY + 10));
        assert_eq!(time.go_on(now(130 * DAY, 16)), at(130 * DAY), "forward it goes with the wall");
    }

    #[test]
    fn a_timer_is_kept_as_the_instant_that_the_wall_will_show() {
        let mut time = OwnTime::default();
        time.go_on(now(100 * DAY, 0));
        time.go_on(now(70 * DAY, 0));
        let (timer, on_the_wall) = (at(100 * DAY + 60), time.on_the_wall(at(100 * DAY + 60)));
        assert_eq!(on_the_wall, at(70 * DAY + 60));
        let resumed = |wall| OwnTime::resumed(at(100 * DAY), Some(timer), Some(on_the_wall), now(wall, 9_000));
        assert_eq!(resumed(70 * DAY + 60).read(now(70 * DAY + 60, 9_000)), timer);
        assert_eq!(resumed(70 * DAY + 30).read(now(70 * DAY + 30, 9_000)), at(100 * DAY + 30));
        assert_eq!(resumed(200 * DAY).read(now(200 * DAY, 9_000)), at(230 * DAY));
    }

    #[test]
    fn nothing_is_ahead_where_nobody_sets_the_clock() {
        let resumed = OwnTime::resumed(at(10), Some(at(60)), Some(at(60)), at(61).into());
        assert_eq!(resumed.read(at(61).into()), at(61));
        assert_eq!(resumed.on_the_wall(at(99)), at(99));
    }
}
