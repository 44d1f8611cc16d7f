//! The budget for request bodies held in memory, and the draining of bodies that are not read to their end.
//!
//! A body is counted as its bytes arrive, not by its header, so a client that announces a large body and sends
//! nothing takes no memory from others. The bytes are released when what was read is dropped: when the request is
//! answered or, for a streamed response, when the stream ends.
//!
//! Bodies that are read before authentication share a small part of the budget, so unauthenticated clients that
//! send slowly cannot block clients with a key.
//!
//! If a connection is closed while its client still sends, it is reset, and the client may never see the response.
//! So the rest of a refused body is read and dropped for a limited time, after the response and concurrently with
//! other requests.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request};
use axum::http::header::EXPECT;
use axum::http::{StatusCode, Version};
use hyper::body::{Frame, SizeHint};
use tokio::sync::Semaphore;

use crate::problem::HttpProblem;
use crate::state::AppState;

/// The paths whose bodies are read without an API key: the body's content or the address authenticates the request.
const PUBLIC_PATHS: [&str; 4] = ["/hooks/", "/decide/", "/composio/callback", "/api/v1/composio/callback"];
/// Such bodies together may take one part in this many of the whole budget.
const PUBLIC_SHARE: usize = 8;

/// Maximum number of bytes of a refused body that are drained.
const DRAIN_BYTES_MAX: usize = 64 << 20;
/// How long draining may take, if [`ServerLimits::body_timeout`](crate::ServerLimits::body_timeout) is not shorter.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of refused bodies that are drained at a time. Beyond it, the connection is closed at once.
const DRAINS_MAX: usize = 1_024;

/// The body would exceed the budget for all bodies.
#[derive(Debug, thiserror::Error)]
#[error("the request bodies under way take all the memory there is for them")]
pub(crate) struct BodyBudgetError;

/// The budget for the bodies of all requests that are being read or not answered yet.
#[derive(Debug)]
pub(crate) struct BodyBudget {
    all: ByteQuota,
    /// The part available to bodies without a key.
    public: ByteQuota,
    /// One permit for each body being drained.
    draining: Arc<Semaphore>,
}

impl BodyBudget {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            all: ByteQuota::of(bytes_max),
            public: ByteQuota::of(bytes_max / PUBLIC_SHARE),
            draining: Arc::new(Semaphore::new(DRAINS_MAX)),
        }
    }

    /// Number of bytes held.
    pub(crate) fn used_bytes(&self) -> usize {
        self.all.held.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize, has_key: bool) -> Result<(), BodyBudgetError> {
        if !has_key {
            self.public.take(bytes)?;
        }
        self.all.take(bytes).inspect_err(|_| {
            if !has_key {
                self.public.give_back(bytes);
            }
        })
    }

    fn give_back(&self, bytes: usize, has_key: bool) {
        self.all.give_back(bytes);
        if !has_key {
            self.public.give_back(bytes);
        }
    }
}

/// A limit in bytes, and the bytes held of it.
#[derive(Debug)]
struct ByteQuota {
    bytes_max: usize,
    held: AtomicUsize,
}

impl ByteQuota {
    fn of(bytes_max: usize) -> Self {
        Self { bytes_max, held: AtomicUsize::new(0) }
    }

    fn take(&self, bytes: usize) -> Result<(), BodyBudgetError> {
        let within = |held: usize| held.checked_add(bytes).filter(|held| *held <= self.bytes_max);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within).map(drop).map_err(|_| BodyBudgetError)
    }

    fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The bytes that one request holds of the budget. Released on drop.
pub(crate) struct BodyShare {
    state: AppState,
    /// The body is read only after its key is authenticated.
    has_key: bool,
    taken: AtomicUsize,
}

