//! Follows a run as server-sent events: its recorded entries, and the partial replies of its models.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::Event;
use baton_core::id::RunId;
use baton_core::run as runs;
use baton_engine::{EngineError, ReplyChunk, RunFollower};
use baton_ports::models::ReplyDelta;
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use super::{entry_json as entry_told, find_head};
use crate::api::event_stream::{EventSource, StreamSession, last_event_id};
use crate::api::extractors::PathParams;
use crate::api::openapi::ServerSentEvent;
use crate::api::principal::Principal;
use crate::api::schemas::ProblemSchema;
use crate::problem::HttpProblem;
use crate::state::AppState;

/// Maximum number of entries in one batch.
const ENTRIES_PER_BATCH: usize = 100;

/// The events of one run, for one subscriber.
struct RunEventSource {
    follower: RunFollower,
    run: RunId,
    chunks: Receiver<ReplyChunk>,
    /// The first reply chunk that was received and not sent yet.
    pending_chunk: Option<ReplyChunk>,
    /// Number of entries sent.
    entries_sent: usize,
    /// The number of entries sent when the state was last sent.
    state_sent_at: Option<usize>,
    /// Whether the last state sent was throttled.
    was_throttled: bool,
    is_over: bool,
}

/// Follows an execution
///
/// First what is recorded of it, then what is recorded from now on, until it has ended. Each `entry` carries its number as the
/// event's id: whoever comes back with `Last-Event-ID` is told what came after. `state` is told whenever the run rests, when a
/// rate limit or a circuit holds back all its calls, and when it goes on after that: the execution as it stands then.
///
/// Meanwhile `model` tells what a model is saying, part by part, where the execution moves in the process that is asked. It has
/// no number and is never told again: what counts is the entry that records the reply.
#[utoipa::path(get, path = "/api/v1/executions/{execution_id}/events", tag = "executions",
    params(
        ("execution_id" = String, Path),
        ("Last-Event-ID" = Option<u64>, Header, description = "entries up to this one are not told again"),
    ),
    responses(
        (status = 200, body = ServerSentEvent, content_type = "text/event-stream"),
        (status = "4XX", body = ProblemSchema, content_type = "application/problem+json"),
    ))]
pub(in crate::api) async fn events(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, HttpProblem> {
    let services = state.run_services()?;
    let last = last_event_id(&headers)?.unwrap_or(0);
    let run = find_head(services, &principal, &id).await?.run;
    let seat = StreamSession::of(&state, &principal, headers)?;
    let voice = services.engine.subscribe_replies(principal.tenant(), &run);
    let mut follower = RunFollower::new(&services.engine, services.read.clone(), principal.tenant().clone());
    follower.follow(&run).await?;
    let told = usize::try_from(last).unwrap_or(usize::MAX).min(follower.entries(&run).len());
    Ok(seat.follow(RunEventSource {
        follower,
        run,
        chunks: voice,
        pending_chunk: None,
        entries_sent: told,
        state_sent_at: None,
        was_throttled: false,
        is_over: false,
    }))
}

/// The event of one reply chunk.
fn chunk_event(said: &ReplyChunk) -> Event {
    let effect = &said.effect;
    let data = match &said.delta {
        ReplyDelta::Text(text) => json!({ "effect": effect, "text": text }),
        ReplyDelta::ToolCall { index, id, name, arguments } => {
            let call = json!({ "index": index, "id": id, "name": name, "arguments": arguments });
            json!({ "effect": effect, "tool_call": call })
        }
        ReplyDelta::Reset => json!({ "effect": effect, "reset": true }),
    };
    Event::default().event("model").data(data.to_string())
}

/// Whether a rate limit or a circuit holds back all of the run's calls.
fn is_throttled(run: &runs::Run) -> bool {
    run.state() == runs::RunState::Waiting && !run.held_calls().is_empty()
}

/// Whether the state is sent although the run is not idle.
fn reports_state(run: &runs::Run, was_held: bool) -> bool {
    run.state().is_end() || was_held || is_throttled(run)
}

impl EventSource for RunEventSource {
    async fn next_events(&mut self) -> Result<Vec<Event>, EngineError> {
        let Self { follower, run, chunks: voice, pending_chunk: said, entries_sent: told, .. } = self;
        // A reply is recorded after its last chunk, so it is sent after its chunks.
        let mut events: Vec<Event> = said.take().iter().map(chunk_event).collect();
        while events.len() < ENTRIES_PER_BATCH {
            match voice.try_recv() {
                Ok(said) => events.push(chunk_event(&said)),
                // A slow subscriber misses chunks; the recorded reply is complete.
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        if !events.is_empty() {
            return Ok(events);
        }
        for entry in follower.entries(run).iter().skip(*told).take(ENTRIES_PER_BATCH) {
            *told += 1;
            let data = entry_told(*told as u64, entry).to_string();
            events.push(Event::default().id(told.to_string()).event("entry").data(data));
        }
        if !events.is_empty() {
            return Ok(events);
        }
        match follower.run(run) {
            Some(state)
                if self.state_sent_at != Some(*told)
                    && (reports_state(state, self.was_throttled) || follower.is_idle(run)) =>
            {
                self.state_sent_at = Some(*told);
                self.was_throttled = is_throttled(state);
                self.is_over = state.state().is_end() && follower.is_idle(run);
                let data = runs::response(state, &follower.open_waits()).to_string();
                events.push(Event::default().event("state").data(data));
            }
            Some(_) => {}
            None => self.is_over = true,
        }
        Ok(events)
    }

    async fn wait_for_change(&mut self, limit: Duration) -> Result<(), EngineError> {
        tokio::select! {
            Ok(said) = self.chunks.recv() => self.pending_chunk = Some(said),
            moved = self.follower.wait_for_change(limit) => {
                if moved?.is_some() {
                    // A child run may now wait for something else.
                    self.state_sent_at = None;
                }
            }
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.is_over
    }
}
