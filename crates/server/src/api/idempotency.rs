//! `Idempotency-Key`: a request under a key is performed once, however often it is sent.
//!
//! A record of the request is stored before it is performed: a digest, the run it is about and, if it is refused,
//! the refusal. So a repetition is told apart from another request under the same key, and gets the same answer as
//! the first.
//!
//! Actions that concern no run go through [`idempotency_middleware`], which stores the response itself. They run to
//! completion even if the caller disconnects. If the process dies between the action and its response, it is
//! unknown whether the action was performed; then it is not performed again, and the response says so. Responses
//! with a one-time secret ([`one_time_response`]) are stored without it. A workflow turn in the OpenAI API is
//! stored like an action, together with its run.

use std::time::Duration;

use axum::body::{self as bytes, Body, HttpBody as _};
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, LOCATION};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use baton_core::audit::hex;
use baton_core::canonical;
use baton_core::id::{RunId, TenantId};
use baton_ports::records::{self, RecordOp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::principal::Principal;
use crate::body;
use crate::code;
use crate::problem::HttpProblem;
use crate::state::AppState;

const HEADER: &str = "idempotency-key";
/// Marks a response as a replay.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Maximum length of a key, in characters.
pub(super) const KEY_CHARS_MAX: usize = 255;
/// The record space. Old records are removed together with other old keys.
const SPACE: &str = "asked_once";
/// Maximum size of a stored response body, in bytes.
const ANSWER_BYTES_MAX: u64 = 512 << 10;
/// The response headers that are stored.
const STORED_HEADERS: [HeaderName; 4] = [CONTENT_TYPE, ETAG, LOCATION, CACHE_CONTROL];

/// The parts of a request that tell it apart from others under the same key.
#[derive(Clone, Copy)]
pub(super) struct RequestFingerprint<'a> {
    /// The action.
    verb: &'a str,
    /// The target: a workflow, a run, a request.
    target: &'a str,
    /// The arguments, as JSON.
    body: &'a Value,
}

impl<'a> RequestFingerprint<'a> {
    pub fn new(verb: &'a str, to: &'a str, body: &'a Value) -> Self {
        Self { verb, target: to, body }
    }
}

/// The stored record of a key.
#[derive(Serialize, Deserialize)]
struct IdempotencyRecord {
    digest: String,
    /// `None` if the request is not about a run.
    run: Option<RunId>,
    #[serde(default)]
    refused: Option<StoredRefusal>,
    /// The response to an action or to a workflow turn; `None` until it is answered.
    #[serde(default)]
    answer: Option<StoredResponse>,
}

impl IdempotencyRecord {
    fn for_run(digest: &str, run: &RunId, refused: Option<StoredRefusal>) -> Self {
        Self { digest: digest.to_owned(), run: Some(run.clone()), refused, answer: None }
    }

    /// Refuses another request under the same key.
    fn check(&self, digest: &str) -> Result<(), HttpProblem> {
        if self.digest == digest {
            return Ok(());
        }
        let detail = "this Idempotency-Key was used for another request";
        let problem = HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, code::IDEMPOTENCY_KEY_REUSED, detail)
            .with_hint("choose a new key for each thing that is to be done");
        Err(match &self.run {
            Some(run) => problem.with_run(run),
            None => problem,
        })
    }
}

/// A response that is replayed for a repeated request.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredResponse {
    pub status: u16,
    pub head: Vec<(String, String)>,
    pub body: String,
}

#[derive(Serialize, Deserialize)]
struct StoredRefusal {
    status: u16,
    code: String,
    detail: String,
    hint: Option<String>,
}

/// The idempotency key of a request.
pub(super) struct IdempotencyKey {
    name: String,
    digest: String,
    /// The run of an earlier request under the same key.
    pub previous_run: Option<RunId>,
}

impl IdempotencyKey {
    /// The key from the header, if the request has one.
    ///
    /// # Errors
    /// Another request used the same key, or this request was refused before; then the same refusal is returned.
    pub async fn of(
        state: &AppState,
        principal: &Principal,
        headers: &HeaderMap,
        asked: RequestFingerprint<'_>,
    ) -> Result<Option<Self>, HttpProblem> {
        let Some(text) = idempotency_key(headers)? else { return Ok(None) };
        let body = canonical::text(asked.body);
        let mut once = Self {
            name: digest(&[principal.tenant().as_str(), text]),
            digest: digest(&[principal.key_id(), asked.verb, asked.target, &body]),
            previous_run: None,
        };
        let Some(noted) = state.run_services()?.records.get(principal.tenant(), SPACE, &once.name).await? else {
            return Ok(Some(once));
        };
        once.check_same_request(noted.value)?;
        Ok(Some(once))
    }

