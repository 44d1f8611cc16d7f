//! API keys. The secret of a key is shown once, in the response that creates it.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use baton_engine::settings::SettingTopic;
use baton_ports::keys::{
    AccessRole, AccessScope, ApiKeyRecord, DAYS_DEFAULT, DAYS_MAX, OVERLAP_HOURS_DEFAULT, OVERLAP_HOURS_MAX, PAGE_MAX,
};
use baton_ports::read::PAGE_DEFAULT;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::cursor::PagedList;
use super::extractors::{PathParams, QueryParams, limit};
use super::idempotency;
use super::openapi;
use super::principal::Principal;
use super::schemas::ProblemSchema;
use super::schemas::keys::{KeyListSchema, KeySchema, MintedKeySchema};
use crate::body;
use crate::code;
use crate::problem::HttpProblem;
use crate::state::{AdminServices, AppState, NewKey};

const HOUR: Duration = Duration::from_secs(60 * 60);

pub(super) fn paths() -> OpenApiRouter<AppState> {
    let administers =
        OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke)).routes(routes!(rotate));
    super::audited(AccessScope::Administer, administers)
}

/// Which keys.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyListQuery {
    /// 1 to 500; 50 unless told.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// As the page before says.
    cursor: Option<String>,
}

/// Lists the tenant's keys, good or not, newest first
#[utoipa::path(get, path = "/api/v1/keys", tag = "keys", params(KeyListQuery), responses(
    (status = 200, body = KeyListSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    QueryParams(which): QueryParams<KeyListQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let limit = limit(which.limit, PAGE_DEFAULT, PAGE_MAX)?;
    let before = PagedList::Keys.decode(principal.tenant(), which.cursor.as_deref())?;
    let keys = state.admin_services()?.keys.list(principal.tenant(), before.as_deref(), limit).await?;
    let next =
        keys.last().filter(|_| keys.len() == limit).map(|key| PagedList::Keys.encode(principal.tenant(), &key.id));
    let now = state.clock.now();
    let keys: Vec<Value> = keys.iter().map(|key| key.as_json(now)).collect();
    Ok(Json(json!({ "keys": keys, "next_cursor": next })))
}

/// A key to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyWish)]
pub(super) struct CreateKeyRequest {
    /// Whose it is or what for: it is who did something, in journals and in the audit trail.
    #[schema(
        pattern = r"^[^\x00-\x20\x7f-\xa0\u1680\u2000-\u200b\u2028-\u202f\u205f-\u2069\u3000\ufeff]+( +[^\x00-\x20\x7f-\xa0\u1680\u2000-\u200b\u2028-\u202f\u205f-\u2069\u3000\ufeff]+)*$",
        max_length = 100
    )]
    name: String,
    /// `admin`, `builder`, `operator`, `human_agent` or `service`.
    #[schema(schema_with = openapi::role)]
    role: AccessRole,
    /// 1 to 3,650; 90 unless told.
    #[schema(minimum = 1, maximum = 3650)]
    days: Option<u32>,
    /// What of all that its role may it may: `read`, `run`, `answer`, `build`, `operate`, `administer`; all of it unless
    /// told. Whoever is limited gives nobody more.
    #[schema(schema_with = openapi::scopes)]
    scopes: Option<BTreeSet<AccessScope>>,
}

/// Makes a key, and shows its secret for the only time
///
/// Repeated under one `Idempotency-Key` it is answered without the secret: what was shown once is shown to nobody again.
#[utoipa::path(post, path = "/api/v1/keys", tag = "keys", request_body = CreateKeyRequest, responses(
    (status = 201, body = MintedKeySchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn create(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    body: Body,
) -> Result<Response, HttpProblem> {
    let CreateKeyRequest { name, role, days, scopes } = body::json(body, state.limits).await?;
    ApiKeyRecord::check_name(&name).map_err(|why| HttpProblem::invalid_field("name", why))?;
    if scopes.as_ref().is_some_and(BTreeSet::is_empty) {
        return Err(key_problem("`scopes` names none, so the key could do nothing: leave it out for all".to_owned()));
    }
    principal.require_scopes(scopes.as_ref())?;
    let admin = state.admin_services()?;
    let mut new = check_minted((admin.mint)(
        principal.tenant(),
        &name,
        role,
        check_range("days", days, DAYS_DEFAULT, 1..=DAYS_MAX)?,
        None,
    ))?;
    new.key.scopes = scopes;
    admin.keys.add(&new.key, &new.hash).await?;
    Ok(with_secret(new.key.as_json(new.key.created_at), &new))
}

fn key_problem(detail: String) -> HttpProblem {
    HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail)
}

