//! Durations as people write them: `500ms`, `10s`, `1h30m`, or a number of seconds.

use std::time::Duration;

/// Maximum duration in a definition: ten years.
pub const DURATION_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// Units and their milliseconds, longest spelling first.
const UNITS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

/// Parses one or more numbers with a unit each, such as `1h30m`; a bare number is seconds.
///
/// # Errors
/// The reason why the text is not a duration, to follow a colon.
pub fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return of_seconds(seconds);
    }
    let mut rest = text;
    let mut ms: f64 = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| "it does not begin with a number".to_owned())?;
        rest = rest[digits..].trim_start();
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit = UNITS.iter().find(|(unit, _)| *unit == &rest[..letters]);
        let (_, factor) =
            unit.ok_or_else(|| format!("`{}` is no unit of time", super::diagnostic::clip_word(&rest[..letters])))?;
        #[expect(clippy::cast_precision_loss, reason = "the factors are small")]
        let factor = *factor as f64;
        ms += number * factor;
        rest = rest[letters..].trim_start();
    }
    of_seconds(if text.is_empty() { f64::NAN } else { ms / 1_000.0 })
}

/// Creates a duration from a number of seconds, rounded to the millisecond.
///
/// # Errors
/// As [`parse`].
pub fn of_seconds(seconds: f64) -> Result<Duration, String> {
    if !seconds.is_finite() || seconds < 0.0 {
        return Err("it is not a length of time".to_owned());
    }
    if seconds > DURATION_MAX.as_secs_f64() {
        return Err("it is longer than ten years".to_owned());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded above and below")]
    let ms = (seconds * 1_000.0).round() as u64;
    Ok(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, ms) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("2d", 172_800_000),
            ("1.5s", 1_500),
            ("30", 30_000),
            ("0.25", 250),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "s", "10", "-5s", "5 parsecs", "1e400", "NaN", "inf", "99999w", "10s,", "٣s", "1..2s"] {
            assert_eq!(parse(text).is_ok(), text == "10", "{text:?}");
        }
    }
}
