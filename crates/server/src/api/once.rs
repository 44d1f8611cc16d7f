//! `Idempotency-Key`: what was asked under one is done once, however often it is asked.
//!
//! What was asked is written down before it is done, as a digest, with the run it is about; and where it is refused, why.
//! So a repetition is told from another request under the same key, and is answered as the first was.

use axum::http::header::HeaderName;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use baton_core::audit::hex;
use baton_core::canonical;
use baton_core::id::RunId;
use baton_ports::records::{self, Op};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::guest::Guest;
use crate::code;
use crate::door::Door;
use crate::problem::Problem;

const HEADER: &str = "idempotency-key";
/// Says that what is answered was asked before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Characters of a key.
const CHARS_MAX: usize = 255;
/// Where it is written down. What ended long ago is forgotten with other old keys.
const SPACE: &str = "asked_once";

/// A request, as it is told from others under the same key.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// What is to be done.
    verb: &'a str,
    /// To what: a workflow, a run, a request.
    to: &'a str,
    /// How, in JSON.
    body: &'a Value,
}

impl<'a> Asked<'a> {
    pub fn new(verb: &'a str, to: &'a str, body: &'a Value) -> Self {
        Self { verb, to, body }
    }
}

/// What is written down.
#[derive(Serialize, Deserialize)]
struct Noted {
    digest: String,
    run: RunId,
    refused: Option<Refused>,
}

#[derive(Serialize, Deserialize)]
struct Refused {
    status: u16,
    code: String,
    detail: String,
    hint: Option<String>,
}

/// A key that a request came under.
pub(super) struct Once {
    name: String,
    digest: String,
    /// The run that a request under it was about, where there was one before.
    pub before: Option<RunId>,
}

impl Once {
    /// From the header, where the request has one.
    ///
    /// # Errors
    /// Where another request came under the same key; and where this very one was refused, as it was then.
    pub async fn of(
        door: &Door,
        guest: &Guest,
        headers: &HeaderMap,
        asked: Asked<'_>,
    ) -> Result<Option<Self>, Problem> {
        let Some(text) = key(headers)? else { return Ok(None) };
        let body = canonical::text(asked.body);
        let mut once = Self {
            name: digest(&[guest.tenant().as_str(), text]),
            digest: digest(&[guest.key_id(), asked.verb, asked.to, &body]),
            before: None,
        };
        let Some(noted) = door.work()?.records.get(guest.tenant(), SPACE, &once.name).await? else {
            return Ok(Some(once));
        };
        once.is_the_same(noted.value)?;
        Ok(Some(once))
    }

    /// Holds it against what was written down.
    fn is_the_same(&mut self, noted: Value) -> Result<(), Problem> {
        let noted: Noted = serde_json::from_value(noted).map_err(|error| Problem::broken("a key's row", &error))?;
        if noted.digest != self.digest {
            let detail = "this Idempotency-Key was used for another request";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code::IDEMPOTENCY_KEY_REUSED, detail)
                .about(&noted.run)
                .hint("choose a new key for each thing that is to be done"));
        }
        if let Some(refused) = noted.refused {
            let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::CONFLICT);
            let problem = Problem::new(status, refused.code, refused.detail).about(&noted.run);
            return Err(Problem { hint: refused.hint, ..problem });
        }
        self.before = Some(noted.run);
        Ok(())
    }

    /// Writes down that this is asked, before it is done; where it was asked before, [`before`](Self::before) says of which
    /// run.
    pub async fn note(&mut self, door: &Door, guest: &Guest, run: &RunId) -> Result<(), Problem> {
        if self.before.is_some() {
            return Ok(());
        }
        let noted = Noted { digest: self.digest.clone(), run: run.clone(), refused: None };
        let insert = Op::Insert { space: SPACE.to_owned(), key: self.name.clone(), value: json!(noted) };
        match door.work()?.records.commit(guest.tenant(), vec![insert], door.clock.now()).await {
            Ok(()) => Ok(()),
            // Asked twice at once.
            Err(records::Error::Conflict { found: Some(found), .. }) => self.is_the_same(found.value),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes down that it was refused, so that whoever missed it is told again.
    pub async fn note_refused(
        &self,
        door: &Door,
        guest: &Guest,
        run: &RunId,
        problem: &Problem,
    ) -> Result<(), Problem> {
        let Problem { status, code, detail, hint, .. } = problem;
        let refused =
            Refused { status: status.as_u16(), code: code.clone(), detail: detail.clone(), hint: hint.clone() };
        let noted = Noted { digest: self.digest.clone(), run: run.clone(), refused: Some(refused) };
        let put = Op::Put { space: SPACE.to_owned(), key: self.name.clone(), value: json!(noted) };
        Ok(door.work()?.records.commit(guest.tenant(), vec![put], door.clock.now()).await?)
    }

    /// What is put into an inbox under it. Another request has another name, also once this one is forgotten.
    pub fn command(&self) -> String {
        format!("once-{}", digest(&[&self.name, &self.digest]))
    }

    /// Says whether it was asked before.
    pub fn say(&self, response: &mut Response) {
        if self.before.is_some() {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
    }
}

/// The key that a request comes under, where it does.
///
/// # Errors
/// One that is no key.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text.is_empty() || text.len() > CHARS_MAX {
        let why = format!("it must be 1 to {CHARS_MAX} visible characters of ASCII");
        return Err(Problem::parameter("Idempotency-Key", why));
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
