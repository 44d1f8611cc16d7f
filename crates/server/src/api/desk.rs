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
use baton_core::run::{Address, Decider, Run};
use baton_engine::newest;
use baton_ports::desk::About;
use baton_ports::journal::{DeskItem, DeskKind};
use baton_ports::keys::Need;
use baton_ports::read::{PAGE_DEFAULT, PAGE_MAX};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::cursor::List;
use super::executions::act::Act;
use super::guest::Guest;
use super::once::{Asked, Once};
use super::query::{Path, Query, limit};
use super::shapes::{Desk, Execution, Problem as Refusal, Request as Shown};
use crate::body;
use crate::code;
use crate::door::{Door, Work};
use crate::problem::Problem;

/// Items that are looked at for one page. Most of them take their run's whole history to be read.
const LOOKED_AT_MAX: usize = 500;

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
    /// Only what this key may settle, in one of the ways that `may` names. 500 items are looked at for a page, so it may have
    /// fewer than `limit`, or none, while `next_cursor` says that there are more.
    #[serde(default)]
    mine: bool,
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
    page(&door, &guest, List::Desk, items, &which).await
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
    page(&door, &guest, List::Approvals, items, &which).await
}

/// One page of items, each with its workflow; a request with who has said yes, and what its tool may do.
async fn page(
    door: &Door,
    guest: &Guest,
    list: List,
    items: Vec<DeskItem>,
    which: &Which,
) -> Result<Json<Value>, Problem> {
    let work = door.work()?;
    let limit = limit(which.limit, PAGE_DEFAULT, PAGE_MAX)?;
    // One that was closed since is not among them any more, and neither are those before it.
    let cursor = list.place(guest.tenant(), which.cursor.as_deref())?;
    let behind = cursor.and_then(|cursor| items.iter().position(|item| item.id == cursor));
    let from = behind.map_or(0, |place| place + 1);
    let mut shown = Vec::new();
    let mut workflows: BTreeMap<RunId, Option<String>> = BTreeMap::new();
    let decider = guest.decider(door).await?;
    let mut last = None;
    for item in items.iter().skip(from).take(LOOKED_AT_MAX) {
        if shown.len() >= limit {
            break;
        }
        last = Some(&item.id);
        let run = match &item.run {
            Some(run) if item.kind == DeskKind::Form || item.request().is_some() => {
                Some(newest::run(&*work.read, work.engine.library(), guest.tenant(), run).await?)
            }
            Some(_) | None => None,
        };
        let offered = Offered::of(guest, item, run.as_ref(), &decider);
        if which.mine && offered.may.is_empty() {
            continue;
        }
        let mut one = match (&run, item.request()) {
            (Some(run), Some(about)) => request_told(door, guest.tenant(), &about, item, run),
            _ => item.as_json(),
        };
        offered.tell(&mut one);
        if let Some(run) = &item.run {
            if !workflows.contains_key(run) {
                let head = work.read.run(guest.tenant(), run).await?;
                workflows.insert(run.clone(), head.map(|head| head.workflow));
            }
            one["workflow_id"] = json!(workflows.get(run));
        }
        shown.push(one);
    }
    let next = last.filter(|last| items.last().is_some_and(|item| item.id != **last));
    let next = next.map(|last| list.cursor(guest.tenant(), last));
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

/// What whoever asks may do about an item, so that nobody is offered what would be refused.
struct Offered {
    may: Vec<&'static str>,
    /// Why it is not all that the item asks for.
    why_not: Option<String>,
}

impl Offered {
    fn of(guest: &Guest, item: &DeskItem, run: Option<&Run>, decider: &Decider) -> Self {
        let by_role = |need: Need, act: &'static str| match guest.must(need) {
            Ok(()) => Self { may: vec![act], why_not: None },
            Err(problem) => Self { may: Vec::new(), why_not: Some(problem.detail) },
        };
        match item.kind {
            DeskKind::Approval | DeskKind::ToolApproval => {
                let offered = by_role(Need::Answer, "approve");
                let (Some(about), Some(run)) = (item.request(), run) else { return offered };
                if offered.may.is_empty() {
                    return offered;
                }
                let approve = about.may_decide(run, decider, true);
                let may = [
                    approve.is_ok().then_some("approve"),
                    about.may_decide(run, decider, false).ok().map(|()| "reject"),
                ];
                Self { may: may.into_iter().flatten().collect(), why_not: approve.err().map(|no| no.to_string()) }
            }
            DeskKind::Form => {
                let offered = by_role(Need::Answer, "fill");
                match (item.detail::<Address>("node"), run) {
                    (Some(node), Some(run)) if !offered.may.is_empty() => match run.may_answer(&node, decider, false) {
                        Ok(()) => offered,
                        Err(no) => Self { may: Vec::new(), why_not: Some(no.to_string()) },
                    },
                    _ => offered,
                }
            }
            DeskKind::Question => by_role(Need::Run, "signal"),
            DeskKind::Doubt | DeskKind::NotUndone => by_role(Need::Operate, "resolve"),
            DeskKind::OverBudget => by_role(Need::Operate, "approve"),
            DeskKind::Budget | DeskKind::NeedsKey | DeskKind::Connection | DeskKind::Late => {
                Self { may: Vec::new(), why_not: None }
            }
        }
    }

    fn tell(&self, shown: &mut Value) {
        shown["may"] = json!(self.may);
        shown["why_not"] = json!(self.why_not);
    }
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
    Offered::of(&guest, &item, Some(&run), &guest.decider(&door).await?).tell(&mut shown);
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
    let incoming = about.decided(act.decider().await?, approved, note);
    act.give(&incoming).await
}
