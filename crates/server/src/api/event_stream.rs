//! Something as it goes, as server-sent events: what is common to all that is followed.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use baton_engine::EngineError;
use futures::stream::{self, Stream};
use tokio::time::Instant;

use super::principal::Principal;
use crate::problem::HttpProblem;
use crate::state::AppState;
use crate::stream_limits::StreamPermit;

const LAST_EVENT_ID: &str = "last-event-id";
/// How long nothing may be told before one looks whether another process moved it.
pub(super) const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// What is followed.
pub(super) trait EventSource: Send + 'static {
    /// What was not told yet, in its order; nothing where there is nothing now. What is long comes in parts.
    fn next_events(&mut self) -> impl Future<Output = Result<Vec<Event>, EngineError>> + Send;

    /// Until it may have moved, or so long.
    fn wait_for_change(&mut self, limit: Duration) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Whether nothing comes any more, once all is told.
    fn is_over(&self) -> bool {
        false
    }
}

/// The place of somebody who reads along.
pub(super) struct StreamSession {
    state: AppState,
    /// What they came in with: a key that is revoked reads no further.
    headers: HeaderMap,
    _permit: StreamPermit,
}

impl StreamSession {
    /// Refused where as many read along as may.
    pub fn of(door: &AppState, guest: &Principal, headers: HeaderMap) -> Result<Self, HttpProblem> {
        let place = door.stream_limiter.acquire(guest.tenant()).ok_or_else(HttpProblem::overloaded)?;
        Ok(Self { state: door.clone(), headers, _permit: place })
    }

    /// Tells what there is and what comes, until it is over, the server stops, or the key is no longer good.
    pub fn follow(self, source: impl EventSource) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
        let listener =
            EventStreamState { session: self, source, ready: VecDeque::new(), authorized_at: Instant::now() };
        let events = stream::unfold(listener, async |mut listener| {
            let event = listener.next().await?;
            Some((Ok(event), listener))
        });
        Sse::new(events).keep_alive(KeepAlive::default())
    }
}

/// The place up to which whoever comes back was told; nothing of who comes anew.
pub(super) fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, HttpProblem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let seq = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let seq = seq.ok_or_else(|| {
        HttpProblem::invalid_parameter("Last-Event-ID", "it is the number of the last event that was read")
    })?;
    Ok(Some(seq))
}

struct EventStreamState<S> {
    session: StreamSession,
    source: S,
    ready: VecDeque<Event>,
    /// When their key was last found good.
    authorized_at: Instant,
}

impl<S: EventSource> EventStreamState<S> {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            // Whoever has much to hear is looked at as often as who hears nothing.
            if self.authorized_at.elapsed() >= POLL_INTERVAL {
                self.session.state.authenticate(&self.session.headers).await.ok()?;
                self.authorized_at = Instant::now();
            }
            let told = tokio::select! {
                biased;
                () = self.session.state.shutdown_requested() => return None,
                told = self.source.next_events() => told,
            };
            self.ready = log_error(told)?.into();
            if !self.ready.is_empty() {
                continue;
            }
            if self.source.is_over() {
                return None;
            }
            tokio::select! {
                glanced = self.source.wait_for_change(POLL_INTERVAL) => log_error(glanced)?,
                () = self.session.state.shutdown_requested() => return None,
            }
        }
    }
}

fn log_error<T>(read: Result<T, EngineError>) -> Option<T> {
    read.inspect_err(|error| tracing::debug!(%error, "something is followed no more")).ok()
}
