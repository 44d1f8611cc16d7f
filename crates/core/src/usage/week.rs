//! A week of the ISO calendar, Monday to Sunday, in UTC.

use std::fmt;
use std::str::FromStr;

use jiff::civil::ISOWeekDate;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use crate::time::Time;

/// `2026-W47`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Week {
    monday: ISOWeekDate,
}

impl Week {
    /// The one that was whole at this instant.
    pub fn before(now: Time) -> Self {
        let today = now.to_timestamp().to_zoned(TimeZone::UTC).date();
        let last = today.checked_sub(jiff::Span::new().weeks(1)).unwrap_or(today).iso_week_date();
        Self { monday: ISOWeekDate::new(last.year(), last.week(), Weekday::Monday).unwrap_or(last) }
    }

    /// Its first instant.
    pub fn begin(&self) -> Time {
        let begin = self.monday.date().to_zoned(TimeZone::UTC);
        begin.map_or(Time::EPOCH, |begin| begin.timestamp().into())
    }

    /// The first instant after it.
    pub fn end(&self) -> Time {
        self.begin() + std::time::Duration::from_secs(7 * 24 * 60 * 60)
    }
}

impl FromStr for Week {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is no week; one is written 2026-W47");
        let (year, week) = text.split_once("-W").ok_or_else(wrong)?;
        let is_number = |text: &str, digits| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_written = is_number(year, 4) && is_number(week, 2);
        let (Ok(year), Ok(week), true) = (year.parse(), week.parse(), is_written) else { return Err(wrong()) };
        let monday = ISOWeekDate::new(year, week, Weekday::Monday).map_err(|_| wrong())?;
        Ok(Self { monday })
    }
}

impl fmt::Display for Week {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-W{:02}", self.monday.year(), self.monday.week())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_begins_on_its_monday_and_ends_before_the_next() {
        let week: Week = "2026-W47".parse().unwrap();
        let at = |text: &str| text.parse::<Time>().unwrap();
        assert_eq!((week.begin(), week.end()), (at("2026-11-16T00:00:00Z"), at("2026-11-23T00:00:00Z")));
        assert_eq!(week.to_string(), "2026-W47");
        let first: Week = "2026-W01".parse().unwrap();
        assert_eq!(first.begin().to_date(), "2025-12-29", "a year's first week may begin in the year before");
    }

    #[test]
    fn the_last_whole_week_is_the_one_before_this() {
        let at = |text: &str| Week::before(text.parse().unwrap()).to_string();
        assert_eq!(at("2026-11-22T23:59:59Z"), "2026-W46");
        assert_eq!(at("2026-11-23T00:00:00Z"), "2026-W47");
        assert_eq!(at("2027-01-01T00:00:00Z"), "2026-W52");
    }

    #[test]
    fn what_is_no_week_is_refused() {
        for text in
            ["", "2026", "2026-47", "2026-W60", "2025-W53", "26-W01", "2026-W1", "2026-W-1", "2026-W+1", "x-Wyy"]
        {
            assert!(text.parse::<Week>().is_err(), "{text}");
        }
        assert!("2026-W53".parse::<Week>().is_ok(), "2026 has 53 weeks");
    }
}
