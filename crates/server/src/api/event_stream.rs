//! Server-sent event streams: the parts shared by all sources.

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
/// How long a source may be silent before it is checked for changes by other processes.
pub(super) const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// A source of events that a subscriber follows.
pub(super) trait EventSource: Send + 'static {
    /// The events that were not sent yet, in order. Empty if there are none at present. Long sequences come in
    /// batches.
    fn next_events(&mut self) -> impl Future<Output = Result<Vec<Event>, EngineError>> + Send;

    /// Waits until the source may have changed, or until the time limit.
    fn wait_for_change(&mut self, limit: Duration) -> impl Future<Output = Result<(), EngineError>> + Send;

    /// Whether the source has ended and all its events were sent.
    fn is_over(&self) -> bool {
        false
    }
}

/// The session of one subscriber.
pub(super) struct StreamSession {
    state: AppState,
    /// The request's credentials. They are checked again, so that a revoked key stops reading.
    headers: HeaderMap,
    _permit: StreamPermit,
}

impl StreamSession {
    /// Starts a session.
    ///
    /// # Errors
    /// The maximum number of streams is open.
    pub fn of(app_state: &AppState, principal: &Principal, headers: HeaderMap) -> Result<Self, HttpProblem> {
        let place = app_state.stream_limiter.acquire(principal.tenant()).ok_or_else(HttpProblem::overloaded)?;
        Ok(Self { state: app_state.clone(), headers, _permit: place })
    }

    /// Streams the existing and the future events, until the source ends, the server shuts down, or the key is no
    /// longer valid.
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

/// The `Last-Event-ID` of a client that reconnects; `None` for a new client.
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
    /// When the key was last found valid.
    authorized_at: Instant,
}

impl<S: EventSource> EventStreamState<S> {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            // A busy stream checks its key as often as a silent one.
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
