//! HTTP error bodies (RFC 9457).

use std::borrow::Cow;
use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use baton_core::definition::Diagnostic;
use baton_core::fault::code;
use baton_core::id::RunId;
use baton_core::run::{ModelCallError, RunRefusal};
use baton_engine::agent_registry::{self, QuotaStatus};
use baton_engine::one_call;
use baton_engine::{tenants, triggers};
use baton_ports::erasure::SubjectAggregate;
use baton_ports::health::StoreOutage;
use baton_ports::keys::{AccessRefusal, AccessRole, AccessScope, ApiKeyRecord};
use baton_ports::{journal, records};
use serde_json::{Value, json};

use crate::auth::AuthError;
use crate::body::{BodyReadError, body_budget};
use crate::code as said;
use crate::customers;
use crate::error_pages;
use crate::rate_limit::{self, RequestRateError};
use crate::state::ServerLimits;
use crate::unknown_key_limiter::UnknownKeyMarker;

/// Maximum nesting depth of a JSON body, which is the limit of `serde_json`.
const JSON_DEPTH_MAX: usize = 127;

/// The hint for a caller that may not decide a request.
const WHO_DECIDES: &str = "somebody else decides, with a key of their own: whom it asks by name, or to whom an admin gave the \
                           role and the skills that it asks for (PUT /api/v1/human-agents/NAME, where NAME is their key's \
                           name); GET /api/v1/desk shows in `details` whom it asks";

/// The body of a failed or refused request.
#[derive(Debug)]
pub(crate) struct HttpProblem {
    pub status: StatusCode,
    /// A stable, documented code.
    pub code: String,
    pub detail: String,
    /// What the caller can do about it.
    pub hint: Option<String>,
    /// The run it concerns.
    pub run: Option<RunId>,
    pub retry_after: Option<Duration>,
    /// Fields that few problems have, boxed so that every result stays small.
    pub more: Option<Box<ProblemExtension>>,
}

#[derive(Debug)]
pub(crate) enum ProblemExtension {
    /// The quota, if the rate limit is the cause.
    Rate(QuotaStatus),
    /// All diagnostics of a document, each with its position.
    Findings(Vec<Diagnostic>),
    /// The active runs and conversations of a person who is to be erased.
    LiveRuns(Vec<SubjectAggregate>),
}

/// The HTTP status for a failed model call.
pub(crate) fn status_of(failed: &ModelCallError) -> StatusCode {
    match &*failed.fault.code {
        "RATE_LIMIT_EXCEEDED" | "BUDGET_EXCEEDED" => StatusCode::TOO_MANY_REQUESTS,
        "MISSING_API_KEY" => StatusCode::UNAUTHORIZED,
        "TIMEOUT" => StatusCode::GATEWAY_TIMEOUT,
        "MODEL_NOT_FOUND" => StatusCode::NOT_FOUND,
        "INVALID_REQUEST" | "CONTEXT_TOO_LONG" | "CONTENT_FILTERED" | "PRICE_UNKNOWN" => StatusCode::BAD_REQUEST,
        _ if failed.retryable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_GATEWAY,
    }
}

impl From<ModelCallError> for HttpProblem {
    fn from(failed: ModelCallError) -> Self {
        let status = match status_of(&failed) {
            // The provider refused the provider key; the caller's own key is valid.
            StatusCode::UNAUTHORIZED => StatusCode::BAD_GATEWAY,
            status => status,
        };
        let ModelCallError { fault, retry_after, .. } = failed;
        let retry_after = retry_after.map(Duration::from_millis);
        Self {
            hint: fault.suggested_action.map(Cow::into_owned),
            retry_after,
            ..Self::new(status, fault.code, fault.message)
        }
    }
}

impl HttpProblem {
    pub fn new(status: StatusCode, code: impl Into<String>, detail: impl Into<String>) -> Self {
        let (code, detail) = (code.into(), detail.into());
        Self { status, code, detail, hint: None, run: None, retry_after: None, more: None }
    }

