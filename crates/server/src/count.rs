//! Counts requests: how many, how they ended, how long until the answer began.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;

/// What a path is called that leads nowhere: callers must not make names of their own.
const NOWHERE: &str = "none";

pub(crate) async fn count(matched: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let response = next.run(request).await;
    let route = matched.as_ref().map_or(NOWHERE, MatchedPath::as_str).to_owned();
    let status = response.status().as_str().to_owned();
    metrics::counter!("http_requests_total", "route" => route.clone(), "status" => status).increment(1);
    metrics::histogram!("http_request_duration_seconds", "route" => route).record(began.elapsed());
    response
}
