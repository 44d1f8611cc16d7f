//! Writes one appointment.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

/// Maximum length of a line before it is folded, in bytes (3.1).
const LINE_BYTES_MAX: usize = 75;

/// One appointment. Times are milliseconds since the epoch; the end is exclusive.
#[derive(Clone, Debug)]
pub struct Appointment<'a> {
    /// A stable identifier: the same appointment always has the same one.
    pub uid: &'a str,
    /// When it was written.
    pub stamp: i64,
    pub starts: i64,
    pub ends: i64,
    /// The zone its times are written in. The text includes its description.
    pub zone: &'a TimeZone,
    pub summary: &'a str,
    pub description: &'a str,
    /// Custom properties: upper-case names that start with `X-`.
    pub extensions: &'a [(&'a str, String)],
}

impl Appointment<'_> {
    /// Returns the whole text, with lines that end in CR LF.
    pub fn text(&self) -> String {
        let mut text = FoldedText(String::with_capacity(1_024));
        text.line("BEGIN:VCALENDAR");
        text.line("VERSION:2.0");
        text.line("PRODID:-//Baton//Calendar//EN");
        text.line("CALSCALE:GREGORIAN");
        // When clocks go back, a wall-clock time that occurs twice means its first occurrence (3.3.5). If either time
        // is the second occurrence, both are written in UTC.
        let named = [self.starts, self.ends].iter().all(|at| self.first_coming(*at));
        let name = self.zone.iana_name().filter(|name| *name != "UTC" && named);
        if let Some(name) = name {
            self.describe(name, &mut text);
        }
        text.line("BEGIN:VEVENT");
        text.line(&format!("UID:{}", escaped(self.uid)));
        text.line(&format!("DTSTAMP:{}", utc(self.stamp)));
        text.line(&format!("CREATED:{}", utc(self.stamp)));
        text.line(&self.time("DTSTART", self.starts, name));
        text.line(&self.time("DTEND", self.ends, name));
        text.line(&format!("SUMMARY:{}", escaped(self.summary)));
        if !self.description.is_empty() {
            text.line(&format!("DESCRIPTION:{}", escaped(self.description)));
        }
        text.line("STATUS:CONFIRMED");
        text.line("TRANSP:OPAQUE");
        for (name, value) in self.extensions {
            text.line(&format!("{name}:{}", escaped(value)));
        }
        text.line("END:VEVENT");
        text.line("END:VCALENDAR");
        text.0
    }

    /// Returns whether the wall-clock time of `at` in the zone reads back as `at`.
    fn first_coming(&self, at: i64) -> bool {
        let wall_clock = self.zone.to_datetime(instant(at));
        self.zone.to_timestamp(wall_clock).is_ok_and(|read| read == instant(at))
    }

    fn time(&self, property: &str, at: i64, zone: Option<&str>) -> String {
        match zone {
            Some(name) => format!("{property};TZID={name}:{}", local(at, self.zone)),
            None => format!("{property}:{}", utc(at)),
        }
    }

    /// Writes the zone's offsets from the transition before the appointment to the one after it.
    fn describe(&self, name: &str, text: &mut FoldedText) {
        text.line("BEGIN:VTIMEZONE");
        text.line(&format!("TZID:{name}"));
        let (starts, ends) = (instant(self.starts), instant(self.ends));
        // The iterator excludes a transition at exactly its start.
        let from = starts.checked_add(jiff::SignedDuration::from_secs(1)).unwrap_or(starts);
        let before = self.zone.preceding(from).next().map(|change| change.timestamp());
        let first = before.unwrap_or(Timestamp::UNIX_EPOCH).min(starts);
        let second = jiff::SignedDuration::from_secs(1);
        let mut offset = self.zone.to_offset(first.checked_sub(second).unwrap_or(first));
        let mut changes = vec![first];
        for change in self.zone.following(first) {
            changes.push(change.timestamp());
            if change.timestamp() > ends {
                break;
            }
        }
        for change in changes {
            offset = self.observance(change, offset, text);
        }
        text.line("END:VTIMEZONE");
    }

    fn observance(&self, change: Timestamp, before: Offset, text: &mut FoldedText) -> Offset {
        let now = self.zone.to_offset_info(change);
        let kind = if now.dst().is_dst() { "DAYLIGHT" } else { "STANDARD" };
        let onset = before.to_datetime(change);
        text.line(&format!("BEGIN:{kind}"));
        text.line(&format!("DTSTART:{}", onset.strftime("%Y%m%dT%H%M%S")));
        text.line(&format!("TZOFFSETFROM:{}", shown(before)));
        text.line(&format!("TZOFFSETTO:{}", shown(now.offset())));
        text.line(&format!("TZNAME:{}", escaped(now.abbreviation())));
        text.line(&format!("END:{kind}"));
        now.offset()
    }
}

struct FoldedText(String);

impl FoldedText {
    /// Writes a line, folded between characters and never inside one.
    fn line(&mut self, line: &str) {
        let mut length = 0;
        for character in line.chars() {
            if length + character.len_utf8() > LINE_BYTES_MAX {
                self.0.push_str("\r\n ");
                length = 1;
            }
            self.0.push(character);
            length += character.len_utf8();
        }
        self.0.push_str("\r\n");
    }
}

/// Escapes TEXT (3.3.11). Control characters cannot be represented and are dropped.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.replace("\r\n", "\n").chars() {
        match character {
            '\\' | ';' | ',' => escaped.extend(['\\', character]),
            '\n' => escaped.push_str("\\n"),
            '\t' => escaped.push('\t'),
            control if control.is_control() => {}
            plain => escaped.push(plain),
        }
    }
    escaped
}

fn instant(at: i64) -> Timestamp {
    Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn utc(at: i64) -> String {
    format!("{}Z", local(at, &TimeZone::UTC))
}

fn local(at: i64, zone: &TimeZone) -> String {
    zone.to_datetime(instant(at)).strftime("%Y%m%dT%H%M%S").to_string()
}

fn shown(offset: Offset) -> String {
    let seconds = offset.seconds();
    let (sign, rest) = (if seconds < 0 { '-' } else { '+' }, seconds.unsigned_abs());
    let mut text = format!("{sign}{:02}{:02}", rest / 3_600, rest / 60 % 60);
    if rest % 60 != 0 {
        let _ = write!(text, "{:02}", rest % 60);
    }
    text
}
