//! Errors in OpenAI's format: `{error: {message, type, param, code}}`.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use baton_core::run::ModelCallError;
use baton_engine::agent_registry::{self, QuotaStatus};
use baton_ports::keys::{AccessRefusal, AccessScope, ApiKeyRecord};
use serde_json::{Value, json};

use crate::api::idempotency::REPLAYED;
use crate::auth::AuthError;
use crate::body::BodyReadError;
use crate::problem::{HttpProblem, status_of};
use crate::rate_limit::RequestRateError;
use crate::state::ServerLimits;
use crate::unknown_key_limiter::UnknownKeyMarker;

/// The code for an invalid key.
const NO_KEY: &str = "invalid_api_key";

#[derive(Debug)]
pub(crate) struct OpenAiError {
    status: StatusCode,
    kind: Cow<'static, str>,
    code: String,
    message: String,
    param: Option<String>,
    retry_after: Option<Duration>,
    /// The quota, if the rate limit is the cause.
    rate: Option<QuotaStatus>,
    /// The error is replayed under the same `Idempotency-Key`.
    is_replay: bool,
}

impl OpenAiError {
    /// An invalid request; `param` names the field.
    pub fn invalid(param: &str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            kind: "invalid_request_error".into(),
            code: "invalid_value".to_owned(),
            message: message.into(),
            param: Some(param.to_owned()),
            retry_after: None,
            rate: None,
            is_replay: false,
        }
    }

    pub fn model_not_found(model: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            code: "model_not_found".to_owned(),
            ..Self::invalid("model", format!("there is no model `{model}`; GET /v1/models lists what there is"))
        }
    }

    /// An unknown path, in OpenAI's wording.
    pub fn path_not_found(method: &Method, path: &str) -> Self {
        let message = format!(
            "unknown request URL: {method} {path}; there are POST /v1/chat/completions, POST /v1/responses, POST \
             /v1/embeddings, GET /v1/models and GET /v1/models/NAME"
        );
        Self {
            status: StatusCode::NOT_FOUND,
            code: "unknown_url".to_owned(),
            param: None,
            ..Self::invalid("", message)
        }
    }

    pub fn wrong_method(method: &Method, path: &str) -> Self {
        let message = format!("{method} is not answered at {path}; the Allow header says what is");
        Self {
            status: StatusCode::METHOD_NOT_ALLOWED,
            code: "method_not_supported".to_owned(),
            param: None,
            ..Self::invalid("", message)
        }
    }

    /// The key lacks a permission.
    pub fn forbidden(key: &ApiKeyRecord, need: AccessScope, barred: AccessRefusal) -> Self {
        let problem = HttpProblem::forbidden(key, need, barred);
        Self { kind: "permission_error".into(), code: problem.code.to_lowercase(), ..problem.into() }
    }

    pub fn unreadable_body(unread: &BodyReadError, limits: ServerLimits) -> Self {
        let (status, code, message) = match unread {
            BodyReadError::TooLarge => {
                let message = format!("the body is larger than {} bytes", limits.body_bytes);
                (StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
            }
            BodyReadError::TooSlow => {
                let message = format!("the body was not there within {} ms", limits.body_timeout.as_millis());
                (StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
            }
            BodyReadError::CutOff => (StatusCode::BAD_REQUEST, "invalid_body", "the body was cut off".to_owned()),
            BodyReadError::Exceeded => return HttpProblem::unreadable_body(unread, limits).into(),
        };
        Self { status, code: code.to_owned(), param: None, ..Self::invalid("", message) }
    }

    /// Adds a suggestion for the name.
    pub fn suggesting(mut self, name: &str) -> Self {
        self.message = format!("{}; here it is `{name}`", self.message);
        self
    }

    /// Renames the parameter, for a path that has another name for the field.
    pub fn with_param_renamed(mut self, from: &str, to: &str) -> Self {
        if let Some(param) = self.param.take() {
            let is_it = param.split(['[', '.']).next() == Some(from);
            self.param = Some(if is_it { to.to_owned() } else { param });
        }
        self
    }

    /// Replays an error that was stored as its [body](Self::body) with its status.
    pub fn replay(status: StatusCode, said: &Value) -> Self {
        let text = |name: &str| said["error"][name].as_str().map(str::to_owned);
        Self {
            status,
            kind: text("type").map_or(Cow::Borrowed("server_error"), Cow::Owned),
            code: text("code").unwrap_or_default(),
            param: text("param"),
            is_replay: true,
            ..Self::invalid("", text("message").unwrap_or_default())
        }
    }

    /// Sets the field of the body that caused the error.
    pub fn of_field(self, param: &str) -> Self {
        Self { param: Some(param.to_owned()), ..self }
    }

    /// Adds a detail specific to this endpoint.
    pub fn with_detail(mut self, more: &str) -> Self {
        self.message = format!("{}; {more}", self.message);
        self
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub fn code(&self) -> &str {
        &self.code
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    /// The error's body, also used as an event of a stream that has started.
    pub fn body(&self) -> Value {
        json!({ "error": {
            "message": self.message, "type": self.kind, "param": self.param, "code": self.code,
        }})
    }
}

impl From<AuthError> for OpenAiError {
    fn from(refused: AuthError) -> Self {
        let (status, kind, code) = match &refused {
            AuthError::Missing | AuthError::Invalid | AuthError::Token(_) => {
                (StatusCode::UNAUTHORIZED, "authentication_error", NO_KEY)
            }
            AuthError::Disabled(_) => (StatusCode::FORBIDDEN, "permission_error", "tenant_disabled"),
            AuthError::Journal(_) | AuthError::Records(_) => {
                tracing::error!(error = %refused, "API keys cannot be read");
                (StatusCode::SERVICE_UNAVAILABLE, "server_error", "unavailable")
            }
        };
        let message = match &refused {
            AuthError::Journal(_) | AuthError::Records(_) => {
                "API keys cannot be read at the moment; try again".to_owned()
            }
            AuthError::Missing | AuthError::Invalid | AuthError::Token(_) | AuthError::Disabled(_) => {
                refused.to_string()
            }
        };
        Self {
            status,
            kind: kind.into(),
            code: code.to_owned(),
            message,
            param: None,
            retry_after: None,
            rate: None,
            is_replay: false,
        }
    }
}

impl From<RequestRateError> for OpenAiError {
    fn from(none: RequestRateError) -> Self {
        match &none {
            RequestRateError::Key(standing)
            | RequestRateError::Tenant(agent_registry::QuotaError::Exceeded { standing, .. }) => Self {
                status: StatusCode::TOO_MANY_REQUESTS,
                kind: "rate_limit_error".into(),
                code: "rate_limit_exceeded".to_owned(),
                message: none.to_string(),
                param: None,
                retry_after: Some(standing.resets_in),
                rate: Some(*standing),
                is_replay: false,
            },
            RequestRateError::Tenant(agent_registry::QuotaError::Records(error)) => {
                tracing::error!(%error, "how often a tenant has asked cannot be told");
                Self {
                    status: StatusCode::SERVICE_UNAVAILABLE,
                    kind: "server_error".into(),
                    code: "unavailable".to_owned(),
                    message: "how often you may ask cannot be told at the moment; try again".to_owned(),
                    param: None,
                    retry_after: None,
                    rate: None,
                    is_replay: false,
                }
            }
        }
    }
}

impl From<HttpProblem> for OpenAiError {
    fn from(problem: HttpProblem) -> Self {
        Self {
            rate: problem.rate(),
            status: problem.status,
            kind: match problem.status {
                StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
                status if status.is_client_error() => "invalid_request_error",
                _ => "server_error",
            }
            .into(),
            code: problem.code,
            message: problem.detail,
            param: None,
            retry_after: problem.retry_after,
            is_replay: false,
        }
    }
}

impl From<ModelCallError> for OpenAiError {
    fn from(failed: ModelCallError) -> Self {
        let retry_after = failed.retry_after.map(Duration::from_millis);
        let status = status_of(&failed);
        let kind = match status {
            StatusCode::TOO_MANY_REQUESTS if failed.fault.code == "BUDGET_EXCEEDED" => "insufficient_quota",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            StatusCode::UNAUTHORIZED => "authentication_error",
            status if status.is_client_error() => "invalid_request_error",
            _ => "server_error",
        };
        Self {
            status,
            kind: kind.into(),
            code: failed.fault.code.into_owned(),
            message: match failed.fault.suggested_action {
                // A problem that the caller cannot fix in the request concerns the person who sets the budgets, and
                // is in the log.
                Some(action) if status == StatusCode::BAD_REQUEST => format!("{}; {action}", failed.fault.message),
                Some(_) | None => failed.fault.message,
            },
            param: None,
            retry_after,
            rate: None,
            is_replay: false,
        }
    }
}

impl IntoResponse for OpenAiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(self.body())).into_response();
        if let Some(rate) = &self.rate {
            super::rate::set_headers(response.headers_mut(), rate);
        }
        if self.is_replay {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        if self.code == NO_KEY {
            response.extensions_mut().insert(UnknownKeyMarker);
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        HttpProblem::with_headers(self.retry_after, response)
    }
}
