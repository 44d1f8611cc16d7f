//! The active version of a workflow: activation, rollback, and traffic split.

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use baton_ports::registry::{
    ChangeResult, PERCENT, SHARES_MAX, VersionShare, WorkflowChange, WorkflowStatus, WorkflowVersion,
};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::version_json;
use crate::api::etag;
use crate::api::execute::workflow_not_found;
use crate::api::extractors::PathParams;
use crate::api::principal::Principal;
use crate::api::schemas::{ProblemSchema, TrafficSplitSchema, WorkflowVersionSchema};
use crate::body;
use crate::code;
use crate::problem::HttpProblem;
use crate::state::{AppState, RunServices};

/// If the four-eyes rule applies, the author of a version may not activate it.
pub(super) fn check_four_eyes(
    services: &RunServices,
    principal: &Principal,
    made_by: Option<&str>,
) -> Result<(), HttpProblem> {
    if !services.files.borrow().four_eyes || made_by != Some(principal.actor_name()) {
        return Ok(());
    }
    let detail = format!("`{}` made this version, and somebody else must activate it", principal.actor_name());
    let hint = "baton.toml says `four_eyes = true` under [workflows]";
    Err(HttpProblem::new(StatusCode::FORBIDDEN, code::FORBIDDEN, detail).with_hint(hint))
}

/// Changes a workflow, if its state matches the request's `If-Match`.
pub(super) async fn change_workflow(
    state: &AppState,
    principal: &Principal,
    name: &str,
    change: WorkflowChange,
    headers: &HeaderMap,
) -> Result<(WorkflowVersion, u64), HttpProblem> {
    let services = state.run_services()?;
    let expected = etag::if_match(headers)?;
    match services.registry.change(principal.tenant(), name, change, expected, state.clock.now()).await? {
        ChangeResult::Done { version, changes } => Ok((version, changes)),
        ChangeResult::Stale { changes: 0 } | ChangeResult::Missing => {
            Err(workflow_not_found(services, principal, name).await)
        }
        ChangeResult::Stale { .. } => Err(etag::precondition_failed(&format!("`{name}`"))),
    }
}

/// Activates a version that this binary can run.
async fn activate_version(
    state: &AppState,
    principal: &Principal,
    version: &WorkflowVersion,
    headers: &HeaderMap,
) -> Result<Response, HttpProblem> {
    let services = state.run_services()?;
    check_four_eyes(services, principal, version.made_by.as_deref())?;
    services.engine.workflows().version(&version.bundle).await?;
    let change = WorkflowChange::Activate { revision: version.revision };
    let (version, changes) = change_workflow(state, principal, &version.workflow, change, headers).await?;
    let mut response = Json(version_json(&version)).into_response();
    etag::set_etag(&mut response, changes);
    Ok(response)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Activate)]
pub(in crate::api) struct ActivateRequest {
    revision: u32,
}

