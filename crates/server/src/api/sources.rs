//! Tool sources: OpenAPI documents and MCP servers, from the project's files or added by a tenant for itself.

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use baton_ports::keys::AccessScope;
use baton_ports::sources::{SourceDefinition, SourceDiagnostic, SourceError, SourceListing};
use serde_json::{Map, Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::etag;
use super::extractors::{self, PathParams};
use super::principal::Principal;
use super::schemas::ProblemSchema;
use super::schemas::sources::{CreateSourceRequest, ReplaceSourceRequest, SourceDetailSchema, SourceListSchema};
use crate::body;
use crate::code;
use crate::problem::HttpProblem;
use crate::state::AppState;

pub(super) fn paths() -> OpenApiRouter<AppState> {
    let administers = OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, replace, remove))
        .routes(routes!(refresh));
    super::audited(AccessScope::Administer, administers)
}

impl From<SourceError> for HttpProblem {
    fn from(fault: SourceError) -> Self {
        let said = fault.to_string();
        match fault {
            SourceError::Unknown { nearest, .. } => {
                let problem = Self::new(StatusCode::NOT_FOUND, code::SOURCE_NOT_FOUND, said);
                match nearest {
                    Some(near) => problem.with_hint(format!("did you mean `{near}`?")),
                    None => problem.with_hint("GET /api/v1/sources lists those there are"),
                }
            }
            SourceError::Rejected { hint, .. } => {
                Self { hint, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, code::SOURCE_REFUSED, said) }
            }
            SourceError::Taken { .. } => {
                let problem = Self::new(StatusCode::CONFLICT, code::NAME_TAKEN, said);
                problem.with_hint("PUT /api/v1/sources/NAME puts one in place of one that was added")
            }
            SourceError::DefinedByFile { file, .. } => Self::new(StatusCode::CONFLICT, code::SOURCE_OF_FILE, said)
                .with_hint(format!("change {file}: what changes there is read again at once")),
            SourceError::Stale { name } => etag::precondition_failed(&format!("`{name}`")),
            SourceError::TooMany => Self::new(StatusCode::CONFLICT, code::LIMIT_REACHED, said),
            SourceError::TooManyTools { .. } => Self::new(StatusCode::CONFLICT, code::LIMIT_REACHED, said).with_hint(
                "`include` and `exclude` say which of its tools are wanted; or take out a source that is not used",
            ),
            SourceError::Unavailable { .. } => Self::new(StatusCode::BAD_GATEWAY, code::SOURCE_UNAVAILABLE, said)
                .with_hint("nothing was kept; look at its address and what it says, and try again"),
            SourceError::Storage { .. } => Self::internal("sources of tools", &fault),
        }
    }
}

/// Lists where tools come from, by name, and how each stands
///
/// Those of the project's files, whose tools are everybody's, and those the tenant added, whose tools nobody else sees or
/// calls.
#[utoipa::path(get, path = "/api/v1/sources", tag = "sources", responses(
    (status = 200, body = SourceListSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
) -> Result<Json<Value>, HttpProblem> {
    let all = state.admin_services()?.sources.list(principal.tenant()).await?;
    Ok(Json(json!({ "sources": all.iter().map(source_json).collect::<Vec<_>>() })))
}

