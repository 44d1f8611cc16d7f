//! The data about one customer: export and erasure.

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use baton_core::identifier::Identifier;
use baton_ports::keys::AccessScope;
use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extractors::{PathParams, QueryParams};
use super::knowledge::check_customer_id;
use super::principal::Principal;
use super::schemas::ProblemSchema;
use super::schemas::knowledge::{CustomerExport, ErasureReport};
use crate::body;
use crate::code;
use crate::customers::{CustomerService, ErasureRequest, VACUUM_BYTES_MAX};
use crate::problem::HttpProblem;
use crate::state::{AdminServices, AppState, RunServices};

/// Maximum number of other names of a person.
const ALIASES_MAX: usize = 50;

pub(super) fn paths() -> OpenApiRouter<AppState> {
    // An erasure writes its own audit row. It goes through no audit middleware, whose row would contain the name of
    // the erased person.
    super::require(AccessScope::Administer, OpenApiRouter::new().routes(routes!(export)).routes(routes!(erase)))
}

/// What else is known of a person.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ErasureWish)]
pub(super) struct EraseCustomerRequest {
    /// Mail addresses, phone numbers and full names they are called by beside those of their contact, at most 50: what names
    /// one of these, however it is written, is looked for in records, in what runs were begun with and in the audit trail. Not
    /// a bare number, a date or an amount, nor fewer than 4 characters; `customer 1500` is one, and is looked for as these words.
    #[serde(default)]
    #[schema(max_items = 50)]
    also: Vec<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct EraseCustomerQuery {
    /// Cancels their executions and resolves their conversations that have not ended; without it these are a 409.
    #[serde(default)]
    end_runs: bool,
}

/// Erases a customer from every store
///
/// Executions and conversations that are theirs keep a row with ids, version, times, cost and state, and nothing else.
/// Messages, inputs, results, records of tools, deliveries, memory and the personal part of audit rows are deleted, and
/// overwritten in the file; the audit chain still holds. Asked again it does what is left to do, and says when they were erased.
///
/// `found` says whether there was anything of theirs. An id is theirs as the whole value of a field that names a customer; in
/// running text only where it has letters and digits and is no amount and no date (`cust_789`): a bare number (`1500`) is never
/// looked for in texts, amounts, dates or phone numbers. `scrubbed` says whether no copy is left in the log and in freed pages
/// of the file; where it is `false`, all is deleted, `file.unfinished` says why, and it is done later by itself.
#[utoipa::path(post, path = "/api/v1/customers/{customer_id}/erase", tag = "knowledge",
    params(("customer_id" = String, Path), EraseCustomerQuery), request_body = EraseCustomerRequest, responses(
    (status = 200, body = ErasureReport),
    (status = 409, body = ProblemSchema, content_type = "application/problem+json",
        description = "something of theirs has not ended: `live` lists it"),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn erase(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    QueryParams(how): QueryParams<EraseCustomerQuery>,
    body: Body,
) -> Result<Json<Value>, HttpProblem> {
    let EraseCustomerRequest { also } = body::json(body, state.limits).await?;
    let unfit = |detail: String| HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail);
    if also.len() > ALIASES_MAX {
        return Err(unfit(format!("`also` has {}, over the limit of {ALIASES_MAX}", also.len())));
    }
    if let Some(of_many) = also.iter().find(|text| Identifier::of(text).is_none()) {
        let is_others =
            "is too short to be one person's, or a number, a date or an amount, which others' records have too";
        return Err(unfit(format!("`also`: `{of_many}` {is_others}")));
    }
    check_customer_id(&id)?;
    let (by, key_id) = (principal.actor_name().to_owned(), Some(principal.key_id().to_owned()));
    let wish =
        ErasureRequest { id, aliases: also, end_runs: how.end_runs, vacuum_bytes_max: VACUUM_BYTES_MAX, by, key_id };
    // The erasure completes even if the caller disconnects.
    let tenant = principal.tenant().clone();
    let erased = tokio::spawn(async move {
        let (services, admin) = (state.run_services()?, state.admin_services()?);
        Ok::<_, HttpProblem>(customer_service(&state, services, admin).erase(&tenant, wish).await?)
    });
    Ok(Json(erased.await.map_err(|error| HttpProblem::internal("an erasure", &error))??))
}

fn customer_service<'d>(
    state: &'d AppState,
    services: &'d RunServices,
    admin: &'d AdminServices,
) -> CustomerService<'d> {
    CustomerService {
        engine: &services.engine,
        read: &*services.read,
        records: &*services.records,
        audit: &*admin.audit,
        memory: &*admin.memory,
        knowledge: &*admin.knowledge,
        erasure: &*admin.erasure,
        clock: &*state.clock,
    }
}

/// Hands over what is kept of a customer: conversations with all that was said, executions, documents, and audit rows
///
/// Conversations that are theirs by `user_id`; documents that are about them, without their texts; rows of the trail about
/// them; and the executions that any of these name, or that were begun for the customer. Each list has at most 10,000, and all of them 32 MiB; `complete` says
/// whether that was all of these. That it was handed over has a row in the audit trail.
#[utoipa::path(get, path = "/api/v1/customers/{customer_id}/export", tag = "knowledge",
    params(("customer_id" = String, Path)), responses((status = 200, body = CustomerExport),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn export(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
) -> Result<Json<Value>, HttpProblem> {
    check_customer_id(&id)?;
    let (services, admin) = (state.run_services()?, state.admin_services()?);
    let shown = customer_service(&state, services, admin)
        .export(principal.tenant(), &id, principal.actor_name(), Some(principal.key_id()))
        .await?;
    Ok(Json(shown))
}
