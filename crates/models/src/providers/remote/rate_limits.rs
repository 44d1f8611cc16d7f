//! Rate-limit headers: how long a provider accepts no more requests, if they say that the quota is exhausted.
//!
//! OpenAI sends `x-ratelimit-remaining-requests: 0` and `x-ratelimit-reset-requests: 6m0s`, Azure the same with plain
//! seconds, Anthropic `anthropic-ratelimit-requests-remaining: 0` and `…-reset:` with an RFC 3339 instant.

use std::time::Duration;

use baton_core::time::Time;
use baton_core::time::retry_after::RETRY_AFTER_MAX as WAIT_MAX;
use reqwest::header::{HeaderMap, HeaderName};

/// The remaining quota and its reset: OpenAI and Azure, then Anthropic.
static HEADERS: [(HeaderName, HeaderName); 6] = [
    header_pair("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    header_pair("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    header_pair("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
    header_pair("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
    header_pair("anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"),
    header_pair("anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset"),
];

/// Built once, because every reply is checked for them.
const fn header_pair(remaining: &'static str, reset: &'static str) -> (HeaderName, HeaderName) {
    (HeaderName::from_static(remaining), HeaderName::from_static(reset))
}

/// The longest wait among the exhausted quotas.
pub(super) fn exhausted_for(headers: &HeaderMap, now: Time) -> Option<Duration> {
    let text = |name: &HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let wait = |(remaining, reset): &(HeaderName, HeaderName)| {
        let is_used_up = text(remaining)?.parse::<f64>().ok()? <= 0.0;
        let reset = is_used_up.then(|| text(reset)).flatten()?;
        span(reset).or_else(|| reset.parse::<Time>().ok().map(|at| at.since(now)))
    };
    HEADERS.iter().filter_map(wait).max().map(|wait| wait.min(WAIT_MAX))
}

/// `6m0s`, `1h2m3.5s`, `120ms`, or plain seconds.
fn span(text: &str) -> Option<Duration> {
    let mut seconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().ok()?;
        let after = &rest[digits..];
        let unit_end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        seconds += number
            * match &after[..unit_end] {
                "d" => 86_400.0,
                "h" => 3_600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 0.001,
                "" if rest.len() == text.len() => 1.0,
                _ => return None,
            };
        rest = &after[unit_end..];
    }
    (!text.is_empty()).then_some(seconds).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn full(headers: &[(&'static str, &'static str)]) -> Option<u128> {
        let pairs =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        // 1994-11-06T08:49:07Z
        exhausted_for(&pairs.collect(), Time::from_ms(784_111_747_000)).map(|wait| wait.as_millis())
    }

    #[test]
    fn what_is_used_up_says_for_how_long() {
        let requests = |reset| full(&[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", reset)]);
        assert_eq!(requests("6m0s"), Some(360_000));
        assert_eq!(requests("1h0m3.5s"), Some(3_603_500));
        assert_eq!(requests("120ms"), Some(120));
        assert_eq!(requests("33"), Some(33_000));
        let anthropic = [
            ("anthropic-ratelimit-output-tokens-remaining", "0"),
            ("anthropic-ratelimit-output-tokens-reset", "1994-11-06T08:50:07Z"),
        ];
        assert_eq!(full(&anthropic), Some(60_000));
    }

    #[test]
    fn the_longest_wait_counts_and_what_is_left_does_not() {
        let both = [
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "2s"),
        ];
        assert_eq!(full(&both), Some(2_000));
        assert_eq!(full(&[("x-ratelimit-remaining-requests", "59"), ("x-ratelimit-reset-requests", "1s")]), None);
        assert_eq!(full(&[]), None);
    }

    #[test]
    fn what_cannot_be_a_wait_is_none_and_what_is_too_long_is_a_day() {
        let requests = |reset| full(&[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", reset)]);
        for wrong in ["", "soon", "-1s", "1s2", "6x", "..", "1e400"] {
            assert_eq!(requests(wrong), None, "{wrong}");
        }
        assert_eq!(requests("99999999"), Some(86_400_000));
    }
}
