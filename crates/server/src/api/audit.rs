//! The audit trail: each action, its actor, and whether the hash chain is intact.

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use baton_core::audit::AuditEntry;
use baton_core::bundle::ContentHash;
use baton_core::time::Time;
use baton_core::tool::AuditStatus;
use baton_ports::audit::{AuditFilter, AuditOrder};
use baton_ports::keys::AccessScope;
use baton_ports::read::{PAGE_DEFAULT, PAGE_MAX};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extractors::{PathParams, QueryParams, limit};
use super::openapi;
use super::principal::Principal;
use super::schemas::ProblemSchema;
use super::schemas::audit::{AuditListSchema, AuditRowSchema, AuditVerification};
use crate::code;
use crate::problem::HttpProblem;
use crate::state::AppState;

pub(super) fn paths() -> OpenApiRouter<AppState> {
    let operates = OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(verify));
    super::require(AccessScope::Operate, operates)
}

/// Which rows.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditListQuery {
    execution_id: Option<String>,
    /// The tool's name, or what was done: `keys.create`.
    action: Option<String>,
    /// The customer's, or that of who approved or resolved something.
    user_id: Option<String>,
    /// `success`, `error` or `compensated`.
    #[param(schema_with = openapi::audit_status)]
    status: Option<String>,
    /// From this day (`YYYY-MM-DD`, in UTC) or instant on.
    #[param(schema_with = openapi::moment)]
    from: Option<String>,
    /// Up to this day, or before this instant.
    #[param(schema_with = openapi::moment)]
    to: Option<String>,
    /// Each call once, as it stands by now; otherwise each row that was written.
    #[serde(default)]
    latest: bool,
    /// 1 to 500; 50 unless told.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// As the page before says.
    #[param(value_type = Option<usize>)]
    cursor: Option<u64>,
}

/// Lists what was done, newest first
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(AuditListQuery), responses(
    (status = 200, body = AuditListSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    QueryParams(which): QueryParams<AuditListQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let limit = limit(which.limit, PAGE_DEFAULT, PAGE_MAX)?;
    let at = |name: &'static str, text: Option<String>, read: fn(&str) -> Result<Time, String>| {
        text.map(|text| read(&text).map_err(|why| HttpProblem::invalid_parameter(name, why))).transpose()
    };
    let filter = AuditFilter {
        run: which.execution_id.map(Into::into),
        action: which.action,
        person: which.user_id,
        status: which.status.as_deref().map(status).transpose()?,
        from: at("from", which.from, Time::parse_day_start)?,
        to: at("to", which.to, Time::parse_day_end)?,
        order: AuditOrder::NewestFirst,
        cursor: which.cursor,
        limit,
    };
    let audit = &state.admin_services()?.audit;
    let entries = match which.latest {
        true => audit.latest(principal.tenant(), filter).await?,
        false => audit.trail(principal.tenant(), filter).await?,
    };
    let next = entries.last().filter(|_| entries.len() == limit).map(|entry| entry.seq);
    Ok(Json(json!({ "rows": entries.iter().map(AuditEntry::as_json).collect::<Vec<_>>(), "next_cursor": next })))
}

fn status(word: &str) -> Result<AuditStatus, HttpProblem> {
    let status = serde_json::from_value(json!(word));
    status.map_err(|_| {
        HttpProblem::invalid_parameter("status", format!("`{word}` is none of success, error, compensated"))
    })
}

/// Shows one row
#[utoipa::path(get, path = "/api/v1/audit/{seq}", tag = "audit", params(("seq" = u64, Path)), responses(
    (status = 200, body = AuditRowSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn show(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(seq): PathParams<String>,
) -> Result<Json<Value>, HttpProblem> {
    let number: u64 = seq.parse().map_err(|_| HttpProblem::invalid_parameter("seq", "it is the number of a row"))?;
    let filter = AuditFilter { cursor: number.checked_sub(1), limit: 1, ..AuditFilter::default() };
    let found = state.admin_services()?.audit.trail(principal.tenant(), filter).await?;
    match found.first().filter(|entry| entry.seq == number) {
        Some(entry) => Ok(Json(entry.as_json())),
        None => {
            let detail = format!("the audit trail has no row {number}");
            Err(HttpProblem::new(StatusCode::NOT_FOUND, code::AUDIT_ROW_NOT_FOUND, detail))
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditVerifyQuery {
    /// A hash of 64 hexadecimal digits that was noted elsewhere: whether it is still in the chain.
    #[param(pattern = "^[0-9a-fA-F]{64}$")]
    expect: Option<String>,
}

/// Follows the chain from its first row to its end
#[utoipa::path(get, path = "/api/v1/audit/verify", tag = "audit", params(AuditVerifyQuery), responses(
    (status = 200, body = AuditVerification), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn verify(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    QueryParams(expected): QueryParams<AuditVerifyQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let expect = expected.expect.map(|hash| hash.to_lowercase());
    if expect.as_ref().is_some_and(|hash| ContentHash::parse(hash).is_none()) {
        return Err(HttpProblem::invalid_parameter("expect", "it must be 64 hexadecimal digits, as `tip` says it"));
    }
    let audit = &state.admin_services()?.audit;
    let verdict = audit.verify(principal.tenant()).await?;
    let is_missing = match &expect {
        Some(hash) if verdict.broken.is_none() => !audit.has_row(principal.tenant(), hash).await?,
        _ => false,
    };
    Ok(Json(verdict.as_json(is_missing)))
}
