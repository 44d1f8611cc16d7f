//! The desk as it goes: who is given what, who is there, and what waits for people.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::Event;
use baton_core::desk::{self, Desk, Entry, Presence};
use baton_core::time::Time;
use baton_engine::{DeskFollower, Error};
use baton_ports::journal::DeskItem;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::api::document::LiveEvent;
use crate::api::guest::Guest;
use crate::api::live::{GLANCE, Seat, Source, last_told};
use crate::api::shapes::Problem as Refusal;
use crate::door::Door;
use crate::problem::Problem;

/// A desk, to somebody who reads along.
struct Listened {
    follower: DeskFollower,
    door: Door,
    guest: Guest,
    /// Whether how it stands is to be told.
    has_news: bool,
    items: Items,
}

/// What waits for people, as it was told.
#[derive(Default)]
struct Items {
    /// Nothing before the first time.
    open: Option<BTreeSet<String>>,
    /// When it was looked at.
    at: Option<Instant>,
}

/// Follows the desk
///
/// First how it stands (`state`) and which items wait for people (`items`), then what happens from now on: `queued`,
/// `assigned`, `requeued`, `redirected`, `answered`, `left` and `escalated` of conversations, `presence`, `person` and
/// `person_removed` of people, `settings`, and `item_opened` and `item_closed` of what waits for people. `state` is told again
/// whenever the desk has changed. What happened to conversations and people carries its place as the event's id: whoever comes
/// back with `Last-Event-ID` is told what came after, and how it stands.
#[utoipa::path(get, path = "/api/v1/desk/events", tag = "desk",
    params(("Last-Event-ID" = Option<u64>, Header, description = "what came up to this place is not told again")),
    responses(
        (status = 200, body = LiveEvent, content_type = "text/event-stream"),
        (status = "4XX", body = Refusal, content_type = "application/problem+json"),
    ))]
pub(in crate::api) async fn events(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let after = last_told(&headers)?;
    let seat = Seat::of(&door, &guest, headers)?;
    let work = door.work()?;
    let follower = door.desks.follow(&work.engine, &work.read, guest.tenant(), after).await?;
    Ok(seat.follow(Listened { follower, door: door.clone(), guest, has_news: true, items: Items::default() }))
}

impl Source for Listened {
    async fn told(&mut self) -> Result<Vec<Event>, Error> {
        let Ok(work) = self.door.work() else { return Ok(Vec::new()) };
        let mut told = Vec::new();
        for (seq, entry) in self.follower.more().await? {
            told.extend(of_entry(seq, &entry));
        }
        self.has_news |= !told.is_empty();
        if told.is_empty() && std::mem::take(&mut self.has_news) {
            let desk = self.door.desks.look(&*work.read, self.guest.tenant()).await?;
            told.push(event("state", &standing(&desk, self.door.clock.now())));
        }
        if told.is_empty() && self.items.is_due() {
            let open = work.read.desk(self.guest.tenant(), None).await?;
            told.extend(self.items.told(&open, self.door.clock.now()));
        }
        Ok(told)
    }

    async fn glance(&mut self, limit: Duration) -> Result<(), Error> {
        self.follower.glance(limit).await
    }
}

impl Items {
    /// However much happens at the desk, this is looked at now and then only.
    fn is_due(&self) -> bool {
        self.at.is_none_or(|at| at.elapsed() >= GLANCE)
    }

    /// What was opened and closed since it was looked at last.
    fn told(&mut self, items: &[DeskItem], now: Time) -> Vec<Event> {
        self.at = Some(Instant::now());
        let open: BTreeSet<String> = items.iter().map(|item| item.id.clone()).collect();
        let Some(before) = self.open.replace(open.clone()) else {
            return vec![event("items", &json!({ "at": now.to_string(), "open": open }))];
        };
        let opened = items.iter().filter(|item| !before.contains(&item.id));
        let opened = opened.map(|item| event("item_opened", &item.as_json()));
        let closed = before.difference(&open);
        opened.chain(closed.map(|id| event("item_closed", &json!({ "at": now.to_string(), "id": id })))).collect()
    }
}

/// What an entry has to tell; the last of it carries its place.
fn of_entry(seq: u64, entry: &Entry) -> Vec<Event> {
    let mut told: Vec<Event> = entry.events.iter().filter_map(|one| of_event(entry.at, one)).collect();
    // One who comes back in the middle of an entry is told it whole.
    if let Some(last) = told.pop() {
        told.push(last.id(seq.to_string()));
    }
    told
}

fn of_event(at: Time, happened: &desk::Event) -> Option<Event> {
    use desk::Event as Is;
    let (kind, mut told) = match happened {
        Is::SettingsSet(settings) => ("settings", json!({ "settings": settings })),
        Is::PersonPut(profile) => ("person", json!({ "human_agent_id": profile.id, "name": profile.name })),
        Is::PersonRemoved { person } => ("person_removed", json!({ "human_agent_id": person })),
        Is::PresenceSet { person, presence, unheard } => {
            ("presence", json!({ "human_agent_id": person, "status": presence, "unheard": unheard }))
        }
        Is::Heard { .. } => return None,
        Is::Queued { conversation, number, wants, priority, respond_by, resolve_by, .. } => (
            "queued",
            json!({
                "conversation_id": conversation, "number": number, "skills": wants.skills, "language": wants.language,
                "priority": priority, "first_response_by": respond_by.to_string(), "resolve_by": resolve_by.to_string(),
            }),
        ),
        Is::ServiceLevelSet { conversation, priority, respond_by, resolve_by, .. } => (
            "service_level",
            json!({
                "conversation_id": conversation, "priority": priority,
                "first_response_by": respond_by.map(|by| by.to_string()), "resolve_by": resolve_by.to_string(),
            }),
        ),
        Is::Assigned { conversation, number, person, .. } => {
            ("assigned", json!({ "conversation_id": conversation, "number": number, "assigned_agent_id": person }))
        }
        Is::Requeued { conversation, number, from, why, .. } => (
            "requeued",
            json!({ "conversation_id": conversation, "number": number, "assigned_agent_id": from, "why": why }),
        ),
        Is::Redirected { conversation, wants } => {
            ("redirected", json!({ "conversation_id": conversation, "skills": wants.skills }))
        }
        Is::Answered { conversation, .. } => ("answered", json!({ "conversation_id": conversation })),
        Is::Left { conversation, .. } => ("left", json!({ "conversation_id": conversation })),
        Is::Escalated { conversation, number, breach, chain, act, .. } => (
            "escalated",
            json!({
                "conversation_id": conversation, "number": number, "breach": breach, "since": chain.since.to_string(),
                "act": act,
            }),
        ),
    };
    told["at"] = at.to_string().into();
    Some(event(kind, &told))
}

fn standing(desk: &Desk, now: Time) -> Value {
    let there = |presence: Presence| desk.people().filter(|person| person.presence == presence).count();
    let (waiting, all) = (desk.waiting(), desk.cases().len());
    json!({
        "at": now.to_string(), "waiting": waiting, "with_people": all - waiting,
        "online": there(Presence::Online), "away": there(Presence::Away), "offline": there(Presence::Offline),
    })
}

fn event(kind: &str, data: &Value) -> Event {
    Event::default().event(kind).data(data.to_string())
}
