//! `Idempotency-Key`: what was asked under one is done once, however often it is asked.
//!
//! What was asked is written down before it is done, as a digest, with the run it is about; and where it is refused, why.
//! So a repetition is told from another request under the same key, and is answered as the first was.
//!
//! What acts and is about no run goes through [`idempotency_middleware`]: its answer itself is kept. It is done to its end though
//! whoever asked is cut off. Where the process died between the act and its answer nobody knows whether it was done:
//! then it is not done again, and that is said. What an answer shows once ([`one_time_response`]) is not kept. So is a turn with
//! a workflow at OpenAI's door, whose answer is kept with its run.

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
/// Says that what is answered was asked before.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Characters of a key.
pub(super) const KEY_CHARS_MAX: usize = 255;
/// Where it is written down. What ended long ago is forgotten with other old keys.
const SPACE: &str = "asked_once";
/// Bytes of an answer that is kept.
const ANSWER_BYTES_MAX: u64 = 512 << 10;
/// What of an answer's head is kept with it.
const STORED_HEADERS: [HeaderName; 4] = [CONTENT_TYPE, ETAG, LOCATION, CACHE_CONTROL];

/// A request, as it is told from others under the same key.
#[derive(Clone, Copy)]
pub(super) struct RequestFingerprint<'a> {
    /// What is to be done.
    verb: &'a str,
    /// To what: a workflow, a run, a request.
    target: &'a str,
    /// How, in JSON.
    body: &'a Value,
}

impl<'a> RequestFingerprint<'a> {
    pub fn new(verb: &'a str, to: &'a str, body: &'a Value) -> Self {
        Self { verb, target: to, body }
    }
}

/// What is written down.
#[derive(Serialize, Deserialize)]
struct IdempotencyRecord {
    digest: String,
    /// Nothing where it is about no run.
    run: Option<RunId>,
    #[serde(default)]
    refused: Option<StoredRefusal>,
    /// Of what acts, and of a turn with a workflow; nothing until it was answered.
    #[serde(default)]
    answer: Option<StoredResponse>,
}

impl IdempotencyRecord {
    fn for_run(digest: &str, run: &RunId, refused: Option<StoredRefusal>) -> Self {
        Self { digest: digest.to_owned(), run: Some(run.clone()), refused, answer: None }
    }

    /// Another request under the same key is none of this one.
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

/// An answer, as it is given again.
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

/// A key that a request came under.
pub(super) struct IdempotencyKey {
    name: String,
    digest: String,
    /// The run that a request under it was about, where there was one before.
    pub previous_run: Option<RunId>,
}

impl IdempotencyKey {
    /// From the header, where the request has one.
    ///
    /// # Errors
    /// Where another request came under the same key; and where this very one was refused, as it was then.
    pub async fn of(
        door: &AppState,
        guest: &Principal,
        headers: &HeaderMap,
        asked: RequestFingerprint<'_>,
    ) -> Result<Option<Self>, HttpProblem> {
        let Some(text) = idempotency_key(headers)? else { return Ok(None) };
        let body = canonical::text(asked.body);
        let mut once = Self {
            name: digest(&[guest.tenant().as_str(), text]),
            digest: digest(&[guest.key_id(), asked.verb, asked.target, &body]),
            previous_run: None,
        };
        let Some(noted) = door.run_services()?.records.get(guest.tenant(), SPACE, &once.name).await? else {
            return Ok(Some(once));
        };
        once.check_same_request(noted.value)?;
        Ok(Some(once))
    }

    /// Holds it against what was written down.
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

