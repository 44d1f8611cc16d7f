//! A run as it goes: what is recorded of it, and what its models are saying, as server-sent events.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::Event;
use baton_core::id::RunId;
use baton_core::run as runs;
use baton_engine::{Error, Follower, Said};
use baton_ports::models::Piece;
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use super::{head, told as entry_told};
use crate::api::document::LiveEvent;
use crate::api::guest::Guest;
use crate::api::live::{Seat, Source, last_told};
use crate::api::query::Path;
use crate::api::shapes::Problem as Refusal;
use crate::door::Door;
use crate::problem::Problem;

/// Entries that are told in one part.
const PART: usize = 100;

/// A run, to somebody who reads along.
struct Listened {
    follower: Follower,
    run: RunId,
    voice: Receiver<Said>,
    /// The first of what was said and is not told yet.
    said: Option<Said>,
    /// Entries that were told.
    told: usize,
    /// How many had been told when its state was.
    state_told_at: Option<usize>,
    /// It was told to be held back.
    was_held: bool,
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
        (status = 200, body = LiveEvent, content_type = "text/event-stream"),
        (status = "4XX", body = Refusal, content_type = "application/problem+json"),
    ))]
pub(in crate::api) async fn events(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let work = door.work()?;
    let last = last_told(&headers)?.unwrap_or(0);
    let run = head(work, &guest, &id).await?.run;
    let seat = Seat::of(&door, &guest, headers)?;
    let voice = work.engine.listen(guest.tenant(), &run);
    let mut follower = Follower::new(&work.engine, work.read.clone(), guest.tenant().clone());
    follower.follow(&run).await?;
    let told = usize::try_from(last).unwrap_or(usize::MAX).min(follower.entries(&run).len());
    Ok(seat.follow(Listened {
        follower,
        run,
        voice,
        said: None,
        told,
        state_told_at: None,
        was_held: false,
        is_over: false,
    }))
}

/// What a model says, as it is told.
fn spoken(said: &Said) -> Event {
    let effect = &said.effect;
    let data = match &said.piece {
        Piece::Text(text) => json!({ "effect": effect, "text": text }),
        Piece::ToolCall { index, id, name, arguments } => {
            let call = json!({ "index": index, "id": id, "name": name, "arguments": arguments });
            json!({ "effect": effect, "tool_call": call })
        }
        Piece::Reset => json!({ "effect": effect, "reset": true }),
    };
    Event::default().event("model").data(data.to_string())
}

/// Whether a rate limit or a circuit holds back all that it has to do.
fn is_held(run: &runs::Run) -> bool {
    run.state() == runs::State::Waiting && !run.held_calls().is_empty()
}

/// Whether its state is told although it does not rest.
fn is_told(run: &runs::Run, was_held: bool) -> bool {
    run.state().is_end() || was_held || is_held(run)
}

impl Source for Listened {
    async fn told(&mut self) -> Result<Vec<Event>, Error> {
        let Self { follower, run, voice, said, told, .. } = self;
        // A reply is recorded after its last part was said, and told after it too.
        let mut events: Vec<Event> = said.take().iter().map(spoken).collect();
        while events.len() < PART {
            match voice.try_recv() {
                Ok(said) => events.push(spoken(&said)),
                // Whoever reads too slowly misses some of it; the reply is recorded whole.
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        if !events.is_empty() {
            return Ok(events);
        }
        for entry in follower.entries(run).iter().skip(*told).take(PART) {
            *told += 1;
            let data = entry_told(*told as u64, entry).to_string();
            events.push(Event::default().id(told.to_string()).event("entry").data(data));
        }
        if !events.is_empty() {
            return Ok(events);
        }
        match follower.run(run) {
            Some(state)
                if self.state_told_at != Some(*told) && (is_told(state, self.was_held) || follower.rests(run)) =>
            {
                self.state_told_at = Some(*told);
                self.was_held = is_held(state);
                self.is_over = state.state().is_end() && follower.rests(run);
                let data = runs::response(state, &follower.open()).to_string();
                events.push(Event::default().event("state").data(data));
            }
            Some(_) => {}
            None => self.is_over = true,
        }
        Ok(events)
    }

    async fn glance(&mut self, limit: Duration) -> Result<(), Error> {
        tokio::select! {
            Ok(said) = self.voice.recv() => self.said = Some(said),
            moved = self.follower.glance(limit) => {
                if moved?.is_some() {
                    // A run that it runs may wait for something else now.
                    self.state_told_at = None;
                }
            }
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.is_over
    }
}
