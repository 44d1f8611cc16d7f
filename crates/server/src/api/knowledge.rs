//! What the tenant knows, and what is known of one person.

use std::fmt;

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use baton_ports::index::{self, Collection, Document, heading};
use baton_ports::keys::Need;
use baton_ports::memory::{Cited, Error, ID_BYTES_MAX, Mode, Search, TOP_DEFAULT, TOP_MAX, Unkept};
use baton_ports::read::{PAGE_DEFAULT, PAGE_MAX};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::cursor::List;
use super::document;
use super::guest::Guest;
use super::query::{Path, Query, limit};
use super::shapes::Problem as Refusal;
use super::shapes::knowledge::{DocumentAdded, DocumentRemoved, Documents, Passages, Rebuilt};
use super::tools::within;
use crate::body;
use crate::code;
use crate::door::Door;
use crate::problem::Problem;

pub(super) fn paths() -> OpenApiRouter<Door> {
    let looks = OpenApiRouter::new().routes(routes!(list)).routes(routes!(search));
    let builds = OpenApiRouter::new().routes(routes!(add)).routes(routes!(remove)).routes(routes!(reindex));
    super::needing(Need::Look, looks).merge(super::acting(Need::Build, builds))
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let unfit = |error: &dyn fmt::Display| {
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, code::KNOWLEDGE_REFUSED, error.to_string())
        };
        match error {
            Error::TooLarge { .. } | Error::Invalid { .. } | Error::NotFound { .. } => unfit(&error),
            Error::Full { .. } | Error::OtherEmbedder { .. } | Error::Forgotten { .. } => {
                Self::new(StatusCode::CONFLICT, code::KNOWLEDGE_REFUSED, error.to_string())
            }
            Error::Embedding(_) => Self::new(StatusCode::BAD_GATEWAY, code::KNOWLEDGE_UNAVAILABLE, error.to_string()),
            Error::Busy { retry_after } => Self {
                retry_after: Some(retry_after),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code::KNOWLEDGE_UNAVAILABLE, error.to_string())
            },
            Error::Unwritable { .. } | Error::Unreadable { .. } => {
                tracing::error!(%error, "memory failed");
                let detail = "memory does not answer at the moment; try again";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, code::KNOWLEDGE_UNAVAILABLE, detail)
            }
        }
    }
}

impl From<Unkept> for Problem {
    fn from(unkept: Unkept) -> Self {
        match unkept {
            Unkept::Memory(error) => error.into(),
            Unkept::IsAbout { .. } => Self::new(StatusCode::CONFLICT, code::DOCUMENT_IS_ABOUT, unkept.to_string())
                .hint("say `about` as it is kept; if it is not theirs any more, remove it first"),
            Unkept::IsEverybodys { .. } => Self::new(StatusCode::CONFLICT, code::DOCUMENT_IS_ABOUT, unkept.to_string())
                .hint("leave out `about`; if it is not everybody's any more, remove it first"),
            Unkept::Outside { .. } => {
                Self::new(StatusCode::BAD_GATEWAY, code::KNOWLEDGE_UNAVAILABLE, unkept.to_string()).hint("do it again")
            }
        }
    }
}

/// Which documents.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// 1 to 500; 50 unless told.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// As the page before says.
    cursor: Option<String>,
}

/// Lists documents by name
#[utoipa::path(get, path = "/api/v1/knowledge/documents", tag = "knowledge", params(Which), responses(
    (status = 200, body = Documents), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Query(which): Query<Which>,
) -> Result<Json<Value>, Problem> {
    let limit = limit(which.limit, PAGE_DEFAULT, PAGE_MAX.min(index::PAGE_MAX))?;
    let memory = &door.house()?.memory;
    let after = List::Documents.place(guest.tenant(), which.cursor.as_deref())?;
    let heads = memory.documents(guest.tenant(), Collection::Knowledge, after.as_deref(), limit).await?;
    let next = heads.last().filter(|_| heads.len() == limit);
    let next = next.map(|head| List::Documents.cursor(guest.tenant(), &head.name));
    Ok(Json(json!({ "documents": heads, "next_cursor": next })))
}

