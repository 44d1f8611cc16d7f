//! The audit trail: what was done, by whom, and whether the chain holds.

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use baton_core::audit::Entry;
use baton_core::bundle::Hash;
use baton_core::time::Time;
use baton_core::tool::AuditStatus;
use baton_ports::audit::{Filter, Order};
use baton_ports::keys::Need;
use baton_ports::read::{PAGE_DEFAULT, PAGE_MAX};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::document;
use super::guest::Guest;
use super::query::{Path, Query, limit};
use super::shapes::Problem as Refusal;
use super::shapes::audit::{AuditRow, Trail, Verified};
use crate::code;
use crate::door::Door;
use crate::problem::Problem;

pub(super) fn paths() -> OpenApiRouter<Door> {
    let operates = OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(verify));
    super::needing(Need::Operate, operates)
}

/// Which rows.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    execution_id: Option<String>,
    /// The tool's name, or what was done: `keys.create`.
    action: Option<String>,
    /// The customer's, or that of who approved or resolved something.
    user_id: Option<String>,
    /// `success`, `error` or `compensated`.
    #[param(schema_with = document::audit_status)]
    status: Option<String>,
    /// From this day (`YYYY-MM-DD`, in UTC) or instant on.
    #[param(schema_with = document::moment)]
    from: Option<String>,
    /// Up to this day, or before this instant.
    #[param(schema_with = document::moment)]
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
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(Which), responses(
    (status = 200, body = Trail), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Query(which): Query<Which>,
) -> Result<Json<Value>, Problem> {
    let limit = limit(which.limit, PAGE_DEFAULT, PAGE_MAX)?;
    let at = |name: &'static str, text: Option<String>, read: fn(&str) -> Result<Time, String>| {
        text.map(|text| read(&text).map_err(|why| Problem::parameter(name, why))).transpose()
    };
    let filter = Filter {
        run: which.execution_id.map(Into::into),
        action: which.action,
        person: which.user_id,
        status: which.status.as_deref().map(status).transpose()?,
        from: at("from", which.from, Time::from_day)?,
        to: at("to", which.to, Time::to_day)?,
        order: Order::NewestFirst,
        cursor: which.cursor,
        limit,
    };
    let audit = &door.house()?.audit;
    let entries = match which.latest {
        true => audit.latest(guest.tenant(), filter).await?,
        false => audit.trail(guest.tenant(), filter).await?,
    };
    let next = entries.last().filter(|_| entries.len() == limit).map(|entry| entry.seq);
    Ok(Json(json!({ "rows": entries.iter().map(Entry::as_json).collect::<Vec<_>>(), "next_cursor": next })))
}

fn status(word: &str) -> Result<AuditStatus, Problem> {
    let status = serde_json::from_value(json!(word));
    status.map_err(|_| Problem::parameter("status", format!("`{word}` is none of success, error, compensated")))
}

/// Shows one row
#[utoipa::path(get, path = "/api/v1/audit/{seq}", tag = "audit", params(("seq" = u64, Path)), responses(
    (status = 200, body = AuditRow), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn show(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(seq): Path<String>,
) -> Result<Json<Value>, Problem> {
    let number: u64 = seq.parse().map_err(|_| Problem::parameter("seq", "it is the number of a row"))?;
    let filter = Filter { cursor: number.checked_sub(1), limit: 1, ..Filter::default() };
    let found = door.house()?.audit.trail(guest.tenant(), filter).await?;
    match found.first().filter(|entry| entry.seq == number) {
        Some(entry) => Ok(Json(entry.as_json())),
        None => {
            let detail = format!("the audit trail has no row {number}");
            Err(Problem::new(StatusCode::NOT_FOUND, code::AUDIT_ROW_NOT_FOUND, detail))
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Expected {
    /// A hash of 64 hexadecimal digits that was noted elsewhere: whether it is still in the chain.
    #[param(pattern = "^[0-9a-fA-F]{64}$")]
    expect: Option<String>,
}

/// Follows the chain from its first row to its end
#[utoipa::path(get, path = "/api/v1/audit/verify", tag = "audit", params(Expected), responses(
    (status = 200, body = Verified), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn verify(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Query(expected): Query<Expected>,
) -> Result<Json<Value>, Problem> {
    let expect = expected.expect.map(|hash| hash.to_lowercase());
    if expect.as_ref().is_some_and(|hash| Hash::parse(hash).is_none()) {
        return Err(Problem::parameter("expect", "it must be 64 hexadecimal digits, as `tip` says it"));
    }
    let audit = &door.house()?.audit;
    let verdict = audit.verify(guest.tenant()).await?;
    let is_missing = match &expect {
        Some(hash) if verdict.broken.is_none() => !audit.has(guest.tenant(), hash).await?,
        _ => false,
    };
    Ok(Json(verdict.as_json(is_missing)))
}
