//! `POST /api/v1/workflows/execute`.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use baton_core::expr::nearest;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::begin::{Begin, Given, Wanted, begin};
use super::guest::Guest;
use super::once::Asked;
use super::patience::Patience;
use super::shapes::{Execution, Problem as Refusal};
use crate::body;
use crate::code;
use crate::door::{Door, Work};
use crate::problem::Problem;

/// A workflow to execute.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Execute {
    /// The workflow's name; its active version is run.
    workflow_id: String,
    /// What the workflow declares under `input:`.
    #[serde(default = "nothing")]
    #[schema(value_type = Object)]
    input_data: Value,
    /// On whose behalf: `user_id`, `conversation_id`, `language`, `zone`, and whatever else the workflow reads. An
    /// `api_key` is used for this run's model calls and written nowhere.
    #[serde(default)]
    #[schema(value_type = Object)]
    context: Map<String, Value>,
}

pub(super) fn nothing() -> Value {
    Value::Object(Map::new())
}

/// Executes a workflow
///
/// Waits for its end or until it waits for somebody, as long as `Prefer: wait=SECONDS` says (30 seconds unless told, at most
/// 120). Answers 200 where it has ended, well or not; else 202, with its address in `Location`. It is durable with either. A
/// request that is repeated under one `Idempotency-Key` begins one run.
#[utoipa::path(
    post,
    path = "/api/v1/workflows/execute",
    tag = "executions",
    request_body = Execute,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "at most 255 characters; one run a key"),
        ("Prefer" = Option<String>, Header, description = "`wait=SECONDS` or `respond-async`"),
    ),
    responses(
        (status = 200, body = Execution, description = "it has ended"),
        (status = 202, body = Execution, description = "it goes on, or waits for somebody"),
        (status = "4XX", body = Refusal, content_type = "application/problem+json"),
    )
)]
pub(super) async fn execute(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    // What is wrong with a header is told without the body.
    Patience::of(&headers)?;
    let Execute { workflow_id, input_data, context } = body::json(body, door.limits).await?;
    let mut said = json!({ "input": input_data, "context": context });
    // A key of the caller's is in nothing that is written, not even hashed.
    baton_engine::take_key(&mut said["context"]);
    let given = Given { input: input_data, context: context.into() };
    let wanted = Begin::New(Wanted::Workflow(workflow_id.clone()), given);
    begin(&door, &guest, &headers, Asked::new("execute", &workflow_id, &said), wanted).await
}

pub(super) async fn no_workflow(work: &Work, guest: &Guest, name: &str) -> Problem {
    let problem = Problem::new(StatusCode::NOT_FOUND, code::WORKFLOW_NOT_FOUND, format!("no workflow `{name}`"));
    let known = work.registry.workflows(guest.tenant()).await.unwrap_or_default();
    match nearest(name, known.iter().map(|version| version.workflow.as_str())) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint("GET /api/v1/workflows lists those there are"),
    }
}
