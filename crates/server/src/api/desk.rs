//! What waits for people, and their yes or no.

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use baton_core::expr::nearest;
use baton_core::id::RunId;
use baton_engine::Followed;
use baton_ports::desk::About;
use baton_ports::journal::DeskItem;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::executions::act::Act;
use super::guest::Guest;
use super::once::{Asked, Once};
use super::query::Path;
use super::shapes::{Desk, Execution, Problem as Refusal, Request as Shown};
use crate::body;
use crate::code;
use crate::door::{Door, Work};
use crate::problem::Problem;

/// Lists what waits for people, oldest first
#[utoipa::path(get, path = "/api/v1/desk", tag = "desk", responses((status = 200, body = Desk)))]
pub(super) async fn list(State(door): State<Door>, Extension(guest): Extension<Guest>) -> Result<Json<Value>, Problem> {
    let items = door.work()?.read.desk(guest.tenant(), None).await?;
    Ok(Json(json!({ "items": items.iter().map(DeskItem::as_json).collect::<Vec<_>>() })))
}

/// Lists what waits for a yes or a no, oldest first
#[utoipa::path(get, path = "/api/v1/approvals", tag = "desk", responses((status = 200, body = Desk)))]
pub(super) async fn approvals(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
) -> Result<Json<Value>, Problem> {
    let items = door.work()?.read.desk(guest.tenant(), None).await?;
    let items: Vec<Value> = items.iter().filter(|item| item.request().is_some()).map(DeskItem::as_json).collect();
    Ok(Json(json!({ "items": items })))
}

/// A request that is open.
struct Request {
    item: DeskItem,
    run: RunId,
    about: About,
}

impl Request {
    async fn find(work: &Work, guest: &Guest, id: &str) -> Result<Self, Problem> {
        let items = work.read.desk(guest.tenant(), None).await?;
        let requests = items.into_iter().filter_map(|item| {
            let (run, about) = (item.run.clone()?, item.request()?);
            Some(Self { item, run, about })
        });
        let (mut found, others): (Vec<Self>, Vec<Self>) = requests.partition(|request| request.item.id == id);
        found.pop().ok_or_else(|| {
            let detail = format!("no request `{id}` waits; it may be decided already");
            let problem = Problem::new(StatusCode::NOT_FOUND, code::APPROVAL_NOT_FOUND, detail);
            match nearest(id, others.iter().map(|request| request.item.id.as_str())) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem.hint("GET /api/v1/approvals lists those that wait"),
            }
        })
    }
}

/// Shows a request: exactly what would be done, who asked, and who has said yes
#[utoipa::path(get, path = "/api/v1/approvals/{approval_id}", tag = "desk",
    params(("approval_id" = String, Path)),
    responses((status = 200, body = Shown), (status = 404, body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn show(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let work = door.work()?;
    let Request { item, run, about } = Request::find(work, &guest, &id).await?;
    let followed = Followed::read(&*work.read, work.engine.library(), guest.tenant(), &run).await?;
    Ok(Json(about.as_json(&item, &followed.run)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Word {
    /// Why; it is kept with the decision.
    #[serde(default)]
    reason: String,
}

/// Says yes
#[utoipa::path(post, path = "/api/v1/approvals/{approval_id}/approve", tag = "desk",
    params(("approval_id" = String, Path)), request_body = Word, responses(
    (status = 200, body = Execution), (status = 202, body = Execution),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn approve(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Word { reason } = body::json(body, door.limits).await?;
    decide(&door, guest, &id, &headers, (true, reason)).await
}

/// Says no
#[utoipa::path(post, path = "/api/v1/approvals/{approval_id}/reject", tag = "desk",
    params(("approval_id" = String, Path)), request_body = Word, responses(
    (status = 200, body = Execution), (status = 202, body = Execution),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn reject(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Word { reason } = body::json(body, door.limits).await?;
    decide(&door, guest, &id, &headers, (false, reason)).await
}

async fn decide(
    door: &Door,
    guest: Guest,
    id: &str,
    headers: &HeaderMap,
    (approved, note): (bool, String),
) -> Result<Response, Problem> {
    let said = json!({ "approved": approved, "reason": note });
    let asked = Asked::new("decide", id, &said);
    // One that was decided under this key waits no more.
    if let Some(run) = Once::of(door, &guest, headers, asked).await?.and_then(|once| once.before) {
        return Act::on(door, guest, run.as_str(), headers, asked).await?.stands().await;
    }
    let Request { run, about, .. } = Request::find(door.work()?, &guest, id).await?;
    let act = Act::on(door, guest, run.as_str(), headers, asked).await?;
    let incoming = about.decided(act.by(), approved, note);
    act.give(&incoming).await
}
