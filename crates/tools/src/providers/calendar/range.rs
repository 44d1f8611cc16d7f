//! A range of time.

use baton_core::time::Time;
use jiff::tz::TimeZone;

/// A range in milliseconds since the epoch; the end is exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimeRange {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl TimeRange {
    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.from < other.to && other.from < self.to
    }

    /// Returns the range extended by this much on both sides.
    pub(crate) fn widened(self, by: i64) -> Self {
        Self { from: self.from.saturating_sub(by), to: self.to.saturating_add(by) }
    }
}

/// Formats an instant in RFC 3339 with the offset of its zone.
pub(crate) fn rfc3339(at: i64, zone: &TimeZone) -> String {
    let zoned = Time::from_ms(at).to_timestamp().to_zoned(zone.clone());
    zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}