    /// Compares the request with the stored record.
    fn check_same_request(&mut self, noted: Value) -> Result<(), HttpProblem> {
        let noted = parse_record(noted)?;
        noted.check(&self.digest)?;
        if let Some(refused) = noted.refused {
            let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::CONFLICT);
            let problem = HttpProblem::new(status, refused.code, refused.detail);
            return Err(HttpProblem { hint: refused.hint, run: noted.run, ..problem });
        }
        self.previous_run = noted.run;
        Ok(())
    }

    /// Stores the request before it is performed. If it was made before, [`previous_run`](Self::previous_run) names
    /// its run.
    pub async fn record(&mut self, state: &AppState, principal: &Principal, run: &RunId) -> Result<(), HttpProblem> {
        if self.previous_run.is_some() {
            return Ok(());
        }
        let noted = IdempotencyRecord::for_run(&self.digest, run, None);
        let insert = RecordOp::Insert { space: SPACE.to_owned(), key: self.name.clone(), value: json!(noted) };
        match state.run_services()?.records.commit(principal.tenant(), vec![insert], state.clock.now()).await {
            Ok(()) => Ok(()),
            // A concurrent request with the same key.
            Err(records::RecordError::Conflict { found: Some(found), .. }) => self.check_same_request(found.value),
            Err(error) => Err(error.into()),
        }
    }

    /// Stores the refusal, so that a repetition gets it again.
    pub async fn record_refusal(
        &self,
        state: &AppState,
        principal: &Principal,
        run: &RunId,
        problem: &HttpProblem,
    ) -> Result<(), HttpProblem> {
        let HttpProblem { status, code, detail, hint, .. } = problem;
        let refused =
            StoredRefusal { status: status.as_u16(), code: code.clone(), detail: detail.clone(), hint: hint.clone() };
        let noted = IdempotencyRecord::for_run(&self.digest, run, Some(refused));
        let put = RecordOp::Put { space: SPACE.to_owned(), key: self.name.clone(), value: json!(noted) };
        Ok(state.run_services()?.records.commit(principal.tenant(), vec![put], state.clock.now()).await?)
    }

    /// The command id in an inbox. It includes the digest, so another request has another id even after this record
    /// is removed.
    pub fn command_id(&self) -> String {
        format!("once-{}", digest(&[&self.name, &self.digest]))
    }

    /// Sets the header that marks a replay, if there was an earlier request.
    pub fn set_headers(&self, response: &mut Response) {
        if self.previous_run.is_some() {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
    }
}

fn parse_record(noted: Value) -> Result<IdempotencyRecord, HttpProblem> {
    serde_json::from_value(noted).map_err(|error| HttpProblem::internal("a key's row", &error))
}

/// Middleware for actions that concern no run: each is performed once per key, and repetitions get the first
/// response.
pub(super) async fn idempotency_middleware(
    Extension(state): Extension<AppState>,
    Extension(principal): Extension<Principal>,
    request: Request,
    next: Next,
) -> Result<Response, HttpProblem> {
    let Some(text) = idempotency_key(request.headers())?.filter(|_| request.method() == Method::POST) else {
        return Ok(next.run(request).await);
    };
    let text = text.to_owned();
    let (parts, body) = request.into_parts();
    let bytes =
        body::read(body, state.limits).await.map_err(|unread| HttpProblem::unreadable_body(&unread, state.limits))?;
    let said = match serde_json::from_slice(&bytes) {
        Ok(said) => canonical::text(&said),
        Err(_) => hex(&Sha256::digest(&bytes).into()),
    };
    let address = parts.uri.path_and_query().map_or("/", |address| address.as_str());
    let asked = digest(&[principal.key_id(), parts.method.as_str(), address, &said]);
    let act = IdempotentOperation::new(&state, principal.tenant(), &text, asked);
    if let Some(before) = act.reserve().await? {
        return Ok(before.replay());
    }
    act.complete(next.run(Request::from_parts(parts, Body::from(bytes))).await).await
}

/// Middleware that runs a request to completion, including its records, even if the caller disconnects.
pub(super) async fn run_to_completion(request: Request, next: Next) -> Result<Response, HttpProblem> {
    tokio::spawn(next.run(request)).await.map_err(|error| HttpProblem::internal("a request", &error))
}

/// Whether the request was not performed for a temporary reason and may be sent again under the same key.
pub(crate) fn is_retryable(status: StatusCode) -> bool {
    [StatusCode::REQUEST_TIMEOUT, StatusCode::PAYLOAD_TOO_LARGE, StatusCode::TOO_MANY_REQUESTS].contains(&status)
}

/// An operation that is performed once per key.
pub(crate) struct IdempotentOperation {
    name: String,
    digest: String,
    state: AppState,
    tenant: TenantId,
}

impl IdempotentOperation {
    /// An operation under this key. `asked` is a digest of everything that tells it apart from others under the
    /// same key.
    pub fn new(app_state: &AppState, tenant: &TenantId, key: &str, asked: String) -> Self {
        Self { name: digest(&[tenant.as_str(), key]), digest: asked, state: app_state.clone(), tenant: tenant.clone() }
    }

    fn record_json(&self, run: Option<RunId>, answer: Option<StoredResponse>) -> Value {
        json!(IdempotencyRecord { digest: self.digest.clone(), run, refused: None, answer })
    }