fn check_range(
    name: &str,
    asked: Option<u32>,
    default: u32,
    range: std::ops::RangeInclusive<u32>,
) -> Result<u32, HttpProblem> {
    let number = asked.unwrap_or(default);
    match range.contains(&number) {
        true => Ok(number),
        false => Err(key_problem(format!("`{name}` is {} to {}, not {number}", range.start(), range.end()))),
    }
}

pub(super) fn check_minted(
    new: Result<NewKey, Box<dyn std::error::Error + Send + Sync>>,
) -> Result<NewKey, HttpProblem> {
    new.map_err(|error| HttpProblem::internal("a key", &error))
}

/// The created object, together with the key's secret.
pub(super) fn with_secret(mut shown: Value, new: &NewKey) -> Response {
    shown["key"] = json!(new.secret);
    idempotency::one_time_response(StatusCode::CREATED, shown, "key")
}

async fn find(admin: &AdminServices, principal: &Principal, id: &str) -> Result<ApiKeyRecord, HttpProblem> {
    let all = admin.keys.all(principal.tenant()).await?;
    all.into_iter().find(|key| key.id == id).ok_or_else(|| {
        let detail = format!("the tenant has no key `{id}`");
        HttpProblem::new(StatusCode::NOT_FOUND, code::KEY_NOT_FOUND, detail)
            .with_hint("GET /api/v1/keys lists those there are")
    })
}

/// A key to rotate.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Rotation)]
pub(super) struct RotateKeyRequest {
    /// Hours the old one is still good for; 24 unless told, 0 ends it at once, 720 at the most.
    #[schema(maximum = 720)]
    overlap_hours: Option<u32>,
    /// Days the new one is good for; 90 unless told.
    #[schema(minimum = 1, maximum = 3650)]
    days: Option<u32>,
}

/// Makes a key of the same name and role in place of another, and shows its secret for the only time
///
/// Its scopes, its rate and its budget are the old one's. What the old one has spent is not counted again.
#[utoipa::path(post, path = "/api/v1/keys/{key_id}/rotate", tag = "keys", params(("key_id" = String, Path)),
    request_body = RotateKeyRequest, responses(
    (status = 201, body = MintedKeySchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn rotate(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    body: Body,
) -> Result<Response, HttpProblem> {
    let RotateKeyRequest { overlap_hours, days } = body::json(body, state.limits).await?;
    let overlap = check_range("overlap_hours", overlap_hours, OVERLAP_HOURS_DEFAULT, 0..=OVERLAP_HOURS_MAX)?;
    let days = check_range("days", days, DAYS_DEFAULT, 1..=DAYS_MAX)?;
    let admin = state.admin_services()?;
    let old = find(admin, &principal, &id).await?;
    principal.require_scopes(old.scopes.as_ref())?;
    let new = check_minted((admin.mint)(principal.tenant(), &old.name, old.role, days, Some(&old)))?;
    let (now, ids) = (state.clock.now(), (old.id.as_str(), new.key.id.as_str()));
    let until = now + HOUR * overlap;
    // Reloads first, so that the new key never spends without a limit that the old one has, even if another process
    // set it.
    admin.settings.reload().await?;
    let inherits = admin.settings.inherit_budget(&*admin.allowed, principal.tenant(), ids, now).await?;
    if !admin.keys.rotate(&old.id, until, &new.key, &new.hash).await? {
        if inherits {
            admin
                .settings
                .remove(principal.tenant(), (SettingTopic::Budget, &new.key.id), None, None, Vec::new(), now)
                .await?;
        }
        let detail = format!("`{id}` is not good any more, so it is not rotated");
        return Err(HttpProblem::new(StatusCode::CONFLICT, code::KEY_ENDED, detail)
            .with_hint("POST /api/v1/keys makes one anew"));
    }
    Ok(with_secret(new.key.as_json(new.key.created_at), &new))
}

/// Revokes a key: it opens no door any more, five seconds from then at the latest
///
/// Revoked again it is as it was.
#[utoipa::path(delete, path = "/api/v1/keys/{key_id}", tag = "keys", params(("key_id" = String, Path)), responses(
    (status = 200, body = KeySchema), (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn revoke(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
) -> Result<Json<Value>, HttpProblem> {
    let (admin, now) = (state.admin_services()?, state.clock.now());
    let key = find(admin, &principal, &id).await?;
    admin.keys.revoke(principal.tenant(), &key.id, now).await?;
    Ok(Json(ApiKeyRecord { revoked_at: key.revoked_at.or(Some(now)), ..key }.as_json(now)))
}