    /// A document that is not a valid workflow, or cannot run.
    pub fn findings(detail: impl Into<String>, findings: Vec<Diagnostic>) -> Self {
        let more = Some(Box::new(ProblemExtension::Findings(findings)));
        Self { more, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, said::WORKFLOW_INVALID, detail) }
    }

    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    #[must_use]
    pub fn with_run(self, run: &RunId) -> Self {
        Self { run: Some(run.clone()), ..self }
    }

    /// The quota, if the rate limit is the cause.
    pub fn rate(&self) -> Option<QuotaStatus> {
        match self.more.as_deref() {
            Some(ProblemExtension::Rate(standing)) => Some(*standing),
            Some(ProblemExtension::Findings(_) | ProblemExtension::LiveRuns(_)) | None => None,
        }
    }

    /// Adds the quota of an exceeded rate limit.
    #[must_use]
    pub fn with_rate(self, standing: QuotaStatus) -> Self {
        Self { more: Some(Box::new(ProblemExtension::Rate(standing))), retry_after: Some(standing.resets_in), ..self }
    }

    /// An internal error. The details are logged and not shown to the caller.
    pub fn internal(what: &str, error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "{what}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, said::INTERNAL_ERROR, "something here failed; the log says what")
    }

    /// The journal's data is damaged or of a newer version. It is kept unchanged.
    fn unreadable(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a journal cannot be read back");
        let detail = "what the journal holds of this cannot be read back; it is kept as it is";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, said::JOURNAL_UNREADABLE, detail).with_hint(
            "`baton verify` says what is damaged; use the program that wrote it if that is newer, or restore a backup",
        )
    }

    /// The store is temporarily unavailable.
    fn unavailable(retry_after: Option<Duration>) -> Self {
        let detail = "the store does not answer at the moment; nothing was acknowledged, so try again";
        Self { retry_after, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, said::STORE_UNAVAILABLE, detail) }
    }

    /// The store acknowledges no more writes until an operator acts.
    pub fn outage(outage: &StoreOutage) -> Self {
        let detail = match outage {
            StoreOutage::Damaged { .. } => "the database is damaged; nothing was acknowledged, and nothing will be",
            StoreOutage::Moved { .. } => {
                "the database's files were taken away; nothing was acknowledged, and nothing will be"
            }
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, outage.code(), detail).with_hint(outage.hint())
    }

    /// The key lacks a permission.
    pub fn forbidden(key: &ApiKeyRecord, need: AccessScope, barred: AccessRefusal) -> Self {
        let (code, detail, hint) = match barred {
            AccessRefusal::Role => {
                let who: Vec<&str> =
                    AccessRole::ALL.into_iter().filter(|role| role.allows(need)).map(AccessRole::word).collect();
                let detail = format!("a key of role `{}` may not do this", key.role.word());
                (said::FORBIDDEN, detail, format!("it takes one of: {}", who.join(", ")))
            }
            AccessRefusal::Scope => {
                let own = key.scope_words().unwrap_or_default().join("`, `");
                let detail = format!("this key lacks the scope `{}`; it has `{own}`", need.word());
                (said::SCOPE_MISSING, detail, "make one that has it: `baton keys create NAME --scope …`".to_owned())
            }
        };
        Self::new(StatusCode::FORBIDDEN, code, detail).with_hint(hint)
    }

    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, said::NOT_FOUND, "there is nothing at this path")
    }

    pub fn overloaded() -> Self {
        let detail = "as many requests are under way as this server takes; try again in a second";
        Self {
            retry_after: Some(Duration::from_secs(1)),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, said::OVERLOADED, detail)
        }
    }

    pub fn run_not_found(run: &RunId) -> Self {
        Self::new(StatusCode::NOT_FOUND, said::EXECUTION_NOT_FOUND, format!("no execution `{run}`"))
    }

    /// A run refused a command.
    pub fn from_refusal(run: &RunId, refusal: &RunRefusal) -> Self {
        let status = match refusal {
            RunRefusal::NotAllowed { .. } => StatusCode::FORBIDDEN,
            RunRefusal::WrongAnswer { .. } | RunRefusal::UnfitForm { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::CONFLICT,
        };
        let problem = Self::new(status, refusal.code(), refusal.to_string()).with_run(run);
        match refusal {
            RunRefusal::NotAllowed { .. } => problem.with_hint(WHO_DECIDES),
            _ => problem,
        }
    }

    pub fn unreadable_body(unread: &BodyReadError, limits: ServerLimits) -> Self {
        let (status, code, detail) = match unread {
            BodyReadError::TooLarge => {
                let detail = format!("the body is larger than {} bytes", limits.body_bytes);
                (StatusCode::PAYLOAD_TOO_LARGE, said::REQUEST_TOO_LARGE, detail)
            }
            BodyReadError::TooSlow => {
                let detail = format!("the body was not there within {} ms", limits.body_timeout.as_millis());
                (StatusCode::REQUEST_TIMEOUT, said::REQUEST_TIMEOUT, detail)
            }
            BodyReadError::CutOff => (StatusCode::BAD_REQUEST, said::BODY_INVALID, "the body was cut off".to_owned()),
            BodyReadError::Exceeded => return body_budget::budget_problem(limits.bodies_bytes),
        };
        Self::new(status, code, detail)
    }

    /// A body that is not valid JSON, or does not match the expected structure.
    pub fn invalid_json(error: &serde_json::Error) -> Self {
        let status = if error.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
        let detail = match error.to_string() {
            // `serde_json` has no error category for this case, so its message is compared.
            why if why.starts_with("recursion limit exceeded") => {
                format!("the body is nested deeper than {JSON_DEPTH_MAX} lists and objects")
            }
            why => format!("the body is not what is asked for: {why}"),
        };
        Self::new(status, said::BODY_INVALID, detail)
    }

    /// A body that is a list where an object is expected.
    pub fn not_an_object() -> Self {
        let detail = "the body is not what is asked for: it is a list, and an object is expected";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, said::BODY_INVALID, detail)
    }

    /// An invalid field of the body.
    pub fn invalid_field(name: &str, why: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, said::BODY_INVALID, format!("`{name}`: {why}"))
    }

    /// An invalid parameter of the path, the query or a header.
    pub fn invalid_parameter(name: &str, why: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, said::PARAMETER_INVALID, format!("`{name}`: {why}"))
    }

    /// Adds `Retry-After`, in whole seconds, rounded up.
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

