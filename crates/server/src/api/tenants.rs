//! Tenants of this server. Requires an admin key of the server's own tenant.

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use baton_core::id::TenantId;
use baton_engine::tenants::{PAGE_MAX, Tenant, TenantChange, TenantError};
use baton_ports::keys::{AccessRole, AccessScope, DAYS_DEFAULT};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::etag;
use super::extractors::{self, NamePageQuery, PathParams, QueryParams};
use super::keys::{check_minted, with_secret};
use super::principal::Principal;
use super::schemas::ProblemSchema;
use crate::body;
use crate::code;
use crate::problem::HttpProblem;
use crate::state::AppState;

pub(super) fn paths() -> OpenApiRouter<AppState> {
    let administers = OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, put))
        .routes(routes!(disable))
        .routes(routes!(enable));
    super::audited(AccessScope::Administer, administers)
}

/// Extractor that requires a principal of the server's own tenant.
pub(super) struct ServerOperator;

impl FromRequestParts<AppState> for ServerOperator {
    type Rejection = HttpProblem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, HttpProblem> {
        let principal = parts.extensions.get::<Principal>();
        if principal
            .is_some_and(|principal| state.run_services().is_ok_and(|services| services.tenant == *principal.tenant()))
        {
            return Ok(Self);
        }
        let detail = "this is everybody's, and for whoever runs the server: a key of its own tenant";
        Err(HttpProblem::new(StatusCode::FORBIDDEN, code::FORBIDDEN, detail))
    }
}

/// A tenant, as it is answered.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described, never made")]
#[schema(as = Tenant)]
pub(super) struct TenantSchema {
    id: String,
    name: String,
    /// Of its own; nothing: as the settings have it.
    tier: Option<String>,
    /// The one that holds: `free`, `professional`, `enterprise`, or one of the settings'.
    tier_in_force: String,
    created_at: String,
    /// From when on nobody of it comes in.
    disabled_at: Option<String>,
}

/// A tenant that was made, with the first key of it, for the only time.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described, never made")]
#[schema(as = TenantMade)]
pub(super) struct CreatedTenantSchema {
    id: String,
    name: String,
    tier: Option<String>,
    tier_in_force: String,
    created_at: String,
    disabled_at: Option<String>,
    /// An admin key of the tenant's: `Authorization: Bearer KEY`.
    key: String,
    key_id: String,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "only described, never made")]
#[schema(as = Tenants)]
pub(super) struct TenantListSchema {
    tenants: Vec<TenantSchema>,
    /// Give it as `after` for the next page.
    next_after: Option<String>,
}

fn tenant_json(state: &AppState, tenant: &Tenant) -> Result<Value, HttpProblem> {
    let mut shown = tenant.as_json();
    shown["tier_in_force"] =
        json!(state.run_services()?.agent_registry.tier_named(&tenant.id, tenant.tier.as_deref()).name);
    Ok(shown)
}

fn parse_tenant_id(id: &str) -> Result<TenantId, HttpProblem> {
    TenantId::parse(id).map_err(|error| HttpProblem::invalid_field("id", error))
}

