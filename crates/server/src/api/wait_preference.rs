//! How long a request waits for its result: `Prefer: wait=SECONDS` and `Prefer: respond-async` (RFC 7240).

use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::HeaderValue;
use axum::response::Response;

use crate::problem::HttpProblem;

const PREFER: &str = "prefer";
const APPLIED: &str = "preference-applied";
/// Default wait.
const DEFAULT: Duration = Duration::from_secs(30);
/// Maximum wait, in seconds.
const SECONDS_MAX: u64 = 120;

/// The wait limit, and whether the caller set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WaitPreference {
    pub limit: Duration,
    is_explicit: bool,
}

impl WaitPreference {
    /// Reads the headers. Unknown preferences are ignored, as the RFC requires.
    pub fn of(headers: &HeaderMap) -> Result<Self, HttpProblem> {
        let mut wait = Self { limit: DEFAULT, is_explicit: false };
        let values = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
        for preference in values.flat_map(|value| value.split(',')).map(str::trim) {
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            let limit = match name.trim().to_ascii_lowercase().as_str() {
                "respond-async" => Duration::ZERO,
                "wait" => seconds(value.trim().trim_matches('"'))?,
                _ => continue,
            };
            wait = Self { limit, is_explicit: true };
        }
        Ok(wait)
    }

    /// Sets the header that reports which preference was applied.
    pub fn set_header(self, mut response: Response) -> Response {
        if self.is_explicit {
            let applied = match self.limit.as_secs() {
                0 => "respond-async".to_owned(),
                seconds => format!("wait={seconds}"),
            };
            if let Ok(value) = HeaderValue::try_from(applied) {
                response.headers_mut().insert(APPLIED, value);
            }
        }
        response
    }
}

fn seconds(text: &str) -> Result<Duration, HttpProblem> {
    let why = format!("`wait` takes whole seconds from 0 to {SECONDS_MAX}");
    let seconds = text.parse().ok().filter(|seconds| *seconds <= SECONDS_MAX);
    seconds.map(Duration::from_secs).ok_or_else(|| HttpProblem::invalid_parameter("Prefer", why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(prefer: &[&str]) -> Result<WaitPreference, HttpProblem> {
        let mut headers = HeaderMap::new();
        for value in prefer {
            headers.append(PREFER, HeaderValue::from_str(value).expect("a value"));
        }
        WaitPreference::of(&headers)
    }

    #[test]
    fn the_last_preference_that_is_known_counts() {
        let limit = |prefer: &[&str]| of(prefer).expect("reads").limit.as_secs();
        assert_eq!(limit(&[]), 30);
        assert_eq!(limit(&["return=minimal"]), 30);
        assert_eq!(limit(&["respond-async, wait=10"]), 10);
        assert_eq!(limit(&["wait=\"7\"", "RESPOND-ASYNC"]), 0);
        assert!(of(&["wait=121"]).is_err() && of(&["wait=-1"]).is_err() && of(&["wait"]).is_err());
    }
}