/// Shows one: its tools, what of it no tool can use, and how it was added
#[utoipa::path(get, path = "/api/v1/sources/{name}", tag = "sources", params(("name" = String, Path)), responses(
    (status = 200, body = SourceDetailSchema), (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn show(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
) -> Result<Response, HttpProblem> {
    let source = state.admin_services()?.sources.find(principal.tenant(), &name).await?;
    Ok(source_response(StatusCode::OK, &source))
}

/// Adds one for the tenant: an OpenAPI document, sent or at an address, or an MCP server that speaks streamable HTTP
///
/// It is asked at once, and kept if it answers. Its tools are called `NAME.TOOL`, hold at once here, and in other processes
/// within seconds. No program is started for who asks over HTTP: a server that is one is defined in the project's files.
#[utoipa::path(post, path = "/api/v1/sources", tag = "sources", request_body = CreateSourceRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "at most 255 characters; one source a key")),
    responses((status = 201, body = SourceDetailSchema),
        (status = 502, body = ProblemSchema, content_type = "application/problem+json", description = "it does not answer"),
        (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn create(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    body: Body,
) -> Result<Response, HttpProblem> {
    let mut fields: Map<String, Value> = body::json(body, state.limits).await?;
    let name = match fields.remove("name") {
        Some(Value::String(name)) => Some(name),
        Some(_) => return Err(HttpProblem::invalid_field("name", "it is a text")),
        None => None,
    };
    let new = SourceDefinition { name: extractors::require_name(name)?, fields };
    let source = state.admin_services()?.sources.add(principal.tenant(), new).await?;
    Ok(source_response(StatusCode::CREATED, &source))
}

/// Puts one in place of one that was added, all of it
///
/// One that does not answer changes nothing.
#[utoipa::path(put, path = "/api/v1/sources/{name}", tag = "sources", request_body = ReplaceSourceRequest,
    params(("name" = String, Path), ("If-Match" = Option<String>, Header, description = "the `ETag` of what is replaced")),
    responses((status = 200, body = SourceDetailSchema),
        (status = 502, body = ProblemSchema, content_type = "application/problem+json", description = "it does not answer"),
        (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn replace(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let mut fields: Map<String, Value> = body::json(body, state.limits).await?;
    extractors::check_same_name(&name, fields.remove("name").as_ref().map(|said| said.as_str().unwrap_or_default()))?;
    let expected = etag::if_match(&headers)?;
    let source = state
        .admin_services()?
        .sources
        .replace(principal.tenant(), SourceDefinition { name, fields }, expected)
        .await?;
    Ok(source_response(StatusCode::OK, &source))
}

/// Asks one for its tools now
///
/// One that does not answer keeps the tools it had, and says why in `last_error`.
#[utoipa::path(post, path = "/api/v1/sources/{name}/refresh", tag = "sources", params(("name" = String, Path)), responses(
    (status = 200, body = SourceDetailSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn refresh(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
) -> Result<Response, HttpProblem> {
    let source = state.admin_services()?.sources.refresh(principal.tenant(), &name).await?;
    Ok(source_response(StatusCode::OK, &source))
}

/// Takes out one that was added, with its tools
#[utoipa::path(delete, path = "/api/v1/sources/{name}", tag = "sources",
    params(("name" = String, Path), ("If-Match" = Option<String>, Header, description = "the `ETag` of what is removed")),
    responses((status = 204), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn remove(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
    headers: HeaderMap,
) -> Result<StatusCode, HttpProblem> {
    state.admin_services()?.sources.remove(principal.tenant(), &name, etag::if_match(&headers)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The JSON form of a source in a list.
fn source_json(source: &SourceListing) -> Value {
    json!({
        "name": source.name, "kind": source.kind.word(), "file": source.file, "address": source.address,
        "reachable": source.is_reachable, "asked_at": source.asked_at.map(|at| at.to_string()),
        "last_error": source.last_error, "tool_count": source.tools.len(),
        "unsupported_count": source.unsupported.len(),
    })
}

/// The response for one source, with an `ETag` if a tenant added it.
fn source_response(status: StatusCode, source: &SourceListing) -> Response {
    let part = |part: &SourceDiagnostic| json!({ "place": part.place, "reason": part.reason });
    let mut shown = source_json(source);
    shown["tools"] = json!(source.tools);
    shown["unsupported"] = source.unsupported.iter().map(part).collect();
    shown["definition"] = json!(source.definition);
    let mut response = (status, Json(shown)).into_response();
    if let Some(changes) = source.changes {
        etag::set_etag(&mut response, changes);
    }
    response
}
