//! Tracks whether an attempt has contacted its service yet.
//!
//! A refusal before that says nothing about the service, whatever its code. Every outbound path marks the attempt at
//! the point where it sends: HTTP, a mail server, a database, an MCP server.

use std::cell::Cell;

use reqwest::header::HeaderValue;

tokio::task_local! {
    static REACHED: Cell<bool>;
    static TRACEPARENT: Option<HeaderValue>;
}

/// Runs an attempt. Returns its result, and whether it contacted its service. `traceparent` is the span that the
/// service receives.
pub(crate) async fn track<T>(traceparent: Option<&str>, attempt: impl Future<Output = T>) -> (T, bool) {
    // A value that is not a valid header is dropped.
    let told = traceparent.and_then(|told| HeaderValue::from_str(told).ok());
    let watched = async {
        let came = attempt.await;
        (came, REACHED.with(Cell::get))
    };
    TRACEPARENT.scope(told, REACHED.scope(Cell::new(false), watched)).await
}

/// The span of the attempt, if known.
pub(crate) fn traceparent() -> Option<HeaderValue> {
    TRACEPARENT.try_with(Clone::clone).unwrap_or_default()
}

/// Marks that the attempt contacts its service now. Returns whether it had before. Has no effect outside an attempt.
pub(crate) fn mark_reached() -> bool {
    REACHED.try_with(|made| made.replace(true)).unwrap_or_default()
}

/// Restores the earlier mark: nothing was sent after all.
pub(crate) fn restore(before: bool) {
    let _ = REACHED.try_with(|made| made.set(before));
}
