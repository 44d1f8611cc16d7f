//! Errors as HTTP says them (RFC 9457).

use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A request that was said no to.
#[derive(Debug)]
pub(crate) struct Problem {
    pub status: StatusCode,
    /// Stable and documented.
    pub code: String,
    pub detail: String,
    pub retry_after: Option<Duration>,
}

impl Problem {
    pub fn new(status: StatusCode, code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { status, code: code.into(), detail: detail.into(), retry_after: None }
    }

    pub fn nothing_here() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", "there is nothing at this path")
    }

    pub fn overloaded() -> Self {
        let detail = "as many requests are under way as this server takes; try again in a second";
        Self {
            retry_after: Some(Duration::from_secs(1)),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED", detail)
        }
    }

    /// Adds what headers say of it: whole seconds, rounded up.
    pub fn with_headers(retry_after: Option<Duration>, mut response: Response) -> Response {
        if let Some(after) = retry_after {
            let seconds = after.as_millis().div_ceil(1_000).max(1);
            if let Ok(value) = HeaderValue::try_from(seconds.to_string()) {
                response.headers_mut().insert(RETRY_AFTER, value);
            }
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        let kind = [(CONTENT_TYPE, "application/problem+json")];
        Self::with_headers(self.retry_after, (self.status, kind, body.to_string()).into_response())
    }
}
