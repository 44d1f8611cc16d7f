//! Errors as HTTP says them (RFC 9457).

use std::borrow::Cow;
use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use baton_core::definition::Diagnostic;
use baton_core::fault::code;
use baton_core::id::RunId;
use baton_core::run::{ModelFault, Refusal};
use baton_engine::one_call;
use baton_engine::roster::{self, Standing};
use baton_engine::{tenants, triggers};
use baton_ports::erasure::Belonging;
use baton_ports::health::StoreOutage;
use baton_ports::keys::{Barred, Key, Need, Role};
use baton_ports::{journal, records};
use serde_json::{Value, json};

use crate::auth::Refused;
use crate::body::{Unread, budget};
use crate::code as said;
use crate::customers;
use crate::door::Limits;
use crate::error_pages;
use crate::rate::{self, NoTurn};
use crate::strangers::Stranger;

/// Lists and objects in one another that a body may have: what `serde_json` reads.
const JSON_DEPTH_MAX: usize = 127;

/// Who decides, where somebody may not.
const WHO_DECIDES: &str = "somebody else decides, with a key of their own: whom it asks by name, or to whom an admin gave the \
                           role and the skills that it asks for (PUT /api/v1/human-agents/NAME, where NAME is their key's \
                           name); GET /api/v1/desk shows in `details` whom it asks";

/// A request that was said no to.
#[derive(Debug)]
pub(crate) struct Problem {
    pub status: StatusCode,
    /// Stable and documented.
    pub code: String,
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The run that it is about.
    pub run: Option<RunId>,
    pub retry_after: Option<Duration>,
    /// What few have, apart, so that every answer stays small.
    pub more: Option<Box<More>>,
}

#[derive(Debug)]
pub(crate) enum More {
    /// How often one may ask, where that is why.
    Rate(Standing),
    /// All that is wrong with a document, each with its place in it.
    Findings(Vec<Diagnostic>),
    /// What has not ended of somebody who is to be erased.
    Live(Vec<Belonging>),
}

