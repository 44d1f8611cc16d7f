//! Whether an attempt has turned to its service yet.
//!
//! What an attempt refuses before that says nothing of the service, whatever its code. Whoever sends something says so
//! here, at the door by which all of its kind go out: HTTP, a mail server, a database, an MCP server.

use std::cell::Cell;

use reqwest::header::HeaderValue;

tokio::task_local! {
    static REACHED: Cell<bool>;
    static TRACEPARENT: Option<HeaderValue>;
}

/// What an attempt came to, and whether it turned to its service, which is told of this span.
pub(crate) async fn track<T>(traceparent: Option<&str>, attempt: impl Future<Output = T>) -> (T, bool) {
    // One that cannot be a header is nobody's.
    let told = traceparent.and_then(|told| HeaderValue::from_str(told).ok());
    let watched = async {
        let came = attempt.await;
        (came, REACHED.with(Cell::get))
    };
    TRACEPARENT.scope(told, REACHED.scope(Cell::new(false), watched)).await
}

/// The span that the attempt is, where it is known.
pub(crate) fn traceparent() -> Option<HeaderValue> {
    TRACEPARENT.try_with(Clone::clone).unwrap_or_default()
}

/// The attempt turns to its service now. Says whether it had before; outside an attempt nobody listens.
pub(crate) fn mark_reached() -> bool {
    REACHED.try_with(|made| made.replace(true)).unwrap_or_default()
}

/// It did not after all: nothing went out.
pub(crate) fn restore(before: bool) {
    let _ = REACHED.try_with(|made| made.set(before));
}
