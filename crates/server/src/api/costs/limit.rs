//! What a tenant lets itself spend, and each of its keys.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use baton_engine::settings::{TENANT, Topic};

use crate::api::guest::Guest;
use crate::api::own;
use crate::api::query::Path;
use crate::api::shapes::Problem as Refusal;
use crate::api::shapes::costs::BudgetLimits;
use crate::body;
use crate::code;
use crate::door::Door;
use crate::problem::Problem;

/// Whose it is: the tenant's, or one of its keys'.
async fn check(door: &Door, guest: &Guest, of: &str) -> Result<(), Problem> {
    if of == TENANT || door.house()?.keys.all(guest.tenant()).await?.iter().any(|key| key.id == of) {
        return Ok(());
    }
    let problem = Problem::new(StatusCode::NOT_FOUND, code::KEY_NOT_FOUND, format!("there is no key `{of}`"));
    Err(problem.hint(format!("a budget is `{TENANT}`'s, or a key's by its id: GET /api/v1/keys lists them")))
}

/// Shows what the tenant has set of a budget beside the settings' files
///
/// What holds, and how it stands, says `GET /api/v1/budgets`.
#[utoipa::path(get, path = "/api/v1/budgets/{of}", tag = "costs",
    params(("of" = String, Path, description = "`tenant`, or a key's id")), responses(
    (status = 200, body = BudgetLimits, description = "empty where nothing is set"),
    (status = 404, body = Refusal, content_type = "application/problem+json")))]
pub(in crate::api) async fn show(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(of): Path<String>,
) -> Result<Response, Problem> {
    check(&door, &guest, &of).await?;
    own::shown(&door, &guest, Topic::Budget, &of).await
}

/// Sets the budget of the tenant or of one of its keys, all of it
///
/// It holds at once here, and in other processes within seconds. A tenant sets itself no more than the settings' files let
/// it: a limit above theirs changes nothing. For the server's own tenant it stands in place of theirs.
#[utoipa::path(put, path = "/api/v1/budgets/{of}", tag = "costs", request_body = BudgetLimits,
    params(("of" = String, Path, description = "`tenant`, or a key's id"),
        ("If-Match" = Option<String>, Header, description = "the `ETag` of what is replaced")),
    responses((status = 200, body = BudgetLimits),
        (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(in crate::api) async fn put(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(of): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let limits = body::json(body, door.limits).await?;
    check(&door, &guest, &of).await?;
    own::put(&door, &guest, &headers, (Topic::Budget, &of), limits).await
}

/// Leaves a budget to the settings' files again
#[utoipa::path(delete, path = "/api/v1/budgets/{of}", tag = "costs",
    params(("of" = String, Path, description = "`tenant`, or a key's id"),
        ("If-Match" = Option<String>, Header, description = "the `ETag` of what is left")),
    responses((status = 204, description = "nothing is set of it"),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(in crate::api) async fn remove(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(of): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    check(&door, &guest, &of).await?;
    own::remove(&door, &guest, &headers, (Topic::Budget, &of)).await
}
