//! Rate limits over a sliding window, with callers served in order of arrival.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use baton_core::time::Time;
use baton_ports::rate_limits::{CALLS_MAX, RESERVATIONS_MAX, RESERVED_FOR, RateDecision, RateLimit, SET_BACK};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// A limit as the settings write it: `100/min`, `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallRate {
    /// Unlimited.
    Free,
    /// At most this many calls, 1 to 100,000, in any window of this length.
    Of { calls: u32, per: Duration },
}

impl CallRate {
    /// Returns whether this rate admits no call that the other one refuses.
    pub(crate) fn is_within(self, other: Self) -> bool {
        match (self, other) {
            (_, Self::Free) => true,
            (Self::Free, Self::Of { .. }) => false,
            (Self::Of { calls, per }, Self::Of { calls: most, per: stretch }) => calls <= most && per >= stretch,
        }
    }

    pub(crate) const fn per_minute(calls: u32) -> Self {
        Self::Of { calls, per: Duration::from_secs(60) }
    }

    /// Returns the limit to count, under this name; `None` if the rate is unlimited.
    pub(crate) fn limit(self, name: impl FnOnce() -> Arc<str>) -> Option<RateLimit> {
        match self {
            Self::Free => None,
            Self::Of { calls, per } => Some(RateLimit { name: name(), calls, per }),
        }
    }
}

impl FromStr for CallRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no rate; write `100/min`, `5/s`, `1000/h`, `10000/day` or `none`");
        if text.trim() == "none" {
            return Ok(Self::Free);
        }
        let (calls, unit) = text.split_once('/').ok_or_else(wrong)?;
        let seconds = match unit.trim() {
            "s" | "sec" | "second" => 1,
            "min" | "minute" => 60,
            "h" | "hour" => 60 * 60,
            "d" | "day" => 24 * 60 * 60,
            _ => return Err(wrong()),
        };
        let calls: u32 = calls.trim().parse().map_err(|_| wrong())?;
        if !(1..=CALLS_MAX).contains(&calls) {
            return Err(format!("`{text}` counts {calls} calls; a rate may count 1 to {CALLS_MAX}"));
        }
        Ok(Self::Of { calls, per: Duration::from_secs(seconds) })
    }
}

impl fmt::Display for CallRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Free => f.write_str("none"),
            Self::Of { calls, per } => {
                let unit = match per.as_secs() {
                    1 => "s",
                    60 => "min",
                    3_600 => "h",
                    _ => "day",
                };
                write!(f, "{calls}/{unit}")
            }
        }
    }
}

impl<'de> Deserialize<'de> for CallRate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// The calls that were admitted, and the turns reserved for waiting calls. A call that finds the limit full is given
/// the time of its own turn, so a thousand waiting calls return one by one, each once, in order of arrival. A turn
/// counts at its own time, even if its call arrives later.
#[derive(Debug)]
pub(crate) struct CallRateWindow {
    calls: usize,
    per: Duration,
    /// The last turns, oldest first, including reserved ones; no more than `calls`.
    taken: VecDeque<Time>,
    reserved: HashMap<String, Time>,
    /// The latest time at which a call asked.
    seen_at: Time,
}

impl CallRateWindow {
    pub(crate) fn of(limit: &RateLimit) -> Self {
        Self {
            calls: limit.calls.max(1) as usize,
            per: limit.per,
            taken: VecDeque::new(),
            reserved: HashMap::new(),
            seen_at: Time::EPOCH,
        }
    }

    /// Counts with these numbers from here on. If the clock was set back, the window is reset.
    pub(crate) fn adopt(&mut self, limit: &RateLimit, now: Time) {
        (self.calls, self.per) = (limit.calls.max(1) as usize, limit.per);
        if self.seen_at.since(now) > self.per.max(SET_BACK) {
            *self = Self::of(limit);
        }
        self.seen_at = self.seen_at.max(now);
    }

    /// Reserves a turn for the call with this key, now or at the returned time.
    pub(crate) fn reserve(&mut self, key: &str, now: Time) -> RateDecision {
        if let Some(turn) = self.reserved(key, now) {
            if turn > now {
                return RateDecision::After(turn.since(now));
            }
            self.reserved.remove(key);
            return RateDecision::Now;
        }
        let turn = self.next(now);
        if turn <= now {
            self.take(now);
            return RateDecision::Now;
        }
        let is_full = |reserved: &HashMap<String, Time>| reserved.len() >= RESERVATIONS_MAX as usize;
        if is_full(&self.reserved) {
            self.reserved.retain(|_, turn| *turn + RESERVED_FOR > now);
        }
        if !is_full(&self.reserved) {
            self.take(turn);
            self.reserved.insert(key.to_owned(), turn);
        }
        RateDecision::After(turn.since(now))
    }

