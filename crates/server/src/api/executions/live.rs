//! A run as it goes: what is recorded of it, as server-sent events.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::Event;
use baton_core::id::RunId;
use baton_core::run as runs;
use baton_engine::{Error, Follower};

use super::{head, told as entry_told};
use crate::api::guest::Guest;
use crate::api::live::{Seat, Source, last_told};
use crate::api::query::Path;
use crate::api::shapes::{Entry, Problem as Refusal};
use crate::door::Door;
use crate::problem::Problem;

/// Entries that are told in one part.
const PART: usize = 100;

/// A run, to somebody who reads along.
struct Listened {
    follower: Follower,
    run: RunId,
    /// Entries that were told.
    told: usize,
    /// How many had been told when its state was.
    state_told_at: Option<usize>,
    is_over: bool,
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
    let last = last_told(&headers)?.unwrap_or(0);
    let run = head(work, &guest, &id).await?.run;
    let seat = Seat::of(&door, &guest, headers)?;
    let mut follower = Follower::new(&work.engine, work.read.clone(), guest.tenant().clone());
    follower.follow(&run).await?;
    let told = usize::try_from(last).unwrap_or(usize::MAX).min(follower.entries(&run).len());
    Ok(seat.follow(Listened { follower, run, told, state_told_at: None, is_over: false }))
}

impl Source for Listened {
    async fn told(&mut self) -> Result<Vec<Event>, Error> {
        let Self { follower, run, told, .. } = self;
        let mut events = Vec::new();
        for entry in follower.entries(run).iter().skip(*told).take(PART) {
            *told += 1;
            let data = entry_told(*told as u64, entry).to_string();
            events.push(Event::default().id(told.to_string()).event("entry").data(data));
        }
        if !events.is_empty() {
            return Ok(events);
        }
        match follower.run(run) {
            Some(state) if self.state_told_at != Some(*told) && (state.state().is_end() || follower.rests(run)) => {
                self.state_told_at = Some(*told);
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
        if self.follower.glance(limit).await?.is_some() {
            // A run that it runs may wait for something else now.
            self.state_told_at = None;
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.is_over
    }
}
