//! Follows a conversation as server-sent events.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::Event;
use baton_engine::{ConversationHandle, EngineError};

use super::{conversation_json, find, visible_lines};
use crate::api::event_stream::{EventSource, StreamSession, last_event_id};
use crate::api::extractors::PathParams;
use crate::api::openapi::ServerSentEvent;
use crate::api::principal::Principal;
use crate::api::schemas::ProblemSchema;
use crate::problem::HttpProblem;
use crate::state::AppState;

/// The events of one conversation, for one subscriber.
struct ConversationEventSource {
    conversation: ConversationHandle,
    principal: Principal,
    /// The sequence number of the last entry that was sent.
    last: u64,
    /// Whether the conversation's state must be sent.
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
        (status = 200, body = ServerSentEvent, content_type = "text/event-stream"),
        (status = "4XX", body = ProblemSchema, content_type = "application/problem+json"),
    ))]
pub(in crate::api) async fn events(
    State(state): State<AppState>,
    Extension(caller): Extension<Principal>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, HttpProblem> {
    let last = last_event_id(&headers)?.unwrap_or(0);
    let handle = find(state.run_services()?, &caller, &id).await?;
    let seat = StreamSession::of(&state, &caller, headers)?;
    Ok(seat.follow(ConversationEventSource { conversation: handle, principal: caller, last, has_news: true }))
}

impl EventSource for ConversationEventSource {
    async fn next_events(&mut self) -> Result<Vec<Event>, EngineError> {
        let mut told = Vec::new();
        // A page may have no visible lines for this principal.
        while told.is_empty() {
            let entries = self.conversation.next_entries().await?;
            if entries.is_empty() {
                if std::mem::take(&mut self.has_news) {
                    told.push(Event::default().event("state").data(conversation_json(&self.conversation).to_string()));
                }
                break;
            }
            for (seq, entry) in entries.iter().filter(|(seq, _)| *seq > self.last) {
                self.has_news = true;
                let lines = visible_lines(entry, &self.principal);
                // A client that reconnects in the middle of an entry receives the whole entry again.
                let last = lines.len().saturating_sub(1);
                told.extend(lines.iter().enumerate().map(|(place, line)| {
                    let event = Event::default().event("message").data(line.to_string());
                    if place == last { event.id(seq.to_string()) } else { event }
                }));
            }
        }
        Ok(told)
    }

    async fn wait_for_change(&mut self, limit: Duration) -> Result<(), EngineError> {
        self.conversation.wait_for_change(limit).await
    }
}
