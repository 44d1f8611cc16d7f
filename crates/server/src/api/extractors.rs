//! Extractors for path and query parameters.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::problem::HttpProblem;

/// Like axum's `Query`, but an invalid query is reported as a problem document.
pub(super) struct QueryParams<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryParams<T> {
    type Rejection = HttpProblem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpProblem> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|query| Self(query.0))
            .map_err(|rejected| HttpProblem::invalid_parameter("query", rejected.body_text()))
    }
}

/// An empty query: unknown parameters are refused instead of ignored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoQueryParams {}

/// Like axum's `Path`, but an invalid path segment is reported as a problem document.
pub(crate) struct PathParams<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathParams<T> {
    type Rejection = HttpProblem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpProblem> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|path| Self(path.0)).map_err(|rejected| HttpProblem::invalid_parameter("path", rejected.body_text()))
    }
}

/// The requested page size, checked against the maximum.
pub(super) fn limit(asked: Option<usize>, default: usize, most: usize) -> Result<usize, HttpProblem> {
    match asked {
        None => Ok(default),
        Some(rows) if (1..=most).contains(&rows) => Ok(rows),
        Some(_) => Err(HttpProblem::invalid_parameter("limit", format!("it must be 1 to {most}"))),
    }
}

/// A page of a list ordered by name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamePageQuery {
    pub after: Option<String>,
    pub limit: Option<usize>,
}

/// The name of an object to create.
pub(super) fn require_name(said: Option<String>) -> Result<String, HttpProblem> {
    said.ok_or_else(|| HttpProblem::invalid_field("name", "say how it is called"))
}

/// Checks that a replacement keeps the name of the object.
pub(super) fn check_same_name(name: &str, said: Option<&str>) -> Result<(), HttpProblem> {
    match said {
        Some(other) if other != name => Err(HttpProblem::invalid_field("name", "it is the path's: a name is kept")),
        _ => Ok(()),
    }
}
