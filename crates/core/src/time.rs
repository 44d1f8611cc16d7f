//! An instant as the journal stores it: whole milliseconds since the Unix epoch, UTC.

pub mod retry_after;

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

pub use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Milliseconds since 1970-01-01T00:00:00Z. Time enters this room only as an argument.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Time(i64);

impl Time {
    /// Before every instant that can be journaled.
    pub const EPOCH: Self = Self(0);
    /// After every other instant.
    pub const MAX: Self = Self(i64::MAX);

    pub const fn from_ms(ms: i64) -> Self {
        Self(ms)
    }

    pub const fn as_ms(self) -> i64 {
        self.0
    }

    /// Parses a date `YYYY-MM-DD`, which means the start of that day in UTC, or an RFC 3339 instant.
    ///
    /// # Errors
    /// A description of both formats.
    pub fn parse_day_start(text: &str) -> Result<Self, String> {
        let begin = format!("{text}T00:00:00Z");
        let at = begin.parse().or_else(|_| text.parse());
        at.map_err(|_| "a day is written YYYY-MM-DD, an instant 2026-11-22T09:00:00Z".to_owned())
    }

    /// As [`parse_day_start`](Self::parse_day_start), but a date means the end of the day.
    ///
    /// # Errors
    /// As [`parse_day_start`](Self::parse_day_start).
    pub fn parse_day_end(text: &str) -> Result<Self, String> {
        let at = Self::parse_day_start(text)?;
        Ok(if text.contains('T') { at } else { at + DAY })
    }

    /// Returns the duration since `earlier`; zero if it is not after that.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// As a calendar instant; years outside jiff's range are clamped to it.
    pub fn to_timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        })
    }
}

impl From<jiff::Timestamp> for Time {
    fn from(instant: jiff::Timestamp) -> Self {
        Self(instant.as_millisecond())
    }
}

/// Parses an RFC 3339 instant.
impl std::str::FromStr for Time {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<jiff::Timestamp>().map(Self::from)
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(later.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Time {
    type Output = Self;

    fn sub(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(earlier.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.to_timestamp())
    }
}

/// Durations in files and journals: whole milliseconds.
pub mod duration_ms {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(duration: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        u64::deserialize(d).map(Duration::from_millis)
    }
}
