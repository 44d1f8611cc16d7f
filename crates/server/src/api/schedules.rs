//! Schedules: workflows that run at set times.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use baton_engine::triggers::schedule::{MissedRunPolicy, NEXT_MAX, OverlapPolicy, STATE, ScheduleTrigger};
use baton_engine::triggers::{self, PAGE_MAX};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::extractors::{self, NamePageQuery, PathParams, QueryParams, check_same_name, require_name};
use super::openapi;
use super::principal::Principal;
use super::schemas::ProblemSchema;
use crate::body;
use crate::problem::HttpProblem;
use crate::state::{AppState, RunServices};

/// Default number of upcoming instants in a response.
const NEXT_DEFAULT: usize = 5;

/// A schedule, as it is defined.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ScheduleDefined)]
pub(super) struct ScheduleRequest {
    /// 1 to 60 letters, digits, `.`, `_` and `-`.
    #[serde(default)]
    #[schema(pattern = r"^[A-Za-z0-9._-]+$", min_length = 1, max_length = 60)]
    name: Option<String>,
    /// The workflow whose active version is run.
    workflow_id: String,
    /// Five fields of cron, or six with seconds first, or `@daily` and the like.
    cron: String,
    /// IANA; the project's where left out, else UTC.
    zone: Option<String>,
    /// What the workflow is given. Templates may say `{{ scheduled_at }}` and `{{ schedule }}`.
    #[serde(default)]
    #[schema(value_type = Object)]
    input_data: Map<String, Value>,
    #[serde(default)]
    #[schema(value_type = Object)]
    context: Map<String, Value>,
    /// Instants at which nothing served: `run_once` for all of them, `run_all` of the latest 100, or `skip`.
    #[serde(default)]
    #[schema(schema_with = openapi::missed)]
    missed: MissedRunPolicy,
    /// While the run before goes on: `allow`, `skip` or `wait`.
    #[serde(default)]
    #[schema(schema_with = openapi::overlap)]
    overlap: OverlapPolicy,
    #[serde(default = "yes")]
    enabled: bool,
}

fn yes() -> bool {
    true
}

impl ScheduleRequest {
    fn schedule(self, name: String, principal: &Principal) -> ScheduleTrigger {
        let Self { workflow_id, cron, zone, input_data, context, missed, overlap, enabled, .. } = self;
        ScheduleTrigger {
            name,
            workflow: workflow_id,
            cron,
            zone,
            input: Value::Object(input_data),
            context,
            missed,
            overlap,
            enabled,
            from_project: false,
            created_at: baton_core::time::Time::EPOCH,
            set_by: Some(principal.actor_name().to_owned()),
        }
    }
}

/// A schedule with what became of it, and what comes.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described, never made")]
#[schema(as = Schedule)]
pub(super) struct ScheduleSchema {
    name: String,
    workflow_id: String,
    cron: String,
    zone: Option<String>,
    input_data: Value,
    context: Value,
    missed: String,
    overlap: String,
    enabled: bool,
    /// Defined by the project's folder.
    from_project: bool,
    created_at: String,
    /// The coming instants; none while it is not enabled.
    next: Vec<String>,
    last_execution_id: Option<String>,
    last_instant: Option<String>,
    /// Instants that were left out: missed, or while another run went on.
    left_out: u64,
    /// Why the last one could not be begun.
    error: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "only described, never made")]
#[schema(as = Schedules)]
pub(super) struct ScheduleListSchema {
    schedules: Vec<ScheduleSchema>,
    /// Give it as `after` for the next page.
    next_after: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "only described, never made")]
#[schema(as = ScheduleBegun)]
pub(super) struct ScheduleRunSchema {
    execution_id: String,
}

async fn schedule_json(
    services: &RunServices,
    principal: &Principal,
    schedule: &ScheduleTrigger,
    now: baton_core::time::Time,
    next: usize,
) -> Result<Value, HttpProblem> {
    Ok(services.triggers().schedule_json(principal.tenant(), schedule, next, now).await?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NextRunsQuery {
    next: Option<usize>,
}

/// Lists schedules by name, each with its next instant
#[utoipa::path(get, path = "/api/v1/schedules", tag = "schedules",
    params(("after" = Option<String>, Query), ("limit" = Option<usize>, Query, minimum = 1, maximum = 200, description = "1 to 200; 50 unless told")),
    responses((status = 200, body = ScheduleListSchema)))]
pub(super) async fn list(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    QueryParams(NamePageQuery { after, limit }): QueryParams<NamePageQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let services = state.run_services()?;
    let limit = extractors::limit(limit, 50, PAGE_MAX)?;
    let page: Vec<ScheduleTrigger> =
        triggers::list(&*services.records, principal.tenant(), after.as_deref(), limit).await?;
    let next_after = page.last().filter(|_| page.len() == limit).map(|last| last.name.clone());
    let mut schedules = Vec::with_capacity(page.len());
    for schedule in &page {
        schedules.push(schedule_json(services, &principal, schedule, state.clock.now(), 1).await?);
    }
    Ok(Json(json!({ "schedules": schedules, "next_after": next_after })))
}

