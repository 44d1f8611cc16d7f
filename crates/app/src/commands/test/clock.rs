//! A clock that moves only by an explicit call.

use std::sync::atomic::{AtomicI64, Ordering};

use baton_core::time::Time;
use baton_ports::clock::Clock;

pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn at(now: Time) -> Self {
        Self(AtomicI64::new(now.as_ms()))
    }

    /// Moves the clock forward. Never moves it back.
    pub fn move_to(&self, now: Time) {
        self.0.fetch_max(now.as_ms(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Time {
        Time::from_ms(self.0.load(Ordering::SeqCst))
    }
}