impl HttpProblem {
    /// The JSON body.
    pub fn into_json(self) -> Value {
        let mut body = json!({
            "type": error_pages::page_url(&self.code).unwrap_or_else(|| "about:blank".to_owned()),
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        if let Some(hint) = self.hint {
            body["hint"] = json!(hint);
        }
        if let Some(run) = self.run {
            body["execution_id"] = json!(run);
        }
        if let Some(ProblemExtension::Findings(findings)) = self.more.as_deref() {
            body["findings"] = json!(findings);
        }
        if let Some(ProblemExtension::LiveRuns(live)) = self.more.as_deref() {
            body["live"] = json!(live);
        }
        body
    }
}

impl IntoResponse for HttpProblem {
    fn into_response(self) -> Response {
        let (rate, status, retry_after) = (self.rate(), self.status, self.retry_after);
        let is_unknown = self.code == said::UNAUTHORIZED;
        let kind = [(CONTENT_TYPE, "application/problem+json")];
        let mut response = (status, kind, self.into_json().to_string()).into_response();
        if let Some(standing) = rate {
            rate_limit::set_headers(response.headers_mut(), &standing);
        }
        if is_unknown {
            response.extensions_mut().insert(UnknownKeyMarker);
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Self::with_headers(retry_after, response)
    }
}

impl From<AuthError> for HttpProblem {
    fn from(refused: AuthError) -> Self {
        match refused {
            AuthError::Missing | AuthError::Invalid | AuthError::Token(_) => {
                Self::new(StatusCode::UNAUTHORIZED, said::UNAUTHORIZED, refused.to_string())
                    .with_hint("`baton keys create` makes a key")
            }
            AuthError::Disabled(_) => Self::new(StatusCode::FORBIDDEN, said::TENANT_DISABLED, refused.to_string())
                .with_hint("whoever runs this server opens it again: `baton tenants enable`"),
            AuthError::Journal(error) => error.into(),
            AuthError::Records(error) => error.into(),
        }
    }
}

impl From<RequestRateError> for HttpProblem {
    fn from(none: RequestRateError) -> Self {
        match &none {
            RequestRateError::Tenant(agent_registry::QuotaError::Records(records::RecordError::Outage(outage))) => {
                Self::outage(outage)
            }
            RequestRateError::Tenant(agent_registry::QuotaError::Records(error)) => {
                tracing::error!(%error, "how often a tenant has asked cannot be told");
                Self::unavailable(None)
            }
            RequestRateError::Key(standing)
            | RequestRateError::Tenant(agent_registry::QuotaError::Exceeded { standing, .. }) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMIT_EXCEEDED", none.to_string()).with_rate(*standing)
            }
        }
    }
}

impl From<journal::JournalError> for HttpProblem {
    fn from(error: journal::JournalError) -> Self {
        match error {
            journal::JournalError::NotFound { aggregate } => Self::run_not_found(&aggregate),
            journal::JournalError::Erased { .. } => Self::new(StatusCode::GONE, said::ERASED, error.to_string())
                .with_hint("its row in lists stays: ids, version, times, cost and state"),
            journal::JournalError::Taken { .. } => Self::new(StatusCode::CONFLICT, said::NAME_TAKEN, error.to_string()),
            journal::JournalError::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, said::REQUEST_TOO_LARGE, error.to_string())
            }
            journal::JournalError::Busy { retry_after } => Self::unavailable(Some(retry_after)),
            journal::JournalError::Outage(outage) => Self::outage(&outage),
            journal::JournalError::Unwritable { .. } | journal::JournalError::Unreadable { .. } => {
                tracing::error!(%error, "the store failed");
                Self::unavailable(None)
            }
            journal::JournalError::LeaseLost { .. }
            | journal::JournalError::LeaseEnded { .. }
            | journal::JournalError::WrongSequence { .. }
            | journal::JournalError::Unopenable { .. } => Self::internal("the store failed", &error),
            journal::JournalError::Corrupt { .. } => Self::unreadable(&error),
        }
    }
}

