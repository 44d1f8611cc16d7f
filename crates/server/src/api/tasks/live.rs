//! Follows the routing queue as server-sent events: assignments, presence, and open tasks.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::Event;
use baton_core::routing::{self, Presence, RoutingEntry, RoutingQueue};
use baton_core::time::Time;
use baton_engine::{EngineError, RoutingQueueFollower};
use baton_ports::journal::TaskItem;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::api::event_stream::{EventSource, POLL_INTERVAL, StreamSession, last_event_id};
use crate::api::openapi::ServerSentEvent;
use crate::api::principal::Principal;
use crate::api::schemas::ProblemSchema;
use crate::problem::HttpProblem;
use crate::state::AppState;

/// The events of one routing queue, for one subscriber.
struct RoutingEventSource {
    follower: RoutingQueueFollower,
    state: AppState,
    principal: Principal,
    /// Whether the queue's state must be sent.
    has_news: bool,
    items: OpenTaskTracker,
}

/// The open tasks that were last sent.
#[derive(Default)]
struct OpenTaskTracker {
    /// `None` before the first check.
    open: Option<BTreeSet<String>>,
    /// When the tasks were last checked.
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
        (status = 200, body = ServerSentEvent, content_type = "text/event-stream"),
        (status = "4XX", body = ProblemSchema, content_type = "application/problem+json"),
    ))]
pub(in crate::api) async fn events(
    State(app_state): State<AppState>,
    Extension(caller): Extension<Principal>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, HttpProblem> {
    let after = last_event_id(&headers)?;
    let seat = StreamSession::of(&app_state, &caller, headers)?;
    let services = app_state.run_services()?;
    let follower = app_state.routing_queues.follow(&services.engine, &services.read, caller.tenant(), after).await?;
    Ok(seat.follow(RoutingEventSource {
        follower,
        state: app_state.clone(),
        principal: caller,
        has_news: true,
        items: OpenTaskTracker::default(),
    }))
}

impl EventSource for RoutingEventSource {
    async fn next_events(&mut self) -> Result<Vec<Event>, EngineError> {
        let Ok(services) = self.state.run_services() else { return Ok(Vec::new()) };
        let mut told = Vec::new();
        for (seq, entry) in self.follower.next_entries().await? {
            told.extend(entry_events(seq, &entry));
        }
        self.has_news |= !told.is_empty();
        if told.is_empty() && std::mem::take(&mut self.has_news) {
            let desk = self.state.routing_queues.current(&*services.read, self.principal.tenant()).await?;
            told.push(event("state", &queue_state(&desk, self.state.clock.now())));
        }
        if told.is_empty() && self.items.is_due() {
            let open = services.read.open_tasks(self.principal.tenant(), None).await?;
            told.extend(self.items.changes(&open, self.state.clock.now()));
        }
        Ok(told)
    }

    async fn wait_for_change(&mut self, limit: Duration) -> Result<(), EngineError> {
        self.follower.wait_for_change(limit).await
    }
}

impl OpenTaskTracker {
    /// Limits how often the tasks are checked, however busy the queue is.
    fn is_due(&self) -> bool {
        self.at.is_none_or(|at| at.elapsed() >= POLL_INTERVAL)
    }

    /// The tasks that were opened and closed since the last check.
    fn changes(&mut self, items: &[TaskItem], now: Time) -> Vec<Event> {
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

/// The events of an entry. The last one carries the entry's number as its id.
fn entry_events(seq: u64, entry: &RoutingEntry) -> Vec<Event> {
    let mut told: Vec<Event> = entry.events.iter().filter_map(|one| routing_event(entry.at, one)).collect();
    // A client that reconnects in the middle of an entry receives the whole entry again.
    if let Some(last) = told.pop() {
        told.push(last.id(seq.to_string()));
    }
    told
}

fn routing_event(at: Time, happened: &routing::RoutingEvent) -> Option<Event> {
    use routing::RoutingEvent;
    let (kind, mut told) = match happened {
        RoutingEvent::SettingsSet(settings) => ("settings", json!({ "settings": settings })),
        RoutingEvent::PersonPut(profile) => ("person", json!({ "human_agent_id": profile.id, "name": profile.name })),
        RoutingEvent::PersonRemoved { person } => ("person_removed", json!({ "human_agent_id": person })),
        RoutingEvent::PresenceSet { person, presence, unheard } => {
            ("presence", json!({ "human_agent_id": person, "status": presence, "unheard": unheard }))
        }
        RoutingEvent::Heard { .. } => return None,
        RoutingEvent::Queued { conversation, number, wants, priority, respond_by, resolve_by, .. } => (
            "queued",
            json!({
                "conversation_id": conversation, "number": number, "skills": wants.skills, "language": wants.language,
                "priority": priority, "first_response_by": respond_by.to_string(), "resolve_by": resolve_by.to_string(),
            }),
        ),
        RoutingEvent::ServiceLevelSet { conversation, priority, respond_by, resolve_by, .. } => (
            "service_level",
            json!({
                "conversation_id": conversation, "priority": priority,
                "first_response_by": respond_by.map(|by| by.to_string()), "resolve_by": resolve_by.to_string(),
            }),
        ),
        RoutingEvent::Assigned { conversation, number, person, .. } => {
            ("assigned", json!({ "conversation_id": conversation, "number": number, "assigned_agent_id": person }))
        }
        RoutingEvent::Requeued { conversation, number, from, why, .. } => (
            "requeued",
            json!({ "conversation_id": conversation, "number": number, "assigned_agent_id": from, "why": why }),
        ),
        RoutingEvent::Redirected { conversation, wants } => {
            ("redirected", json!({ "conversation_id": conversation, "skills": wants.skills }))
        }
        RoutingEvent::Answered { conversation, .. } => ("answered", json!({ "conversation_id": conversation })),
        RoutingEvent::Left { conversation, .. } => ("left", json!({ "conversation_id": conversation })),
        RoutingEvent::Escalated { conversation, number, breach, chain, act, .. } => (
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

fn queue_state(desk: &RoutingQueue, now: Time) -> Value {
    let there = |presence: Presence| desk.people().filter(|person| person.presence == presence).count();
    let (waiting, all) = (desk.waiting_count(), desk.conversations().len());
    json!({
        "at": now.to_string(), "waiting": waiting, "with_people": all - waiting,
        "online": there(Presence::Online), "away": there(Presence::Away), "offline": there(Presence::Offline),
    })
}

fn event(kind: &str, data: &Value) -> Event {
    Event::default().event(kind).data(data.to_string())
}
