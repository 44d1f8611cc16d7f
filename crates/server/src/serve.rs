//! Listening, until told to stop.

use std::net::SocketAddr;
use std::pin::pin;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::serve::Listener;
use futures::FutureExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};

use crate::door::Door;
use crate::routes;

/// Answers requests until `stop` is ready; then takes no more, and lets those under way finish within
/// [`Limits::drain`](crate::Limits::drain).
///
/// A connection that does not say whole headers within [`Limits::headers`](crate::Limits::headers) is closed, so one
/// that dribbles, or says nothing, holds its place no longer than that.
///
/// # Errors
/// None today: a connection that cannot be taken is tried again.
pub async fn serve(
    mut listener: TcpListener,
    door: Door,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let drain = door.limits.drain;
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(door.limits.headers);
    let app = routes::all(door.clone());
    let open = GracefulShutdown::new();
    let mut stop = pin!(stop.fuse());
    loop {
        // What the listener itself runs into (too many open files) it waits out.
        let (connection, peer) = tokio::select! {
            () = &mut stop => break,
            accepted = Listener::accept(&mut listener) => accepted,
        };
        tokio::spawn(converse(protocol.clone(), app.clone(), connection, peer, open.watcher()));
    }
    drop(listener);
    door.stopping.send_replace(true);
    if tokio::time::timeout(drain, open.shutdown()).await.is_err() {
        tracing::warn!(drain_ms = drain.as_millis(), "requests under way were cut off: they took longer than allowed");
    }
    Ok(())
}

/// Answers one connection's requests, one after another.
async fn converse(protocol: http1::Builder, app: Router, connection: TcpStream, peer: SocketAddr, open: Watcher) {
    // Answers are small and whole: they are not to wait for more to send.
    let _ = connection.set_nodelay(true);
    let app = TowerToHyperService::new(app);
    let answering = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        app.call(request)
    });
    let conversation = protocol.serve_connection(TokioIo::new(connection), answering);
    if let Err(error) = open.watch(conversation).await {
        tracing::debug!(%error, "a connection ended early");
    }
}