/// Lists the tenants that were made, or shut, by id
#[utoipa::path(get, path = "/api/v1/tenants", tag = "tenants",
    params(("after" = Option<String>, Query), ("limit" = Option<usize>, Query, minimum = 1, maximum = 200, description = "1 to 200; 50 unless told")),
    responses((status = 200, body = TenantListSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn list(
    _host: ServerOperator,
    State(state): State<AppState>,
    QueryParams(NamePageQuery { after, limit }): QueryParams<NamePageQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let limit = extractors::limit(limit, 50, PAGE_MAX)?;
    let page = state.run_services()?.agent_registry.tenants().list(after.as_deref(), limit).await?;
    let next_after = page.last().filter(|_| page.len() == limit).map(|last| last.id.clone());
    let tenants = page.iter().map(|tenant| tenant_json(&state, tenant)).collect::<Result<Vec<_>, _>>()?;
    Ok(Json(json!({ "tenants": tenants, "next_after": next_after })))
}

/// Shows a tenant
#[utoipa::path(get, path = "/api/v1/tenants/{tenant_id}", tag = "tenants", params(("tenant_id" = String, Path)),
    responses((status = 200, body = TenantSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn show(
    _host: ServerOperator,
    State(state): State<AppState>,
    PathParams(id): PathParams<String>,
) -> Result<Response, HttpProblem> {
    let id = TenantId::from(id);
    let found = state.run_services()?.agent_registry.tenants().find(&id).await?;
    let (written, tenant) = found.ok_or(TenantError::Unknown(id))?;
    tenant_response(&state, &tenant, written)
}

fn tenant_response(state: &AppState, tenant: &Tenant, written: u64) -> Result<Response, HttpProblem> {
    let mut response = Json(tenant_json(state, tenant)?).into_response();
    etag::set_etag(&mut response, written);
    Ok(response)
}

/// A tenant to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TenantWish)]
pub(super) struct CreateTenantRequest {
    /// As runs and keys have it: letters, digits, `.`, `_` and `-`.
    #[schema(pattern = r"^[A-Za-z0-9._-]+$", min_length = 1, max_length = 128)]
    id: String,
    /// What people know it by; its id unless told.
    #[schema(
        pattern = r"^[^\x00-\x20\x7f-\xa0\u1680\u2000-\u200b\u2028-\u202f\u205f-\u2069\u3000\ufeff]+( +[^\x00-\x20\x7f-\xa0\u1680\u2000-\u200b\u2028-\u202f\u205f-\u2069\u3000\ufeff]+)*$",
        max_length = 200
    )]
    name: Option<String>,
    /// `free`, `professional`, `enterprise`, or one of the settings'; as the settings have it unless told.
    tier: Option<String>,
}

/// Makes a tenant and its first admin key, and shows the key's secret for the only time
#[utoipa::path(post, path = "/api/v1/tenants", tag = "tenants", request_body = CreateTenantRequest, responses(
    (status = 201, body = CreatedTenantSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn create(
    _host: ServerOperator,
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    body: Body,
) -> Result<Response, HttpProblem> {
    // The new key has all scopes.
    principal.require_scopes(None)?;
    let CreateTenantRequest { id, name, tier } = body::json(body, state.limits).await?;
    let (admin, services, now) = (state.admin_services()?, state.run_services()?, state.clock.now());
    let tenant = Tenant::new(parse_tenant_id(&id)?, name, tier, now);
    // The server's own tenant and tenants that already have keys are taken, even without a record.
    if tenant.id == services.tenant || !admin.keys.all(&tenant.id).await?.is_empty() {
        return Err(baton_engine::tenants::TenantError::Taken(tenant.id).into());
    }
    let new = check_minted((admin.mint)(&tenant.id, "first admin", AccessRole::Admin, DAYS_DEFAULT, None))?;
    services.agent_registry.tenants().create(&tenant, now).await?;
    admin.keys.add(&new.key, &new.hash).await?;
    let mut shown = tenant_json(&state, &tenant)?;
    shown["key_id"] = json!(new.key.id);
    Ok(with_secret(shown, &new))
}

/// What becomes of a tenant. What is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TenantChange)]
pub(super) struct ChangeTenantRequest {
    #[schema(
        pattern = r"^[^\x00-\x20\x7f-\xa0\u1680\u2000-\u200b\u2028-\u202f\u205f-\u2069\u3000\ufeff]+( +[^\x00-\x20\x7f-\xa0\u1680\u2000-\u200b\u2028-\u202f\u205f-\u2069\u3000\ufeff]+)*$",
        max_length = 200
    )]
    name: Option<String>,
    /// `null`: as the settings have it.
    #[serde(default, deserialize_with = "double_option")]
    #[schema(value_type = Option<String>)]
    tier: Option<Option<String>>,
}

/// Tells `null` apart from a missing field.
fn double_option<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Changes a tenant's name or tier
///
/// With `If-Match`, only where it stands as it was read. A tier holds for all that begins a second later.
#[utoipa::path(put, path = "/api/v1/tenants/{tenant_id}", tag = "tenants", request_body = ChangeTenantRequest,
    params(("tenant_id" = String, Path),
        ("If-Match" = Option<String>, Header, description = "the `ETag` that was read")),
    responses((status = 200, body = TenantSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn put(
    _host: ServerOperator,
    State(state): State<AppState>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let expected = etag::if_match(&headers)?;
    let ChangeTenantRequest { name, tier } = body::json(body, state.limits).await?;
    let changes: Vec<TenantChange> =
        name.map(TenantChange::Name).into_iter().chain(tier.map(TenantChange::Tier)).collect();
    apply_changes(&state, &id, &changes, expected).await
}

async fn apply_changes(
    state: &AppState,
    id: &str,
    changes: &[TenantChange],
    expected: Option<u64>,
) -> Result<Response, HttpProblem> {
    let tenants = state.run_services()?.agent_registry.tenants();
    let (_, (written, tenant)) = tenants.change(&parse_tenant_id(id)?, changes, expected, state.clock.now()).await?;
    tenant_response(state, &tenant, written)
}

/// Lets nobody of a tenant come in any more, by key, token or webhook
///
/// At once, and a second later on other machines. Its runs in flight go on; nothing is deleted. The server's own tenant is
/// shut by `baton tenants disable` alone: it could not be opened here again.
#[utoipa::path(post, path = "/api/v1/tenants/{tenant_id}/disable", tag = "tenants",
    params(("tenant_id" = String, Path)),
    responses((status = 200, body = TenantSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn disable(
    _host: ServerOperator,
    State(state): State<AppState>,
    PathParams(id): PathParams<String>,
) -> Result<Response, HttpProblem> {
    if state.run_services()?.tenant.as_str() == id {
        let detail = "this is the server's own tenant: whoever disabled it here could not enable it again";
        let problem = HttpProblem::new(StatusCode::CONFLICT, code::TENANT_OWN, detail);
        return Err(problem.with_hint(format!("`baton tenants disable {id}`, on its machine")));
    }
    // A mistyped name would block no tenant and be reported as done. A tenant that has a key is known too.
    let tenant = parse_tenant_id(&id)?;
    let is_known = state.run_services()?.agent_registry.tenants().find(&tenant).await?.is_some()
        || !state.admin_services()?.keys.list(&tenant, None, 1).await?.is_empty();
    if !is_known {
        let hint = "one that only tokens name is made first: POST /api/v1/tenants";
        return Err(HttpProblem::from(TenantError::Unknown(tenant)).with_hint(hint));
    }
    apply_changes(&state, &id, &[TenantChange::Disable], None).await
}

/// Lets them come in again
#[utoipa::path(post, path = "/api/v1/tenants/{tenant_id}/enable", tag = "tenants",
    params(("tenant_id" = String, Path)),
    responses((status = 200, body = TenantSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn enable(
    _host: ServerOperator,
    State(state): State<AppState>,
    PathParams(id): PathParams<String>,
) -> Result<Response, HttpProblem> {
    apply_changes(&state, &id, &[TenantChange::Enable], None).await
}
