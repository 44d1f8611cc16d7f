//! Budget windows: whole hours, days and months in UTC.

use serde::{Deserialize, Serialize};

use crate::time::Time;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// How long a budget lasts before it begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Window")]
pub enum BudgetWindow {
    Hour,
    Day,
    Month,
}

impl BudgetWindow {
    pub const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Month];

    /// Returns the name of the window in settings, tables and messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// Returns the adjective for a budget.
    pub fn adjective(self) -> &'static str {
        match self {
            Self::Hour => "hourly",
            Self::Day => "daily",
            Self::Month => "monthly",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|window| window.word() == word)
    }

    /// Returns the start of the window that contains `at`.
    pub fn begin(self, at: Time) -> Time {
        let ms = at.as_ms();
        match self {
            Self::Hour => Time::from_ms(ms.div_euclid(HOUR_MS).saturating_mul(HOUR_MS)),
            Self::Day => Time::from_ms(ms.div_euclid(DAY_MS).saturating_mul(DAY_MS)),
            Self::Month => {
                let day = ms.div_euclid(DAY_MS);
                if !COMMON_DAYS.contains(&day) {
                    return start_of_date(date_of(at).first_of_month());
                }
                Time::from_ms((day - day_of_month(day)) * DAY_MS)
            }
        }
    }

    /// Returns the end of the window that contains `at`, which is the start of the next.
    pub fn end(self, at: Time) -> Time {
        let begin = self.begin(at);
        match self {
            Self::Hour => Time::from_ms(begin.as_ms().saturating_add(HOUR_MS)),
            Self::Day => Time::from_ms(begin.as_ms().saturating_add(DAY_MS)),
            Self::Month => {
                let last = date_of(begin).last_of_month();
                Time::from_ms(start_of_date(last).as_ms().saturating_add(DAY_MS))
            }
        }
    }
}

/// Range of days, counted from 1970, that all calendars here support: to beyond the year 9000.
const COMMON_DAYS: std::ops::Range<i64> = 0..2_600_000;

/// Returns the number of days in a day's month before it; days are counted from 1970. Every model call needs it several
/// times, so it uses only arithmetic: eras of 400 years that start in March (Hinnant 2013, "chrono-compatible low-level
/// date algorithms").
fn day_of_month(day: i64) -> i64 {
    let of_era = (day + 719_468).rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    of_year - (153 * month + 2) / 5
}

impl Time {
    /// Its date in UTC, as `YYYY-MM-DD`.
    pub fn to_date(self) -> String {
        date_of(self).to_string()
    }
}

fn date_of(at: Time) -> jiff::civil::Date {
    jiff::tz::Offset::UTC.to_datetime(at.to_timestamp()).date()
}

fn start_of_date(date: jiff::civil::Date) -> Time {
    let midnight = date.to_datetime(jiff::civil::Time::midnight());
    let at_the_edge = |_| if date.year() < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::tz::Offset::UTC.to_timestamp(midnight).unwrap_or_else(at_the_edge).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(window: BudgetWindow, at: &str) -> (String, String) {
        let at: Time = at.parse().unwrap();
        (window.begin(at).to_string(), window.end(at).to_string())
    }

    #[test]
    fn a_window_begins_and_ends_by_utc() {
        let at = "2028-02-29T23:59:59.999Z";
        assert_eq!(
            window(BudgetWindow::Hour, at),
            ("2028-02-29T23:00:00.000Z".into(), "2028-03-01T00:00:00.000Z".into())
        );
        assert_eq!(
            window(BudgetWindow::Day, at),
            ("2028-02-29T00:00:00.000Z".into(), "2028-03-01T00:00:00.000Z".into())
        );
        assert_eq!(
            window(BudgetWindow::Month, at),
            ("2028-02-01T00:00:00.000Z".into(), "2028-03-01T00:00:00.000Z".into())
        );
        let new_year = "2026-12-31T00:00:00Z";
        assert_eq!(window(BudgetWindow::Month, new_year).1, "2027-01-01T00:00:00.000Z");
    }

    #[test]
    fn every_day_of_some_centuries_has_the_month_of_its_calendar() {
        for day in (0..200_000).chain(2_599_000..2_601_000) {
            let at = Time::from_ms(day * DAY_MS + 7);
            assert_eq!(BudgetWindow::Month.begin(at), start_of_date(date_of(at).first_of_month()), "day {day}");
        }
    }

    #[test]
    fn a_window_holds_its_begin_and_not_its_end() {
        for window in BudgetWindow::ALL {
            let at: Time = "2026-11-30T12:34:56.789Z".parse().unwrap();
            let (begin, end) = (window.begin(at), window.end(at));
            assert_eq!(window.begin(begin), begin, "{}", window.word());
            assert_eq!(window.begin(end), end, "{}", window.word());
            assert_eq!(window.begin(Time::from_ms(end.as_ms() - 1)), begin, "{}", window.word());
        }
    }

    #[test]
    fn instants_without_a_calendar_have_windows_all_the_same() {
        for at in [Time::from_ms(i64::MIN), Time::from_ms(i64::MAX), Time::EPOCH] {
            for window in BudgetWindow::ALL {
                assert!(window.begin(at) <= window.end(at), "{}", window.word());
            }
        }
    }
}
