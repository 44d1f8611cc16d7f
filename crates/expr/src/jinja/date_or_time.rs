//! Dates and times: parsing, comparison, moving by days, formatting by a pattern.

use std::cmp::Ordering;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp, Zoned};

use super::value::JinjaValue;
use crate::context::EvalContext;
use crate::error::EvalError;

/// Default format of a time.
const TIME_PATTERN: &str = "%Y-%m-%dT%H:%M:%S%:z";
const DATE_PATTERN: &str = "%Y-%m-%d";

/// The letters that may follow `%` in a pattern. All give the same text in every locale.
const PATTERN_LETTERS: &str = "YmdHMSyjeIpPAaBbZzFTRDQ%fLuwVGsNCk";

/// Maximum number of days that a date may be moved by: some 27 centuries.
const DAYS_MAX: i128 = 1_000_000;

/// A date, or a time of a day.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum DateOrTime {
    Day(Date),
    Time(Zoned),
}

/// The instant of an evaluation, and the zone in which it reads dates.
#[derive(Debug, Clone)]
pub(super) struct EvalClock {
    now: Zoned,
}

impl EvalClock {
    pub(super) fn new(names: &dyn EvalContext) -> Result<Self, EvalError> {
        let zone = TimeZone::get(names.zone())
            .map_err(|_| EvalError::bad_value(format!("there is no time zone `{}`", names.zone())))?;
        Ok(Self { now: names.now().to_zoned(zone) })
    }

    pub(super) fn now(&self) -> DateOrTime {
        DateOrTime::Time(self.now.clone())
    }

    pub(super) fn today(&self) -> DateOrTime {
        DateOrTime::Day(self.now.date())
    }

    /// Reads an ISO 8601 date or time, or one of a few relative words in English and Spanish.
    ///
    /// A time without an offset is in this clock's zone.
    pub(super) fn read(&self, value: &JinjaValue<'_>) -> Result<DateOrTime, EvalError> {
        let JinjaValue::Text(text) = value else {
            return Err(EvalError::wrong_type(format!("a date is text, not {}", value.kind())));
        };
        let text = text.trim();
        if let Some(days) = relative_days(text) {
            return DateOrTime::Day(self.now.date()).plus_days(days);
        }
        let zone = self.now.time_zone();
        let read = if text.len() <= 10 {
            text.parse().ok().map(DateOrTime::Day)
        } else {
            let instant = text
                .parse::<Zoned>()
                .or_else(|_| text.parse::<Timestamp>().map(|instant| instant.to_zoned(zone.clone())));
            instant
                .or_else(|_| text.parse::<DateTime>().and_then(|time| time.to_zoned(zone.clone())))
                .ok()
                .map(DateOrTime::Time)
        };
        read.ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            EvalError::bad_value(format!("`{shown}` is not a date"))
                .hint("write it as 2025-11-08 or 2025-11-08T10:00, or as today or tomorrow")
        })
    }

    /// Compares a moment with now: a date with today, a time with this instant.
    pub(super) fn order(&self, moment: &DateOrTime) -> Result<Ordering, EvalError> {
        Ok(match moment {
            DateOrTime::Day(day) => day.cmp(&self.now.date()),
            DateOrTime::Time(time) => time.timestamp().cmp(&self.now.timestamp()),
        })
    }

    /// Returns the number of calendar days from today, negative for the past.
    pub(super) fn days_until(&self, moment: &DateOrTime) -> Result<i64, EvalError> {
        let day = match moment {
            DateOrTime::Day(day) => *day,
            DateOrTime::Time(time) => time.with_time_zone(self.now.time_zone().clone()).date(),
        };
        let apart: SignedDuration = self.now.date().duration_until(day);
        Ok(apart.as_hours() / 24)
    }
}

impl DateOrTime {
    pub(super) fn plus_days(&self, days: i128) -> Result<Self, EvalError> {
        let error = || EvalError::bad_value(format!("{days} days from there lies outside of the calendar"));
        let days = i64::try_from(days).ok().filter(|_| days.abs() <= DAYS_MAX).ok_or_else(error)?;
        let span = Span::new().days(days);
        match self {
            DateOrTime::Day(day) => day.checked_add(span).map(DateOrTime::Day),
            DateOrTime::Time(time) => time.checked_add(span).map(DateOrTime::Time),
        }
        .map_err(|_| error())
    }

    /// Formats as ISO 8601.
    pub(super) fn to_iso8601(&self) -> String {
        match self {
            DateOrTime::Day(day) => day.strftime(DATE_PATTERN).to_string(),
            DateOrTime::Time(time) => time.strftime(TIME_PATTERN).to_string(),
        }
    }

    /// Formats by a pattern of `%` letters; names of days and months are English.
    pub(super) fn formatted(&self, pattern: &str) -> Result<String, EvalError> {
        check_pattern(pattern)?;
        let written = match self {
            DateOrTime::Day(day) => jiff::fmt::strtime::format(pattern, day.at(0, 0, 0, 0)),
            DateOrTime::Time(time) => jiff::fmt::strtime::format(pattern, time),
        };
        written.map_err(|_| {
            EvalError::bad_value(format!("the pattern `{pattern}` asks for what the date does not have"))
                .hint("a day without a time has no zone")
        })
    }
}

fn check_pattern(pattern: &str) -> Result<(), EvalError> {
    const PATTERN_BYTES_MAX: usize = 200;
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(EvalError::bad_value(format!("a date pattern may be at most {PATTERN_BYTES_MAX} bytes long")));
    }
    for part in pattern.replace("%%", "").split('%').skip(1) {
        let letter = part.trim_start_matches(['-', '_', '0', ':']).chars().next();
        if !letter.is_some_and(|letter| PATTERN_LETTERS.contains(letter)) {
            return Err(EvalError::bad_value(format!("`%{part}` is not part of a date pattern"))
                .hint("for instance '%d/%m/%Y %H:%M'"));
        }
    }
    Ok(())
}

/// Returns the number of days from today for a relative word.
fn relative_days(text: &str) -> Option<i128> {
    Some(match text.to_lowercase().as_str() {
        "day before yesterday" | "anteayer" | "antier" => -2,
        "yesterday" | "ayer" => -1,
        "today" | "hoy" => 0,
        "tomorrow" | "mañana" | "manana" => 1,
        "day after tomorrow" | "pasado mañana" | "pasado manana" => 2,
        _ => return None,
    })
}
