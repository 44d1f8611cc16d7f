//! Something as it goes, as server-sent events: what is common to all that is followed.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use baton_engine::Error;
use futures::stream::{self, Stream};
use tokio::time::Instant;

use super::guest::Guest;
use crate::door::Door;
use crate::following::Following;
use crate::problem::Problem;

const LAST_EVENT_ID: &str = "last-event-id";
/// How long nothing may be told before one looks whether another process moved it.
pub(super) const GLANCE: Duration = Duration::from_secs(1);

/// What is followed.
pub(super) trait Source: Send + 'static {
    /// What was not told yet, in its order; nothing where there is nothing now. What is long comes in parts.
    fn told(&mut self) -> impl Future<Output = Result<Vec<Event>, Error>> + Send;

    /// Until it may have moved, or so long.
    fn glance(&mut self, limit: Duration) -> impl Future<Output = Result<(), Error>> + Send;

    /// Whether nothing comes any more, once all is told.
    fn is_over(&self) -> bool {
        false
    }
}

/// The place of somebody who reads along.
pub(super) struct Seat {
    door: Door,
    /// What they came in with: a key that is revoked reads no further.
    headers: HeaderMap,
    _place: Following,
}

impl Seat {
    /// Refused where as many read along as may.
    pub fn of(door: &Door, guest: &Guest, headers: HeaderMap) -> Result<Self, Problem> {
        let place = door.followers.place(guest.tenant()).ok_or_else(Problem::overloaded)?;
        Ok(Self { door: door.clone(), headers, _place: place })
    }

    /// Tells what there is and what comes, until it is over, the server stops, or the key is no longer good.
    pub fn follow(self, source: impl Source) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
        let listener = Listener { seat: self, source, ready: VecDeque::new(), let_in_at: Instant::now() };
        let events = stream::unfold(listener, async |mut listener| {
            let event = listener.next().await?;
            Some((Ok(event), listener))
        });
        Sse::new(events).keep_alive(KeepAlive::default())
    }
}

/// The place up to which whoever comes back was told; nothing of who comes anew.
pub(super) fn last_told(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let seq = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let seq =
        seq.ok_or_else(|| Problem::parameter("Last-Event-ID", "it is the number of the last event that was read"))?;
    Ok(Some(seq))
}

struct Listener<S> {
    seat: Seat,
    source: S,
    ready: VecDeque<Event>,
    /// When their key was last found good.
    let_in_at: Instant,
}

impl<S: Source> Listener<S> {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            // Whoever has much to hear is looked at as often as who hears nothing.
            if self.let_in_at.elapsed() >= GLANCE {
                self.seat.door.bearer(&self.seat.headers).await.ok()?;
                self.let_in_at = Instant::now();
            }
            let told = tokio::select! {
                biased;
                () = self.seat.door.stopped() => return None,
                told = self.source.told() => told,
            };
            self.ready = kept(told)?.into();
            if !self.ready.is_empty() {
                continue;
            }
            if self.source.is_over() {
                return None;
            }
            tokio::select! {
                glanced = self.source.glance(GLANCE) => kept(glanced)?,
                () = self.seat.door.stopped() => return None,
            }
        }
    }
}

fn kept<T>(read: Result<T, Error>) -> Option<T> {
    read.inspect_err(|error| tracing::debug!(%error, "something is followed no more")).ok()
}
