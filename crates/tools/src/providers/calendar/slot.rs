//! A possible time of an appointment.

use baton_core::time::Time;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::range::TimeRange;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct CalendarSlot {
    /// The appointment itself, without its buffers.
    pub(super) range: TimeRange,
    /// `HH:MM` in the calendar's zone.
    pub(super) start: String,
    pub(super) end: String,
}

impl CalendarSlot {
    pub(super) fn new(range: TimeRange, zone: &TimeZone) -> Self {
        Self { range, start: clock(range.from, zone), end: clock(range.to, zone) }
    }

    /// The form that agents and customers read: `10:00-11:00`.
    pub(super) fn label(&self) -> String {
        format!("{}-{}", self.start, self.end)
    }
}

/// Formats an instant as `HH:MM`.
pub(super) fn clock(at: i64, zone: &TimeZone) -> String {
    let time = zone.to_datetime(Time::from_ms(at).to_timestamp()).time();
    format!("{:02}:{:02}", time.hour(), time.minute())
}

/// Returns the instant of a wall-clock time, up to `24:00`. If clocks go back, it is the first of the two; if they go
/// forward, the first instant after the gap.
pub(super) fn instant(date: Date, minutes: u16, zone: &TimeZone) -> Option<i64> {
    let day = if minutes < 24 * 60 { date } else { date.tomorrow().ok()? };
    let minutes = i8::try_from(minutes % 60).ok().zip(i8::try_from(minutes / 60 % 24).ok());
    let (minute, hour) = minutes?;
    let zoned = zone.to_ambiguous_timestamp(day.at(hour, minute, 0, 0)).compatible().ok()?;
    Some(zoned.as_millisecond())
}
