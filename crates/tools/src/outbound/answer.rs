//! What a service answered, and what it means.

use std::time::Duration;

use baton_core::fault::Fault;
use baton_core::time::wait;
use baton_core::tool::Class;
use reqwest::Response;
use reqwest::header::HeaderMap;
use serde_json::{Map, Value};

use super::{NoAnswer, shown};
use crate::code;
use crate::failure::Failure;

/// Bytes of an error's body that are told.
const EXCERPT_BYTES_MAX: usize = 500;
/// The longest wait a service may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);
/// Headers of an answer that are kept: none that carries a session.
const KEPT: &[&str] = &[
    "cache-control",
    "content-language",
    "content-length",
    "content-type",
    "date",
    "etag",
    "expires",
    "last-modified",
    "link",
    "location",
    "ratelimit",
    "retry-after",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-request-id",
];

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Whether the body went on beyond what is read.
    pub(crate) truncated: bool,
    /// Where it came from in the end.
    pub(crate) from: String,
}

impl Answer {
    /// Reads at most `limit` bytes of the body.
    pub(super) async fn read(mut response: Response, limit: usize) -> Result<Self, NoAnswer> {
        let from = shown(response.url());
        let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
        let mut body = Vec::new();
        let mut truncated = false;
        while !truncated {
            let chunk = response.chunk().await.map_err(|_| {
                let message = format!("{from}: the answer broke off after {} bytes", body.len());
                NoAnswer::Unclear(Fault::new(code::SERVICE_UNAVAILABLE, message))
            })?;
            let Some(chunk) = chunk else { break };
            let room = limit - body.len();
            truncated = chunk.len() > room;
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
        Ok(Self { status, headers, body, truncated, from })
    }

    /// The body as JSON where it is JSON, as text where it is text, else null.
    pub(crate) fn value(&self) -> Value {
        if let Ok(json) = serde_json::from_slice(&self.body) {
            return json;
        }
        match std::str::from_utf8(&self.body) {
            Ok("") | Err(_) => Value::Null,
            Ok(text) => Value::from(text),
        }
    }

    pub(crate) fn kept_headers(&self) -> Map<String, Value> {
        let kept = |name: &&str| Some(((*name).to_owned(), self.header(name)?.into()));
        KEPT.iter().filter_map(kept).collect()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn excerpt(&self) -> String {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(EXCERPT_BYTES_MAX)]);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Milliseconds to wait, where the service says a number of seconds or a date (RFC 9110, 10.2.3). A date is taken
    /// against the answer's own, so that clocks need not agree.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        let wait = wait::asked(|name| self.header(name), None)?;
        u64::try_from(wait.min(RETRY_AFTER_MAX).as_millis()).ok()
    }
}

/// What an HTTP status says about whether the call was done.
///
/// A refusal (4xx) is certain. A fault (5xx) is not: a gateway answers so too when the service behind it acted and did
/// not answer in time. Only 503 with a time to come back says that nothing was begun.
pub(crate) fn judge(answer: &Answer, class: Class) -> Result<(), Failure> {
    let status = answer.status;
    let message = || format!("{} answered {status}: {}", answer.from, answer.excerpt());
    let later = |code: &'static str| Failure::NotDone {
        fault: Fault::new(code, message()),
        retryable: true,
        retry_after: answer.retry_after(),
    };
    match status {
        200..=399 => Ok(()),
        429 => Err(later(code::RATE_LIMIT_EXCEEDED)),
        408 | 425 => Err(later(code::SERVICE_UNAVAILABLE)),
        503 if answer.retry_after().is_some() => Err(later(code::SERVICE_UNAVAILABLE)),
        501 | 505 => Err(Failure::refused(code::SERVICE_REJECTED, message())),
        500.. => Err(Failure::unclear(class, Fault::new(code::SERVICE_UNAVAILABLE, message()))),
        _ => Err(Failure::refused(code::SERVICE_REJECTED, message())),
    }
}