/// Makes a version the active one, which takes all runs
///
/// Runs under way keep the version they are on. A workflow that was put away is there again.
#[utoipa::path(post, path = "/api/v1/workflows/{workflow_id}/activate", tag = "workflows",
    params(("workflow_id" = String, Path),
        ("If-Match" = Option<String>, Header, description = "the `ETag` that was read")),
    request_body = ActivateRequest, responses((status = 200, body = WorkflowVersionSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(in crate::api) async fn activate(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let ActivateRequest { revision } = body::json(body, state.limits).await?;
    let version = super::version(state.run_services()?, &principal, &name, Some(revision)).await?;
    activate_version(&state, &principal, &version, &headers).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Rollback)]
pub(in crate::api) struct RollbackVersionRequest {
    /// The one before that was active, unless told.
    revision: Option<u32>,
}

/// Goes back to an earlier version
///
/// To the newest one below the active that was active before. Asked again, it goes back one more: send `If-Match` where a
/// request may be repeated.
#[utoipa::path(post, path = "/api/v1/workflows/{workflow_id}/rollback", tag = "workflows",
    params(("workflow_id" = String, Path),
        ("If-Match" = Option<String>, Header, description = "the `ETag` that was read")),
    request_body = RollbackVersionRequest, responses((status = 200, body = WorkflowVersionSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(in crate::api) async fn rollback(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let RollbackVersionRequest { revision } = body::json(body, state.limits).await?;
    let services = state.run_services()?;
    let all = services.registry.versions(principal.tenant(), &name).await?;
    if all.is_empty() {
        return Err(workflow_not_found(services, &principal, &name).await);
    }
    let active = all.iter().find(|version| version.active).map_or(u32::MAX, |version| version.revision);
    let was_before = |version: &&WorkflowVersion| version.revision < active && version.activated_at.is_some();
    let earlier =
        all.iter().find(|version| was_before(version) && revision.is_none_or(|revision| version.revision == revision));
    let Some(version) = earlier else {
        let detail = match revision {
            Some(revision) => format!("revision {revision} of `{name}` is none that was active before"),
            None => format!("`{name}` has no earlier version that was active"),
        };
        let problem = HttpProblem::new(StatusCode::CONFLICT, code::WORKFLOW_INACTIVE, detail);
        return Err(problem.with_hint("GET its versions: `activated_at` says which were active"));
    };
    activate_version(&state, &principal, version, &headers).await
}

/// Who shares a workflow's runs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Split)]
pub(in crate::api) struct SplitTrafficRequest {
    /// At most 10, which add up to 100; none: all runs are the active version's.
    #[schema(value_type = Vec<crate::api::schemas::TrafficShareSchema>)]
    #[schema(max_items = 10)]
    traffic: Vec<VersionShare>,
}

impl SplitTrafficRequest {
    fn check(&self) -> Result<(), HttpProblem> {
        let shares = &self.traffic;
        let sum: u64 = shares.iter().map(|share| u64::from(share.percent)).sum();
        let is_twice = |(place, share): (usize, &VersionShare)| {
            shares.iter().skip(place + 1).any(|it| it.revision == share.revision)
        };
        let wrong = if shares.len() > SHARES_MAX {
            format!("at most {SHARES_MAX} versions share a workflow's runs, not {}", shares.len())
        } else if shares.iter().enumerate().any(is_twice) {
            "a revision stands in it twice".to_owned()
        } else if shares.iter().any(|share| share.percent == 0) {
            "each share is 1 percent or more".to_owned()
        } else if !shares.is_empty() && sum != u64::from(PERCENT) {
            format!("the shares add up to {sum}, and not to {PERCENT}")
        } else {
            return Ok(());
        };
        Err(HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, format!("`traffic`: {wrong}")))
    }
}

/// Says which versions share a workflow's runs
#[utoipa::path(get, path = "/api/v1/workflows/{workflow_id}/traffic", tag = "workflows",
    params(("workflow_id" = String, Path)), responses((status = 200, body = TrafficSplitSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(in crate::api) async fn traffic(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
) -> Result<Response, HttpProblem> {
    let services = state.run_services()?;
    let Some(standing) = services.registry.workflow_status(principal.tenant(), &name).await? else {
        return Err(workflow_not_found(services, &principal, &name).await);
    };
    Ok(traffic_response(&standing))
}

fn traffic_response(standing: &WorkflowStatus) -> Response {
    let active = standing.active.as_ref().map(|version| version.revision);
    let body: Value = json!({ "traffic": standing.shares(), "active": active });
    let mut response = Json(body).into_response();
    etag::set_etag(&mut response, standing.changes);
    response
}

/// Splits a workflow's runs among versions
///
/// Who a run is for (`user_id` of its context, else `customer_id`, else `conversation_id`) decides which version it is on, the
/// same each time while the split stays as it is. Activating a version ends the split.
#[utoipa::path(put, path = "/api/v1/workflows/{workflow_id}/traffic", tag = "workflows",
    params(("workflow_id" = String, Path),
        ("If-Match" = Option<String>, Header, description = "the `ETag` that was read")),
    request_body = SplitTrafficRequest, responses((status = 200, body = TrafficSplitSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(in crate::api) async fn split(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let split: SplitTrafficRequest = body::json(body, state.limits).await?;
    split.check()?;
    let services = state.run_services()?;
    for share in &split.traffic {
        let version = super::version(services, &principal, &name, Some(share.revision)).await?;
        check_four_eyes(services, &principal, version.made_by.as_deref())?;
        services.engine.workflows().version(&version.bundle).await?;
    }
    change_workflow(&state, &principal, &name, WorkflowChange::Split(split.traffic), &headers).await?;
    let standing = services.registry.workflow_status(principal.tenant(), &name).await?;
    Ok(standing.map_or_else(|| StatusCode::NO_CONTENT.into_response(), |standing| traffic_response(&standing)))
}
