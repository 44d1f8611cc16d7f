//! How long a server asks clients to wait: `retry-after-ms`, otherwise `Retry-After` in seconds or as a date (RFC 9110
//! §10.2.3).

use std::time::Duration;

use jiff::fmt::rfc2822;

use super::Time;

/// Maximum accepted wait.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Parses the headers of a response. A date is compared with `now`; without a clock, with the response's own `Date`.
pub fn retry_after<'h>(header: impl Fn(&'static str) -> Option<&'h str>, now: Option<Time>) -> Option<Duration> {
    let text = |name| header(name).map(str::trim);
    let until = |written: &str| {
        let now = now.or_else(|| date(text("date")?))?;
        Some(date(written)?.since(now).as_secs_f64())
    };
    let wait = text("retry-after-ms")
        .and_then(|ms| seconds(ms).map(|ms| ms / 1_000.0))
        .or_else(|| text("retry-after").and_then(|wait| seconds(wait).or_else(|| until(wait))))?;
    Some(Duration::try_from_secs_f64(wait).unwrap_or(RETRY_AFTER_MAX).min(RETRY_AFTER_MAX))
}

fn seconds(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)
}

fn date(text: &str) -> Option<Time> {
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok().map(Time::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(headers: &[(&str, &str)], now: Option<Time>) -> Option<u128> {
        let header = |name: &'static str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        retry_after(header, now).map(|wait| wait.as_millis())
    }

    /// 1994-11-06T08:49:07Z
    const NOW: Option<Time> = Some(Time::from_ms(784_111_747_000));

    #[test]
    fn waits_are_read_in_every_form() {
        assert_eq!(wait(&[("retry-after", "20")], NOW), Some(20_000));
        assert_eq!(wait(&[("retry-after", " 0.5")], NOW), Some(500));
        assert_eq!(wait(&[("retry-after-ms", "1500"), ("retry-after", "20")], NOW), Some(1_500));
        assert_eq!(wait(&[("retry-after-ms", "soon"), ("retry-after", "20")], NOW), Some(20_000));
        let date = ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(wait(&[date], NOW), Some(30_000));
        assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")], NOW), Some(0));
        assert_eq!(wait(&[date, ("date", "Sun, 06 Nov 1994 08:49:27 GMT")], None), Some(10_000));
        assert_eq!(wait(&[date], None), None, "nobody knows what time it is there");
    }

    #[test]
    fn what_cannot_be_a_wait_is_none_and_what_is_too_long_is_a_day() {
        for wrong in ["", "-1", "soon", "NaN", "inf"] {
            assert_eq!(wait(&[("retry-after", wrong)], NOW), None, "{wrong}");
        }
        assert_eq!(wait(&[], NOW), None);
        assert_eq!(wait(&[("retry-after", "1e300")], NOW), Some(86_400_000));
    }
}
