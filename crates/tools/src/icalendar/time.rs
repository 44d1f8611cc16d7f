//! Instants and durations in iCalendar format.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// A DATE or DATE-TIME value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum DateValue {
    /// A whole day.
    Day(Date),
    /// Wall-clock time in the zone that the property names.
    Local(DateTime),
    /// Milliseconds since the epoch.
    Instant(i64),
}

const DAY_MS: i64 = 86_400_000;

impl DateValue {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let date = date(text.get(..8)?)?;
        let rest = text.get(8..)?;
        if rest.is_empty() {
            return Some(Self::Day(date));
        }
        let time = rest.strip_prefix(['T', 't'])?;
        let (time, utc) = match time.strip_suffix(['Z', 'z']) {
            Some(time) => (time, true),
            None => (time, false),
        };
        if time.len() != 6 {
            return None;
        }
        let part = |at: usize| number(time.get(at..at + 2)?);
        // A leap second is read as the second before it.
        let second = part(4)?.min(59);
        let local = date.at(0, 0, 0, 0);
        let local = local.with().hour(i8::try_from(part(0)?).ok()?).minute(i8::try_from(part(2)?).ok()?);
        let local = local.second(i8::try_from(second).ok()?).build().ok()?;
        if utc {
            return Some(Self::Instant(TimeZone::UTC.to_timestamp(local).ok()?.as_millisecond()));
        }
        Some(Self::Local(local))
    }
}

fn date(text: &str) -> Option<Date> {
    let year = i16::try_from(number(text.get(..4)?)?).ok()?;
    let month = i8::try_from(number(text.get(4..6)?)?).ok()?;
    let day = i8::try_from(number(text.get(6..8)?)?).ok()?;
    Date::new(year, month, day).ok()
}

/// Parses a number that consists of digits only.
fn number(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// Parses a duration such as `P1DT2H30M`, `-PT15M` or `P2W` (3.3.6), in milliseconds.
pub(super) fn duration(text: &str) -> Option<i64> {
    let text = text.trim();
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let rest = rest.strip_prefix(['P', 'p'])?;
    let mut total: i64 = 0;
    let (mut digits, mut in_time, mut parts) = (String::new(), false, 0);
    for character in rest.chars() {
        if character.is_ascii_digit() {
            digits.push(character);
            continue;
        }
        if matches!(character, 'T' | 't') && digits.is_empty() && !in_time {
            in_time = true;
            continue;
        }
        let unit = match (character.to_ascii_uppercase(), in_time) {
            ('W', false) => 7 * DAY_MS,
            ('D', false) => DAY_MS,
            ('H', true) => 3_600_000,
            ('M', true) => 60_000,
            ('S', true) => 1_000,
            _ => return None,
        };
        total = total.checked_add(number(&digits)?.checked_mul(unit)?)?;
        digits.clear();
        parts += 1;
    }
    if parts == 0 || !digits.is_empty() {
        return None;
    }
    Some(if negative { -total } else { total })
}

/// Parses an offset such as `+0100` or `-033000`, in seconds east of Greenwich.
pub(super) fn offset(text: &str) -> Option<i32> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+')?),
    };
    if !matches!(digits.len(), 4 | 6) {
        return None;
    }
    let part = |at: usize| number(digits.get(at..at + 2)?);
    let seconds = if digits.len() == 6 { part(4)? } else { 0 };
    let total = part(0)? * 3_600 + part(2)? * 60 + seconds;
    i32::try_from(total).ok().filter(|total| *total <= 26 * 3_600).map(|total| sign * total)
}
