//! A conversation as it goes, as server-sent events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use baton_engine::Talk;
use futures::stream;

use super::{find, lines, shown};
use crate::api::executions::live::last_told;
use crate::api::guest::Guest;
use crate::api::query::Path;
use crate::api::shapes::{Message, Problem as Refusal};
use crate::door::Door;
use crate::following::Following;
use crate::problem::Problem;

/// How long nothing may be told before one looks whether another process moved it.
const GLANCE: Duration = Duration::from_secs(1);

/// Somebody who reads along.
struct Listener {
    talk: Talk,
    guest: Guest,
    /// Entries up to this one were told before.
    last: u64,
    ready: VecDeque<Event>,
    /// Whether its state is to be told.
    has_news: bool,
    door: Door,
    /// What they came in with: a key that is revoked reads no further.
    headers: HeaderMap,
    /// Their place among those who read along.
    _place: Following,
}

/// Follows a conversation
///
/// First what was said, then what is said from now on: each line is a `message`. `state` is told whenever the conversation has
/// changed. Each carries its place as the event's id: whoever comes back with `Last-Event-ID` is told what came after.
#[utoipa::path(get, path = "/api/v1/conversations/{conversation_id}/events", tag = "conversations",
    params(
        ("conversation_id" = String, Path),
        ("Last-Event-ID" = Option<u64>, Header, description = "what came up to this place is not told again"),
    ),
    responses(
        (status = 200, body = Message, content_type = "text/event-stream"),
        (status = "4XX", body = Refusal, content_type = "application/problem+json"),
    ))]
pub(in crate::api) async fn events(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let last = last_told(&headers)? as u64;
    let talk = find(door.work()?, &guest, &id).await?;
    let place = door.followers.place(guest.tenant()).ok_or_else(Problem::overloaded)?;
    let ready = VecDeque::new();
    let listener = Listener { talk, guest, last, ready, has_news: true, door: door.clone(), headers, _place: place };
    let events = stream::unfold(listener, async |mut listener| {
        let event = listener.next().await?;
        Some((Ok::<Event, Infallible>(event), listener))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

impl Listener {
    /// What is told next; nothing where it can be followed no more.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let entries = match self.talk.more().await {
                Ok(entries) => entries,
                Err(error) => {
                    tracing::debug!(%error, conversation = %self.talk.id(), "a conversation is followed no more");
                    return None;
                }
            };
            if entries.is_empty() {
                if std::mem::take(&mut self.has_news) {
                    return Some(Event::default().event("state").data(shown(&self.talk).to_string()));
                }
                tokio::select! {
                    glanced = self.talk.glance(GLANCE) => glanced.ok()?,
                    () = self.door.stopped() => return None,
                }
                self.door.keys.bearer(&self.headers).await.ok()?;
            }
            for (seq, entry) in entries.iter().filter(|(seq, _)| *seq > self.last) {
                self.has_news = true;
                let told = lines(entry, &self.guest);
                // One who comes back in the middle of an entry is told it whole.
                let last = told.len().saturating_sub(1);
                for (place, line) in told.iter().enumerate() {
                    let event = Event::default().event("message").data(line.to_string());
                    self.ready.push_back(if place == last { event.id(seq.to_string()) } else { event });
                }
            }
        }
    }
}
