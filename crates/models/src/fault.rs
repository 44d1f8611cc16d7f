//! Why an attempt at a model failed, and whether another may help.

use baton_core::fault::Fault;
use baton_core::run::ModelCallError;

/// The codes a model call fails with.
pub mod code {
    /// Too many requests; `retry_after` where the provider says so. Not retryable where a quota is used up.
    pub const RATE_LIMIT_EXCEEDED: &str = "RATE_LIMIT_EXCEEDED";
    /// No reply, or no first token, in time.
    pub const TIMEOUT: &str = "TIMEOUT";
    /// The provider cannot be reached or fails.
    pub const SERVICE_UNAVAILABLE: &str = "SERVICE_UNAVAILABLE";
    /// The key is missing, wrong or may not do this.
    pub const AUTHENTICATION_FAILED: &str = "AUTHENTICATION_FAILED";
    /// The provider does not have the model, or the base URL is not its API.
    pub const MODEL_NOT_FOUND: &str = "MODEL_NOT_FOUND";
    /// The messages are longer than the model's context.
    pub const CONTEXT_TOO_LONG: &str = "CONTEXT_TOO_LONG";
    /// The provider refused the request for its content.
    pub const CONTENT_FILTERED: &str = "CONTENT_FILTERED";
    /// What came back is not a reply: cut off, not JSON, too large.
    pub const MALFORMED_REPLY: &str = "MALFORMED_REPLY";
    /// Whoever listens to a streamed reply did not take it in time.
    pub const LISTENER_STALLED: &str = "LISTENER_STALLED";
    /// The provider says that the request itself is wrong.
    pub const INVALID_REQUEST: &str = "INVALID_REQUEST";
    /// A budget is used up.
    pub const BUDGET_EXCEEDED: &str = "BUDGET_EXCEEDED";
    /// The consumer must bring its own key, and has not.
    pub const MISSING_API_KEY: &str = "MISSING_API_KEY";
    /// No scripted reply fits the request.
    pub const NO_SCRIPTED_REPLY: &str = "NO_SCRIPTED_REPLY";
    /// No model may be asked: the message says why of each. Retryable where waiting helps one of them.
    pub const NO_MODEL: &str = "NO_MODEL";
    /// Nobody states the model's price, and a budget or a run's limit bounds the call: it did not go out.
    pub const PRICE_UNKNOWN: &str = "PRICE_UNKNOWN";
    /// A scripted reply fits, and its match or its template cannot be evaluated.
    pub const SCRIPT_FAILED: &str = "SCRIPT_FAILED";
}

/// A fault that another attempt may not have.
pub(crate) fn transient(code: &'static str, message: impl Into<String>) -> ModelCallError {
    ModelCallError::transient(Fault::new(code, message))
}

/// A fault that every attempt would have.
pub(crate) fn lasting(code: &'static str, message: impl Into<String>) -> ModelCallError {
    ModelCallError::permanent(Fault::new(code, message))
}

/// Whose fault a failure is: what the caller does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorOrigin {
    /// The model or its provider fails: it counts against the model, and another may answer.
    Provider,
    /// The provider takes no more from us, for a while or until it is paid: another may answer.
    Limit,
    /// This model cannot be asked with these settings: another may answer, this one never will.
    Settings,
    /// Any model would fail in the same way.
    Request,
}

/// By the fault's code, so that it also holds for a fault that was journaled.
pub(crate) fn error_origin(fault: &ModelCallError) -> ErrorOrigin {
    match fault.fault.code.as_ref() {
        code::TIMEOUT | code::SERVICE_UNAVAILABLE | code::MALFORMED_REPLY => ErrorOrigin::Provider,
        code::RATE_LIMIT_EXCEEDED => ErrorOrigin::Limit,
        code::AUTHENTICATION_FAILED | code::MODEL_NOT_FOUND => ErrorOrigin::Settings,
        _ => ErrorOrigin::Request,
    }
}
