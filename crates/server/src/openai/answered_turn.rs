//! `Idempotency-Key` for workflow turns: a turn is taken once, and a repetition gets the same reply, whole or as a
//! stream.
//!
//! The content of the reply is stored, not its encoding. It is stored with its run, so that it is erased together
//! with the run.

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::http::header::HeaderValue;
use axum::response::Response;
use baton_core::canonical;
use baton_core::id::RunId;
use baton_core::money::Usd;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::OpenAiError;
use super::reply::CompletionHead;
use super::workflow::{CONVERSATION, TurnReply, WorkflowTurn};
use crate::api::digest;
use crate::api::idempotency::{self, IdempotentOperation, REPLAYED, StoredResponse};
use crate::problem::HttpProblem;

/// A turn that was answered, now or before.
pub(super) struct AnsweredTurn {
    pub frame: CompletionHead,
    pub reply: TurnReply,
    is_replay: bool,
}

/// The stored form of a turn.
#[derive(Serialize, Deserialize)]
struct StoredTurn {
    id: String,
    created: i64,
    content: String,
    cost: Usd,
    run: RunId,
}

/// What happens to the `Idempotency-Key` of a turn that was refused or failed.
#[derive(Debug, PartialEq, Eq)]
enum KeyFate {
    /// Nothing was done, so the turn may be sent again.
    Freed,
    /// A repetition gets the same response.
    Answered,
    /// It is unknown how much was done, so the turn is not taken again.
    Unknown,
}

impl KeyFate {
    /// The fate after this status, depending on whether the turn reached a run.
    fn of(status: StatusCode, is_reached: bool) -> Self {
        if idempotency::is_retryable(status) {
            return Self::Freed;
        }
        // A failed run (502) will produce no other reply.
        if status.is_client_error() || status == StatusCode::BAD_GATEWAY {
            return Self::Answered;
        }
        if is_reached { Self::Unknown } else { Self::Freed }
    }
}

impl AnsweredTurn {
    /// Takes the turn. Under an `Idempotency-Key` it is taken once, and runs to completion even if the caller
    /// disconnects. `body` is the raw body that was sent to `path`; `prefix` is the prefix of the response id.
    pub async fn of(turn: WorkflowTurn, path: &str, body: &Bytes, prefix: &str) -> Result<Self, OpenAiError> {
        let frame = CompletionHead::new(prefix, &turn.state, &turn.request.model);
        let Some(key) = idempotency::idempotency_key(&turn.headers)?.map(str::to_owned) else {
            let said = turn.run().await?;
            return Ok(Self { frame, reply: said, is_replay: false });
        };
        let act = IdempotentOperation::new(&turn.state, &turn.key.tenant, &key, turn_fingerprint(&turn, path, body));
        if let Some(before) = act.reserve().await? {
            return Self::replay(&before, &turn.request.model);
        }
        let taken = tokio::spawn(async move {
            let taken = turn.run().await;
            match &taken {
                Ok(said) => act.store_response(Some(said.run.clone()), stored_response(&frame, said)).await,
                Err(refused) => match KeyFate::of(refused.status(), turn.started_run.get().is_some()) {
                    KeyFate::Freed => act.release().await?,
                    KeyFate::Answered => {
                        let (status, body) = (refused.status().as_u16(), refused.body().to_string());
                        act.store_response(
                            turn.started_run.get().cloned(),
                            StoredResponse { status, head: Vec::new(), body },
                        )
                        .await;
                    }
                    KeyFate::Unknown => {}
                },
            }
            Ok(Self { frame, reply: taken?, is_replay: false })
        });
        taken.await.map_err(|error| HttpProblem::internal("a turn", &error))?
    }

    fn replay(answer: &StoredResponse, model: &str) -> Result<Self, OpenAiError> {
        let broken = |error: &serde_json::Error| HttpProblem::internal("a turn's row", error);
        let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
        if !status.is_success() {
            let said: Value = serde_json::from_str(&answer.body).map_err(|error| broken(&error))?;
            return Err(OpenAiError::replay(status, &said));
        }
        let StoredTurn { id, created, content, cost, run } =
            serde_json::from_str(&answer.body).map_err(|error| broken(&error))?;
        let frame = CompletionHead { id, created, model: model.to_owned() };
        Ok(Self { frame, reply: TurnReply::new(model, content, cost, run), is_replay: true })
    }

    /// Sets the header that marks a replay.
    pub fn set_headers(&self, response: &mut Response) {
        if self.is_replay {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
    }
}

fn stored_response(frame: &CompletionHead, said: &TurnReply) -> StoredResponse {
    let (id, created, run) = (frame.id.clone(), frame.created, said.run.clone());
    let kept = StoredTurn { id, created, content: said.reply.content.clone(), cost: said.reply.cost, run };
    StoredResponse { status: StatusCode::OK.as_u16(), head: Vec::new(), body: json!(kept).to_string() }
}

/// Tells a turn apart from others under the same key: the caller, the path, the conversation and the whole body.
/// The caller's own provider key is excluded from everything that is stored, even from what is hashed.
fn turn_fingerprint(turn: &WorkflowTurn, path: &str, body: &Bytes) -> String {
    let mut said: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Some(metadata) = said.get_mut("metadata") {
        baton_engine::take_key(metadata);
    }
    let conversation = turn.headers.get(CONVERSATION).and_then(|name| name.to_str().ok()).unwrap_or_default();
    digest(&[&turn.key.id, "POST", path, conversation, &canonical::text(&said)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_of_which_nothing_was_done_frees_its_key() {
        use KeyFate::{Answered, Freed, Unknown};
        for (status, unreached, reached) in [
            (429, Freed, Freed),
            (413, Freed, Freed),
            (404, Answered, Answered),
            (422, Answered, Answered),
            (502, Answered, Answered),
            (503, Freed, Unknown),
            (500, Freed, Unknown),
            (504, Freed, Unknown),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!((KeyFate::of(status, false), KeyFate::of(status, true)), (unreached, reached), "{status}");
        }
    }
}
