//! A conversation as it goes, as server-sent events.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::Event;
use baton_engine::{Error, Talk};

use super::{find, lines, shown};
use crate::api::document::LiveEvent;
use crate::api::guest::Guest;
use crate::api::live::{Seat, Source, last_told};
use crate::api::query::Path;
use crate::api::shapes::Problem as Refusal;
use crate::door::Door;
use crate::problem::Problem;

/// A conversation, to somebody who reads along.
struct Listened {
    talk: Talk,
    guest: Guest,
    /// Entries up to this one were told before.
    last: u64,
    /// Whether its state is to be told.
    has_news: bool,
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
        (status = 200, body = LiveEvent, content_type = "text/event-stream"),
        (status = "4XX", body = Refusal, content_type = "application/problem+json"),
    ))]
pub(in crate::api) async fn events(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let last = last_told(&headers)?.unwrap_or(0);
    let talk = find(door.work()?, &guest, &id).await?;
    let seat = Seat::of(&door, &guest, headers)?;
    Ok(seat.follow(Listened { talk, guest, last, has_news: true }))
}

impl Source for Listened {
    async fn told(&mut self) -> Result<Vec<Event>, Error> {
        let mut told = Vec::new();
        // A page may have nothing for them.
        while told.is_empty() {
            let entries = self.talk.more().await?;
            if entries.is_empty() {
                if std::mem::take(&mut self.has_news) {
                    told.push(Event::default().event("state").data(shown(&self.talk).to_string()));
                }
                break;
            }
            for (seq, entry) in entries.iter().filter(|(seq, _)| *seq > self.last) {
                self.has_news = true;
                let lines = lines(entry, &self.guest);
                // One who comes back in the middle of an entry is told it whole.
                let last = lines.len().saturating_sub(1);
                told.extend(lines.iter().enumerate().map(|(place, line)| {
                    let event = Event::default().event("message").data(line.to_string());
                    if place == last { event.id(seq.to_string()) } else { event }
                }));
            }
        }
        Ok(told)
    }

    async fn glance(&mut self, limit: Duration) -> Result<(), Error> {
        self.talk.glance(limit).await
    }
}
