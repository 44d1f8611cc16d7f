//! Which path leads where.

mod decide;
mod health;
mod hooks;
mod metrics;
mod overview;
mod ready;
mod returning;

use axum::Router;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::api;
use crate::code;
use crate::count::Counts;
use crate::door::Door;
use crate::error_pages;
use crate::front;
use crate::openai;
use crate::page;
use crate::problem::Problem;

pub(crate) fn all(door: Door) -> Router {
    api::all(&door)
        .route("/health", get(health::health))
        .route("/ready", get(ready::ready))
        .route("/metrics", get(metrics::metrics))
        .route("/metrics/overview", get(overview::overview))
        .route("/docs/errors", get(error_pages::index))
        .route("/docs/errors/{code}", get(error_pages::page))
        .route("/api/v1/composio/callback", get(returning::callback).post(returning::callback_posted))
        .route("/composio/callback", get(returning::callback).post(returning::callback_posted))
        .route("/decide/{token}", get(decide::show).post(decide::decide))
        .route("/hooks/{trigger}", post(hooks::own))
        .route("/hooks/{tenant}/{trigger}", post(hooks::of_tenant))
        .route("/v1/models", get(openai::models::list))
        .route("/v1/models/{*model}", get(openai::models::one))
        .route("/v1/chat/completions", post(openai::chat::complete))
        .route("/v1/responses", post(openai::responses::respond))
        .route("/v1/embeddings", post(openai::embeddings::embed))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state((door.clone(), Counts::default()), front::meet))
        .with_state(door)
}

/// Below `/v1` stand clients of OpenAI's, who read errors in its form.
pub(crate) fn is_openais(path: &Uri) -> bool {
    path.path() == "/v1" || path.path().starts_with("/v1/")
}

async fn unknown(method: Method, path: Uri, headers: HeaderMap) -> Response {
    if let Some(page) = page::at(&method, path.path(), &headers) {
        return page;
    }
    if is_openais(&path) {
        return openai::Error::no_path(&method, path.path()).into_response();
    }
    Problem::nothing_here().into_response()
}

async fn wrong_method(method: Method, path: Uri) -> Response {
    if is_openais(&path) {
        return openai::Error::wrong_method(&method, path.path()).into_response();
    }
    let detail = format!("{method} is not answered at this path; the Allow header says what is");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, code::METHOD_NOT_ALLOWED, detail).into_response()
}
