//! What a service answered, and what it means.

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
pub(crate) struct OutboundResponse {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Whether the body went on beyond what is read.
    pub(crate) truncated: bool,
    /// Whether it broke off before its end.
    broken: bool,
    /// Where it came from in the end.
    pub(crate) from: String,
    /// How that was asked.
    method: Method,
    /// What was sent that nobody is to see, should the service repeat it.
    secrets: SecretRedactor,
}

impl OutboundResponse {
    /// Reads at most `limit` bytes of the body of what answers this request.
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
                // The status has come: that much is known.
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

    /// The body as JSON where it is JSON, as text where it is text, else null.
    pub(crate) fn value(&self) -> Value {
        if let Ok(json) = serde_json::from_slice(&self.body) {
            return self.secrets.redact_value(json);
        }
        match std::str::from_utf8(&self.body) {
            Ok("") | Err(_) => Value::Null,
            Ok(text) => Value::from(text),
        }
    }

    /// Where an output is declared, a success must carry it: a page in place of JSON, as proxies and maintenance answer,
    /// tells nothing of an act, and is no answer to a question. One that says of itself that it has no content is as it is,
    /// and so is the answer to a `HEAD`, which never has any.
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

    /// Why there is less of it than there was.
    pub(crate) fn interruption(&self) -> Option<Fault> {
        let message = || format!("{}: the answer broke off after {} bytes", self.from, self.body.len());
        self.broken.then(|| Fault::new(code::SERVICE_UNAVAILABLE, message()))
    }

    /// What is left to say of an act that was done and whose answer says nothing more: it is too long, it broke off, or what
    /// was to be taken away is not there.
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

    /// Milliseconds to wait, where the service says a number of seconds or a date (RFC 9110, 10.2.3). A date is taken
    /// against the answer's own, so that clocks need not agree.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        let wait = retry_after::retry_after(|name| self.header(name), None)?;
        u64::try_from(wait.min(RETRY_AFTER_MAX).as_millis()).ok()
    }
}

/// What an answer says of whether the call was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ResponseMeaning {
    /// It was done.
    Done,
    /// It was to be taken away, and is not there.
    AlreadyGone,
    /// It was not done, and will not be.
    Refused(&'static str),
    /// It was not done, and may be another time.
    RetryLater(&'static str),
    /// Nobody can tell.
    Unclear,
}

/// The one table of what HTTP answers mean, by what is known of a call of the class: `docs/concepts/effects.md` has it for
/// people.
///
/// A refusal (4xx) is certain of this attempt. Of an earlier one under the same key, whose answer was lost, it is certain
/// only where the service has looked at the key: a 401 did not, and a 409 may be our own act found there. A fault (5xx) is
/// certain of nothing: a gateway answers so too when the service behind it acted and did not answer in time. Only 503 with
/// a time to come back says that nothing was begun.
fn meaning(answer: &OutboundResponse, class: EffectClass) -> ResponseMeaning {
    let is_keyed = class == EffectClass::Keyed;
    match answer.status {
        // Sent again under its key, or looked up, what was done says so once more and whole.
        200..=299 if answer.broken && class != EffectClass::Once => ResponseMeaning::Unclear,
        200..=299 => ResponseMeaning::Done,
        // Those that could be followed were. One that wants the same request elsewhere has done nothing; another often says
        // that it is done and can be seen there.
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

/// Whether the call was done; else why not, as far as the answer tells.
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