/// What it is for HTTP that a model could not be asked.
pub(crate) fn status_of(failed: &ModelFault) -> StatusCode {
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

impl From<ModelFault> for Problem {
    fn from(failed: ModelFault) -> Self {
        let status = match status_of(&failed) {
            // It is the provider that knows no key; whoever asks here is known.
            StatusCode::UNAUTHORIZED => StatusCode::BAD_GATEWAY,
            status => status,
        };
        let ModelFault { fault, retry_after, .. } = failed;
        let retry_after = retry_after.map(Duration::from_millis);
        Self {
            hint: fault.suggested_action.map(Cow::into_owned),
            retry_after,
            ..Self::new(status, fault.code, fault.message)
        }
    }
}

impl Problem {
    pub fn new(status: StatusCode, code: impl Into<String>, detail: impl Into<String>) -> Self {
        let (code, detail) = (code.into(), detail.into());
        Self { status, code, detail, hint: None, run: None, retry_after: None, more: None }
    }

    /// A document that is no workflow, or none that may run.
    pub fn findings(detail: impl Into<String>, findings: Vec<Diagnostic>) -> Self {
        let more = Some(Box::new(More::Findings(findings)));
        Self { more, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, said::WORKFLOW_INVALID, detail) }
    }

    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    #[must_use]
    pub fn about(self, run: &RunId) -> Self {
        Self { run: Some(run.clone()), ..self }
    }

    /// How often one may ask, where that is why.
    pub fn rate(&self) -> Option<Standing> {
        match self.more.as_deref() {
            Some(More::Rate(standing)) => Some(*standing),
            Some(More::Findings(_) | More::Live(_)) | None => None,
        }
    }

    /// Because one has asked too often.
    #[must_use]
    pub fn standing(self, standing: Standing) -> Self {
        Self { more: Some(Box::new(More::Rate(standing))), retry_after: Some(standing.resets_in), ..self }
    }

    /// Something here failed, which is told to the log and not to the caller.
    pub fn broken(what: &str, error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "{what}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, said::INTERNAL_ERROR, "something here failed; the log says what")
    }

    /// What the journal holds is damaged, or a newer program's. It is kept as it is.
    fn unreadable(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a journal cannot be read back");
        let detail = "what the journal holds of this cannot be read back; it is kept as it is";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, said::JOURNAL_UNREADABLE, detail).hint(
            "`baton verify` says what is damaged; use the program that wrote it if that is newer, or restore a backup",
        )
    }

    /// The store cannot be asked now.
    fn unavailable(retry_after: Option<Duration>) -> Self {
        let detail = "the store does not answer at the moment; nothing was acknowledged, so try again";
        Self { retry_after, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, said::STORE_UNAVAILABLE, detail) }
    }

    /// The store acknowledges nothing more until somebody has seen to it.
    pub fn outage(outage: &StoreOutage) -> Self {
        let detail = match outage {
            StoreOutage::Damaged { .. } => "the database is damaged; nothing was acknowledged, and nothing will be",
            StoreOutage::Moved { .. } => {
                "the database's files were taken away; nothing was acknowledged, and nothing will be"
            }
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, outage.code(), detail).hint(outage.hint())
    }

    /// A key that may not do this.
    pub fn barred(key: &Key, need: Need, barred: Barred) -> Self {
        let (code, detail, hint) = match barred {
            Barred::Role => {
                let who: Vec<&str> = Role::ALL.into_iter().filter(|role| role.may(need)).map(Role::word).collect();
                let detail = format!("a key of role `{}` may not do this", key.role.word());
                (said::FORBIDDEN, detail, format!("it takes one of: {}", who.join(", ")))
            }
            Barred::Scope => {
                let own = key.scope_words().unwrap_or_default().join("`, `");
                let detail = format!("this key lacks the scope `{}`; it has `{own}`", need.word());
                (said::SCOPE_MISSING, detail, "make one that has it: `baton keys create NAME --scope …`".to_owned())
            }
        };
        Self::new(StatusCode::FORBIDDEN, code, detail).hint(hint)
    }

    pub fn nothing_here() -> Self {
        Self::new(StatusCode::NOT_FOUND, said::NOT_FOUND, "there is nothing at this path")
    }

    pub fn overloaded() -> Self {
        let detail = "as many requests are under way as this server takes; try again in a second";
        Self {
            retry_after: Some(Duration::from_secs(1)),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, said::OVERLOADED, detail)
        }
    }

    pub fn no_run(run: &RunId) -> Self {
        Self::new(StatusCode::NOT_FOUND, said::EXECUTION_NOT_FOUND, format!("no execution `{run}`"))
    }

    /// A run said no to a command.
    pub fn refused(run: &RunId, refusal: &Refusal) -> Self {
        let status = match refusal {
            Refusal::NotAllowed { .. } => StatusCode::FORBIDDEN,
            Refusal::WrongAnswer { .. } | Refusal::UnfitForm { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::CONFLICT,
        };
        let problem = Self::new(status, refusal.code(), refusal.to_string()).about(run);
        match refusal {
            Refusal::NotAllowed { .. } => problem.hint(WHO_DECIDES),
            _ => problem,
        }
    }

    pub fn unread(unread: &Unread, limits: Limits) -> Self {
        let (status, code, detail) = match unread {
            Unread::TooLarge => {
                let detail = format!("the body is larger than {} bytes", limits.body_bytes);
                (StatusCode::PAYLOAD_TOO_LARGE, said::REQUEST_TOO_LARGE, detail)
            }
            Unread::TooSlow => {
                let detail = format!("the body was not there within {} ms", limits.body.as_millis());
                (StatusCode::REQUEST_TIMEOUT, said::REQUEST_TIMEOUT, detail)
            }
            Unread::CutOff => (StatusCode::BAD_REQUEST, said::BODY_INVALID, "the body was cut off".to_owned()),
            Unread::Exceeded => return budget::exceeded(limits.bodies_bytes),
        };
        Self::new(status, code, detail)
    }

    /// A body that is no JSON, or not of the shape that is asked for.
    pub fn unfit(error: &serde_json::Error) -> Self {
        let status = if error.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
        let detail = match error.to_string() {
            // Its reader says no more of it, and has no kind of error for it.
            why if why.starts_with("recursion limit exceeded") => {
                format!("the body is nested deeper than {JSON_DEPTH_MAX} lists and objects")
            }
            why => format!("the body is not what is asked for: {why}"),
        };
        Self::new(status, said::BODY_INVALID, detail)
    }

    /// A body that is a list where an object is asked for.
    pub fn no_object() -> Self {
        let detail = "the body is not what is asked for: it is a list, and an object is expected";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, said::BODY_INVALID, detail)
    }

    /// A field of a body that is not what it may be.
    pub fn field(name: &str, why: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, said::BODY_INVALID, format!("`{name}`: {why}"))
    }

    /// A parameter of the path, the query or a header that is not what is asked for.
    pub fn parameter(name: &str, why: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, said::PARAMETER_INVALID, format!("`{name}`: {why}"))
    }

    /// Adds what headers say of it: whole seconds, rounded up.
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

