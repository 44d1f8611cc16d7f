//! The task inbox: tasks that wait for people, and their decisions.

pub(super) mod live;

use std::collections::BTreeMap;

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use baton_core::id::{RunId, TenantId};
use baton_core::run::{DecisionMaker, NodeAddress, Run};
use baton_engine::snapshot_reader;
use baton_expr::nearest;
use baton_ports::journal::{TaskItem, TaskItemKind};
use baton_ports::keys::AccessScope;
use baton_ports::read::{PAGE_DEFAULT, PAGE_MAX};
use baton_ports::task_inbox::ApprovalSubject;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::cursor::PagedList;
use super::executions::commands::RunCommandRequest;
use super::extractors::{PathParams, QueryParams, limit};
use super::idempotency::{IdempotencyKey, RequestFingerprint};
use super::principal::Principal;
use super::schemas::{ApprovalSchema, ExecutionSchema, ProblemSchema, TaskListSchema};
use crate::body;
use crate::code;
use crate::problem::HttpProblem;
use crate::state::{AppState, RunServices};

/// Maximum number of items that are examined for one page. Most of them require reading the whole history of their
/// run.
const SCAN_MAX: usize = 500;

/// Which items.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct TaskListQuery {
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
#[utoipa::path(get, path = "/api/v1/desk", tag = "desk", params(TaskListQuery), responses((status = 200, body = TaskListSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    QueryParams(which): QueryParams<TaskListQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let services = state.run_services()?;
    let items = services.read.open_tasks(principal.tenant(), None).await?;
    page(&state, &principal, PagedList::Tasks, items, &which).await
}

/// Lists what waits for a yes or a no, oldest first
#[utoipa::path(get, path = "/api/v1/approvals", tag = "desk", params(TaskListQuery), responses((status = 200, body = TaskListSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn approvals(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    QueryParams(which): QueryParams<TaskListQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let services = state.run_services()?;
    let mut items = services.read.open_tasks(principal.tenant(), None).await?;
    items.retain(|item| item.request().is_some());
    page(&state, &principal, PagedList::Approvals, items, &which).await
}

/// One page of items, each with its workflow. An approval also carries the decisions so far and its tool's effect
/// class.
async fn page(
    state: &AppState,
    principal: &Principal,
    list: PagedList,
    items: Vec<TaskItem>,
    which: &TaskListQuery,
) -> Result<Json<Value>, HttpProblem> {
    let services = state.run_services()?;
    let limit = limit(which.limit, PAGE_DEFAULT, PAGE_MAX)?;
    // An item that was closed since is no longer in the list, and neither are the items before it.
    let cursor = list.decode(principal.tenant(), which.cursor.as_deref())?;
    let behind = cursor.and_then(|cursor| items.iter().position(|item| item.id == cursor));
    let from = behind.map_or(0, |place| place + 1);
    let mut shown = Vec::new();
    let mut workflows: BTreeMap<RunId, Option<String>> = BTreeMap::new();
    let decider = principal.decider(state).await?;
    let mut last = None;
    for item in items.iter().skip(from).take(SCAN_MAX) {
        if shown.len() >= limit {
            break;
        }
        last = Some(&item.id);
        let run = match &item.run {
            Some(run) if item.kind == TaskItemKind::Form || item.request().is_some() => Some(
                snapshot_reader::read_run(&*services.read, services.engine.workflows(), principal.tenant(), run)
                    .await?,
            ),
            Some(_) | None => None,
        };
        let offered = AllowedActions::of(principal, item, run.as_ref(), &decider);
        if which.mine && offered.may.is_empty() {
            continue;
        }
        let mut one = match (&run, item.request()) {
            (Some(run), Some(about)) => approval_json(state, principal.tenant(), &about, item, run),
            _ => item.as_json(),
        };
        offered.write_to(&mut one);
        if let Some(run) = &item.run {
            if !workflows.contains_key(run) {
                let head = services.read.run(principal.tenant(), run).await?;
                workflows.insert(run.clone(), head.map(|head| head.workflow));
            }
            one["workflow_id"] = json!(workflows.get(run));
        }
        shown.push(one);
    }
    let next = last.filter(|last| items.last().is_some_and(|item| item.id != **last));
    let next = next.map(|last| list.encode(principal.tenant(), last));
    Ok(Json(json!({ "items": shown, "next_cursor": next })))
}

/// The JSON form of an approval, with the effect class of its tool and whether the effect can be undone.
fn approval_json(state: &AppState, tenant: &TenantId, about: &ApprovalSubject, item: &TaskItem, run: &Run) -> Value {
    let mut shown = about.as_json(item, run);
    let admin = state.admin_services().ok();
    let facts = shown["tool"].as_str().and_then(|tool| admin?.tools.facts_for(tenant, tool));
    shown["effect_class"] = json!(facts.as_ref().map(|facts| facts.class));
    shown["irreversible"] = json!(facts.and_then(|facts| facts.irreversible.clone()));
    shown
}

/// What the caller may do about an item, so that no action is offered that would be refused.
struct AllowedActions {
    may: Vec<&'static str>,
    /// Why not all actions of the item are allowed.
    why_not: Option<String>,
}

