//! Schedules: what is run by itself, and when.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use baton_engine::triggers::schedule::{Missed, NEXT_MAX, Overlap, STATE, Schedule};
use baton_engine::triggers::{self, PAGE_MAX};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::document;
use super::guest::Guest;
use super::query::{self, ByName, Path, Query, kept, named};
use super::shapes::Problem as Refusal;
use crate::body;
use crate::door::{Door, Work};
use crate::problem::Problem;

/// Coming instants that are shown unless told.
const NEXT_DEFAULT: usize = 5;

/// A schedule, as it is defined.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ScheduleDefined)]
pub(super) struct Defined {
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
    #[schema(schema_with = document::missed)]
    missed: Missed,
    /// While the run before goes on: `allow`, `skip` or `wait`.
    #[serde(default)]
    #[schema(schema_with = document::overlap)]
    overlap: Overlap,
    #[serde(default = "yes")]
    enabled: bool,
}

fn yes() -> bool {
    true
}

impl Defined {
    fn schedule(self, name: String, guest: &Guest) -> Schedule {
        let Self { workflow_id, cron, zone, input_data, context, missed, overlap, enabled, .. } = self;
        Schedule {
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
            set_by: Some(guest.by().to_owned()),
        }
    }
}

/// A schedule with what became of it, and what comes.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described, never made")]
#[schema(as = Schedule)]
pub(super) struct Shown {
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
pub(super) struct Page {
    schedules: Vec<Shown>,
    /// Give it as `after` for the next page.
    next_after: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "only described, never made")]
#[schema(as = ScheduleBegun)]
pub(super) struct Begun {
    execution_id: String,
}

async fn told(
    work: &Work,
    guest: &Guest,
    schedule: &Schedule,
    now: baton_core::time::Time,
    next: usize,
) -> Result<Value, Problem> {
    Ok(work.triggers().shown(guest.tenant(), schedule, next, now).await?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Coming {
    next: Option<usize>,
}

/// Lists schedules by name, each with its next instant
#[utoipa::path(get, path = "/api/v1/schedules", tag = "schedules",
    params(("after" = Option<String>, Query), ("limit" = Option<usize>, Query, minimum = 1, maximum = 200, description = "1 to 200; 50 unless told")),
    responses((status = 200, body = Page)))]
pub(super) async fn list(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Query(ByName { after, limit }): Query<ByName>,
) -> Result<Json<Value>, Problem> {
    let work = door.work()?;
    let limit = query::limit(limit, 50, PAGE_MAX)?;
    let page: Vec<Schedule> = triggers::list(&*work.records, guest.tenant(), after.as_deref(), limit).await?;
    let next_after = page.last().filter(|_| page.len() == limit).map(|last| last.name.clone());
    let mut schedules = Vec::with_capacity(page.len());
    for schedule in &page {
        schedules.push(told(work, &guest, schedule, door.clock.now(), 1).await?);
    }
    Ok(Json(json!({ "schedules": schedules, "next_after": next_after })))
}

