//! A run as it goes: what is recorded of it, as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use baton_core::id::RunId;
use baton_core::run as runs;
use baton_engine::Follower;
use futures::stream;

use super::{head, told as entry_told};
use crate::api::guest::Guest;
use crate::api::query::Path;
use crate::api::shapes::{Entry, Problem as Refusal};
use crate::door::Door;
use crate::following::Following;
use crate::problem::Problem;

const LAST_EVENT_ID: &str = "last-event-id";
/// How long nothing may be told before one looks whether another process moved the run.
const GLANCE: Duration = Duration::from_secs(1);

/// Somebody who reads along.
struct Listener {
    follower: Follower,
    run: RunId,
    /// Entries that were told.
    told: usize,
    /// How many had been told when its state was.
    state_told_at: Option<usize>,
    is_over: bool,
    door: Door,
    /// What they came in with: a key that is revoked reads no further.
    headers: HeaderMap,
    /// Their place among those who read along.
    _place: Following,
}

/// Follows an execution
///
/// First what is recorded of it, then what is recorded from now on, until it has ended. Each `entry` carries its number as the
/// event's id: whoever comes back with `Last-Event-ID` is told what came after. `state` is told whenever the run rests: the
/// execution as it stands then.
#[utoipa::path(get, path = "/api/v1/executions/{execution_id}/events", tag = "executions",
    params(
        ("execution_id" = String, Path),
        ("Last-Event-ID" = Option<u64>, Header, description = "entries up to this one are not told again"),
    ),
    responses(
        (status = 200, body = Entry, content_type = "text/event-stream"),
        (status = "4XX", body = Refusal, content_type = "application/problem+json"),
    ))]
pub(in crate::api) async fn events(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let work = door.work()?;
    let last = last_told(&headers)?;
    let run = head(work, &guest, &id).await?.run;
    let place = door.followers.place(guest.tenant()).ok_or_else(Problem::overloaded)?;
    let mut follower = Follower::new(&work.engine, work.read.clone(), guest.tenant().clone());
    follower.follow(&run).await?;
    let told = last.min(follower.entries(&run).len());
    let of_door = door.clone();
    let listener =
        Listener { follower, run, told, state_told_at: None, is_over: false, door: of_door, headers, _place: place };
    let events = stream::unfold(listener, async |mut listener| {
        let event = listener.next().await?;
        Some((Ok::<Event, Infallible>(event), listener))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

pub(in crate::api) fn last_told(headers: &HeaderMap) -> Result<usize, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(0) };
    let seq = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    seq.ok_or_else(|| Problem::parameter("Last-Event-ID", "it is the number of the last event that was read"))
}

impl Listener {
    /// What is told next; nothing once the run has ended and all is told, or where it can be followed no more.
    async fn next(&mut self) -> Option<Event> {
        loop {
            let Self { follower, run, told, .. } = self;
            if let Some(entry) = follower.entries(run).get(*told) {
                *told += 1;
                let data = entry_told(*told as u64, entry).to_string();
                return Some(Event::default().id(told.to_string()).event("entry").data(data));
            }
            if self.is_over {
                return None;
            }
            let state = follower.run(run)?;
            if self.state_told_at != Some(*told) && (state.state().is_end() || follower.rests(run)) {
                self.state_told_at = Some(*told);
                self.is_over = state.state().is_end() && follower.rests(run);
                let data = runs::response(state, &follower.open()).to_string();
                return Some(Event::default().event("state").data(data));
            }
            let glanced = tokio::select! {
                glanced = follower.glance(GLANCE) => glanced,
                () = self.door.stopped() => return None,
            };
            match glanced {
                // A run that it runs may wait for something else now.
                Ok(Some(_)) => self.state_told_at = None,
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, run = %self.run, "a run is followed no more");
                    return None;
                }
            }
            self.door.keys.bearer(&self.headers).await.ok()?;
        }
    }
}
