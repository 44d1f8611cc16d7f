//! Rate limit headers in OpenAI's format.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use baton_engine::agent_registry::QuotaStatus;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit-requests");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining-requests");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset-requests");

/// Sets the headers for the limit that is closest to being reached.
pub(super) fn set_headers(headers: &mut HeaderMap, standing: &QuotaStatus) {
    let resets_in = format!("{}s", standing.resets_in.as_millis().div_ceil(1_000));
    let all = [(LIMIT, standing.limit.to_string()), (REMAINING, standing.remaining.to_string()), (RESET, resets_in)];
    for (name, value) in all {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
}
