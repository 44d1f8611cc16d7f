//! How many bytes of bodies one process holds at a time, and what becomes of a body that nobody reads to its end.
//!
//! Every body is counted as its bytes come, not as its header says, so a client that announces much and sends nothing takes
//! nothing from others. What was counted is given back when nobody holds what was read any more: when the request is answered,
//! and where the answer is streamed, when the stream ends.
//!
//! Bodies that are read before anybody is known have a small part of it, so that strangers who hold theirs back shut out
//! nobody who has a key.
//!
//! A connection that is closed while its client still sends is reset, and the client may never see the answer. So what is
//! left of a body that was refused is read and dropped for a while, after the answer and beside whatever comes next.

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

/// Where a body is read that came without a key of ours: what it says, or its address, lets it in.
const PUBLIC_PATHS: [&str; 4] = ["/hooks/", "/decide/", "/composio/callback", "/api/v1/composio/callback"];
/// The part of all bytes that such bodies may take together: one in so many.
const PUBLIC_SHARE: usize = 8;

/// Bytes of a refused body that are read and dropped.
const DRAIN_BYTES_MAX: usize = 64 << 20;
/// How long they may take, where [`ServerLimits::body_timeout`](crate::ServerLimits::body_timeout) is not shorter.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Refused bodies that are read at a time; of one more the connection is closed at once.
const DRAINS_MAX: usize = 1_024;

/// A body that would be more than all bodies may be together.
#[derive(Debug, thiserror::Error)]
#[error("the request bodies under way take all the memory there is for them")]
pub(crate) struct BodyBudgetError;

/// The bytes of all bodies, of requests that are read or not answered yet.
#[derive(Debug)]
pub(crate) struct BodyBudget {
    all: ByteQuota,
    /// What bodies that came without a key take of it.
    public: ByteQuota,
    /// One permit a refused body that is read to its end.
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

    /// Bytes that are held now.
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

/// So many bytes, and how many of them are held.
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

/// What one request has taken of the budget; given back when it goes.
pub(crate) struct BodyShare {
    door: AppState,
    /// Its body is read only once its key is known.
    has_key: bool,
    taken: AtomicUsize,
}

impl BodyShare {
    fn take(&self, bytes: usize) -> Result<(), BodyBudgetError> {
        self.door.body_budget.take(bytes, self.has_key)?;
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for BodyShare {
    fn drop(&mut self) {
        self.door.body_budget.give_back(self.taken.load(Ordering::Relaxed), self.has_key);
    }
}

/// Counts the request's body from now on. The share is to be kept as long as anything that was read of it; whoever keeps that
/// beyond the beginning of the answer finds the share among the request's extensions. Nothing where it has no body.
pub(crate) fn count_body(door: &AppState, request: &mut Request) -> Option<Arc<BodyShare>> {
    if request.body().is_end_stream() {
        return None;
    }
    // Who waits for a word before the body has not sent it, and HTTP/2 ends one request without the others.
    let drains = request.version() <= Version::HTTP_11 && !request.headers().contains_key(EXPECT);
    let path = request.extensions().get::<MatchedPath>();
    let has_key = path.is_none_or(|path| reads_after_auth(path.as_str()));
    let share = Arc::new(BodyShare { door: door.clone(), has_key, taken: AtomicUsize::new(0) });
    let body = std::mem::take(request.body_mut());
    *request.body_mut() = Body::new(CountedBody { body, share: share.clone(), drains, ended: false });
    request.extensions_mut().insert(share.clone());
    Some(share)
}

/// Whether a body that comes to this path, as it is routed, is read only once its key is known.
fn reads_after_auth(path: &str) -> bool {
    !PUBLIC_PATHS.iter().any(|without| path.starts_with(without))
}

/// The refusal, as a problem.
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
    /// What is left of it is to be read.
    drains: bool,
    /// Nothing more comes.
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
        let door = self.share.door.clone();
        let Ok(place) = door.body_budget.draining.clone().try_acquire_owned() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let body = std::mem::take(&mut self.body);
        runtime.spawn(async move {
            let within = door.limits.body_timeout.min(DRAIN_TIMEOUT);
            tokio::select! {
                _ = tokio::time::timeout(within, drain(body)) => {}
                () = door.shutdown_requested() => {}
            }
            drop(place);
        });
    }
}

/// Reads and drops what is left of a body.
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
        // What the whole has no room for is not taken of the part.
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
