//! Accepts connections until the server is told to stop.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::serve::Listener;
use futures::FutureExt as _;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service as _;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};

use crate::routes;
use crate::state::AppState;
use crate::tls::{self, ReloadingTls};

/// Maximum number of concurrent requests on one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;
/// Maximum size of the headers of an HTTP/2 request, in bytes as HTTP/2 counts them.
const HEADER_LIST_BYTES_MAX: u32 = 64 << 10;

/// Serves requests until `stop` is ready, then accepts no more and lets requests in flight finish within
/// [`ServerLimits::drain_timeout`](crate::ServerLimits::drain_timeout).
///
/// A connection that does not send complete headers within
/// [`ServerLimits::header_timeout`](crate::ServerLimits::header_timeout) is closed, so slow and silent clients hold
/// a connection no longer than that.
///
/// # Errors
/// The certificate cannot be used. A failure to accept a connection is retried.
pub async fn serve(
    mut listener: TcpListener,
    state: AppState,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let drain = state.limits.drain_timeout;
    let tls = state.config.tls.as_ref().map(ReloadingTls::open).transpose().map_err(std::io::Error::other)?;
    let watching = tls.clone().map(|tls| tokio::spawn(tls.watch()));
    let protocols = ConnectionProtocols::new(tls, state.limits.header_timeout);
    let app = routes::build_router(state.clone());
    let open = GracefulShutdown::new();
    let mut stop = pin!(stop.fuse());
    loop {
        // `Listener::accept` waits out its own errors, such as too many open files.
        let (connection, peer) = tokio::select! {
            () = &mut stop => break,
            accepted = Listener::accept(&mut listener) => accepted,
        };
        tokio::spawn(protocols.clone().serve_connection(app.clone(), connection, peer, open.watcher()));
    }
    drop(listener);
    if let Some(watching) = watching {
        watching.abort();
    }
    state.stopping.send_replace(true);
    if tokio::time::timeout(drain, open.shutdown()).await.is_err() {
        tracing::warn!(drain_ms = drain.as_millis(), "requests under way were cut off: they took longer than allowed");
    }
    Ok(())
}

/// The protocols that a connection may use.
#[derive(Clone)]
struct ConnectionProtocols {
    one: http1::Builder,
    two: http2::Builder<TokioExecutor>,
    tls: Option<ReloadingTls>,
    /// Timeout of the handshake and of the headers.
    header_timeout: Duration,
}

impl ConnectionProtocols {
    fn new(tls: Option<ReloadingTls>, wait: Duration) -> Self {
        let mut one = http1::Builder::new();
        one.timer(TokioTimer::new()).header_read_timeout(wait);
        let mut two = http2::Builder::new(TokioExecutor::new());
        two.timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEADER_LIST_BYTES_MAX)
            .keep_alive_interval(wait)
            .keep_alive_timeout(wait);
        Self { one, two, tls, header_timeout: wait }
    }

    /// Serves the requests of one connection.
    async fn serve_connection(self, app: Router, connection: TcpStream, peer: SocketAddr, open: Watcher) {
        // Responses are small and complete, so they should not be delayed to be combined with others.
        let _ = connection.set_nodelay(true);
        let app = TowerToHyperService::new(app);
        let answering = hyper::service::service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            app.call(request)
        });
        let Some(tls) = self.tls else {
            return log_end(open.watch(self.one.serve_connection(TokioIo::new(connection), answering)).await);
        };
        match tokio::time::timeout(self.header_timeout, tls.acceptor.accept(connection)).await {
            Ok(Ok(connection)) if connection.get_ref().1.alpn_protocol() == Some(tls::H2) => {
                log_end(open.watch(self.two.serve_connection(TokioIo::new(connection), answering)).await);
            }
            Ok(Ok(connection)) => {
                log_end(open.watch(self.one.serve_connection(TokioIo::new(connection), answering)).await);
            }
            Ok(Err(error)) => tracing::debug!(%error, "no TLS came of a connection"),
            Err(_elapsed) => tracing::debug!("no TLS came of a connection in time"),
        }
    }
}

fn log_end(how: hyper::Result<()>) {
    if let Err(error) = how {
        tracing::debug!(%error, "a connection ended early");
    }
}
