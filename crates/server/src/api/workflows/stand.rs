//! Which version of a workflow runs: activated, rolled back, shared among several.

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use baton_ports::registry::{Change, Changed, PERCENT, SHARES_MAX, Share, Standing, Version};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::told;
use crate::api::etag;
use crate::api::execute::no_workflow;
use crate::api::guest::Guest;
use crate::api::query::Path;
use crate::api::shapes::{Problem as Refusal, Traffic, Version as Shown};
use crate::body;
use crate::code;
use crate::door::{Door, Work};
use crate::problem::Problem;

/// Where two must agree, whoever made a version is not who activates it.
pub(super) fn four_eyes(work: &Work, guest: &Guest, made_by: Option<&str>) -> Result<(), Problem> {
    if !work.files.borrow().four_eyes || made_by != Some(guest.by()) {
        return Ok(());
    }
    let detail = format!("`{}` made this version, and somebody else must activate it", guest.by());
    let hint = "baton.toml says `four_eyes = true` under [workflows]";
    Err(Problem::new(StatusCode::FORBIDDEN, code::FORBIDDEN, detail).hint(hint))
}

/// Changes a workflow, where it stands as the request says that it was read.
pub(super) async fn changed(
    door: &Door,
    guest: &Guest,
    name: &str,
    change: Change,
    headers: &HeaderMap,
) -> Result<(Version, u64), Problem> {
    let work = door.work()?;
    let expected = etag::expected(headers)?;
    match work.registry.change(guest.tenant(), name, change, expected, door.clock.now()).await? {
        Changed::Done { version, changes } => Ok((version, changes)),
        Changed::Stale { changes: 0 } | Changed::Missing => Err(no_workflow(work, guest, name).await),
        Changed::Stale { .. } => Err(etag::stale(&format!("`{name}`"))),
    }
}

/// Activates a version that this binary can run.
async fn activated(door: &Door, guest: &Guest, version: &Version, headers: &HeaderMap) -> Result<Response, Problem> {
    let work = door.work()?;
    four_eyes(work, guest, version.made_by.as_deref())?;
    work.engine.library().version(&version.bundle).await?;
    let change = Change::Activate { revision: version.revision };
    let (version, changes) = changed(door, guest, &version.workflow, change, headers).await?;
    let mut response = Json(told(&version)).into_response();
    etag::say(&mut response, changes);
    Ok(response)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Activate {
    revision: u32,
}

/// Makes a version the active one, which takes all runs
///
/// Runs under way keep the version they are on. A workflow that was put away is there again.
#[utoipa::path(post, path = "/api/v1/workflows/{workflow_id}/activate", tag = "workflows",
    params(("workflow_id" = String, Path),
        ("If-Match" = Option<String>, Header, description = "the `ETag` that was read")),
    request_body = Activate, responses((status = 200, body = Shown),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(in crate::api) async fn activate(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Activate { revision } = body::json(body, door.limits).await?;
    let version = super::version(door.work()?, &guest, &name, Some(revision)).await?;
    activated(&door, &guest, &version, &headers).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Rollback {
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
    request_body = Rollback, responses((status = 200, body = Shown),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(in crate::api) async fn rollback(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Rollback { revision } = body::json(body, door.limits).await?;
    let work = door.work()?;
    let all = work.registry.versions(guest.tenant(), &name).await?;
    if all.is_empty() {
        return Err(no_workflow(work, &guest, &name).await);
    }
    let active = all.iter().find(|version| version.active).map_or(u32::MAX, |version| version.revision);
    let was_before = |version: &&Version| version.revision < active && version.activated_at.is_some();
    let earlier =
        all.iter().find(|version| was_before(version) && revision.is_none_or(|revision| version.revision == revision));
    let Some(version) = earlier else {
        let detail = match revision {
            Some(revision) => format!("revision {revision} of `{name}` is none that was active before"),
            None => format!("`{name}` has no earlier version that was active"),
        };
        let problem = Problem::new(StatusCode::CONFLICT, code::WORKFLOW_INACTIVE, detail);
        return Err(problem.hint("GET its versions: `activated_at` says which were active"));
    };
    activated(&door, &guest, version, &headers).await
}

/// Who shares a workflow's runs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Split {
    /// At most 10, which add up to 100; none: all runs are the active version's.
    #[schema(value_type = Vec<crate::api::shapes::Share>)]
    #[schema(max_items = 10)]
    traffic: Vec<Share>,
}

impl Split {
    fn check(&self) -> Result<(), Problem> {
        let shares = &self.traffic;
        let sum: u64 = shares.iter().map(|share| u64::from(share.percent)).sum();
        let is_twice =
            |(place, share): (usize, &Share)| shares.iter().skip(place + 1).any(|it| it.revision == share.revision);
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
        Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, format!("`traffic`: {wrong}")))
    }
}

/// Says which versions share a workflow's runs
#[utoipa::path(get, path = "/api/v1/workflows/{workflow_id}/traffic", tag = "workflows",
    params(("workflow_id" = String, Path)), responses((status = 200, body = Traffic),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(in crate::api) async fn traffic(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let work = door.work()?;
    let Some(standing) = work.registry.standing(guest.tenant(), &name).await? else {
        return Err(no_workflow(work, &guest, &name).await);
    };
    Ok(shared(&standing))
}

fn shared(standing: &Standing) -> Response {
    let active = standing.active.as_ref().map(|version| version.revision);
    let body: Value = json!({ "traffic": standing.shares(), "active": active });
    let mut response = Json(body).into_response();
    etag::say(&mut response, standing.changes);
    response
}

/// Splits a workflow's runs among versions
///
/// Who a run is for (`user_id` of its context, else `customer_id`, else `conversation_id`) decides which version it is on, the
/// same each time while the split stays as it is. Activating a version ends the split.
#[utoipa::path(put, path = "/api/v1/workflows/{workflow_id}/traffic", tag = "workflows",
    params(("workflow_id" = String, Path),
        ("If-Match" = Option<String>, Header, description = "the `ETag` that was read")),
    request_body = Split, responses((status = 200, body = Traffic),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(in crate::api) async fn split(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let split: Split = body::json(body, door.limits).await?;
    split.check()?;
    let work = door.work()?;
    for share in &split.traffic {
        let version = super::version(work, &guest, &name, Some(share.revision)).await?;
        four_eyes(work, &guest, version.made_by.as_deref())?;
        work.engine.library().version(&version.bundle).await?;
    }
    changed(&door, &guest, &name, Change::Split(split.traffic), &headers).await?;
    let standing = work.registry.standing(guest.tenant(), &name).await?;
    Ok(standing.map_or_else(|| StatusCode::NO_CONTENT.into_response(), |standing| shared(&standing)))
}
