//! The times of a schedule: cron's five fields, or six with seconds before them, in a time zone.
//!
//! ```text
//! second(0-59)? minute(0-59) hour(0-23) day-of-month(1-31) month(1-12, jan-dec) day-of-week(0-7, sun-sat)
//! ```
//!
//! Each field is `*`, a value, a range `a-b`, a step `*/n` or `a-b/n` or `a/n`, or a list of these; `?` is `*`. If both
//! the day of the month and the day of the week are restricted, either one is enough, as in other implementations.
//! `@yearly`, `@annually`, `@monthly`, `@weekly`, `@daily`, `@midnight` and `@hourly` are supported.
//!
//! **Daylight saving time.** A schedule at set times (neither its hours nor its minutes start with `*`) fires once a
//! day for each of them: a skipped time fires at the first instant after the gap, and a repeated time fires the first
//! time. A schedule by intervals (`*/15 * * * *`, `0 * * * *`) follows the clock: it does not fire in the gap, and
//! fires twice for repeated times. Vixie cron and its descendants do the same.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::time::Time;

/// Maximum size of one expression, in bytes.
const BYTES_MAX: usize = 200;
/// How far ahead to search: the 29th of February may be eight years away, and on a Sunday forty.
const HORIZON: Duration = Duration::from_secs(41 * 366 * 24 * 60 * 60);
/// Maximum number of jumps of one search. Forty-one years of days are 15,000.
const JUMPS_MAX: usize = 100_000;
/// Maximum number of instants that are visited to find the latest ones.
const LOOKUPS_MAX: usize = 1_000;

/// A cron schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronSchedule {
    text: String,
    seconds: u64,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Either the day of the month or the day of the week is enough.
    either_day: bool,
    /// Neither hours nor minutes start with `*`.
    at_set_times: bool,
}

/// The error in an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CronError {
    pub message: String,
    pub hint: Option<&'static str>,
}

impl CronError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }
}

struct CronField {
    name: &'static str,
    from: u32,
    to: u32,
    names: &'static [&'static str],
}

const FIELDS: [CronField; 6] = [
    CronField { name: "second", from: 0, to: 59, names: &[] },
    CronField { name: "minute", from: 0, to: 59, names: &[] },
    CronField { name: "hour", from: 0, to: 23, names: &[] },
    CronField { name: "day of the month", from: 1, to: 31, names: &[] },
    CronField {
        name: "month",
        from: 1,
        to: 12,
        names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    CronField { name: "day of the week", from: 0, to: 7, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

impl FromStr for CronSchedule {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, CronError> {
        let text = text.trim();
        if text.len() > BYTES_MAX {
            return Err(CronError::new(format!("a cron expression has at most {BYTES_MAX} bytes, not {}", text.len())));
        }
        let plain = match text.strip_prefix('@') {
            None => text,
            Some(_) => {
                NICKNAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, plain)| *plain).ok_or(
                    CronError {
                        message: format!("`{text}` is no schedule"),
                        hint: Some("there are @yearly, @monthly, @weekly, @daily and @hourly"),
                    },
                )?
            }
        };
        let written: Vec<&str> = plain.split_ascii_whitespace().collect();
        let with_seconds = match written.len() {
            5 => false,
            6 => true,
            fields => {
                return Err(CronError {
                    message: format!("a cron expression has 5 fields, or 6 with seconds first, not {fields}"),
                    hint: Some("write `0 9 * * 1-5` for nine o'clock on weekdays"),
                });
            }
        };
        let mut sets = [1u64; 6];
        let fields = if with_seconds { &FIELDS[..] } else { &FIELDS[1..] };
        let offset = FIELDS.len() - fields.len();
        for (place, (field, text)) in fields.iter().zip(&written).enumerate() {
            sets[offset + place] = field.read(text)?;
        }
        let star = |place: usize| written.get(place - offset).is_some_and(|text| text.starts_with(['*', '?']));
        // Sunday may be written as 7.
        let weekdays = sets[5] | sets[5] >> 7 & 1;
        let cron = Self {
            text: text.to_owned(),
            seconds: sets[0],
            minutes: sets[1],
            hours: sets[2],
            days: sets[3],
            months: sets[4],
            weekdays,
            either_day: !star(3) && !star(5),
            at_set_times: !star(1) && !star(2),
        };
        if cron.next_matching_second(Timestamp::UNIX_EPOCH, &TimeZone::UTC).is_none() {
            return Err(CronError::new(format!("`{text}` never comes: no month has such a day")));
        }
        Ok(cron)
    }
}

impl CronField {
    fn read(&self, text: &str) -> Result<u64, CronError> {
        text.split(',').try_fold(0, |set, part| Ok(set | self.part(part)?))
    }

    fn part(&self, part: &str) -> Result<u64, CronError> {
        let (range, step) = match part.split_once('/') {
            None => (part, None),
            Some((range, step)) => {
                let number = step.parse().ok().filter(|step| (1..=self.to).contains(step));
                let wrong = || CronError::new(format!("{}: `{step}` is no step; it is 1 to {}", self.name, self.to));
                (range, Some(number.ok_or_else(wrong)?))
            }
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" || range == "?" => (self.from, self.to),
            Some((from, to)) => (self.value(from)?, self.value(to)?),
            // `5/10` starts at 5.
            None => (self.value(range)?, if step.is_some() { self.to } else { self.value(range)? }),
        };
        if from > to {
            return Err(CronError::new(format!("{}: `{range}` goes backwards", self.name)));
        }
        let step = usize::try_from(step.unwrap_or(1)).unwrap_or(1);
        Ok((from..=to).step_by(step).fold(0, |set, value| set | 1 << value))
    }

    fn value(&self, text: &str) -> Result<u32, CronError> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let named = named.and_then(|place| u32::try_from(place).ok()).map(|place| place + u32::from(self.from == 1));
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let value = named.or_else(|| text.parse().ok().filter(|_| is_number));
        value
            .filter(|value| (self.from..=self.to).contains(value))
            .ok_or_else(|| CronError::new(format!("{}: `{text}` is not {} to {}", self.name, self.from, self.to)))
    }
}

