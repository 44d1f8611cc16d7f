//! iCalendar (RFC 5545), as far as an appointment calendar needs it: reads the busy times of a text, and writes one
//! appointment.
//!
//! The server expands recurring events (RFC 4791, 9.6.5). An event that still has a recurrence rule is marked
//! [`CalendarEvent::is_recurring`], so that the caller can query in another way; it is never treated as a single
//! event.

mod event;
mod line;
mod read;
mod time;
mod write;
mod zone;

pub use event::CalendarEvent;
pub use read::{ParsedCalendar, read};
pub use write::Appointment;

/// Maximum size of one text, in bytes.
pub const BYTES_MAX: usize = 4 << 20;
/// Maximum nesting depth of components.
const DEPTH_MAX: usize = 8;
/// Maximum number of events and busy periods in one text.
pub const ENTRIES_MAX: usize = 20_000;

/// Why a text cannot be read. Names the line, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the calendar: {reason}")]
pub struct ICalendarError {
    pub line: usize,
    pub reason: String,
}

#[cfg(test)]
mod tests;