/// Shows a schedule, and when it comes round next
#[utoipa::path(get, path = "/api/v1/schedules/{name}", tag = "schedules",
    params(("name" = String, Path), ("next" = Option<usize>, Query, minimum = 1, maximum = 50, description = "how many coming instants: 1 to 50, 5 unless told")),
    responses((status = 200, body = Shown), (status = 404, body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn show(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(name): Path<String>,
    Query(Coming { next }): Query<Coming>,
) -> Result<Json<Value>, Problem> {
    let work = door.work()?;
    let next = query::limit(next, NEXT_DEFAULT, NEXT_MAX)?;
    let (_, schedule) = triggers::find::<Schedule>(&*work.records, guest.tenant(), &name).await?;
    Ok(Json(told(work, &guest, &schedule, door.clock.now(), next).await?))
}

/// Makes a schedule
///
/// One that is there already under this name, and says the same, is answered as it is.
#[utoipa::path(post, path = "/api/v1/schedules", tag = "schedules", request_body = Defined, responses(
    (status = 201, body = Shown), (status = 200, body = Shown, description = "it was made before"),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn create(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    body: Body,
) -> Result<Response, Problem> {
    let work = door.work()?;
    let mut defined: Defined = body::json(body, door.limits).await?;
    let name = named(defined.name.take())?;
    let now = door.clock.now();
    let wanted = defined.schedule(name, &guest);
    let (status, schedule) = match work.triggers().save_schedule(guest.tenant(), None, wanted.clone(), now).await {
        Ok(schedule) => (StatusCode::CREATED, schedule),
        Err(error @ triggers::Error::Taken { .. }) => {
            let (_, there) = triggers::find::<Schedule>(&*work.records, guest.tenant(), &wanted.name).await?;
            if (Schedule { created_at: wanted.created_at, set_by: wanted.set_by.clone(), ..there.clone() }) != wanted {
                return Err(error.into());
            }
            (StatusCode::OK, there)
        }
        Err(error) => return Err(error.into()),
    };
    door.fresh.send_replace(());
    Ok((status, Json(told(work, &guest, &schedule, now, NEXT_DEFAULT).await?)).into_response())
}

/// Puts a schedule in another's place, whole
#[utoipa::path(put, path = "/api/v1/schedules/{name}", tag = "schedules", params(("name" = String, Path)),
    request_body = Defined, responses((status = 200, body = Shown),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn replace(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(name): Path<String>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let work = door.work()?;
    let defined: Defined = body::json(body, door.limits).await?;
    kept(&name, defined.name.as_deref())?;
    let now = door.clock.now();
    let before = triggers::find::<Schedule>(&*work.records, guest.tenant(), &name).await?;
    let schedule =
        work.triggers().save_schedule(guest.tenant(), Some(before), defined.schedule(name, &guest), now).await?;
    door.fresh.send_replace(());
    Ok(Json(told(work, &guest, &schedule, now, NEXT_DEFAULT).await?))
}

/// Takes a schedule out; what it began goes on
#[utoipa::path(delete, path = "/api/v1/schedules/{name}", tag = "schedules", params(("name" = String, Path)),
    responses((status = 204), (status = 404, body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn remove(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let work = door.work()?;
    triggers::delete::<Schedule>(&*work.records, guest.tenant(), &name, &[STATE], door.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a schedule come round no more until it is resumed
#[utoipa::path(post, path = "/api/v1/schedules/{name}/pause", tag = "schedules", params(("name" = String, Path)),
    responses((status = 200, body = Shown), (status = 404, body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn pause(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    enable(&door, &guest, &name, false).await
}

/// Lets a schedule come round again; what was missed meanwhile is not made up for
#[utoipa::path(post, path = "/api/v1/schedules/{name}/resume", tag = "schedules", params(("name" = String, Path)),
    responses((status = 200, body = Shown), (status = 404, body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn resume(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    enable(&door, &guest, &name, true).await
}

async fn enable(door: &Door, guest: &Guest, name: &str, enabled: bool) -> Result<Json<Value>, Problem> {
    let (work, now) = (door.work()?, door.clock.now());
    let schedule = work.triggers().enable_schedule(guest.tenant(), name, enabled, Some(guest.by()), now).await?;
    door.fresh.send_replace(());
    Ok(Json(told(work, guest, &schedule, now, NEXT_DEFAULT).await?))
}

/// Begins a run of a schedule now
///
/// The same `Idempotency-Key` is the same run.
#[utoipa::path(post, path = "/api/v1/schedules/{name}/run", tag = "schedules",
    params(("name" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 202, body = Begun), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn run(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let work = door.work()?;
    let key = super::once::key(&headers)?.map(str::to_owned);
    let command = key.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    let asked = (command.as_str(), Some(guest.by()));
    let run = work.triggers().run_schedule(guest.tenant(), &name, asked, door.clock.now()).await?;
    Ok(accepted(&run))
}

/// 202, with where the run is looked at.
pub(crate) fn accepted(run: &baton_core::id::RunId) -> Response {
    let location = [("location", format!("/api/v1/executions/{run}"))];
    (StatusCode::ACCEPTED, location, Json(json!({ "execution_id": run }))).into_response()
}