impl From<customers::CustomerError> for HttpProblem {
    fn from(error: customers::CustomerError) -> Self {
        let detail = error.to_string();
        match error {
            customers::CustomerError::StillLive(live) | customers::CustomerError::PartlyErased(live) => Self {
                more: Some(Box::new(ProblemExtension::LiveRuns(live))),
                ..Self::new(StatusCode::CONFLICT, said::CUSTOMER_HAS_LIVE_RUNS, detail)
                    .with_hint("`?end_runs=true` ends them first: runs are cancelled, conversations resolved")
            },
            customers::CustomerError::Journal(error) => error.into(),
            customers::CustomerError::Records(error) => error.into(),
            customers::CustomerError::Memory(error) => error.into(),
            customers::CustomerError::Knowledge(error) => error.into(),
            customers::CustomerError::Engine(error) => error.into(),
            customers::CustomerError::InvalidId => Self::invalid_parameter("customer_id", detail),
            customers::CustomerError::Changing => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, said::STORE_UNAVAILABLE, detail)
            }
        }
    }
}

impl From<records::RecordError> for HttpProblem {
    fn from(error: records::RecordError) -> Self {
        match error {
            records::RecordError::Busy { retry_after } => Self::unavailable(Some(retry_after)),
            records::RecordError::Outage(outage) => Self::outage(&outage),
            records::RecordError::Unwritable { .. } | records::RecordError::Unreadable { .. } => {
                tracing::error!(%error, "the store failed");
                Self::unavailable(None)
            }
            records::RecordError::Conflict { .. }
            | records::RecordError::EmptyRange { .. }
            | records::RecordError::TooLarge { .. } => Self::internal("the store failed", &error),
        }
    }
}