    /// Reserves the key, or returns the stored response of an earlier request.
    pub async fn reserve(&self) -> Result<Option<StoredResponse>, HttpProblem> {
        let value = self.record_json(None, None);
        let insert = RecordOp::Insert { space: SPACE.to_owned(), key: self.name.clone(), value };
        match self.commit(insert).await {
            Ok(()) => Ok(None),
            Err(records::RecordError::Conflict { found: Some(found), .. }) => {
                let noted = parse_record(found.value)?;
                noted.check(&self.digest)?;
                noted.answer.ok_or_else(answer_unknown).map(Some)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Releases the key: the operation was not performed and may be requested again.
    pub async fn release(&self) -> Result<(), HttpProblem> {
        Ok(self.commit(RecordOp::Delete { space: SPACE.to_owned(), key: self.name.clone() }).await?)
    }

    /// Stores the response, with its run if there is one. If it cannot be stored, the caller still gets it, and a
    /// repetition is told that the outcome is unknown.
    pub async fn store_response(&self, run: Option<RunId>, answer: StoredResponse) {
        let value = self.record_json(run, Some(answer));
        if let Err(error) = self.commit(RecordOp::Put { space: SPACE.to_owned(), key: self.name.clone(), value }).await
        {
            tracing::error!(%error, "an answer could not be kept under its Idempotency-Key");
        }
    }

    /// Stores the response. If the operation was not performed for a temporary reason, the key is released.
    async fn complete(&self, response: Response) -> Result<Response, HttpProblem> {
        let (space, key) = (SPACE.to_owned(), self.name.clone());
        let status = response.status();
        if is_retryable(status) {
            self.release().await?;
            return Ok(response);
        }
        // It is unknown how much was done, so it is not done again.
        if status.is_server_error() {
            return Ok(response);
        }
        if response.body().size_hint().upper().is_none_or(|bytes| bytes > ANSWER_BYTES_MAX) {
            let body = json!({ "done": true, "answer": "too large to be kept" }).to_string();
            let kind = (CONTENT_TYPE.to_string(), "application/json".to_owned());
            let answer = StoredResponse { status: status.as_u16(), head: vec![kind], body };
            self.commit(RecordOp::Put { space, key, value: self.record_json(None, Some(answer)) }).await?;
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body =
            bytes::to_bytes(body, usize::MAX).await.map_err(|error| HttpProblem::internal("an answer", &error))?;
        let text = |name: &HeaderName| Some((name.to_string(), parts.headers.get(name)?.to_str().ok()?.to_owned()));
        let answer = StoredResponse {
            status: status.as_u16(),
            head: STORED_HEADERS.iter().filter_map(text).collect(),
            body: match parts.extensions.get::<OneTimeField>() {
                Some(OneTimeField(field)) => redact_field(&body, field)?,
                None => String::from_utf8_lossy(&body).into_owned(),
            },
        };
        self.store_response(None, answer).await;
        Ok(Response::from_parts(parts, Body::from(body)))
    }

    async fn commit(&self, op: RecordOp) -> Result<(), records::RecordError> {
        let Ok(services) = self.state.run_services() else { return Ok(()) };
        services.records.commit(&self.tenant, vec![op], self.state.clock.now()).await
    }
}

impl StoredResponse {
    fn replay(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let mut response = (status, self.body).into_response();
        for (name, value) in self.head {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                response.headers_mut().insert(name, value);
            }
        }
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        response
    }
}

fn answer_unknown() -> HttpProblem {
    let detail = "the first request under this Idempotency-Key is under way, or was cut off before its answer was kept; \
                  it is not done again";
    HttpProblem {
        retry_after: Some(Duration::from_secs(1)),
        ..HttpProblem::new(StatusCode::CONFLICT, code::IDEMPOTENCY_UNANSWERED, detail)
    }
    .with_hint("ask again in a moment; if it stays so, look whether it was done, and choose a new key if it was not")
}

/// A response field that is shown only once.
#[derive(Clone, Copy)]
struct OneTimeField(&'static str);

/// A response with a secret in this field. It is marked as not cacheable, and the secret is not stored here either.
pub(super) fn one_time_response(status: StatusCode, shown: Value, field: &'static str) -> Response {
    let mut response = (status, [(CACHE_CONTROL, "no-store")], Json(shown)).into_response();
    response.extensions_mut().insert(OneTimeField(field));
    response
}

/// The body for a repetition: the field is null, and its name is in `shown_before`.
fn redact_field(body: &[u8], field: &str) -> Result<String, HttpProblem> {
    let mut shown: Value = serde_json::from_slice(body).map_err(|error| HttpProblem::internal("an answer", &error))?;
    if let Some(fields) = shown.as_object_mut().filter(|fields| fields.contains_key(field)) {
        fields.insert(field.to_owned(), Value::Null);
        fields.insert("shown_before".to_owned(), json!([field]));
    }
    Ok(shown.to_string())
}

/// The idempotency key of a request, if it has one.
///
/// # Errors
/// The header is not a valid key.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, HttpProblem> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text.is_empty() || text.len() > KEY_CHARS_MAX {
        let why = format!("it must be 1 to {KEY_CHARS_MAX} visible characters of ASCII");
        return Err(HttpProblem::invalid_parameter("Idempotency-Key", why));
    }
    Ok(Some(text))
}

pub(crate) fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize().into())
}
