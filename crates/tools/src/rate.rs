//! At most so many calls in any stretch of time, in the order they came.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use baton_core::time::Time;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Calls that one limit may count: each is remembered.
const CALLS_MAX: usize = 100_000;
/// Calls that may wait for a time of their own; those after them come back when a place is free.
const WAITING_MAX: usize = 10_000;
/// How long a time that was promised is kept for whoever does not come.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// A limit as the settings write it: `100/min`, `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// As often as one likes.
    Free,
    /// So many calls, 1 to 100,000, in any stretch of so long.
    Of { calls: usize, per: Duration },
}

impl Rate {
    pub(crate) const fn per_minute(calls: usize) -> Self {
        Self::Of { calls, per: Duration::from_secs(60) }
    }
}

impl FromStr for Rate {
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
        let calls: usize = calls.trim().parse().map_err(|_| wrong())?;
        if !(1..=CALLS_MAX).contains(&calls) {
            return Err(format!("`{text}` counts {calls} calls; a rate may count 1 to {CALLS_MAX}"));
        }
        Ok(Self::Of { calls, per: Duration::from_secs(seconds) })
    }
}

impl fmt::Display for Rate {
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

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// Who had a turn and who was promised one. Whoever is full is told when its own turn comes, so a thousand that wait
/// come back one by one, each once, in the order they asked. A turn counts at its time, though its call come later.
#[derive(Debug)]
pub(crate) struct Pace {
    calls: usize,
    per: Duration,
    /// The last turns, oldest first, those still to come included; no more than `calls`.
    turns: VecDeque<Time>,
    promised: HashMap<String, Time>,
}

impl Pace {
    /// Nothing to count where the rate is free.
    pub(crate) fn of(rate: Rate) -> Option<Self> {
        match rate {
            Rate::Free => None,
            Rate::Of { calls, per } => Some(Self { calls, per, turns: VecDeque::new(), promised: HashMap::new() }),
        }
    }

    /// A turn for the call with this key, now or after the time it is told.
    pub(crate) fn ask(&mut self, key: &str, now: Time) -> Result<(), Duration> {
        if let Some(turn) = self.promised.get(key).copied() {
            if turn > now {
                return Err(turn.since(now));
            }
            self.promised.remove(key);
            return Ok(());
        }
        let turn = self.next(now);
        if turn <= now {
            self.take(now);
            return Ok(());
        }
        if self.promised.len() >= WAITING_MAX {
            self.promised.retain(|_, turn| *turn + KEPT_FOR > now);
        }
        if self.promised.len() < WAITING_MAX {
            self.take(turn);
            self.promised.insert(key.to_owned(), turn);
        }
        Err(turn.since(now))
    }

    /// Whether the call with this key has a turn now. Takes none.
    pub(crate) fn has_turn(&self, key: &str, now: Time) -> bool {
        self.promised.get(key).copied().unwrap_or_else(|| self.next(now)) <= now
    }

    /// Whether forgetting it changes nothing.
    pub(crate) fn is_idle(&self, now: Time) -> bool {
        self.turns.back().is_none_or(|last| *last + self.per + KEPT_FOR <= now)
    }

    /// When the next turn is.
    fn next(&self, now: Time) -> Time {
        match self.turns.front() {
            Some(oldest) if self.turns.len() >= self.calls => (*oldest + self.per).max(now),
            Some(_) | None => now,
        }
    }

    fn take(&mut self, turn: Time) {
        if self.turns.len() >= self.calls {
            self.turns.pop_front();
        }
        self.turns.push_back(turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::EPOCH + Duration::from_millis(1_000_000 + ms)
    }

    #[test]
    fn a_rate_reads_as_people_write_it() {
        for text in ["100/min", "5/s", "1000/h", "10000/day", "none"] {
            assert_eq!(text.parse::<Rate>().map(|rate| rate.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("7 / minute".parse::<Rate>().map(|rate| rate.to_string()), Ok("7/min".to_owned()));
        for wrong in ["", "100", "x/min", "-1/min", "100/fortnight"] {
            let error = wrong.parse::<Rate>().unwrap_err();
            assert!(error.contains("write `100/min`"), "{error}");
        }
        assert!("0/min".parse::<Rate>().unwrap_err().contains("1 to 100000"));
    }

    #[test]
    fn no_stretch_of_time_has_more_calls_than_the_rate() {
        let mut pace = Pace::of("10/s".parse().unwrap()).unwrap();
        let mut turns: Vec<u64> = Vec::new();
        for ms in 0..5_000 {
            if pace.ask("again", at(ms)).is_ok() {
                turns.push(ms);
            }
        }
        assert!(turns.windows(11).all(|eleven| eleven[10] - eleven[0] >= 1_000), "{turns:?}");
        assert!(turns.len() >= 48, "nearly all of what the rate allows: {}", turns.len());
    }

    #[test]
    fn those_who_wait_come_back_once_each_in_the_order_they_asked() {
        let mut pace = Pace::of("2/s".parse().unwrap()).unwrap();
        let ask = |pace: &mut Pace, key: u32, ms| pace.ask(&key.to_string(), at(ms)).map_err(|wait| wait.as_millis());
        let waits: Vec<_> = (0..6).map(|key| ask(&mut pace, key, 0)).collect();
        assert_eq!(waits, [Ok(()), Ok(()), Err(1_000), Err(1_000), Err(2_000), Err(2_000)]);
        assert_eq!(ask(&mut pace, 2, 400), Err(600), "too early: its turn stands");
        assert_eq!((ask(&mut pace, 3, 1_000), ask(&mut pace, 2, 1_001)), (Ok(()), Ok(())));
        assert_eq!(ask(&mut pace, 7, 1_500), Err(1_500), "behind those who asked before");
        assert_eq!((ask(&mut pace, 5, 2_000), ask(&mut pace, 4, 2_000)), (Ok(()), Ok(())));
    }

    #[test]
    fn what_it_remembers_is_bounded() {
        let mut pace = Pace::of("1/day".parse().unwrap()).unwrap();
        for key in 0..2 * WAITING_MAX {
            let _ = pace.ask(&key.to_string(), at(0));
        }
        assert_eq!((pace.promised.len(), pace.turns.len()), (WAITING_MAX, 1));
        assert!(!pace.is_idle(at(0)));
    }
}
