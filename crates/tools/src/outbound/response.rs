//! The response of a service, and its meaning.

use std::time::Duration;

use baton_core::fault::Fault;
use baton_core::time::retry_after;
use baton_core::tool::EffectClass;
use reqwest::header::HeaderMap;
use reqwest::{Method, Response};
use serde_json::{Map, Value, json};

use super::redactor::SecretRedactor;
use super::{OutboundError, OutboundRequest, display_url};
use crate::code;
use crate::tool_error::ToolError;

/// Maximum size of an error body's excerpt in messages, in bytes.
const EXCERPT_BYTES_MAX: usize = 500;
/// The longest delay that a service may request.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);
/// Response headers that are kept: none that carries a session.
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
pub(crate) struct OutboundResponse {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Whether the body was longer than the limit.
    pub(crate) truncated: bool,
    /// Whether the body was interrupted before its end.
    broken: bool,
    /// The final address, after redirects.
    pub(crate) from: String,
    /// The method of the final request.
    method: Method,
    /// The secrets of the request, in case the service repeats them.
    secrets: SecretRedactor,
}

impl OutboundResponse {
    /// Reads at most `limit` bytes of the body.
    pub(super) async fn read(
        outgoing: &OutboundRequest,
        mut response: Response,
        limit: usize,
    ) -> Result<Self, OutboundError> {
        let secrets = SecretRedactor::of(outgoing);
        let from = secrets.redact(display_url(response.url()));
        let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
        let mut body = Vec::new();
        let (mut truncated, mut broken) = (false, false);
        while !truncated {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                // The status has arrived, so that much is known.
                Err(_) => {
                    broken = true;
                    break;
                }
            };
            let room = limit - body.len();
            truncated = chunk.len() > room;
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
        let body = secrets.redact_bytes(body);
        Ok(Self { status, headers, body, truncated, broken, from, method: outgoing.method.clone(), secrets })
    }

    /// The body: parsed JSON if it is JSON, text if it is text, else null.
    pub(crate) fn value(&self) -> Value {
        if let Ok(json) = serde_json::from_slice(&self.body) {
            return self.secrets.redact_value(json);
        }
        match std::str::from_utf8(&self.body) {
            Ok("") | Err(_) => Value::Null,
            Ok(text) => Value::from(text),
        }
    }

    /// Requires a success to carry the declared output. A page in place of JSON, as proxies and maintenance modes
    /// return it, says nothing about an act and is no result of a read. A response that declares itself empty is
    /// accepted, and so is the response to `HEAD`, which never has a body.
    pub(crate) fn read_as_json(&self, class: EffectClass) -> Result<(), ToolError> {
        let has_none = matches!(self.status, 204 | 205) || self.method == Method::HEAD || self.truncated;
        if has_none || serde_json::from_slice::<serde::de::IgnoredAny>(&self.body).is_ok() {
            return Ok(());
        }
        let said = match self.secrets.redact(self.excerpt()) {
            nothing if nothing.is_empty() => "nothing".to_owned(),
            said => format!("`{said}`"),
        };
        let message = format!(
            "{} answered {} with {said}, which is not JSON, so the output that the tool declares is not known",
            self.from, self.status
        );
        Err(ToolError::indeterminate(class, Fault::new(code::SERVICE_UNAVAILABLE, message)))
    }

    /// Returns why the body is incomplete.
    pub(crate) fn interruption(&self) -> Option<Fault> {
        let message = || format!("{}: the answer broke off after {} bytes", self.from, self.body.len());
        self.broken.then(|| Fault::new(code::SERVICE_UNAVAILABLE, message()))
    }

    /// Returns the result of an act that was performed but whose response has no usable body: it is too long, it was
    /// interrupted, or the resource to delete does not exist.
    pub(crate) fn declared_output(&self, class: EffectClass) -> Option<Value> {
        if meaning(self, class) == ResponseMeaning::AlreadyGone {
            return Some(json!({"status": self.status, "gone": true}));
        }
        let is_cut = class.has_side_effects() && (self.truncated || self.broken);
        is_cut.then(|| json!({"status": self.status, "truncated": true}))
    }

