//! `POST /api/v1/workflows/execute`.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use baton_expr::nearest;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::idempotency::RequestFingerprint;
use super::principal::Principal;
use super::schemas::{ExecutionSchema, ProblemSchema};
use super::start_run::{RunInput, RunTarget, StartRunCommand, start_run};
use super::wait_preference::WaitPreference;
use crate::body;
use crate::code;
use crate::problem::HttpProblem;
use crate::state::{AppState, RunServices};

/// A workflow to execute.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Execute)]
pub(super) struct ExecuteWorkflowRequest {
    /// The workflow's name; its active version is run.
    workflow_id: String,
    /// What the workflow declares under `input:`.
    #[serde(default = "empty_object")]
    #[schema(value_type = Object)]
    input_data: Value,
    /// On whose behalf: `user_id`, `conversation_id`, `language`, `zone`, and whatever else the workflow reads. An
    /// `api_key` is used for this run's model calls and written nowhere.
    #[serde(default)]
    #[schema(value_type = Object)]
    context: Map<String, Value>,
}

pub(super) fn empty_object() -> Value {
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
    request_body = ExecuteWorkflowRequest,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "at most 255 characters; one run a key"),
        ("Prefer" = Option<String>, Header, description = "`wait=SECONDS` or `respond-async`"),
    ),
    responses(
        (status = 200, body = ExecutionSchema, description = "it has ended"),
        (status = 202, body = ExecutionSchema, description = "it goes on, or waits for somebody"),
        (status = "4XX", body = ProblemSchema, content_type = "application/problem+json"),
    )
)]
pub(super) async fn execute(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    // An invalid header is reported before the body is read.
    WaitPreference::of(&headers)?;
    let ExecuteWorkflowRequest { workflow_id, input_data, context } = body::json(body, state.limits).await?;
    let mut said = json!({ "input": input_data, "context": context });
    // The caller's own model key is removed from everything that is stored, even from what is hashed.
    baton_engine::take_key(&mut said["context"]);
    let given = RunInput { input: input_data, context: context.into() };
    let wanted = StartRunCommand::New(RunTarget::Workflow(workflow_id.clone()), given);
    start_run(&state, &principal, &headers, RequestFingerprint::new("execute", &workflow_id, &said), wanted).await
}

pub(super) async fn workflow_not_found(services: &RunServices, principal: &Principal, name: &str) -> HttpProblem {
    let problem = HttpProblem::new(StatusCode::NOT_FOUND, code::WORKFLOW_NOT_FOUND, format!("no workflow `{name}`"));
    let known = services.registry.workflows(principal.tenant()).await.unwrap_or_default();
    match nearest(name, known.iter().map(|version| version.workflow.as_str())) {
        Some(near) => problem.with_hint(format!("did you mean `{near}`?")),
        None => problem.with_hint("GET /api/v1/workflows lists those there are"),
    }
}