impl From<one_call::OneCallError> for HttpProblem {
    fn from(error: one_call::OneCallError) -> Self {
        match error {
            one_call::OneCallError::Uncallable { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, said::TOOL_UNCALLABLE, error.to_string())
            }
            one_call::OneCallError::Journal(error) => error.into(),
            one_call::OneCallError::Encoding(_) => Self::internal("the engine failed", &error),
        }
    }
}

impl From<tenants::TenantError> for HttpProblem {
    fn from(error: tenants::TenantError) -> Self {
        use tenants::TenantError;

        match error {
            TenantError::Name { why } => Self::invalid_field("name", why),
            TenantError::Tier { .. } => Self::invalid_field("tier", error),
            TenantError::Taken(_) => Self::new(StatusCode::CONFLICT, said::NAME_TAKEN, error.to_string())
                .with_hint("change it with PUT, or choose another id"),
            TenantError::Unknown(_) => Self::new(StatusCode::NOT_FOUND, said::TENANT_NOT_FOUND, error.to_string())
                .with_hint("GET /api/v1/tenants lists those that were made"),
            TenantError::Stale(_) => {
                Self::new(StatusCode::PRECONDITION_FAILED, said::CHANGED_MEANWHILE, error.to_string())
                    .with_hint("read it again, and send the change with its new ETag")
            }
            TenantError::Records(error) => error.into(),
        }
    }
}

impl From<triggers::TriggerError> for HttpProblem {
    fn from(error: triggers::TriggerError) -> Self {
        use triggers::TriggerError;

        match error {
            TriggerError::Invalid { field, why } => Self::invalid_field(field, why),
            TriggerError::Unknown { .. } => {
                Self::new(StatusCode::NOT_FOUND, said::TRIGGER_NOT_FOUND, error.to_string())
            }
            TriggerError::Taken { .. } => Self::new(StatusCode::CONFLICT, said::NAME_TAKEN, error.to_string())
                .with_hint("change it with PUT, or choose another name"),
            TriggerError::TooMany { .. } => Self::new(StatusCode::CONFLICT, said::LIMIT_REACHED, error.to_string())
                .with_hint("take out what is not used any more"),
            TriggerError::NoWorkflow { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, said::WORKFLOW_NOT_FOUND, error.to_string())
                    .with_hint("GET /api/v1/workflows lists those there are")
            }
            TriggerError::Engine(error) => error.into(),
            TriggerError::Records(error) => error.into(),
            TriggerError::Read(error) => error.into(),
        }
    }
}

impl From<baton_engine::EngineError> for HttpProblem {
    fn from(error: baton_engine::EngineError) -> Self {
        use baton_engine::EngineError;

        match error {
            EngineError::Input(unfit) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, code::INPUT_INVALID, unfit.to_string())
                    .with_hint("the workflow declares under `input:` what it takes")
            }
            EngineError::Exists { ref run } => {
                Self::new(StatusCode::CONFLICT, said::EXECUTION_EXISTS, error.to_string()).with_run(run)
            }
            EngineError::NoSuchRun { run } => Self::run_not_found(&run),
            EngineError::BadVersion { .. } => {
                Self::new(StatusCode::CONFLICT, said::VERSION_UNUSABLE, error.to_string())
            }
            EngineError::BadAgent { message } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, said::AGENT_INVALID, message)
            }
            EngineError::Journal(error) => error.into(),
            EngineError::Stopped => {
                let detail = "the server is stopping; whatever was accepted goes on at its next start";
                Self {
                    retry_after: Some(Duration::from_secs(1)),
                    ..Self::new(StatusCode::SERVICE_UNAVAILABLE, said::STOPPING, detail)
                }
            }
            EngineError::Records(records::RecordError::Outage(outage)) => Self::outage(&outage),
            EngineError::Encoding(_) => Self::unreadable(&error),
            EngineError::Records(_) | EngineError::Unfinished(_) => Self::internal("the engine failed", &error),
        }
    }
}
