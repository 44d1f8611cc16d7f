//! What stands in an address: its parts, and what is behind the `?`.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// As axum's, but a query that is not what is asked for is told as a problem.
pub(super) struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        query.map(|query| Self(query.0)).map_err(|rejected| Problem::parameter("query", rejected.body_text()))
    }
}

/// A query of nothing: a parameter that no code reads is refused, and not passed over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// As axum's, but a part that is not what is asked for is told as a problem.
pub(crate) struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|path| Self(path.0)).map_err(|rejected| Problem::parameter("path", rejected.body_text()))
    }
}

/// Rows of a page: as many as were asked for, within what a page may have.
pub(super) fn limit(asked: Option<usize>, default: usize, most: usize) -> Result<usize, Problem> {
    match asked {
        None => Ok(default),
        Some(rows) if (1..=most).contains(&rows) => Ok(rows),
        Some(_) => Err(Problem::parameter("limit", format!("it must be 1 to {most}"))),
    }
}

/// A page of things by their names.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ByName {
    pub after: Option<String>,
    pub limit: Option<usize>,
}

/// The name of something that is made.
pub(super) fn named(said: Option<String>) -> Result<String, Problem> {
    said.ok_or_else(|| Problem::field("name", "say how it is called"))
}

/// Something that is put in another's place has its name.
pub(super) fn kept(name: &str, said: Option<&str>) -> Result<(), Problem> {
    match said {
        Some(other) if other != name => Err(Problem::field("name", "it is the path's: a name is kept")),
        _ => Ok(()),
    }
}