impl AllowedActions {
    fn of(principal: &Principal, item: &TaskItem, run: Option<&Run>, decider: &DecisionMaker) -> Self {
        let by_role = |need: AccessScope, act: &'static str| match principal.require(need) {
            Ok(()) => Self { may: vec![act], why_not: None },
            Err(problem) => Self { may: Vec::new(), why_not: Some(problem.detail) },
        };
        match item.kind {
            TaskItemKind::Approval | TaskItemKind::ToolApproval => {
                let offered = by_role(AccessScope::Answer, "approve");
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
            TaskItemKind::Form => {
                let offered = by_role(AccessScope::Answer, "fill");
                match (item.detail::<NodeAddress>("node"), run) {
                    (Some(node), Some(run)) if !offered.may.is_empty() => match run.check_answer(&node, decider, false)
                    {
                        Ok(()) => offered,
                        Err(no) => Self { may: Vec::new(), why_not: Some(no.to_string()) },
                    },
                    _ => offered,
                }
            }
            TaskItemKind::Question => by_role(AccessScope::Run, "signal"),
            TaskItemKind::Doubt | TaskItemKind::NotUndone => by_role(AccessScope::Operate, "resolve"),
            TaskItemKind::OverBudget => by_role(AccessScope::Operate, "approve"),
            TaskItemKind::Budget | TaskItemKind::NeedsKey | TaskItemKind::Connection | TaskItemKind::Late => {
                Self { may: Vec::new(), why_not: None }
            }
        }
    }

    fn write_to(&self, shown: &mut Value) {
        shown["may"] = json!(self.may);
        shown["why_not"] = json!(self.why_not);
    }
}

/// An open approval.
pub(super) struct PendingApproval {
    pub item: TaskItem,
    pub run: RunId,
    pub about: ApprovalSubject,
}

impl PendingApproval {
    pub async fn find(services: &RunServices, tenant: &TenantId, id: &str) -> Result<Self, HttpProblem> {
        let items = services.read.open_tasks(tenant, None).await?;
        let requests = items.into_iter().filter_map(|item| {
            let (run, about) = (item.run.clone()?, item.request()?);
            Some(Self { item, run, about })
        });
        let (mut found, others): (Vec<Self>, Vec<Self>) = requests.partition(|request| request.item.id == id);
        found.pop().ok_or_else(|| {
            let detail = format!("no request `{id}` waits; it may be decided already");
            let problem = HttpProblem::new(StatusCode::NOT_FOUND, code::APPROVAL_NOT_FOUND, detail);
            match nearest(id, others.iter().map(|request| request.item.id.as_str())) {
                Some(near) => problem.with_hint(format!("did you mean `{near}`?")),
                None => problem.with_hint("GET /api/v1/approvals lists those that wait"),
            }
        })
    }
}

/// Shows a request: exactly what would be done, who asked, and who has said yes
#[utoipa::path(get, path = "/api/v1/approvals/{approval_id}", tag = "desk",
    params(("approval_id" = String, Path)),
    responses((status = 200, body = ApprovalSchema), (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn show(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
) -> Result<Json<Value>, HttpProblem> {
    let services = state.run_services()?;
    let PendingApproval { item, run, about } = PendingApproval::find(services, principal.tenant(), &id).await?;
    let run = snapshot_reader::read_run(&*services.read, services.engine.workflows(), principal.tenant(), &run).await?;
    let mut shown = approval_json(&state, principal.tenant(), &about, &item, &run);
    shown["workflow_id"] = json!(run.workflow().map(|workflow| workflow.name.clone()));
    AllowedActions::of(&principal, &item, Some(&run), &principal.decider(&state).await?).write_to(&mut shown);
    Ok(Json(shown))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Word)]
pub(super) struct DecisionRequest {
    /// Why; it is kept with the decision.
    #[serde(default)]
    reason: String,
}

/// Says yes
#[utoipa::path(post, path = "/api/v1/approvals/{approval_id}/approve", tag = "desk",
    params(("approval_id" = String, Path)), request_body = DecisionRequest, responses(
    (status = 200, body = ExecutionSchema), (status = 202, body = ExecutionSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn approve(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let DecisionRequest { reason } = body::json(body, state.limits).await?;
    decide(&state, principal, &id, &headers, (true, reason)).await
}

/// Says no
#[utoipa::path(post, path = "/api/v1/approvals/{approval_id}/reject", tag = "desk",
    params(("approval_id" = String, Path)), request_body = DecisionRequest, responses(
    (status = 200, body = ExecutionSchema), (status = 202, body = ExecutionSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn reject(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let DecisionRequest { reason } = body::json(body, state.limits).await?;
    decide(&state, principal, &id, &headers, (false, reason)).await
}

async fn decide(
    state: &AppState,
    principal: Principal,
    id: &str,
    headers: &HeaderMap,
    (approved, note): (bool, String),
) -> Result<Response, HttpProblem> {
    let said = json!({ "approved": approved, "reason": note });
    let asked = RequestFingerprint::new("decide", id, &said);
    // An approval that was decided under this key is no longer open.
    if let Some(run) = IdempotencyKey::of(state, &principal, headers, asked).await?.and_then(|once| once.previous_run) {
        return RunCommandRequest::load(state, principal, run.as_str(), headers, asked).await?.respond_current().await;
    }
    let PendingApproval { run, about, .. } =
        PendingApproval::find(state.run_services()?, principal.tenant(), id).await?;
    let act = RunCommandRequest::load(state, principal, run.as_str(), headers, asked).await?;
    let incoming = about.decision(act.decider().await?, approved, note);
    act.submit(&incoming).await
}
