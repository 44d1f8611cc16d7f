//! iCalendar (RFC 5545), as far as a calendar of appointments needs it: what is busy in a text, and the text of one
//! appointment.
//!
//! Recurrence is the server's to expand (RFC 4791, 9.6.5). An event that still has a rule is marked
//! [`CalendarEvent::is_recurring`], so that whoever asks can ask otherwise; it is never taken for one that happens once.

mod event;
mod line;
mod read;
mod time;
mod write;
mod zone;

pub use event::CalendarEvent;
pub use read::{ParsedCalendar, read};
pub use write::Appointment;

/// Bytes of one text that are read.
pub const BYTES_MAX: usize = 4 << 20;
/// Components inside one another.
const DEPTH_MAX: usize = 8;
/// Events and busy periods of one text.
pub const ENTRIES_MAX: usize = 20_000;

/// Why a text cannot be read; names the line, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the calendar: {reason}")]
pub struct ICalendarError {
    pub line: usize,
    pub reason: String,
}

#[cfg(test)]
mod tests;