    pub(crate) fn kept_headers(&self) -> Map<String, Value> {
        let kept = |name: &&str| Some(((*name).to_owned(), self.secrets.redact(self.header(name)?.to_owned()).into()));
        KEPT.iter().filter_map(kept).collect()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn excerpt(&self) -> String {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(EXCERPT_BYTES_MAX)]);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The requested delay in milliseconds: a number of seconds or a date (RFC 9110, 10.2.3). A date is compared with
    /// the response's own date, so that clocks need not agree.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        let wait = retry_after::retry_after(|name| self.header(name), None)?;
        u64::try_from(wait.min(RETRY_AFTER_MAX).as_millis()).ok()
    }
}

/// What a response says about whether the call was performed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ResponseMeaning {
    /// It was performed.
    Done,
    /// The resource to delete does not exist.
    AlreadyGone,
    /// It was not performed, and will not be.
    Refused(&'static str),
    /// It was not performed, and may succeed later.
    RetryLater(&'static str),
    /// The outcome is unknown.
    Unclear,
}

/// The single table of what HTTP responses mean for each class; `docs/concepts/effects.md` documents it.
///
/// A refusal (4xx) is certain about this attempt. About an earlier attempt under the same key, whose response was
/// lost, it is certain only if the service has checked the key: with a 401 it has not, and a 409 may be caused by
/// that earlier act. A server error (5xx) is certain about nothing: a gateway returns it too if the service behind it
/// acted and did not respond in time. Only 503 with a retry time implies that nothing was started.
fn meaning(answer: &OutboundResponse, class: EffectClass) -> ResponseMeaning {
    let is_keyed = class == EffectClass::Keyed;
    match answer.status {
        // If the call is sent again under its key, or looked up, a performed act is reported again in full.
        200..=299 if answer.broken && class != EffectClass::Once => ResponseMeaning::Unclear,
        200..=299 => ResponseMeaning::Done,
        // Redirects that could be followed have been. One that asks for the same request elsewhere has done nothing;
        // others often mean that the act is done and its result is at that address.
        301..=303 if class.has_side_effects() => ResponseMeaning::Unclear,
        300..=399 => ResponseMeaning::Refused(code::SERVICE_REJECTED),
        401 | 403 | 407 if is_keyed => ResponseMeaning::Refused(code::SERVICE_DENIED),
        404 | 410 if is_keyed && answer.method == Method::DELETE => ResponseMeaning::AlreadyGone,
        408 | 425 => ResponseMeaning::RetryLater(code::SERVICE_UNAVAILABLE),
        409 | 412 | 423 if is_keyed => ResponseMeaning::RetryLater(code::SERVICE_REJECTED),
        429 => ResponseMeaning::RetryLater(code::RATE_LIMIT_EXCEEDED),
        503 if answer.retry_after().is_some() => ResponseMeaning::RetryLater(code::SERVICE_UNAVAILABLE),
        501 | 505 => ResponseMeaning::Refused(code::SERVICE_REJECTED),
        500.. => ResponseMeaning::Unclear,
        _ => ResponseMeaning::Refused(code::SERVICE_REJECTED),
    }
}

/// Checks whether the call was performed; the error states why not, as far as the response tells.
pub(crate) fn check_status(answer: &OutboundResponse, class: EffectClass) -> Result<(), ToolError> {
    let message = || match answer.status {
        200..=299 => answer.interruption().map(|fault| fault.message).unwrap_or_default(),
        300..=399 => format!("{} answered {} and led nowhere", answer.from, answer.status),
        status => format!("{} answered {status}: {}", answer.from, answer.excerpt()),
    };
    match meaning(answer, class) {
        ResponseMeaning::Done | ResponseMeaning::AlreadyGone => Ok(()),
        ResponseMeaning::Refused(code) => Err(ToolError::permanent(code, message())),
        ResponseMeaning::RetryLater(code) => Err(ToolError::NotDone {
            fault: Fault::new(code, message()),
            retryable: true,
            retry_after: answer.retry_after(),
        }),
        ResponseMeaning::Unclear => {
            Err(ToolError::indeterminate(class, Fault::new(code::SERVICE_UNAVAILABLE, message())))
        }
    }
}
