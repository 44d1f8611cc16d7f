//! One event of a calendar.

use std::collections::BTreeMap;

/// Times are milliseconds since the epoch, the end excluded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalendarEvent {
    pub uid: String,
    pub starts: i64,
    pub ends: i64,
    /// Whether it takes time: not cancelled, not transparent.
    pub busy: bool,
    pub cancelled: bool,
    /// Whether it has a rule that was not expanded: it happens more often than here.
    pub is_recurring: bool,
    /// Its `X-` properties, as text, by upper-case name.
    pub extensions: BTreeMap<String, String>,
}
