//! The routes.

mod connect_callback;
mod decide;
mod health;
mod hooks;
mod metrics;
mod overview;
mod ready;

use axum::Router;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::api;
use crate::code;
use crate::error_pages;
use crate::middleware;
use crate::openai;
use crate::problem::HttpProblem;
use crate::request_metrics::RequestCounters;
use crate::state::AppState;
use crate::web_assets;

pub(crate) fn build_router(state: AppState) -> Router {
    api::build_router(&state)
        .route("/health", get(health::health))
        .route("/ready", get(ready::ready))
        .route("/metrics", get(metrics::metrics))
        .route("/metrics/overview", get(overview::overview))
        .route("/docs/errors", get(error_pages::index))
        .route("/docs/errors/{code}", get(error_pages::page))
        .route("/api/v1/composio/callback", get(connect_callback::callback).post(connect_callback::callback_posted))
        .route("/composio/callback", get(connect_callback::callback).post(connect_callback::callback_posted))
        .route("/decide/{token}", get(decide::show).post(decide::decide))
        .route("/hooks/{trigger}", post(hooks::receive_own))
        .route("/hooks/{tenant}/{trigger}", post(hooks::receive_for_tenant))
        .route("/v1/models", get(openai::models::list))
        .route("/v1/models/{*model}", get(openai::models::show))
        .route("/v1/chat/completions", post(openai::chat::complete))
        .route("/v1/responses", post(openai::responses::respond))
        .route("/v1/embeddings", post(openai::embeddings::embed))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state((state.clone(), RequestCounters::default()), middleware::request_middleware))
        .with_state(state)
}

/// Whether the path is below `/v1`, whose clients expect errors in OpenAI's format.
pub(crate) fn is_openai_path(path: &Uri) -> bool {
    path.path() == "/v1" || path.path().starts_with("/v1/")
}

async fn not_found(method: Method, path: Uri, headers: HeaderMap) -> Response {
    if let Some(page) = web_assets::serve_path(&method, path.path(), &headers) {
        return page;
    }
    if is_openai_path(&path) {
        return openai::OpenAiError::path_not_found(&method, path.path()).into_response();
    }
    HttpProblem::not_found().into_response()
}

async fn wrong_method(method: Method, path: Uri) -> Response {
    if is_openai_path(&path) {
        return openai::OpenAiError::wrong_method(&method, path.path()).into_response();
    }
    let detail = format!("{method} is not answered at this path; the Allow header says what is");
    HttpProblem::new(StatusCode::METHOD_NOT_ALLOWED, code::METHOD_NOT_ALLOWED, detail).into_response()
}
