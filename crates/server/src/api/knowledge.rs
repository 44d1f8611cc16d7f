//! The tenant's knowledge base, and the memory about one person.

use std::fmt;

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use baton_ports::index::{self, MemoryCollection, SourceDocument, heading};
use baton_ports::keys::AccessScope;
use baton_ports::memory::{
    CitedPassage, ID_BYTES_MAX, KnowledgeError, MemoryError, SearchMode, SearchRequest, TOP_DEFAULT, TOP_MAX,
};
use baton_ports::read::{PAGE_DEFAULT, PAGE_MAX};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::cursor::PagedList;
use super::extractors::{PathParams, QueryParams, limit};
use super::openapi;
use super::principal::Principal;
use super::schemas::ProblemSchema;
use super::schemas::knowledge::{
    DocumentAdded, DocumentListSchema, DocumentRemoved, ReindexSchema, SearchResultSchema,
};
use super::tools::check_query;
use crate::body;
use crate::code;
use crate::problem::HttpProblem;
use crate::state::AppState;

pub(super) fn paths() -> OpenApiRouter<AppState> {
    let looks = OpenApiRouter::new().routes(routes!(list)).routes(routes!(search));
    let builds = OpenApiRouter::new().routes(routes!(add)).routes(routes!(remove)).routes(routes!(reindex));
    super::require(AccessScope::Look, looks).merge(super::audited(AccessScope::Build, builds))
}

impl From<MemoryError> for HttpProblem {
    fn from(error: MemoryError) -> Self {
        let unfit = |error: &dyn fmt::Display| {
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, code::KNOWLEDGE_REFUSED, error.to_string())
        };
        match error {
            MemoryError::TooLarge { .. } | MemoryError::Invalid { .. } | MemoryError::NotFound { .. } => unfit(&error),
            MemoryError::Full { .. } | MemoryError::OtherEmbedder { .. } | MemoryError::Forgotten { .. } => {
                Self::new(StatusCode::CONFLICT, code::KNOWLEDGE_REFUSED, error.to_string())
            }
            MemoryError::Embedding(_) => {
                Self::new(StatusCode::BAD_GATEWAY, code::KNOWLEDGE_UNAVAILABLE, error.to_string())
            }
            MemoryError::Busy { retry_after } => Self {
                retry_after: Some(retry_after),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code::KNOWLEDGE_UNAVAILABLE, error.to_string())
            },
            MemoryError::Unwritable { .. } | MemoryError::Unreadable { .. } => {
                tracing::error!(%error, "memory failed");
                let detail = "memory does not answer at the moment; try again";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, code::KNOWLEDGE_UNAVAILABLE, detail)
            }
        }
    }
}

impl From<KnowledgeError> for HttpProblem {
    fn from(unkept: KnowledgeError) -> Self {
        match unkept {
            KnowledgeError::Memory(error) => error.into(),
            KnowledgeError::AboutPerson { .. } => {
                Self::new(StatusCode::CONFLICT, code::DOCUMENT_IS_ABOUT, unkept.to_string())
                    .with_hint("say `about` as it is kept; if it is not theirs any more, remove it first")
            }
            KnowledgeError::Shared { .. } => {
                Self::new(StatusCode::CONFLICT, code::DOCUMENT_IS_ABOUT, unkept.to_string())
                    .with_hint("leave out `about`; if it is not everybody's any more, remove it first")
            }
            KnowledgeError::External { .. } => {
                Self::new(StatusCode::BAD_GATEWAY, code::KNOWLEDGE_UNAVAILABLE, unkept.to_string())
                    .with_hint("do it again")
            }
        }
    }
}

/// Which documents.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct DocumentListQuery {
    /// 1 to 500; 50 unless told.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// As the page before says.
    cursor: Option<String>,
}

/// Lists documents by name
#[utoipa::path(get, path = "/api/v1/knowledge/documents", tag = "knowledge", params(DocumentListQuery), responses(
    (status = 200, body = DocumentListSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    QueryParams(which): QueryParams<DocumentListQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let limit = limit(which.limit, PAGE_DEFAULT, PAGE_MAX.min(index::PAGE_MAX))?;
    let memory = &state.admin_services()?.memory;
    let after = PagedList::Documents.decode(principal.tenant(), which.cursor.as_deref())?;
    let heads = memory.documents(principal.tenant(), MemoryCollection::Knowledge, after.as_deref(), limit).await?;
    let next = heads.last().filter(|_| heads.len() == limit);
    let next = next.map(|head| PagedList::Documents.encode(principal.tenant(), &head.name));
    Ok(Json(json!({ "documents": heads, "next_cursor": next })))
}