impl fmt::Display for CronSchedule {
    /// As it was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl CronSchedule {
    /// Returns the first instant after this one; `None` if there is none within the next forty years.
    pub fn next(&self, after: Time, zone: &TimeZone) -> Option<Time> {
        self.after(after.to_timestamp(), zone).map(Time::from)
    }

    /// Returns the latest instants after `after` up to and including `until`, in order: at most `most`, and whether
    /// there were more.
    pub fn latest(&self, after: Time, until: Time, zone: &TimeZone, most: usize) -> (Vec<Time>, bool) {
        let (mut from, mut left_out) = (after, false);
        loop {
            let mut found = Vec::new();
            let mut at = from;
            while found.len() <= LOOKUPS_MAX
                && let Some(next) = self.next(at, zone).filter(|next| *next <= until)
            {
                found.push(next);
                at = next;
            }
            if found.len() <= LOOKUPS_MAX {
                let beyond = found.len().saturating_sub(most);
                return (found.split_off(beyond), left_out || beyond > 0);
            }
            // Too many to visit: the later half contains the latest.
            left_out = true;
            from = Time::from_ms(from.as_ms() + (until.as_ms() - from.as_ms()) / 2);
        }
    }

    fn after(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        if !self.at_set_times {
            return self.next_matching_second(after, zone);
        }
        let mut from = after;
        let found = loop {
            let found = self.next_matching_second(from, zone);
            match found {
                Some(again) if is_repeated(again, zone) => from = again,
                other => break other,
            }
        };
        self.next_gap_end(after, found, zone).or(found)
    }

    /// Returns the end of the first gap after `after` and before `before` that contains one of these times.
    fn next_gap_end(&self, after: Timestamp, before: Option<Timestamp>, zone: &TimeZone) -> Option<Timestamp> {
        let end = before.unwrap_or(Timestamp::MAX);
        // Clocks change about twice a year.
        for transition in zone.following(after).take(200) {
            let at = transition.timestamp();
            if at >= end {
                return None;
            }
            // The local time that clocks showed when they were set forward.
            let instant_before = at.checked_sub(SignedDuration::from_nanos(1)).ok()?;
            let shown = zone.to_offset(instant_before).to_datetime(at);
            let put = zone.to_offset(at).to_datetime(at);
            if shown >= put {
                continue;
            }
            let last = as_utc(shown)?.checked_sub(SignedDuration::from_secs(1)).ok()?;
            if self
                .next_matching_second(last, &TimeZone::UTC)
                .is_some_and(|time| as_utc(put).is_some_and(|end| time < end))
            {
                return Some(at);
            }
        }
        None
    }

    /// Returns the first whole second after `after` at which the local time matches.
    fn next_matching_second(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let end = after.checked_add(SignedDuration::try_from(HORIZON).ok()?).ok()?;
        let mut at = Timestamp::from_second(after.as_second().checked_add(1)?).ok()?;
        for _ in 0..JUMPS_MAX {
            if at > end {
                return None;
            }
            let shown = zone.to_datetime(at);
            let Some(jump) = self.seconds_to_skip(shown) else { return Some(at) };
            let next = at.checked_add(SignedDuration::from_secs(jump)).ok()?;
            // If clocks change in between, the search restarts from there.
            let turn = zone.following(at).next().map(|transition| transition.timestamp());
            at = turn.filter(|turn| *turn > at && *turn < next).unwrap_or(next);
        }
        None
    }

    /// Returns the number of seconds from this local time to the next candidate; `None` if it matches.
    fn seconds_to_skip(&self, shown: DateTime) -> Option<i64> {
        let has = |set: u64, value: i8| set >> value & 1 == 1;
        let (hour, minute, second) = (shown.hour(), shown.minute(), shown.second());
        let of_hour = i64::from(minute) * 60 + i64::from(second);
        let of_day = i64::from(hour) * 3_600 + of_hour;
        if !has(self.months, shown.month()) {
            let days_left = i64::from(shown.days_in_month() - shown.day()) + 1;
            return Some(days_left * 86_400 - of_day);
        }
        let (by_day, by_week) =
            (has(self.days, shown.day()), has(self.weekdays, shown.weekday().to_sunday_zero_offset()));
        let is_day = if self.either_day { by_day || by_week } else { by_day && by_week };
        if !is_day {
            return Some(86_400 - of_day);
        }
        if !has(self.hours, hour) {
            return Some(3_600 - of_hour);
        }
        if !has(self.minutes, minute) {
            return Some(60 - i64::from(second));
        }
        (!has(self.seconds, second)).then_some(1)
    }
}

/// Returns whether clocks show this local time for the second time.
fn is_repeated(at: Timestamp, zone: &TimeZone) -> bool {
    let ambiguous = zone.to_ambiguous_timestamp(zone.to_datetime(at));
    ambiguous.is_ambiguous() && ambiguous.earlier().is_ok_and(|first| first < at)
}

fn as_utc(shown: DateTime) -> Option<Timestamp> {
    TimeZone::UTC.to_timestamp(shown).ok()
}

#[cfg(test)]
mod tests;
