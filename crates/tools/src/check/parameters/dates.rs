//! Resolves relative dates: `tomorrow`, `pasado mañana`, `next friday`, `in 3 days`.

use baton_core::time::Time;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan};

/// The largest N in `in N days`.
const DAYS_MAX: i32 = 3_660;

/// Returns the date that the words mean at an instant in a time zone. `None` if they are not a relative date: already
/// a date, or text that the schema will reject.
pub(super) fn resolve(words: &str, at: Time, zone: &str) -> Option<Date> {
    if words.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let today = zone.to_datetime(at.to_timestamp()).date();
    let words = plain(words);
    if let Some(days) = day_word(&words).or_else(|| counted(&words)) {
        return today.checked_add(Span::new().days(days)).ok();
    }
    weekday(&words).and_then(|day| next(today, day))
}

/// Converts to lower case with single spaces, and removes Spanish accents.
fn plain(words: &str) -> String {
    let lower = words.trim().to_lowercase();
    let letters = lower.chars().map(|char| match char {
        'á' => 'a',
        'é' => 'e',
        'í' => 'i',
        'ó' => 'o',
        'ú' => 'u',
        'ñ' => 'n',
        '_' => ' ',
        other => other,
    });
    let letters: String = letters.filter(|char| *char != '\u{303}' && *char != '\u{301}').collect();
    letters.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn day_word(words: &str) -> Option<i32> {
    Some(match words {
        "today" | "hoy" => 0,
        "tomorrow" | "manana" => 1,
        "day after tomorrow" | "the day after tomorrow" | "pasado manana" => 2,
        "yesterday" | "ayer" => -1,
        _ => return None,
    })
}

/// `in 3 days`, `en 3 días`, `dentro de 2 semanas`.
fn counted(words: &str) -> Option<i32> {
    let rest = ["in ", "en ", "dentro de "].iter().find_map(|prefix| words.strip_prefix(prefix))?;
    let (count, unit) = rest.split_once(' ')?;
    let count: i32 = match count {
        "a" | "one" | "un" | "una" => 1,
        digits => digits.parse().ok()?,
    };
    let days = match unit {
        "day" | "days" | "dia" | "dias" => count,
        "week" | "weeks" | "semana" | "semanas" => count.checked_mul(7)?,
        _ => return None,
    };
    (0..=DAYS_MAX).contains(&days).then_some(days)
}

/// `friday`, `next friday`, `el próximo viernes`, `el viernes que viene`.
fn weekday(words: &str) -> Option<Weekday> {
    let day = words
        .trim_start_matches("this ")
        .trim_start_matches("next ")
        .trim_start_matches("on ")
        .trim_start_matches("el ")
        .trim_start_matches("este ")
        .trim_start_matches("proximo ")
        .trim_end_matches(" que viene")
        .trim_end_matches(" proximo");
    Some(match day {
        "monday" | "lunes" => Weekday::Monday,
        "tuesday" | "martes" => Weekday::Tuesday,
        "wednesday" | "miercoles" => Weekday::Wednesday,
        "thursday" | "jueves" => Weekday::Thursday,
        "friday" | "viernes" => Weekday::Friday,
        "saturday" | "sabado" => Weekday::Saturday,
        "sunday" | "domingo" => Weekday::Sunday,
        _ => return None,
    })
}

/// Returns the next such weekday; a week later if today is that weekday.
fn next(today: Date, day: Weekday) -> Option<Date> {
    let days = i32::from(today.weekday().until(day));
    today.checked_add(if days == 0 { 7.days() } else { days.days() }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Friday 7 November 2025, 23:30 in Madrid, already Saturday in Tokyo.
    const AT: &str = "2025-11-07T22:30:00Z";

    #[track_caller]
    fn check(words: &str, zone: &str, expect: Option<&str>) {
        let at = Time::from(AT.parse::<jiff::Timestamp>().unwrap());
        assert_eq!(resolve(words, at, zone).map(|date| date.to_string()).as_deref(), expect, "{words} in {zone}");
    }

    #[test]
    fn tomorrow_is_the_tenants_tomorrow() {
        check("tomorrow", "Europe/Madrid", Some("2025-11-08"));
        check("tomorrow", "Asia/Tokyo", Some("2025-11-09"));
        check("Mañana", "Europe/Madrid", Some("2025-11-08"));
        check("man\u{303}ana", "Europe/Madrid", Some("2025-11-08"));
        check("pasado mañana", "Europe/Madrid", Some("2025-11-09"));
        check(" HOY ", "Europe/Madrid", Some("2025-11-07"));
        check("yesterday", "UTC", Some("2025-11-06"));
    }

    #[test]
    fn days_are_counted_and_named_in_both_languages() {
        check("in 3 days", "UTC", Some("2025-11-10"));
        check("dentro de 2 semanas", "UTC", Some("2025-11-21"));
        check("en un día", "UTC", Some("2025-11-08"));
        check("friday", "UTC", Some("2025-11-14"));
        check("el próximo lunes", "UTC", Some("2025-11-10"));
        check("el miércoles que viene", "UTC", Some("2025-11-12"));
        check("next_saturday", "UTC", Some("2025-11-08"));
    }

    #[test]
    fn what_is_no_word_for_a_day_is_left_to_the_schema() {
        for words in ["2025-11-08", "soon", "in 99999 days", "in -1 days", "", "next year"] {
            check(words, "UTC", None);
        }
    }
}
