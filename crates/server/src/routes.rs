//! Which path leads where.

mod health;
mod metrics;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::routing::{get, post};

use crate::count::count;
use crate::door::Door;
use crate::openai;
use crate::problem::Problem;

pub(crate) fn all(door: Door) -> Router {
    Router::new()
        .route("/health", get(health::health))
        .route("/metrics", get(metrics::metrics))
        .route("/v1/models", get(openai::models::list))
        .route("/v1/models/{model}", get(openai::models::one))
        .route("/v1/chat/completions", post(openai::chat::complete))
        .fallback(unknown)
        .layer(from_fn(count))
        .layer(DefaultBodyLimit::max(door.limits.body_bytes))
        .with_state(door)
}

async fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "NOT_FOUND", "there is nothing at this path")
}
