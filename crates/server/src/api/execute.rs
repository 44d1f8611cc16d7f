//! `POST /api/v1/workflows/execute`.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use baton_core::expr::nearest;
use baton_core::id::RunId;
use baton_core::run::Run;
use baton_core::tool::Caller;
use baton_engine::{Delivered, Error, Follower, Start};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::timeout;
use utoipa::ToSchema;

use super::executions::answer::Answered;
use super::guest::Guest;
use super::once;
use super::patience::Patience;
use super::shapes::{Execution, Problem as Refusal};
use crate::body;
use crate::code;
use crate::door::{Door, Work};
use crate::problem::Problem;

/// Says that what is answered was begun by an earlier request under the same key.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

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
    let once = once::Name::of(&headers, &guest)?;
    let asked: Execute = body::json(body, door.limits).await?;
    let start = asked.start(work, &guest, once.as_ref()).await?;
    let id = start.run.clone();
    let (input, mut context) = (start.input.clone(), start.context.clone());
    let mut follower = Follower::new(&work.engine, work.read.clone(), guest.tenant().clone());
    let is_new = match work.engine.start(start).await {
        Ok(()) => true,
        Err(Error::Exists { .. }) if once.is_some() => false,
        Err(error) => return Err(error.into()),
    };
    let rests = async {
        if let Delivered::Taken = follower.follow_new(&id).await? {
            follower.until_rest(&id).await?;
        }
        Ok::<(), Error>(())
    };
    // One that goes on is told as it stands by then.
    if let Ok(done) = timeout(patience.limit, rests).await {
        done?;
    }
    if !is_new {
        baton_engine::take_key(&mut context);
        is_the_same(follower.run(&id), &asked.workflow_id, &input, &context)?;
    }
    let mut response = patience.say(Answered::of(&follower, &id).into_response());
    if !is_new {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

impl Execute {
    async fn start(&self, work: &Work, guest: &Guest, once: Option<&once::Name>) -> Result<Start, Problem> {
        let version = work.registry.active(guest.tenant(), &self.workflow_id).await?;
        let Some(version) = version else { return Err(no_workflow(work, guest, &self.workflow_id).await) };
        let context = Value::Object(self.context.clone());
        let caller = Caller { key_id: Some(guest.key_id().to_owned()), ..Caller::of(&context, work.zone.as_deref()) };
        Ok(Start {
            run: once.map_or_else(|| RunId::new(uuid::Uuid::now_v7().to_string()), once::Name::run),
            tenant: guest.tenant().clone(),
            workflow: version.workflow,
            bundle: version.bundle,
            input: self.input_data.clone(),
            context,
            caller,
        })
    }
}

pub(super) async fn no_workflow(work: &Work, guest: &Guest, name: &str) -> Problem {
    let problem = Problem::new(StatusCode::NOT_FOUND, code::WORKFLOW_NOT_FOUND, format!("no workflow `{name}`"));
    let known = work.registry.workflows(guest.tenant()).await.unwrap_or_default();
    match nearest(name, known.iter().map(|version| version.workflow.as_str())) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint("GET /api/v1/workflows lists those there are"),
    }
}

/// A run that an earlier request began under the same key must be the one that is asked for now. One that has not begun
/// says nothing yet, and is taken for it.
fn is_the_same(run: Option<&Run>, workflow: &str, input: &Value, context: &Value) -> Result<(), Problem> {
    let Some((run, started)) = run.and_then(|run| Some((run, run.started()?))) else { return Ok(()) };
    let is_workflow = run.workflow().is_none_or(|begun| begun.name == workflow);
    if is_workflow && *started.input == *input && started.context == *context {
        return Ok(());
    }
    let detail = "this Idempotency-Key was used for another request";
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code::IDEMPOTENCY_KEY_REUSED, detail)
        .about(&started.run)
        .hint("choose a new key for each thing that is to be done"))
}
