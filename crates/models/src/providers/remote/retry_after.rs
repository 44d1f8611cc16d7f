//! How long a provider asks us to wait: `retry-after-ms`, else `Retry-After` in seconds or as a date (RFC 9110 §10.2.3).

use std::time::Duration;

use baton_core::time::Time;
use jiff::fmt::rfc2822;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// The longest wait that is believed.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn read(headers: &HeaderMap, now: Time) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let wait = text("retry-after-ms")
        .and_then(|ms| seconds(ms).map(|ms| ms / 1_000.0))
        .or_else(|| text(RETRY_AFTER.as_str()).and_then(|wait| seconds(wait).or_else(|| until(wait, now))))?;
    Some(Duration::try_from_secs_f64(wait).unwrap_or(WAIT_MAX).min(WAIT_MAX))
}

fn seconds(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)
}

fn until(date: &str, now: Time) -> Option<f64> {
    let at = rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    Some(Time::from(at).since(now).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn wait(headers: &[(&'static str, &'static str)]) -> Option<u128> {
        let pairs =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        // 1994-11-06T08:49:07Z
        read(&pairs.collect(), Time::from_ms(784_111_747_000)).map(|wait| wait.as_millis())
    }

    #[test]
    fn waits_are_read_in_every_form() {
        assert_eq!(wait(&[("retry-after", "20")]), Some(20_000));
        assert_eq!(wait(&[("retry-after", "0.5")]), Some(500));
        assert_eq!(wait(&[("retry-after-ms", "1500"), ("retry-after", "20")]), Some(1_500));
        assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]), Some(30_000));
        assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]), Some(0));
    }

    #[test]
    fn what_cannot_be_a_wait_is_none_and_what_is_too_long_is_a_day() {
        for wrong in ["", "-1", "soon", "NaN", "inf"] {
            assert_eq!(wait(&[("retry-after", wrong)]), None, "{wrong}");
        }
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&[("retry-after", "1e300")]), Some(86_400_000));
    }
}