impl Problem {
    /// The body that says it.
    pub fn into_json(self) -> Value {
        let mut body = json!({
            "type": error_pages::address(&self.code).unwrap_or_else(|| "about:blank".to_owned()),
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
        if let Some(More::Findings(findings)) = self.more.as_deref() {
            body["findings"] = json!(findings);
        }
        if let Some(More::Live(live)) = self.more.as_deref() {
            body["live"] = json!(live);
        }
        body
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (rate, status, retry_after) = (self.rate(), self.status, self.retry_after);
        let is_unknown = self.code == said::UNAUTHORIZED;
        let kind = [(CONTENT_TYPE, "application/problem+json")];
        let mut response = (status, kind, self.into_json().to_string()).into_response();
        if let Some(standing) = rate {
            rate::say(response.headers_mut(), &standing);
        }
        if is_unknown {
            response.extensions_mut().insert(Stranger);
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Self::with_headers(retry_after, response)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Missing | Refused::Invalid | Refused::Token(_) => {
                Self::new(StatusCode::UNAUTHORIZED, said::UNAUTHORIZED, refused.to_string())
                    .hint("`baton keys create` makes a key")
            }
            Refused::Disabled(_) => Self::new(StatusCode::FORBIDDEN, said::TENANT_DISABLED, refused.to_string())
                .hint("whoever runs this server opens it again: `baton tenants enable`"),
            Refused::Unreadable(error) => error.into(),
            Refused::Untold(error) => error.into(),
        }
    }
}

impl From<NoTurn> for Problem {
    fn from(none: NoTurn) -> Self {
        match &none {
            NoTurn::Tenant(roster::NoTurn::Unknown(records::Error::Outage(outage))) => Self::outage(outage),
            NoTurn::Tenant(roster::NoTurn::Unknown(error)) => {
                tracing::error!(%error, "how often a tenant has asked cannot be told");
                Self::unavailable(None)
            }
            NoTurn::Key(standing) | NoTurn::Tenant(roster::NoTurn::Full { standing, .. }) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMIT_EXCEEDED", none.to_string()).standing(*standing)
            }
        }
    }
}

impl From<journal::Error> for Problem {
    fn from(error: journal::Error) -> Self {
        match error {
            journal::Error::NotFound { aggregate } => Self::no_run(&aggregate),
            journal::Error::Erased { .. } => Self::new(StatusCode::GONE, said::ERASED, error.to_string())
                .hint("its row in lists stays: ids, version, times, cost and state"),
            journal::Error::Taken { .. } => Self::new(StatusCode::CONFLICT, said::NAME_TAKEN, error.to_string()),
            journal::Error::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, said::REQUEST_TOO_LARGE, error.to_string())
            }
            journal::Error::Busy { retry_after } => Self::unavailable(Some(retry_after)),
            journal::Error::Outage(outage) => Self::outage(&outage),
            journal::Error::Unwritable { .. } | journal::Error::Unreadable { .. } => {
                tracing::error!(%error, "the store failed");
                Self::unavailable(None)
            }
            journal::Error::LeaseLost { .. }
            | journal::Error::LeaseEnded { .. }
            | journal::Error::WrongSequence { .. }
            | journal::Error::Unopenable { .. } => Self::broken("the store failed", &error),
            journal::Error::Corrupt { .. } => Self::unreadable(&error),
        }
    }
}

impl From<customers::Error> for Problem {
    fn from(error: customers::Error) -> Self {
        let detail = error.to_string();
        match error {
            customers::Error::Live(live) | customers::Error::Rest(live) => Self {
                more: Some(Box::new(More::Live(live))),
                ..Self::new(StatusCode::CONFLICT, said::CUSTOMER_HAS_LIVE_RUNS, detail)
                    .hint("`?end_runs=true` ends them first: runs are cancelled, conversations resolved")
            },
            customers::Error::Journal(error) => error.into(),
            customers::Error::Records(error) => error.into(),
            customers::Error::Memory(error) => error.into(),
            customers::Error::Knowledge(error) => error.into(),
            customers::Error::Engine(error) => error.into(),
            customers::Error::Id => Self::parameter("customer_id", detail),
            customers::Error::Changing => Self::new(StatusCode::SERVICE_UNAVAILABLE, said::STORE_UNAVAILABLE, detail),
        }
    }
}

