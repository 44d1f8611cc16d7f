//! `/metrics`: metrics in Prometheus's text format. Public on loopback; elsewhere a key is required.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use baton_ports::keys::AccessScope;

use crate::problem::HttpProblem;
use crate::state::AppState;

pub(crate) async fn metrics(
    State(state): State<AppState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Result<Response, HttpProblem> {
    authorize(&state, peer, &headers).await?;
    let kind = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    let mut text = (state.metrics)().await;
    let held = state.body_budget.used_bytes();
    text.push_str(&format!(
        "# HELP http_request_bodies_bytes Bytes of request bodies that are held, of at most [serve] request_bodies_mb\n\
         # TYPE http_request_bodies_bytes gauge\nhttp_request_bodies_bytes {held}\n"
    ));
    Ok((kind, text).into_response())
}

/// Allows callers from this machine, and callers with a key.
pub(super) async fn authorize(state: &AppState, peer: SocketAddr, headers: &HeaderMap) -> Result<(), HttpProblem> {
    if !peer.ip().to_canonical().is_loopback() {
        let key = state.authenticate(headers).await?;
        key.authorize(AccessScope::Look).map_err(|barred| HttpProblem::forbidden(&key, AccessScope::Look, barred))?;
        key.check_rate(state.clock.now())?;
    }
    Ok(())
}
