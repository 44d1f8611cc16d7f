//! `/metrics`: Prometheus's text form. Open on loopback, with a key elsewhere.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::door::Door;
use crate::problem::Problem;

pub(crate) async fn metrics(
    State(door): State<Door>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if !peer.ip().is_loopback() {
        let refused =
            |error: crate::auth::Refused| Problem::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", error.to_string());
        door.keys.bearer(&headers).await.map_err(refused)?;
    }
    let kind = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((kind, (door.metrics)().await).into_response())
}
