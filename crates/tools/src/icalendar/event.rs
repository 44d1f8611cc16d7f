//! One event of a calendar.

use std::collections::BTreeMap;

/// An event. Times are milliseconds since the epoch; the end is exclusive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalendarEvent {
    pub uid: String,
    pub starts: i64,
    pub ends: i64,
    /// Whether it blocks time: not cancelled and not transparent.
    pub busy: bool,
    pub cancelled: bool,
    /// Whether it has a recurrence rule that was not expanded, so there are more occurrences than this one.
    pub is_recurring: bool,
    /// Its `X-` properties, as text, by upper-case name.
    pub extensions: BTreeMap<String, String>,
}