    /// Writes down that this is asked, before it is done; where it was asked before, [`previous_run`](Self::previous_run) says of which
    /// run.
    pub async fn record(&mut self, door: &AppState, guest: &Principal, run: &RunId) -> Result<(), HttpProblem> {
        if self.previous_run.is_some() {
            return Ok(());
        }
        let noted = IdempotencyRecord::for_run(&self.digest, run, None);
        let insert = RecordOp::Insert { space: SPACE.to_owned(), key: self.name.clone(), value: json!(noted) };
        match door.run_services()?.records.commit(guest.tenant(), vec![insert], door.clock.now()).await {
            Ok(()) => Ok(()),
            // Asked twice at once.
            Err(records::RecordError::Conflict { found: Some(found), .. }) => self.check_same_request(found.value),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes down that it was refused, so that whoever missed it is told again.
    pub async fn record_refusal(
        &self,
        door: &AppState,
        guest: &Principal,
        run: &RunId,
        problem: &HttpProblem,
    ) -> Result<(), HttpProblem> {
        let HttpProblem { status, code, detail, hint, .. } = problem;
        let refused =
            StoredRefusal { status: status.as_u16(), code: code.clone(), detail: detail.clone(), hint: hint.clone() };
        let noted = IdempotencyRecord::for_run(&self.digest, run, Some(refused));
        let put = RecordOp::Put { space: SPACE.to_owned(), key: self.name.clone(), value: json!(noted) };
        Ok(door.run_services()?.records.commit(guest.tenant(), vec![put], door.clock.now()).await?)
    }

    /// What is put into an inbox under it. Another request has another name, also once this one is forgotten.
    pub fn command_id(&self) -> String {
        format!("once-{}", digest(&[&self.name, &self.digest]))
    }

    /// Says whether it was asked before.
    pub fn set_headers(&self, response: &mut Response) {
        if self.previous_run.is_some() {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
    }
}

fn parse_record(noted: Value) -> Result<IdempotencyRecord, HttpProblem> {
    serde_json::from_value(noted).map_err(|error| HttpProblem::internal("a key's row", &error))
}

/// Around what acts and is about no run: done once under one key, and answered as the first time.
pub(super) async fn idempotency_middleware(
    Extension(door): Extension<AppState>,
    Extension(guest): Extension<Principal>,
    request: Request,
    next: Next,
) -> Result<Response, HttpProblem> {
    let Some(text) = idempotency_key(request.headers())?.filter(|_| request.method() == Method::POST) else {
        return Ok(next.run(request).await);
    };
    let text = text.to_owned();
    let (parts, body) = request.into_parts();
    let bytes =
        body::read(body, door.limits).await.map_err(|unread| HttpProblem::unreadable_body(&unread, door.limits))?;
    let said = match serde_json::from_slice(&bytes) {
        Ok(said) => canonical::text(&said),
        Err(_) => hex(&Sha256::digest(&bytes).into()),
    };
    let address = parts.uri.path_and_query().map_or("/", |address| address.as_str());
    let asked = digest(&[guest.key_id(), parts.method.as_str(), address, &said]);
    let act = IdempotentOperation::new(&door, guest.tenant(), &text, asked);
    if let Some(before) = act.reserve().await? {
        return Ok(before.replay());
    }
    act.complete(next.run(Request::from_parts(parts, Body::from(bytes))).await).await
}

/// Around what is done to its end, with all that is kept of it, whether or not anybody waits for it.
pub(super) async fn run_to_completion(request: Request, next: Next) -> Result<Response, HttpProblem> {
    tokio::spawn(next.run(request)).await.map_err(|error| HttpProblem::internal("a request", &error))
}

/// What was not done for now, and is free to be asked again.
pub(crate) fn is_retryable(status: StatusCode) -> bool {
    [StatusCode::REQUEST_TIMEOUT, StatusCode::PAYLOAD_TOO_LARGE, StatusCode::TOO_MANY_REQUESTS].contains(&status)
}

/// What is done once.
pub(crate) struct IdempotentOperation {
    name: String,
    digest: String,
    state: AppState,
    tenant: TenantId,
}

impl IdempotentOperation {
    /// Under this key; `asked` is a digest of all that tells it from others under the same key.
    pub fn new(door: &AppState, tenant: &TenantId, key: &str, asked: String) -> Self {
        Self { name: digest(&[tenant.as_str(), key]), digest: asked, state: door.clone(), tenant: tenant.clone() }
    }

    fn record_json(&self, run: Option<RunId>, answer: Option<StoredResponse>) -> Value {
        json!(IdempotencyRecord { digest: self.digest.clone(), run, refused: None, answer })
    }

    /// Writes down that it is asked, or gives what it was answered before.
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

    /// It was not done, and is free to be asked again.
    pub async fn release(&self) -> Result<(), HttpProblem> {
        Ok(self.commit(RecordOp::Delete { space: SPACE.to_owned(), key: self.name.clone() }).await?)
    }

    /// Keeps what it was answered, with the run that it is about, where there is one: whoever asked is told, and who asks
    /// again that nobody knows, where it cannot be kept.
    pub async fn store_response(&self, run: Option<RunId>, answer: StoredResponse) {
        let value = self.record_json(run, Some(answer));
        if let Err(error) = self.commit(RecordOp::Put { space: SPACE.to_owned(), key: self.name.clone(), value }).await
        {
            tracing::error!(%error, "an answer could not be kept under its Idempotency-Key");
        }
    }

    /// Keeps the answer. What was not done for now is free to be asked again.
    async fn complete(&self, response: Response) -> Result<Response, HttpProblem> {
        let (space, key) = (SPACE.to_owned(), self.name.clone());
        let status = response.status();
        if is_retryable(status) {
            self.release().await?;
            return Ok(response);
        }
        // Nobody knows how much of it was done: it is not done again.
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
        let Ok(work) = self.state.run_services() else { return Ok(()) };
        work.records.commit(&self.tenant, vec![op], self.state.clock.now()).await
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

/// A field of an answer that is shown to nobody again.
#[derive(Clone, Copy)]
struct OneTimeField(&'static str);

/// An answer with a secret in this field, which nobody on the way is to keep, and we do not either.
pub(super) fn one_time_response(status: StatusCode, shown: Value, field: &'static str) -> Response {
    let mut response = (status, [(CACHE_CONTROL, "no-store")], Json(shown)).into_response();
    response.extensions_mut().insert(OneTimeField(field));
    response
}

/// The answer of a repetition: with nothing in that field, and the field's name in `shown_before`.
fn redact_field(body: &[u8], field: &str) -> Result<String, HttpProblem> {
    let mut shown: Value = serde_json::from_slice(body).map_err(|error| HttpProblem::internal("an answer", &error))?;
    if let Some(fields) = shown.as_object_mut().filter(|fields| fields.contains_key(field)) {
        fields.insert(field.to_owned(), Value::Null);
        fields.insert("shown_before".to_owned(), json!([field]));
    }
    Ok(shown.to_string())
}

/// The key that a request comes under, where it does.
///
/// # Errors
/// One that is no key.
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
