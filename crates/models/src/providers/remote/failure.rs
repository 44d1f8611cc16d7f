//! Maps a provider's errors to stable codes. No API key is repeated from a provider's message.

use baton_core::fault::error_chain;
use baton_core::run::ModelCallError;
use baton_core::time::{Time, retry_after};
use reqwest::{Response, StatusCode, Url};
use serde_json::Value;

use super::body::ResponseBody;
use super::rate_limits;
use crate::fault::{code, lasting, transient};

/// Maximum bytes read of an error body, and maximum characters kept of its message.
const ERROR_BYTES_MAX: usize = 64 * 1024;
const MESSAGE_CHARS_MAX: usize = 300;
/// Replaces an API key.
const REDACTED: &str = "***";

/// What the message of a failure contains, and what it must not contain.
pub(super) struct ErrorContext<'a> {
    pub model: &'a str,
    /// The path of the provider's settings.
    pub place: &'a str,
    /// Removed from all text of the provider.
    pub key: Option<&'a str>,
    /// The API key came with the call.
    pub is_consumers: bool,
    pub key_variable: &'a str,
}

impl ErrorContext<'_> {
    fn key_advice(&self) -> String {
        match (self.key, self.is_consumers) {
            (None, _) => format!("no key was sent: set {} or {}.api_key", self.key_variable, self.place),
            (Some(_), true) => "it is the one that came with the call".to_owned(),
            (Some(_), false) => format!("check {} or {}.api_key", self.key_variable, self.place),
        }
    }
}

/// The error of a request that did not get through.
pub(super) fn send_fault(error: reqwest::Error, endpoint: &Url) -> ModelCallError {
    let host = endpoint.host_str().unwrap_or("the provider");
    let why = error_chain(&error.without_url());
    transient(code::SERVICE_UNAVAILABLE, format!("{host} cannot be reached: {why}"))
}

/// The error of a response whose status is not a success.
pub(super) async fn status_fault(response: Response, telling: &ErrorContext<'_>, now: Time) -> ModelCallError {
    let status = response.status();
    let headers = response.headers();
    let wait = retry_after::retry_after(|name| headers.get(name)?.to_str().ok(), Some(now))
        .or_else(|| rate_limits::exhausted_for(headers, now));
    let body = ResponseBody::read_prefix(response, ERROR_BYTES_MAX).await;
    let fault = by_status(status, &UpstreamError::read(&body, telling.key), telling);
    ModelCallError { retry_after: wait.and_then(|wait| u64::try_from(wait.as_millis()).ok()), ..fault }
}

/// The error inside a reply that began as a success.
pub(super) fn embedded_fault(error: &Value, telling: &ErrorContext<'_>) -> ModelCallError {
    let said = UpstreamError::of(error, telling.key);
    let written = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let status = written.filter(|status| (400..600).contains(status)).unwrap_or_else(|| said.status());
    by_status(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &said, telling)
}

fn by_status(status: StatusCode, said: &UpstreamError, telling: &ErrorContext<'_>) -> ModelCallError {
    let number = status.as_u16();
    let model = telling.model;
    let told = |what: &str| format!("model `{model}`: {what} ({number}){}", said.quoted());
    if number == 413 || status.is_client_error() && said.is_too_long() {
        return lasting(code::CONTEXT_TOO_LONG, told("the messages are longer than its context"));
    }
    if said.has_code(&["content_filter", "content_policy_violation"]) {
        return lasting(code::CONTENT_FILTERED, told("the provider refused the content"));
    }
    if number == 402 || said.is_out_of_credit() {
        return lasting(code::RATE_LIMIT_EXCEEDED, told("the account's quota is used up"));
    }
    match number {
        // The provider's message is omitted: providers repeat parts of the key in it.
        401 | 403 => lasting(
            code::AUTHENTICATION_FAILED,
            format!("model `{model}`: the provider refused the API key ({number}); {}", telling.key_advice()),
        ),
        404 => {
            let advice = format!("no such model, or {}.base_url is not the API's address", telling.place);
            lasting(code::MODEL_NOT_FOUND, told(&advice))
        }
        408 | 504 => transient(code::TIMEOUT, told("the provider timed out")),
        429 => transient(code::RATE_LIMIT_EXCEEDED, told("too many requests")),
        409 | 425 | 500.. => transient(code::SERVICE_UNAVAILABLE, told("the provider fails")),
        300..=399 => {
            let advice = format!("redirects are not followed; check {}.base_url", telling.place);
            lasting(code::INVALID_REQUEST, told(&advice))
        }
        _ => lasting(code::INVALID_REQUEST, told("the provider refused the request")),
    }
}

/// The documented form of a provider's error: `{"error": {"message", "type", "code"}}` and, in older servers, the inner
/// object alone.
struct UpstreamError {
    codes: Vec<String>,
    message: String,
}

impl UpstreamError {
    fn read(body: &[u8], key: Option<&str>) -> Self {
        let document: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        Self::of(document.get("error").unwrap_or(&document), key)
    }

    fn of(error: &Value, key: Option<&str>) -> Self {
        let codes = ["code", "type"].iter().filter_map(|name| error.get(*name)?.as_str()).map(str::to_owned);
        let message = error.get("message").and_then(Value::as_str).or(error.as_str()).unwrap_or_default();
        let message = match key.filter(|key| !key.is_empty()) {
            Some(key) => message.replace(key, REDACTED),
            None => message.to_owned(),
        };
        let clean = message.chars().map(|c| if c.is_control() { ' ' } else { c });
        Self { codes: codes.collect(), message: clean.take(MESSAGE_CHARS_MAX).collect() }
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        self.codes.iter().any(|said| codes.contains(&said.as_str()))
    }

    /// Only some providers have a code for it; the others are recognized by their message (vLLM, llama.cpp, Anthropic).
    fn is_too_long(&self) -> bool {
        let message = self.message.to_lowercase();
        self.has_code(&["context_length_exceeded", "exceed_context_size_error", "request_too_large"])
            || ["maximum context length", "context length is only", "prompt is too long", "exceed context limit"]
                .iter()
                .any(|words| message.contains(words))
    }

    fn is_out_of_credit(&self) -> bool {
        self.has_code(&["insufficient_quota", "billing_error", "billing_hard_limit_reached"])
            || self.message.contains("credit balance is too low")
    }

    /// The status that corresponds to an error without one.
    fn status(&self) -> u16 {
        const STATUSES: [(&str, u16); 14] = [
            ("invalid_request_error", 400),
            ("BadRequestError", 400),
            ("authentication_error", 401),
            ("invalid_api_key", 401),
            ("billing_error", 402),
            ("permission_error", 403),
            ("not_found_error", 404),
            ("model_not_found", 404),
            ("request_too_large", 413),
            ("rate_limit_error", 429),
            ("rate_limit_exceeded", 429),
            ("insufficient_quota", 429),
            ("timeout_error", 504),
            ("overloaded_error", 529),
        ];
        let known = |said: &String| STATUSES.iter().find(|(code, _)| code == said).map(|&(_, status)| status);
        self.codes.iter().find_map(known).unwrap_or(500)
    }

    fn quoted(&self) -> String {
        if self.message.is_empty() { String::new() } else { format!(": {}", self.message) }
    }
}
