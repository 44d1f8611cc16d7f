//! `POST /api/v1/workflows/execute`.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use baton_core::expr::nearest;
use baton_core::id::RunId;
use baton_core::tool::Caller;
use baton_engine::{Error, Follower, Start};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::timeout;
use utoipa::ToSchema;

use super::executions::answer::Answered;
use super::guest::Guest;
use super::once::{Asked, Once};
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

fn nothing() -> Value {
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
    let work = door.work()?;
    let patience = Patience::of(&headers)?;
    let Execute { workflow_id, input_data, context } = body::json(body, door.limits).await?;
    let mut said = json!({ "input": input_data, "context": context });
    // A key of the caller's is in nothing that is written, not even hashed.
    baton_engine::take_key(&mut said["context"]);
    let mut once = Once::of(&door, &guest, &headers, Asked::new("execute", &workflow_id, &said)).await?;
    let mut id = once.as_ref().and_then(|once| once.before.clone()).unwrap_or_else(new);
    let mut follower = Follower::new(&work.engine, work.read.clone(), guest.tenant().clone());
    // One that was asked for before goes on as it began, whatever the workflow is by now.
    let has_begun =
        once.as_ref().is_some_and(|once| once.before.is_some()) && work.read.run(guest.tenant(), &id).await?.is_some();
    if !has_begun {
        let mut start = start(work, &guest, id.clone(), (workflow_id, input_data, context.into())).await?;
        if let Some(once) = &mut once {
            once.note(&door, &guest, &id).await?;
            // Asked twice at once: there is one run.
            id = once.before.clone().unwrap_or(id);
            start.run = id.clone();
        }
        match work.engine.start(start).await {
            Err(Error::Exists { .. }) if once.is_some() => {}
            begun => begun?,
        }
    }
    follower.follow(&id).await?;
    tokio::select! {
        // One that goes on is told as it stands by then.
        rested = timeout(patience.limit, follower.until_rest(&id)) => rested.unwrap_or(Ok(()))?,
        () = door.stopped() => {}
    }
    let mut response = patience.say(Answered::of(&follower, &id).into_response());
    if let Some(once) = once {
        once.say(&mut response);
    }
    Ok(response)
}

fn new() -> RunId {
    RunId::new(uuid::Uuid::now_v7().to_string())
}

/// What the engine is to begin. An input that the workflow does not take is refused here, before anything is written down.
async fn start(
    work: &Work,
    guest: &Guest,
    run: RunId,
    (workflow, input, context): (String, Value, Value),
) -> Result<Start, Problem> {
    let version = work.registry.active(guest.tenant(), &workflow).await?;
    let Some(version) = version else { return Err(no_workflow(work, guest, &workflow).await) };
    work.engine.library().version(&version.bundle).await?.input.complete(&input).map_err(Error::Input)?;
    let caller = Caller {
        key_id: Some(guest.key_id().to_owned()),
        begun_by: Some(guest.by().to_owned()),
        ..Caller::of(&context, work.zone.as_deref())
    };
    let (workflow, bundle) = (version.workflow, version.bundle);
    Ok(Start { run, tenant: guest.tenant().clone(), workflow, bundle, input, context, caller })
}

pub(super) async fn no_workflow(work: &Work, guest: &Guest, name: &str) -> Problem {
    let problem = Problem::new(StatusCode::NOT_FOUND, code::WORKFLOW_NOT_FOUND, format!("no workflow `{name}`"));
    let known = work.registry.workflows(guest.tenant()).await.unwrap_or_default();
    match nearest(name, known.iter().map(|version| version.workflow.as_str())) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint("GET /api/v1/workflows lists those there are"),
    }
}
