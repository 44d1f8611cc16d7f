//! The spending limits that a tenant sets for itself and for each of its keys.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use baton_engine::settings::{SettingTopic, TENANT};

use crate::api::extractors::PathParams;
use crate::api::principal::Principal;
use crate::api::schemas::ProblemSchema;
use crate::api::schemas::costs::BudgetLimitsSchema;
use crate::api::tenant_settings;
use crate::body;
use crate::code;
use crate::problem::HttpProblem;
use crate::state::AppState;

/// Checks that the limit's subject is the tenant itself or one of its keys.
async fn check(state: &AppState, principal: &Principal, of: &str) -> Result<(), HttpProblem> {
    if of == TENANT || state.admin_services()?.keys.all(principal.tenant()).await?.iter().any(|key| key.id == of) {
        return Ok(());
    }
    let problem = HttpProblem::new(StatusCode::NOT_FOUND, code::KEY_NOT_FOUND, format!("there is no key `{of}`"));
    Err(problem.with_hint(format!("a budget is `{TENANT}`'s, or a key's by its id: GET /api/v1/keys lists them")))
}

/// Shows what the tenant has set of a budget beside the settings' files
///
/// What holds, and how it stands, says `GET /api/v1/budgets`.
#[utoipa::path(get, path = "/api/v1/budgets/{of}", tag = "costs",
    params(("of" = String, Path, description = "`tenant`, or a key's id")), responses(
    (status = 200, body = BudgetLimitsSchema, description = "empty where nothing is set"),
    (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(in crate::api) async fn show(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(of): PathParams<String>,
) -> Result<Response, HttpProblem> {
    check(&state, &principal, &of).await?;
    tenant_settings::show_setting(&state, &principal, SettingTopic::Budget, &of).await
}

/// Sets the budget of the tenant or of one of its keys, all of it
///
/// It holds at once here, and in other processes within seconds. A tenant sets itself no more than the settings' files let
/// it: a limit above theirs changes nothing. For the server's own tenant it stands in place of theirs.
#[utoipa::path(put, path = "/api/v1/budgets/{of}", tag = "costs", request_body = BudgetLimitsSchema,
    params(("of" = String, Path, description = "`tenant`, or a key's id"),
        ("If-Match" = Option<String>, Header, description = "the `ETag` of what is replaced")),
    responses((status = 200, body = BudgetLimitsSchema),
        (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(in crate::api) async fn put(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(of): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let limits = body::json(body, state.limits).await?;
    check(&state, &principal, &of).await?;
    tenant_settings::put(&state, &principal, &headers, (SettingTopic::Budget, &of), limits).await
}

/// Leaves a budget to the settings' files again
#[utoipa::path(delete, path = "/api/v1/budgets/{of}", tag = "costs",
    params(("of" = String, Path, description = "`tenant`, or a key's id"),
        ("If-Match" = Option<String>, Header, description = "the `ETag` of what is left")),
    responses((status = 204, description = "nothing is set of it"),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(in crate::api) async fn remove(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(of): PathParams<String>,
    headers: HeaderMap,
) -> Result<StatusCode, HttpProblem> {
    check(&state, &principal, &of).await?;
    tenant_settings::remove(&state, &principal, &headers, (SettingTopic::Budget, &of)).await
}