    /// Returns whether the call with this key has a turn now. Takes none.
    pub(crate) fn has_turn(&self, key: &str, now: Time) -> bool {
        self.reserved(key, now).unwrap_or_else(|| self.next(now)) <= now
    }

    /// Returns whether the window can be discarded without any effect.
    pub(crate) fn is_idle(&self, now: Time) -> bool {
        self.taken.back().is_none_or(|last| *last + self.per + RESERVED_FOR <= now)
    }

    /// Returns the turn that is reserved for this call. A call that arrives much later must ask again: its turn no
    /// longer counts.
    fn reserved(&self, key: &str, now: Time) -> Option<Time> {
        self.reserved.get(key).copied().filter(|turn| *turn + RESERVED_FOR > now)
    }

    /// The time of the next turn.
    fn next(&self, now: Time) -> Time {
        let oldest = self.taken.len().checked_sub(self.calls).and_then(|place| self.taken.get(place));
        oldest.map_or(now, |oldest| (*oldest + self.per).max(now))
    }

    fn take(&mut self, turn: Time) {
        while self.taken.len() >= self.calls {
            self.taken.pop_front();
        }
        self.taken.push_back(turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::EPOCH + Duration::from_millis(1_000_000 + ms)
    }

    fn pace(rate: &str) -> CallRateWindow {
        CallRateWindow::of(&rate.parse::<CallRate>().unwrap().limit(|| "tool".into()).unwrap())
    }

    #[test]
    fn a_rate_reads_as_people_write_it() {
        for text in ["100/min", "5/s", "1000/h", "10000/day", "none"] {
            assert_eq!(text.parse::<CallRate>().map(|rate| rate.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("7 / minute".parse::<CallRate>().map(|rate| rate.to_string()), Ok("7/min".to_owned()));
        for wrong in ["", "100", "x/min", "-1/min", "100/fortnight"] {
            let error = wrong.parse::<CallRate>().unwrap_err();
            assert!(error.contains("write `100/min`"), "{error}");
        }
        assert!("0/min".parse::<CallRate>().unwrap_err().contains("1 to 100000"));
    }

    #[test]
    fn no_stretch_of_time_has_more_calls_than_the_rate() {
        let mut pace = pace("10/s");
        let mut turns: Vec<u64> = Vec::new();
        for ms in 0..5_000 {
            if pace.reserve("again", at(ms)) == RateDecision::Now {
                turns.push(ms);
            }
        }
        assert!(turns.windows(11).all(|eleven| eleven[10] - eleven[0] >= 1_000), "{turns:?}");
        assert!(turns.len() >= 48, "nearly all of what the rate allows: {}", turns.len());
    }

    #[test]
    fn those_who_wait_come_back_once_each_in_the_order_they_asked() {
        let mut pace = pace("2/s");
        let ask = |pace: &mut CallRateWindow, key: u32, ms| match pace.reserve(&key.to_string(), at(ms)) {
            RateDecision::Now => Ok(()),
            RateDecision::After(wait) => Err(wait.as_millis()),
        };
        let waits: Vec<_> = (0..6).map(|key| ask(&mut pace, key, 0)).collect();
        assert_eq!(waits, [Ok(()), Ok(()), Err(1_000), Err(1_000), Err(2_000), Err(2_000)]);
        assert_eq!(ask(&mut pace, 2, 400), Err(600), "too early: its turn stands");
        assert_eq!((ask(&mut pace, 3, 1_000), ask(&mut pace, 2, 1_001)), (Ok(()), Ok(())));
        assert_eq!(ask(&mut pace, 7, 1_500), Err(1_500), "behind those who asked before");
        assert_eq!((ask(&mut pace, 5, 2_000), ask(&mut pace, 4, 2_000)), (Ok(()), Ok(())));
    }

    #[test]
    fn what_it_remembers_is_bounded() {
        let mut pace = pace("1/day");
        for key in 0..2 * RESERVATIONS_MAX {
            pace.reserve(&key.to_string(), at(0));
        }
        assert_eq!((pace.reserved.len(), pace.taken.len()), (RESERVATIONS_MAX as usize, 1));
        assert!(!pace.is_idle(at(0)));
    }
}
