//! Listening, until told to stop.

use std::future::IntoFuture;
use std::net::SocketAddr;

use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;

use crate::door::Door;
use crate::routes;

/// Answers requests until `stop` is ready; then takes no more, and lets those under way finish within
/// [`Limits::drain`](crate::Limits::drain).
///
/// # Errors
/// The listener failed.
pub async fn serve(
    listener: TcpListener,
    door: Door,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    // Answers are small and whole: they are not to wait for more to send.
    let listener = listener.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    let drain = door.limits.drain;
    let (stopping, mut stopped) = tokio::sync::watch::channel(false);
    let app = routes::all(door).into_make_service_with_connect_info::<SocketAddr>();
    let graceful = async move {
        stop.await;
        // Nobody listens only where the server has ended already.
        let _ = stopping.send(true);
    };
    let serving = axum::serve(listener, app).with_graceful_shutdown(graceful).into_future();
    let overdue = async move {
        // A sender that is gone has said so.
        let _ = stopped.wait_for(|stop| *stop).await;
        tokio::time::sleep(drain).await;
    };
    tokio::select! {
        ended = serving => ended,
        () = overdue => {
            tracing::warn!(drain_ms = drain.as_millis(), "requests under way were cut off: they took longer than allowed");
            Ok(())
        }
    }
}