impl From<records::Error> for Problem {
    fn from(error: records::Error) -> Self {
        match error {
            records::Error::Busy { retry_after } => Self::unavailable(Some(retry_after)),
            records::Error::Outage(outage) => Self::outage(&outage),
            records::Error::Unwritable { .. } | records::Error::Unreadable { .. } => {
                tracing::error!(%error, "the store failed");
                Self::unavailable(None)
            }
            records::Error::Conflict { .. } | records::Error::EmptyRange { .. } | records::Error::TooLarge { .. } => {
                Self::broken("the store failed", &error)
            }
        }
    }
}

impl From<one_call::Error> for Problem {
    fn from(error: one_call::Error) -> Self {
        match error {
            one_call::Error::Uncallable { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, said::TOOL_UNCALLABLE, error.to_string())
            }
            one_call::Error::Journal(error) => error.into(),
            one_call::Error::Encoding(_) => Self::broken("the engine failed", &error),
        }
    }
}

impl From<tenants::Error> for Problem {
    fn from(error: tenants::Error) -> Self {
        use tenants::Error;

        match error {
            Error::Name { why } => Self::field("name", why),
            Error::Tier { .. } => Self::field("tier", error),
            Error::Taken(_) => Self::new(StatusCode::CONFLICT, said::NAME_TAKEN, error.to_string())
                .hint("change it with PUT, or choose another id"),
            Error::Unknown(_) => Self::new(StatusCode::NOT_FOUND, said::TENANT_NOT_FOUND, error.to_string())
                .hint("GET /api/v1/tenants lists those that were made"),
            Error::Stale(_) => Self::new(StatusCode::PRECONDITION_FAILED, said::CHANGED_MEANWHILE, error.to_string())
                .hint("read it again, and send the change with its new ETag"),
            Error::Records(error) => error.into(),
        }
    }
}

impl From<triggers::Error> for Problem {
    fn from(error: triggers::Error) -> Self {
        use triggers::Error;

        match error {
            Error::Invalid { field, why } => Self::field(field, why),
            Error::Unknown { .. } => Self::new(StatusCode::NOT_FOUND, said::TRIGGER_NOT_FOUND, error.to_string()),
            Error::Taken { .. } => Self::new(StatusCode::CONFLICT, said::NAME_TAKEN, error.to_string())
                .hint("change it with PUT, or choose another name"),
            Error::TooMany { .. } => Self::new(StatusCode::CONFLICT, said::LIMIT_REACHED, error.to_string())
                .hint("take out what is not used any more"),
            Error::NoWorkflow { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, said::WORKFLOW_NOT_FOUND, error.to_string())
                    .hint("GET /api/v1/workflows lists those there are")
            }
            Error::Engine(error) => error.into(),
            Error::Records(error) => error.into(),
            Error::Read(error) => error.into(),
        }
    }
}

impl From<baton_engine::Error> for Problem {
    fn from(error: baton_engine::Error) -> Self {
        use baton_engine::Error;

        match error {
            Error::Input(unfit) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, code::INPUT_INVALID, unfit.to_string())
                .hint("the workflow declares under `input:` what it takes"),
            Error::Exists { ref run } => {
                Self::new(StatusCode::CONFLICT, said::EXECUTION_EXISTS, error.to_string()).about(run)
            }
            Error::NoSuchRun { run } => Self::no_run(&run),
            Error::BadVersion { .. } => Self::new(StatusCode::CONFLICT, said::VERSION_UNUSABLE, error.to_string()),
            Error::BadAgent { message } => Self::new(StatusCode::UNPROCESSABLE_ENTITY, said::AGENT_INVALID, message),
            Error::Journal(error) => error.into(),
            Error::Stopped => {
                let detail = "the server is stopping; whatever was accepted goes on at its next start";
                Self {
                    retry_after: Some(Duration::from_secs(1)),
                    ..Self::new(StatusCode::SERVICE_UNAVAILABLE, said::STOPPING, detail)
                }
            }
            Error::Records(records::Error::Outage(outage)) => Self::outage(&outage),
            Error::Encoding(_) => Self::unreadable(&error),
            Error::Records(_) | Error::Unfinished(_) => Self::broken("the engine failed", &error),
        }
    }
}