/// A document to keep.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DocumentWish {
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
#[utoipa::path(post, path = "/api/v1/knowledge/documents", tag = "knowledge", request_body = DocumentWish, responses(
    (status = 200, body = DocumentAdded), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn add(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let DocumentWish { name, title, text, about, metadata } = body::json(body, door.limits).await?;
    let title = title.or_else(|| heading(&text).map(str::to_owned)).unwrap_or_else(|| name.clone());
    let document = Document { name: name.clone(), title, subject: about, metadata, text, body: Value::Null };
    let added = door.house()?.knowledge.keep(guest.tenant(), document).await?;
    Ok(Json(json!({
        "document": name, "revision": added.revision, "pieces": added.pieces, "unchanged": added.unchanged,
    })))
}

/// Removes a document
///
/// A name with slashes is written with `%2F`.
#[utoipa::path(delete, path = "/api/v1/knowledge/documents/{name}", tag = "knowledge", params(("name" = String, Path)),
    responses(
    (status = 200, body = DocumentRemoved), (status = 404, body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn remove(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    if door.house()?.knowledge.remove(guest.tenant(), &name).await? {
        return Ok(Json(json!({ "removed": name })));
    }
    let detail = format!("there is no document `{name}`");
    let problem = Problem::new(StatusCode::NOT_FOUND, code::DOCUMENT_NOT_FOUND, detail);
    Err(problem.hint("GET /api/v1/knowledge/documents lists those there are"))
}

/// What is looked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KnowledgeQuery {
    #[schema(pattern = r"\S", max_length = 1000)]
    query: String,
    /// 1 to 50; 5 unless told.
    #[schema(minimum = 1, maximum = 50)]
    top: Option<usize>,
    /// `hybrid` unless told, `vector` or `text`.
    #[serde(default)]
    #[schema(schema_with = document::mode)]
    mode: Mode,
    /// Only passages of documents whose metadata has these.
    #[serde(default)]
    #[schema(value_type = Object)]
    filter: Map<String, Value>,
}

/// Searches what the tenant knows, the best first
///
/// An embedder that costs is paid out of the tenant's budgets.
#[utoipa::path(post, path = "/api/v1/knowledge/search", tag = "knowledge", request_body = KnowledgeQuery, responses(
    (status = 200, body = Passages), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn search(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let KnowledgeQuery { query, top, mode, filter } = body::json(body, door.limits).await?;
    let top = limit(top, TOP_DEFAULT, TOP_MAX)?;
    let query = within("query", &query)?;
    let filter = index::Filter { metadata: filter.into_iter().collect(), ..index::Filter::default() };
    let search = Search { top, mode, filter, ..Search::knowledge(query) };
    let found = door.house()?.memory.search(guest.tenant(), &search).await?;
    let results: Vec<Value> = found.passages.iter().map(Cited::as_json).collect();
    Ok(Json(json!({ "query": query, "degraded_reason": found.degraded, "results": results })))
}

/// A body that says nothing.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rebuild {}

/// Builds all of memory anew by the settings of now, while what is there answers
#[utoipa::path(post, path = "/api/v1/knowledge/reindex", tag = "knowledge", request_body = Rebuild, responses(
    (status = 200, body = Rebuilt), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn reindex(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let Rebuild {} = body::json(body, door.limits).await?;
    let memory = &door.house()?.memory;
    let mut all = Vec::new();
    for collection in Collection::ALL {
        all.push(memory.reindex(guest.tenant(), collection).await?);
    }
    Ok(Json(json!({ "collections": all })))
}

/// An id that is not too long for anybody's.
pub(super) fn customer(id: &str) -> Result<(), Problem> {
    if id.is_empty() || id.len() > ID_BYTES_MAX {
        return Err(Problem::parameter("customer_id", format!("it must be 1 to {ID_BYTES_MAX} bytes")));
    }
    Ok(())
}