impl BodyShare {
    fn take(&self, bytes: usize) -> Result<(), BodyBudgetError> {
        self.state.body_budget.take(bytes, self.has_key)?;
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for BodyShare {
    fn drop(&mut self) {
        self.state.body_budget.give_back(self.taken.load(Ordering::Relaxed), self.has_key);
    }
}

/// Counts the request's body from now on. Keep the share as long as any of the body's data. To keep it beyond the
/// start of the response, take it from the request's extensions. Returns `None` if the request has no body.
pub(crate) fn count_body(state: &AppState, request: &mut Request) -> Option<Arc<BodyShare>> {
    if request.body().is_end_stream() {
        return None;
    }
    // A client that sent `Expect` has not sent its body yet, and HTTP/2 ends one request without affecting others.
    let drains = request.version() <= Version::HTTP_11 && !request.headers().contains_key(EXPECT);
    let path = request.extensions().get::<MatchedPath>();
    let has_key = path.is_none_or(|path| reads_after_auth(path.as_str()));
    let share = Arc::new(BodyShare { state: state.clone(), has_key, taken: AtomicUsize::new(0) });
    let body = std::mem::take(request.body_mut());
    *request.body_mut() = Body::new(CountedBody { body, share: share.clone(), drains, ended: false });
    request.extensions_mut().insert(share.clone());
    Some(share)
}

/// Whether a body sent to this matched path is read only after its key is authenticated.
fn reads_after_auth(path: &str) -> bool {
    !PUBLIC_PATHS.iter().any(|without| path.starts_with(without))
}

/// The problem for a refused body.
pub(crate) fn budget_problem(bytes_max: usize) -> HttpProblem {
    let detail = format!(
        "the request bodies that this server holds at the moment leave no room for this one: there are {} MB for \
         all of them, and an eighth of that for those that come without a key; nothing of this one was accepted",
        bytes_max >> 20
    );
    let problem = HttpProblem::new(StatusCode::SERVICE_UNAVAILABLE, crate::code::OVERLOADED, detail)
        .with_hint("try again after `Retry-After`; whoever runs the server sets `[serve] request_bodies_mb`");
    HttpProblem { retry_after: Some(Duration::from_secs(1)), ..problem }
}

struct CountedBody {
    body: Body,
    share: Arc<BodyShare>,
    /// Whether the rest of the body is drained.
    drains: bool,
    /// The body has ended.
    ended: bool,
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(match frame {
            None => {
                self.ended = true;
                None
            }
            Some(Err(error)) => {
                self.ended = true;
                Some(Err(error.into()))
            }
            Some(Ok(frame)) => match frame.data_ref().map_or(Ok(()), |data| self.share.take(data.len())) {
                Ok(()) => Some(Ok(frame)),
                Err(exceeded) => Some(Err(exceeded.into())),
            },
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for CountedBody {
    fn drop(&mut self) {
        if self.ended || !self.drains || self.body.is_end_stream() {
            return;
        }
        let state = self.share.state.clone();
        let Ok(place) = state.body_budget.draining.clone().try_acquire_owned() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let body = std::mem::take(&mut self.body);
        runtime.spawn(async move {
            let within = state.limits.body_timeout.min(DRAIN_TIMEOUT);
            tokio::select! {
                _ = tokio::time::timeout(within, drain(body)) => {}
                () = state.shutdown_requested() => {}
            }
            drop(place);
        });
    }
}

/// Reads and drops the rest of a body.
async fn drain(mut body: Body) {
    let mut bytes = 0;
    while bytes < DRAIN_BYTES_MAX {
        match std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            Some(Ok(frame)) => bytes += frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) | None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_without_a_key_fill_their_part_and_leave_the_rest_to_those_with_one() {
        let bodies = BodyBudget::new(80);
        assert!(bodies.take(10, false).is_ok());
        assert!(bodies.take(1, false).is_err());
        assert!(bodies.take(70, true).is_ok());
        assert!(bodies.take(1, true).is_err());
        assert_eq!(bodies.used_bytes(), 80);
        bodies.give_back(10, false);
        bodies.give_back(70, true);
        assert_eq!(bodies.used_bytes(), 0);
        // A body that exceeds the whole budget takes nothing from the public part.
        assert!(bodies.take(75, true).is_ok());
        assert!(bodies.take(10, false).is_err());
        bodies.give_back(75, true);
        assert!(bodies.take(10, false).is_ok());
    }

    #[test]
    fn what_is_read_before_a_key_is_known_is_told_by_its_path() {
        for path in ["/hooks/{trigger}", "/hooks/{tenant}/{trigger}", "/decide/{token}", "/api/v1/composio/callback"] {
            assert!(!reads_after_auth(path), "{path}");
        }
        for path in ["/v1/chat/completions", "/api/v1/webhooks", "/workflows/execute", "/api/v1/composio/connect"] {
            assert!(reads_after_auth(path), "{path}");
        }
    }
}