/// A document to keep.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DocumentWish)]
pub(super) struct AddDocumentRequest {
    /// One of the same name is replaced.
    #[schema(min_length = 1, max_length = 512)]
    name: String,
    /// Its first heading unless told, else its name.
    title: Option<String>,
    /// Markdown or plain text, at most 4 MiB.
    text: String,
    /// The person it is about, whose wish to be forgotten takes it away; everybody's unless told.
    about: Option<String>,
    /// Strings, numbers, truth values, and lists of these: what searches filter by.
    #[serde(default)]
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
}

/// Keeps a document, and makes it findable
///
/// Kept again unchanged it is as it was (`unchanged`), so a request may be repeated.
#[utoipa::path(post, path = "/api/v1/knowledge/documents", tag = "knowledge", request_body = AddDocumentRequest, responses(
    (status = 200, body = DocumentAdded), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn add(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    body: Body,
) -> Result<Json<Value>, HttpProblem> {
    let AddDocumentRequest { name, title, text, about, metadata } = body::json(body, state.limits).await?;
    let title = title.or_else(|| heading(&text).map(str::to_owned)).unwrap_or_else(|| name.clone());
    let document = SourceDocument { name: name.clone(), title, subject: about, metadata, text, body: Value::Null };
    let added = state.admin_services()?.knowledge.put_document(principal.tenant(), document).await?;
    Ok(Json(json!({
        "document": name, "revision": added.revision, "pieces": added.pieces, "unchanged": added.unchanged,
    })))
}

/// Removes a document
///
/// A name with slashes is written with `%2F`.
#[utoipa::path(delete, path = "/api/v1/knowledge/documents/{name}", tag = "knowledge", params(("name" = String, Path)),
    responses(
    (status = 200, body = DocumentRemoved), (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn remove(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
) -> Result<Json<Value>, HttpProblem> {
    if state.admin_services()?.knowledge.remove(principal.tenant(), &name).await? {
        return Ok(Json(json!({ "removed": name })));
    }
    let detail = format!("there is no document `{name}`");
    let problem = HttpProblem::new(StatusCode::NOT_FOUND, code::DOCUMENT_NOT_FOUND, detail);
    Err(problem.with_hint("GET /api/v1/knowledge/documents lists those there are"))
}

/// What is looked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KnowledgeQuery)]
pub(super) struct KnowledgeSearchRequest {
    #[schema(pattern = r"\S", max_length = 1000)]
    query: String,
    /// 1 to 50; 5 unless told.
    #[schema(minimum = 1, maximum = 50)]
    top: Option<usize>,
    /// `hybrid` unless told, `vector` or `text`.
    #[serde(default)]
    #[schema(schema_with = openapi::mode)]
    mode: SearchMode,
    /// Only passages of documents whose metadata has these.
    #[serde(default)]
    #[schema(value_type = Object)]
    filter: Map<String, Value>,
}

/// Searches what the tenant knows, the best first
///
/// An embedder that costs is paid out of the tenant's budgets.
#[utoipa::path(post, path = "/api/v1/knowledge/search", tag = "knowledge", request_body = KnowledgeSearchRequest, responses(
    (status = 200, body = SearchResultSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn search(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    body: Body,
) -> Result<Json<Value>, HttpProblem> {
    let KnowledgeSearchRequest { query, top, mode, filter } = body::json(body, state.limits).await?;
    let top = limit(top, TOP_DEFAULT, TOP_MAX)?;
    let query = check_query("query", &query)?;
    let filter = index::DocumentFilter { metadata: filter.into_iter().collect(), ..index::DocumentFilter::default() };
    let search = SearchRequest { top, mode, filter, ..SearchRequest::knowledge(query) };
    let found = state.admin_services()?.memory.search(principal.tenant(), &search).await?;
    let results: Vec<Value> = found.passages.iter().map(CitedPassage::as_json).collect();
    Ok(Json(json!({ "query": query, "degraded_reason": found.degraded, "results": results })))
}

/// A body that says nothing.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Rebuild)]
pub(super) struct ReindexRequest {}

/// Builds all of memory anew by the settings of now, while what is there answers
#[utoipa::path(post, path = "/api/v1/knowledge/reindex", tag = "knowledge", request_body = ReindexRequest, responses(
    (status = 200, body = ReindexSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn reindex(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    body: Body,
) -> Result<Json<Value>, HttpProblem> {
    let ReindexRequest {} = body::json(body, state.limits).await?;
    let memory = &state.admin_services()?.memory;
    let mut all = Vec::new();
    for collection in MemoryCollection::ALL {
        all.push(memory.reindex(principal.tenant(), collection).await?);
    }
    Ok(Json(json!({ "collections": all })))
}

/// Checks that a customer id is not too long.
pub(super) fn check_customer_id(id: &str) -> Result<(), HttpProblem> {
    if id.is_empty() || id.len() > ID_BYTES_MAX {
        return Err(HttpProblem::invalid_parameter("customer_id", format!("it must be 1 to {ID_BYTES_MAX} bytes")));
    }
    Ok(())
}
