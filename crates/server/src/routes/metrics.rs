//! `/metrics`: Prometheus's text form. Open on loopback, with a key elsewhere.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use baton_ports::keys::Need;

use crate::door::Door;
use crate::problem::Problem;

pub(crate) async fn metrics(
    State(door): State<Door>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let_in(&door, peer, &headers).await?;
    let kind = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    let mut text = (door.metrics)().await;
    let held = door.bodies.held();
    text.push_str(&format!(
        "# HELP http_request_bodies_bytes Bytes of request bodies that are held, of at most [serve] request_bodies_mb\n\
         # TYPE http_request_bodies_bytes gauge\nhttp_request_bodies_bytes {held}\n"
    ));
    Ok((kind, text).into_response())
}

/// Whoever asks from this machine, and whoever has a key.
pub(super) async fn let_in(door: &Door, peer: SocketAddr, headers: &HeaderMap) -> Result<(), Problem> {
    if !peer.ip().to_canonical().is_loopback() {
        let key = door.bearer(headers).await?;
        key.may(Need::Look).map_err(|barred| Problem::barred(&key, Need::Look, barred))?;
        key.turn(door.clock.now())?;
    }
    Ok(())
}
