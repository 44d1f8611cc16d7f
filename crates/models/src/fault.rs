//! Why an attempt at a model failed, and whether another model may succeed.

use baton_core::fault::Fault;
use baton_core::run::ModelCallError;

/// The error codes of a model call.
pub mod code {
    /// Too many requests; `retry_after` if the provider states it. Not retryable if a quota is used up.
    pub const RATE_LIMIT_EXCEEDED: &str = "RATE_LIMIT_EXCEEDED";
    /// No reply, or no first token, in time.
    pub const TIMEOUT: &str = "TIMEOUT";
    /// The provider cannot be reached or fails.
    pub const SERVICE_UNAVAILABLE: &str = "SERVICE_UNAVAILABLE";
    /// The API key is missing, wrong or lacks permission.
    pub const AUTHENTICATION_FAILED: &str = "AUTHENTICATION_FAILED";
    /// The provider does not have the model, or the base URL is not its API.
    pub const MODEL_NOT_FOUND: &str = "MODEL_NOT_FOUND";
    /// The messages are longer than the model's context.
    pub const CONTEXT_TOO_LONG: &str = "CONTEXT_TOO_LONG";
    /// The provider refused the request for its content.
    pub const CONTENT_FILTERED: &str = "CONTENT_FILTERED";
    /// The response is not a valid reply: cut off, not JSON, too large.
    pub const MALFORMED_REPLY: &str = "MALFORMED_REPLY";
    /// The listener of a streamed reply did not read it in time.
    pub const LISTENER_STALLED: &str = "LISTENER_STALLED";
    /// The provider reports that the request itself is invalid.
    pub const INVALID_REQUEST: &str = "INVALID_REQUEST";
    /// A budget is used up.
    pub const BUDGET_EXCEEDED: &str = "BUDGET_EXCEEDED";
    /// The consumer must bring its own API key, and has not.
    pub const MISSING_API_KEY: &str = "MISSING_API_KEY";
    /// No scripted reply matches the request.
    pub const NO_SCRIPTED_REPLY: &str = "NO_SCRIPTED_REPLY";
    /// No model can be called: the message gives the reason for each. Retryable if waiting helps one of them.
    pub const NO_MODEL: &str = "NO_MODEL";
    /// The model's price is unknown, and a budget or a run's limit bounds the call: it was not sent.
    pub const PRICE_UNKNOWN: &str = "PRICE_UNKNOWN";
    /// A scripted reply matches, but its match or its template cannot be evaluated.
    pub const SCRIPT_FAILED: &str = "SCRIPT_FAILED";
}

/// An error that another attempt may avoid.
pub(crate) fn transient(code: &'static str, message: impl Into<String>) -> ModelCallError {
    ModelCallError::transient(Fault::new(code, message))
}

/// An error that every attempt would have.
pub(crate) fn lasting(code: &'static str, message: impl Into<String>) -> ModelCallError {
    ModelCallError::permanent(Fault::new(code, message))
}

/// The origin of a failure, which decides how the caller continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorOrigin {
    /// The model or its provider fails: it counts against the model, and another may answer.
    Provider,
    /// The provider accepts no more requests, for a while or until it is paid: another may answer.
    Limit,
    /// This model cannot be called with these settings: another may answer, this one never will.
    Settings,
    /// Any model would fail in the same way.
    Request,
}

/// Decided by the error's code, so that it also works for an error from a journal.
pub(crate) fn error_origin(fault: &ModelCallError) -> ErrorOrigin {
    match fault.fault.code.as_ref() {
        code::TIMEOUT | code::SERVICE_UNAVAILABLE | code::MALFORMED_REPLY => ErrorOrigin::Provider,
        code::RATE_LIMIT_EXCEEDED => ErrorOrigin::Limit,
        code::AUTHENTICATION_FAILED | code::MODEL_NOT_FOUND => ErrorOrigin::Settings,
        _ => ErrorOrigin::Request,
    }
}
