//! What a provider's refusal means, by stable code. Nothing that a provider says is repeated with our key in it.

use std::error::Error as StdError;

use baton_core::run::ModelFault;
use baton_core::time::Time;
use reqwest::{Response, StatusCode, Url};
use serde_json::Value;

use super::body::Body;
use super::retry_after;
use crate::fault::{code, lasting, transient};

/// Bytes of an error's body that are read, and characters of its message that are kept.
const ERROR_BYTES_MAX: usize = 64 * 1024;
const MESSAGE_CHARS_MAX: usize = 300;

/// The request did not get through.
pub(super) fn unsent(error: reqwest::Error, endpoint: &Url) -> ModelFault {
    let host = endpoint.host_str().unwrap_or("the provider");
    let why = chain(&error.without_url());
    transient(code::SERVICE_UNAVAILABLE, format!("{host} cannot be reached: {why}"))
}

/// The provider answered with a status that is not a success.
pub(super) async fn refused(response: Response, model: &str, key: Option<&str>, now: Time) -> ModelFault {
    let status = response.status();
    let retry_after = retry_after::read(response.headers(), now);
    let body = Body::beginning(response, ERROR_BYTES_MAX).await;
    let said = Said::read(&body, key);
    ModelFault { retry_after, ..by_status(status, &said, model) }
}

/// An error inside a reply that began as a success.
pub(super) fn inside(error: &Value, model: &str, key: Option<&str>) -> ModelFault {
    let said = Said::of(error, key);
    let status = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let status = status.and_then(|code| StatusCode::from_u16(code).ok()).filter(|status| !status.is_success());
    by_status(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &said, model)
}

fn by_status(status: StatusCode, said: &Said, model: &str) -> ModelFault {
    let number = status.as_u16();
    let told = |what: &str| format!("model `{model}`: {what} ({number}){}", said.quoted());
    if said.is("context_length_exceeded") || number == 413 {
        return lasting(code::CONTEXT_TOO_LONG, told("the messages are longer than its context"));
    }
    if said.is("content_filter") || said.is("content_policy_violation") {
        return lasting(code::CONTENT_FILTERED, told("the provider refused the content"));
    }
    if said.is("insufficient_quota") {
        return lasting(code::RATE_LIMIT_EXCEEDED, told("the account's quota is used up"));
    }
    match number {
        // Its words are left out: providers repeat parts of the key in them.
        401 | 403 => lasting(
            code::AUTHENTICATION_FAILED,
            format!(
                "model `{model}`: the provider refused the API key ({number}); check OPENAI_API_KEY or models.api_key"
            ),
        ),
        404 => lasting(code::MODEL_NOT_FOUND, told("no such model, or models.base_url is not the API's address")),
        408 | 504 => transient(code::TIMEOUT, told("the provider timed out")),
        429 => transient(code::RATE_LIMIT_EXCEEDED, told("too many requests")),
        409 | 425 | 500.. => transient(code::SERVICE_UNAVAILABLE, told("the provider fails")),
        300..=399 => lasting(code::INVALID_REQUEST, told("redirects are not followed; check models.base_url")),
        _ => lasting(code::INVALID_REQUEST, told("the provider refused the request")),
    }
}

/// What the provider says, where it speaks as documented: `{"error": {"message", "type", "code"}}`.
struct Said {
    codes: Vec<String>,
    message: String,
}

impl Said {
    fn read(body: &[u8], key: Option<&str>) -> Self {
        let document: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        Self::of(document.get("error").unwrap_or(&document), key)
    }

    fn of(error: &Value, key: Option<&str>) -> Self {
        let codes = ["code", "type"].iter().filter_map(|name| error.get(*name)?.as_str()).map(str::to_owned);
        let message = error.get("message").and_then(Value::as_str).or(error.as_str()).unwrap_or_default();
        let message = key.map_or_else(|| message.to_owned(), |key| message.replace(key, "***"));
        let clean = message.chars().map(|c| if c.is_control() { ' ' } else { c });
        Self { codes: codes.collect(), message: clean.take(MESSAGE_CHARS_MAX).collect() }
    }

    fn is(&self, code: &str) -> bool {
        self.codes.iter().any(|said| said == code)
    }

    fn quoted(&self) -> String {
        if self.message.is_empty() { String::new() } else { format!(": {}", self.message) }
    }
}

/// An error and what caused it, in one line.
pub(super) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// What is wrong with JSON, without repeating any of it: it may be a customer's words, and long.
pub(super) fn unreadable(what: &str, error: &serde_json::Error) -> String {
    let problem = match error.classify() {
        serde_json::error::Category::Eof => "ends too early",
        serde_json::error::Category::Syntax => "is not JSON",
        serde_json::error::Category::Data | serde_json::error::Category::Io => "has another shape than documented",
    };
    format!("{what} {problem} (line {}, column {})", error.line(), error.column())
}