/// Shows a schedule, and when it comes round next
#[utoipa::path(get, path = "/api/v1/schedules/{name}", tag = "schedules",
    params(("name" = String, Path), ("next" = Option<usize>, Query, minimum = 1, maximum = 50, description = "how many coming instants: 1 to 50, 5 unless told")),
    responses((status = 200, body = ScheduleSchema), (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn show(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
    QueryParams(NextRunsQuery { next }): QueryParams<NextRunsQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let services = state.run_services()?;
    let next = extractors::limit(next, NEXT_DEFAULT, NEXT_MAX)?;
    let (_, schedule) = triggers::find::<ScheduleTrigger>(&*services.records, principal.tenant(), &name).await?;
    Ok(Json(schedule_json(services, &principal, &schedule, state.clock.now(), next).await?))
}

/// Makes a schedule
///
/// One that is there already under this name, and says the same, is answered as it is.
#[utoipa::path(post, path = "/api/v1/schedules", tag = "schedules", request_body = ScheduleRequest, responses(
    (status = 201, body = ScheduleSchema), (status = 200, body = ScheduleSchema, description = "it was made before"),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn create(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    body: Body,
) -> Result<Response, HttpProblem> {
    let services = state.run_services()?;
    let mut defined: ScheduleRequest = body::json(body, state.limits).await?;
    let name = require_name(defined.name.take())?;
    let now = state.clock.now();
    let wanted = defined.schedule(name, &principal);
    let (status, schedule) =
        match services.triggers().save_schedule(principal.tenant(), None, wanted.clone(), now).await {
            Ok(schedule) => (StatusCode::CREATED, schedule),
            Err(error @ triggers::TriggerError::Taken { .. }) => {
                let (_, there) =
                    triggers::find::<ScheduleTrigger>(&*services.records, principal.tenant(), &wanted.name).await?;
                if (ScheduleTrigger { created_at: wanted.created_at, set_by: wanted.set_by.clone(), ..there.clone() })
                    != wanted
                {
                    return Err(error.into());
                }
                (StatusCode::OK, there)
            }
            Err(error) => return Err(error.into()),
        };
    state.triggers_changed.send_replace(());
    Ok((status, Json(schedule_json(services, &principal, &schedule, now, NEXT_DEFAULT).await?)).into_response())
}

/// Puts a schedule in another's place, whole
#[utoipa::path(put, path = "/api/v1/schedules/{name}", tag = "schedules", params(("name" = String, Path)),
    request_body = ScheduleRequest, responses((status = 200, body = ScheduleSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn replace(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
    body: Body,
) -> Result<Json<Value>, HttpProblem> {
    let services = state.run_services()?;
    let defined: ScheduleRequest = body::json(body, state.limits).await?;
    check_same_name(&name, defined.name.as_deref())?;
    let now = state.clock.now();
    let before = triggers::find::<ScheduleTrigger>(&*services.records, principal.tenant(), &name).await?;
    let schedule = services
        .triggers()
        .save_schedule(principal.tenant(), Some(before), defined.schedule(name, &principal), now)
        .await?;
    state.triggers_changed.send_replace(());
    Ok(Json(schedule_json(services, &principal, &schedule, now, NEXT_DEFAULT).await?))
}

/// Takes a schedule out; what it began goes on
#[utoipa::path(delete, path = "/api/v1/schedules/{name}", tag = "schedules", params(("name" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn remove(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
) -> Result<StatusCode, HttpProblem> {
    let services = state.run_services()?;
    triggers::delete::<ScheduleTrigger>(&*services.records, principal.tenant(), &name, &[STATE], state.clock.now())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a schedule come round no more until it is resumed
#[utoipa::path(post, path = "/api/v1/schedules/{name}/pause", tag = "schedules", params(("name" = String, Path)),
    responses((status = 200, body = ScheduleSchema), (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn pause(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
) -> Result<Json<Value>, HttpProblem> {
    enable(&state, &principal, &name, false).await
}

/// Lets a schedule come round again; what was missed meanwhile is not made up for
#[utoipa::path(post, path = "/api/v1/schedules/{name}/resume", tag = "schedules", params(("name" = String, Path)),
    responses((status = 200, body = ScheduleSchema), (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn resume(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
) -> Result<Json<Value>, HttpProblem> {
    enable(&state, &principal, &name, true).await
}

async fn enable(
    state: &AppState,
    principal: &Principal,
    name: &str,
    enabled: bool,
) -> Result<Json<Value>, HttpProblem> {
    let (services, now) = (state.run_services()?, state.clock.now());
    let schedule = services
        .triggers()
        .enable_schedule(principal.tenant(), name, enabled, Some(principal.actor_name()), now)
        .await?;
    state.triggers_changed.send_replace(());
    Ok(Json(schedule_json(services, principal, &schedule, now, NEXT_DEFAULT).await?))
}

/// Begins a run of a schedule now
///
/// The same `Idempotency-Key` is the same run.
#[utoipa::path(post, path = "/api/v1/schedules/{name}/run", tag = "schedules",
    params(("name" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 202, body = ScheduleRunSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn run(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
    headers: HeaderMap,
) -> Result<Response, HttpProblem> {
    let services = state.run_services()?;
    let key = super::idempotency::idempotency_key(&headers)?.map(str::to_owned);
    let command = key.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    let asked = (command.as_str(), Some(principal.actor_name()));
    let run = services.triggers().run_schedule(principal.tenant(), &name, asked, state.clock.now()).await?;
    Ok(accepted(&run))
}

/// 202, with the address of the run.
pub(crate) fn accepted(run: &baton_core::id::RunId) -> Response {
    let location = [("location", format!("/api/v1/executions/{run}"))];
    (StatusCode::ACCEPTED, location, Json(json!({ "execution_id": run }))).into_response()
}
