//! A week of the ISO calendar, Monday to Sunday, in a time zone of the caller's choice.

use std::fmt;
use std::str::FromStr;

use jiff::civil::ISOWeekDate;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use crate::time::Time;

/// `2026-W47`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsoWeek {
    monday: ISOWeekDate,
}

impl IsoWeek {
    /// Returns the last complete week at this instant.
    pub fn previous(now: Time, zone: &TimeZone) -> Self {
        let today = now.to_timestamp().to_zoned(zone.clone()).date();
        let last = today.checked_sub(jiff::Span::new().weeks(1)).unwrap_or(today).iso_week_date();
        Self { monday: ISOWeekDate::new(last.year(), last.week(), Weekday::Monday).unwrap_or(last) }
    }

    /// Returns its first instant.
    pub fn begin(&self, zone: &TimeZone) -> Time {
        midnight(self.monday.date(), zone)
    }

    /// Returns the first instant after it; not 168 hours later in a week in which clocks change.
    pub fn end(&self, zone: &TimeZone) -> Time {
        let monday = self.monday.date();
        midnight(monday.checked_add(jiff::Span::new().weeks(1)).unwrap_or(monday), zone)
    }

    /// Returns its first and last day, `2026-11-16`.
    pub fn days(&self) -> [String; 2] {
        let monday = self.monday.date();
        [monday, monday.checked_add(jiff::Span::new().days(6)).unwrap_or(monday)].map(|day| day.to_string())
    }
}

fn midnight(day: jiff::civil::Date, zone: &TimeZone) -> Time {
    day.to_zoned(zone.clone()).map_or(Time::EPOCH, |begin| begin.timestamp().into())
}

impl FromStr for IsoWeek {
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

impl fmt::Display for IsoWeek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-W{:02}", self.monday.year(), self.monday.week())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_begins_on_its_monday_and_ends_before_the_next() {
        let week: IsoWeek = "2026-W47".parse().unwrap();
        let at = |text: &str| text.parse::<Time>().unwrap();
        assert_eq!(
            (week.begin(&TimeZone::UTC), week.end(&TimeZone::UTC)),
            (at("2026-11-16T00:00:00Z"), at("2026-11-23T00:00:00Z"))
        );
        assert_eq!(week.to_string(), "2026-W47");
        let first: IsoWeek = "2026-W01".parse().unwrap();
        assert_eq!(
            first.begin(&TimeZone::UTC).to_date(),
            "2025-12-29",
            "a year's first week may begin in the year before"
        );
    }

    #[test]
    fn the_last_whole_week_is_the_one_before_this() {
        let at = |text: &str| IsoWeek::previous(text.parse().unwrap(), &TimeZone::UTC).to_string();
        assert_eq!(at("2026-11-22T23:59:59Z"), "2026-W46");
        assert_eq!(at("2026-11-23T00:00:00Z"), "2026-W47");
        assert_eq!(at("2027-01-01T00:00:00Z"), "2026-W52");
    }

    #[test]
    fn a_week_has_the_days_of_its_zone() {
        let at = |text: &str| text.parse::<Time>().unwrap();
        let tokyo = TimeZone::get("Asia/Tokyo").unwrap();
        let week: IsoWeek = "2026-W47".parse().unwrap();
        assert_eq!((week.begin(&tokyo), week.end(&tokyo)), (at("2026-11-15T15:00:00Z"), at("2026-11-22T15:00:00Z")));
        assert_eq!(week.days(), ["2026-11-16", "2026-11-22"]);
        assert_eq!(IsoWeek::previous(at("2026-11-22T15:00:00Z"), &tokyo), week);
        // The clocks of Madrid went back on 25 October 2026.
        let madrid = TimeZone::get("Europe/Madrid").unwrap();
        let longer: IsoWeek = "2026-W43".parse().unwrap();
        assert_eq!(
            (longer.begin(&madrid), longer.end(&madrid)),
            (at("2026-10-18T22:00:00Z"), at("2026-10-25T23:00:00Z"))
        );
    }

    #[test]
    fn what_is_no_week_is_refused() {
        for text in
            ["", "2026", "2026-47", "2026-W60", "2025-W53", "26-W01", "2026-W1", "2026-W-1", "2026-W+1", "x-Wyy"]
        {
            assert!(text.parse::<IsoWeek>().is_err(), "{text}");
        }
        assert!("2026-W53".parse::<IsoWeek>().is_ok(), "2026 has 53 weeks");
    }
}
