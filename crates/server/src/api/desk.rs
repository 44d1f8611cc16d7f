//! What waits for people, and their yes or no.

pub(super) mod live;

use std::collections::BTreeMap;

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use baton_core::expr::nearest;
use baton_core::id::{RunId, TenantId};
use baton_core::run::Run;
use baton_engine::newest;
use baton_ports::desk::About;
use baton_ports::journal::DeskItem;
use baton_ports::read::{PAGE_DEFAULT, PAGE_MAX};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::executions::act::Act;
use super::guest::Guest;
use super::once::{Asked, Once};
use super::query::{Path, Query, limit};
use super::shapes::{Desk, Execution, Problem as Refusal, Request as Shown};
use crate::body;
use crate::code;
use crate::door::{Door, Work};
use crate::problem::Problem;

/// Which items.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// 1 to 500; 50 unless told.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// As the page before says.
    cursor: Option<String>,
}

/// Lists what waits for people, oldest first
#[utoipa::path(get, path = "/api/v1/desk", tag = "desk", params(Which), responses((status = 200, body = Desk),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Query(which): Query<Which>,
) -> Result<Json<Value>, Problem> {
    let work = door.work()?;
    let items = work.read.desk(guest.tenant(), None).await?;
    page(&door, &guest, items, &which).await
}

/// Lists what waits for a yes or a no, oldest first
#[utoipa::path(get, path = "/api/v1/approvals", tag = "desk", params(Which), responses((status = 200, body = Desk),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn approvals(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Query(which): Query<Which>,
) -> Result<Json<Value>, Problem> {
    let work = door.work()?;
    let mut items = work.read.desk(guest.tenant(), None).await?;
    items.retain(|item| item.request().is_some());
    page(&door, &guest, items, &which).await
}

/// One page of items, each with its workflow; a request with who has said yes, and what its tool may do.
async fn page(door: &Door, guest: &Guest, items: Vec<DeskItem>, which: &Which) -> Result<Json<Value>, Problem> {
    let work = door.work()?;
    let limit = limit(which.limit, PAGE_DEFAULT, PAGE_MAX)?;
    // One that was closed since is not among them any more, and neither are those before it.
    let behind = which.cursor.as_ref().and_then(|cursor| items.iter().position(|item| item.id == *cursor));
    let from = behind.map_or(0, |place| place + 1);
    let mut shown = Vec::new();
    let mut workflows: BTreeMap<RunId, Option<String>> = BTreeMap::new();
    for item in items.iter().skip(from).take(limit) {
        let mut one = match (item.run.as_ref(), item.request()) {
            (Some(run), Some(about)) => {
                let run = newest::run(&*work.read, work.engine.library(), guest.tenant(), run).await?;
                request_told(door, guest.tenant(), &about, item, &run)
            }
            _ => item.as_json(),
        };
        if let Some(run) = &item.run {
            if !workflows.contains_key(run) {
                let head = work.read.run(guest.tenant(), run).await?;
                workflows.insert(run.clone(), head.map(|head| head.workflow));
            }
            one["workflow_id"] = json!(workflows.get(run));
        }
        shown.push(one);
    }
    let is_last = from + shown.len() >= items.len();
    let next = items.get(from + shown.len().saturating_sub(1)).filter(|_| !is_last).map(|item| &item.id);
    Ok(Json(json!({ "items": shown, "next_cursor": next })))
}

/// A request for programs, with the effect class of its tool and whether what it does can be undone.
fn request_told(door: &Door, tenant: &TenantId, about: &About, item: &DeskItem, run: &Run) -> Value {
    let mut shown = about.as_json(item, run);
    let house = door.house().ok();
    let facts = shown["tool"].as_str().and_then(|tool| house?.tools.facts_for(tenant, tool));
    shown["effect_class"] = json!(facts.as_ref().map(|facts| facts.class));
    shown["irreversible"] = json!(facts.and_then(|facts| facts.irreversible.clone()));
    shown
}

/// A request that is open.
pub(super) struct Request {
    pub item: DeskItem,
    pub run: RunId,
    pub about: About,
}

impl Request {
    pub async fn find(work: &Work, tenant: &TenantId, id: &str) -> Result<Self, Problem> {
        let items = work.read.desk(tenant, None).await?;
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
    let Request { item, run, about } = Request::find(work, guest.tenant(), &id).await?;
    let run = newest::run(&*work.read, work.engine.library(), guest.tenant(), &run).await?;
    let mut shown = request_told(&door, guest.tenant(), &about, &item, &run);
    shown["workflow_id"] = json!(run.workflow().map(|workflow| workflow.name.clone()));
    Ok(Json(shown))
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
    let Request { run, about, .. } = Request::find(door.work()?, guest.tenant(), id).await?;
    let act = Act::on(door, guest, run.as_str(), headers, asked).await?;
    let incoming = about.decided(act.by(), approved, note);
    act.give(&incoming).await
}
