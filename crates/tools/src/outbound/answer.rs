//! What a service answered, and what it means.

use std::time::Duration;

use baton_core::fault::Fault;
use baton_core::time::wait;
use baton_core::tool::Class;
use reqwest::header::HeaderMap;
use reqwest::{Method, Response};
use serde_json::{Map, Value, json};

use super::secrets::Secrets;
use super::{NoAnswer, Outgoing, shown};
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
    /// Whether it broke off before its end.
    broken: bool,
    /// Where it came from in the end.
    pub(crate) from: String,
    /// How that was asked.
    method: Method,
    /// What was sent that nobody is to see, should the service repeat it.
    secrets: Secrets,
}

impl Answer {
    /// Reads at most `limit` bytes of the body of what answers this request.
    pub(super) async fn read(outgoing: &Outgoing, mut response: Response, limit: usize) -> Result<Self, NoAnswer> {
        let secrets = Secrets::of(outgoing);
        let from = secrets.hide(shown(response.url()));
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
        let body = secrets.hide_bytes(body);
        Ok(Self { status, headers, body, truncated, broken, from, method: outgoing.method.clone(), secrets })
    }

    /// The body as JSON where it is JSON, as text where it is text, else null.
    pub(crate) fn value(&self) -> Value {
        if let Ok(json) = serde_json::from_slice(&self.body) {
            return self.secrets.hide_within(json);
        }
        match std::str::from_utf8(&self.body) {
            Ok("") | Err(_) => Value::Null,
            Ok(text) => Value::from(text),
        }
    }

    /// Where an output is declared, a success must carry it: a page in place of JSON, as proxies and maintenance answer,
    /// tells nothing of an act, and is no answer to a question. One that says of itself that it has no content is as it is,
    /// and so is the answer to a `HEAD`, which never has any.
    pub(crate) fn read_as_json(&self, class: Class) -> Result<(), Failure> {
        let has_none = matches!(self.status, 204 | 205) || self.method == Method::HEAD || self.truncated;
        if has_none || serde_json::from_slice::<serde::de::IgnoredAny>(&self.body).is_ok() {
            return Ok(());
        }
        let said = match self.secrets.hide(self.excerpt()) {
            nothing if nothing.is_empty() => "nothing".to_owned(),
            said => format!("`{said}`"),
        };
        let message = format!(
            "{} answered {} with {said}, which is not JSON, so the output that the tool declares is not known",
            self.from, self.status
        );
        Err(Failure::unclear(class, Fault::new(code::SERVICE_UNAVAILABLE, message)))
    }

    /// Why there is less of it than there was.
    pub(crate) fn broken_off(&self) -> Option<Fault> {
        let message = || format!("{}: the answer broke off after {} bytes", self.from, self.body.len());
        self.broken.then(|| Fault::new(code::SERVICE_UNAVAILABLE, message()))
    }

    /// What is left to say of an act that was done and whose answer says nothing more: it is too long, it broke off, or what
    /// was to be taken away is not there.
    pub(crate) fn bare(&self, class: Class) -> Option<Value> {
        if said(self, class) == Said::Gone {
            return Some(json!({"status": self.status, "gone": true}));
        }
        let is_cut = class.acts() && (self.truncated || self.broken);
        is_cut.then(|| json!({"status": self.status, "truncated": true}))
    }

    pub(crate) fn kept_headers(&self) -> Map<String, Value> {
        let kept = |name: &&str| Some(((*name).to_owned(), self.secrets.hide(self.header(name)?.to_owned()).into()));
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

/// What an answer says of whether the call was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// It was done.
    Done,
    /// It was to be taken away, and is not there.
    Gone,
    /// It was not done, and will not be.
    Refused(&'static str),
    /// It was not done, and may be another time.
    Later(&'static str),
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
fn said(answer: &Answer, class: Class) -> Said {
    let is_keyed = class == Class::Keyed;
    match answer.status {
        // Sent again under its key, or looked up, what was done says so once more and whole.
        200..=299 if answer.broken && class != Class::Once => Said::Unclear,
        200..=299 => Said::Done,
        // Those that could be followed were. One that wants the same request elsewhere has done nothing; another often says
        // that it is done and can be seen there.
        301..=303 if class.acts() => Said::Unclear,
        300..=399 => Said::Refused(code::SERVICE_REJECTED),
        401 | 403 | 407 if is_keyed => Said::Refused(code::SERVICE_DENIED),
        404 | 410 if is_keyed && answer.method == Method::DELETE => Said::Gone,
        408 | 425 => Said::Later(code::SERVICE_UNAVAILABLE),
        409 | 412 | 423 if is_keyed => Said::Later(code::SERVICE_REJECTED),
        429 => Said::Later(code::RATE_LIMIT_EXCEEDED),
        503 if answer.retry_after().is_some() => Said::Later(code::SERVICE_UNAVAILABLE),
        501 | 505 => Said::Refused(code::SERVICE_REJECTED),
        500.. => Said::Unclear,
        _ => Said::Refused(code::SERVICE_REJECTED),
    }
}

/// Whether the call was done; else why not, as far as the answer tells.
pub(crate) fn judge(answer: &Answer, class: Class) -> Result<(), Failure> {
    let message = || match answer.status {
        200..=299 => answer.broken_off().map(|fault| fault.message).unwrap_or_default(),
        300..=399 => format!("{} answered {} and led nowhere", answer.from, answer.status),
        status => format!("{} answered {status}: {}", answer.from, answer.excerpt()),
    };
    match said(answer, class) {
        Said::Done | Said::Gone => Ok(()),
        Said::Refused(code) => Err(Failure::refused(code, message())),
        Said::Later(code) => Err(Failure::NotDone {
            fault: Fault::new(code, message()),
            retryable: true,
            retry_after: answer.retry_after(),
        }),
        Said::Unclear => Err(Failure::unclear(class, Fault::new(code::SERVICE_UNAVAILABLE, message()))),
    }
}
