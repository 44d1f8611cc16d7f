//! Conversations: begun, written to, looked at, and taken over by people.

mod act;
pub(super) mod live;

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use baton_core::actor;
use baton_core::conversation::{self, Arrived, Begun, Command, Entry, Event, Line, Status, Version};
use baton_core::desk::{self, Priority, ServiceLevel};
use baton_core::id::RunId;
use baton_core::tool::Caller;
use baton_engine::Talk;
use baton_ports::conversations::{ConversationFilter, ConversationHead};
use baton_ports::keys::Need;
use baton_ports::read::{PAGE_DEFAULT, PAGE_MAX};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use super::begin::check_customer;
use super::cursor::{List, unknown};
use super::document;
use super::execute::no_workflow;
use super::guest::Guest;
use super::once::Asked;
use super::query::{Nothing, Path, Query, limit};
use super::shapes::{Conversation, Conversations, Messages, Problem as Refusal};
use crate::body;
use crate::code;
use crate::door::{Door, Work};
use crate::problem::Problem;

use act::Act;

/// Bytes of a message's id, its sender's name, a user's or a channel's.
const NAME_BYTES_MAX: usize = 200;
/// Who sent a message, where nobody says.
const SENDER: &str = "customer";
const CHANNEL: &str = "api";

/// A conversation to begin.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Begin {
    /// The workflow whose runs answer; each begins on the version that is active then.
    workflow_id: String,
    /// Who the customer is.
    #[schema(
        pattern = r"^[^\x00-\x20\x7f-\xa0\u1680\u2000-\u200b\u2028-\u202f\u205f-\u2069\u3000\ufeff]+( +[^\x00-\x20\x7f-\xa0\u1680\u2000-\u200b\u2028-\u202f\u205f-\u2069\u3000\ufeff]+)*$"
    )]
    user_id: Option<String>,
    /// `web`, `mobile`, `api`, or another word; `api` unless told.
    channel: Option<String>,
    /// What the customer says first.
    #[schema(pattern = r"\S")]
    message: Option<String>,
    /// What its runs find as their context: `language`, `zone`, and whatever the workflow reads.
    #[serde(default)]
    #[schema(value_type = Object)]
    context: Map<String, Value>,
    /// How urgent it is, should it wait for a person; `normal` unless told.
    #[schema(schema_with = document::priority)]
    priority: Option<Priority>,
    /// Within how long a person must have answered then; as the desk's settings say unless told.
    #[schema(minimum = 1000, maximum = 2_592_000_000_u64)]
    first_response_ms: Option<u64>,
    /// Within how long it must be resolved then; as the desk's settings say unless told.
    #[schema(minimum = 1000, maximum = 2_592_000_000_u64)]
    resolution_ms: Option<u64>,
}

/// Begins a conversation
///
/// With a first message, its answer is waited for as with any message. A request that is repeated under one `Idempotency-Key`
/// begins one conversation.
#[utoipa::path(post, path = "/api/v1/conversations", tag = "conversations", request_body = Begin,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "at most 255 characters; one conversation a key"),
        ("Prefer" = Option<String>, Header, description = "`wait=SECONDS` or `respond-async`"),
    ),
    responses(
        (status = 200, body = Conversation, description = "it rests: it has answered, or waits for somebody"),
        (status = 202, body = Conversation, description = "it goes on"),
        (status = "4XX", body = Refusal, content_type = "application/problem+json"),
    ))]
pub(super) async fn begin(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (said, begin) = body::said(body, door.limits).await?;
    let Begin { workflow_id, user_id, channel, message, context, priority, first_response_ms, resolution_ms } = begin;
    let service = promised(ServiceLevel { priority, first_response_ms, resolution_ms })?;
    let mut context = Value::Object(context);
    if baton_engine::take_key(&mut context).is_some() {
        let detail = "a conversation lasts longer than this server keeps anybody's key: leave `context.api_key` out";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail));
    }
    for (name, value) in [("user_id", &user_id), ("channel", &channel)] {
        short(name, value.as_deref().unwrap_or_default())?;
    }
    if let Some(user) = &user_id {
        actor::check_text(user, NAME_BYTES_MAX).map_err(|why| Problem::field("user_id", why))?;
    }
    check_customer(&context)?;
    if message.as_deref().is_some_and(|message| message.trim().is_empty()) {
        return Err(Problem::field("message", "it says nothing; leave it out to begin without a first message"));
    }
    let work = door.work()?;
    let Some(version) = active(work, &guest, &workflow_id).await? else {
        return Err(no_workflow(work, &guest, &workflow_id).await);
    };
    let act = Act::new(&door, guest, &headers, Asked::new("converse", &workflow_id, &said)).await?;
    let caller = Caller {
        user_id: user_id.clone().or_else(|| Caller::of(&context, None).user_id),
        conversation_id: Some(act.id().to_string()),
        key_id: Some(act.guest().key_id().to_owned()),
        begun_by: Some(act.guest().by().to_owned()),
        ..Caller::of(&context, work.zone.as_deref())
    };
    let begun = Begun {
        conversation: act.id().clone(),
        tenant: act.guest().tenant().clone(),
        user: user_id,
        channel: channel.unwrap_or_else(|| CHANNEL.to_owned()),
        caller,
        context,
        service,
        version: version.clone(),
    };
    let first = message.map(|text| Arrived {
        message_id: "first".to_owned(),
        source: SENDER.to_owned(),
        sequence: None,
        text,
        version,
    });
    act.begin(begun, first).await
}

/// What the customer says.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Write {
    #[schema(pattern = r"\S")]
    text: String,
    /// Told twice under one id, it is one message; else the `Idempotency-Key` is its id, or it has none.
    message_id: Option<String>,
    /// Who sends it: ids and numbers are each sender's own. `customer` unless told.
    source: Option<String>,
    /// The sender's own number, from 0 or 1 on. What comes early waits up to 5 s for those before it.
    sequence: Option<u64>,
}

/// Writes to a conversation, as its customer
///
/// Answered once it rests: a run has answered or asks something, or a person has it. Messages are handled once each and in their
/// order.
#[utoipa::path(post, path = "/api/v1/conversations/{conversation_id}/messages", tag = "conversations",
    request_body = Write,
    params(
        ("conversation_id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "the message's id, where the body has none"),
        ("Prefer" = Option<String>, Header, description = "`wait=SECONDS` or `respond-async`"),
    ),
    responses((status = 200, body = Conversation), (status = 202, body = Conversation),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn message(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (said, Write { text, message_id, source, sequence }) = body::said(body, door.limits).await?;
    let source = source.unwrap_or_else(|| SENDER.to_owned());
    short("source", &source)?;
    short("message_id", message_id.as_deref().unwrap_or_default())?;
    let act = Act::on(&door, guest, &id, &headers, Asked::new("message", &id, &said)).await?;
    let version = act.version().await?;
    let message_id = message_id.unwrap_or_else(|| act.command());
    let command_id = format!("message/{}/{source}/{message_id}", source.len());
    act.tell(&command_id, &Command::Message(Arrived { message_id, source, sequence, text, version })).await
}

/// Which conversations.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// `active`, `closed` or `escalated`.
    #[param(schema_with = document::conversation_status)]
    status: Option<String>,
    /// Such as `pending_human`.
    #[param(schema_with = document::conversation_state)]
    state: Option<String>,
    /// The person who owns them.
    owner: Option<String>,
    /// 1 to 500; 50 unless told.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// As the page before says.
    cursor: Option<String>,
}

/// Lists conversations, newest first
#[utoipa::path(get, path = "/api/v1/conversations", tag = "conversations", params(Which), responses(
    (status = 200, body = Conversations), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Query(which): Query<Which>,
) -> Result<Json<Value>, Problem> {
    let limit = limit(which.limit, PAGE_DEFAULT, PAGE_MAX)?;
    let status = which.status.map(|word| {
        let words = Status::ALL.map(Status::word).join(", ");
        Status::parse(&word).ok_or_else(|| Problem::parameter("status", format!("`{word}` is none of {words}")))
    });
    let state = which.state.map(|word| {
        let words = conversation::State::ALL.map(conversation::State::word).join(", ");
        let state = conversation::State::parse(&word);
        state.ok_or_else(|| Problem::parameter("state", format!("`{word}` is none of {words}")))
    });
    let before = List::Conversations.place(guest.tenant(), which.cursor.as_deref())?.map(RunId::from);
    let work = door.work()?;
    if let Some(before) = &before
        && work.read.conversation(guest.tenant(), before).await?.is_none()
    {
        return Err(unknown("the conversation that it leads to is not there any more"));
    }
    let filter = ConversationFilter {
        status: status.transpose()?,
        state: state.transpose()?,
        person: which.owner,
        before,
        limit,
    };
    let heads = work.read.conversations(guest.tenant(), filter).await?;
    let next = heads.last().filter(|_| heads.len() == limit);
    let next = next.map(|head| List::Conversations.cursor(guest.tenant(), head.conversation.as_str()));
    let shown: Vec<Value> = heads.iter().map(ConversationHead::as_json).collect();
    Ok(Json(json!({ "conversations": shown, "next_cursor": next })))
}

/// Shows a conversation
///
/// With what went along when it was handed over, and the `number` that whoever posts quotes.
#[utoipa::path(get, path = "/api/v1/conversations/{conversation_id}", tag = "conversations",
    params(("conversation_id" = String, Path)), responses((status = 200, body = Conversation),
    (status = 404, body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn show(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    Query(Nothing {}): Query<Nothing>,
) -> Result<Json<Value>, Problem> {
    let work = door.work()?;
    if let Some(head) =
        work.read.conversation(guest.tenant(), &RunId::new(&*id)).await?.filter(|head| head.erased_at.is_some())
    {
        return Ok(Json(head.as_json()));
    }
    let mut talk = find(work, &guest, &id).await?;
    talk.catch_up().await?;
    Ok(Json(shown(&talk)))
}

/// Which lines.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Lines {
    /// Behind this place, as the page before says; all unless told.
    #[serde(default)]
    after: u64,
    /// 1 to 500; 50 unless told. A page may have a few more: those of one instant stay together.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
}

/// Reads what was said, oldest first
///
/// Notes and what the AI would have said are shown to whoever may answer for people.
#[utoipa::path(get, path = "/api/v1/conversations/{conversation_id}/messages", tag = "conversations",
    params(("conversation_id" = String, Path), Lines), responses((status = 200, body = Messages),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn messages(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    Query(which): Query<Lines>,
) -> Result<Json<Value>, Problem> {
    let work = door.work()?;
    let limit = limit(which.limit, PAGE_DEFAULT, PAGE_MAX)?;
    let talk = find(work, &guest, &id).await?;
    let (mut found, mut after, mut is_whole) = (Vec::new(), which.after, false);
    while found.len() < limit && !is_whole {
        let page = work.read.entries(guest.tenant(), talk.id(), after, PAGE_DEFAULT).await?;
        is_whole = page.is_empty();
        for entry in page {
            let entry: Entry = serde_json::from_slice(&entry).map_err(baton_engine::Error::from)?;
            after += 1;
            found.extend(lines(&entry, &guest));
            if found.len() >= limit {
                break;
            }
        }
    }
    Ok(Json(json!({ "messages": found, "next_after": (!is_whole).then_some(after) })))
}

/// A tenant's conversation, of which nothing is read yet.
pub(super) async fn find(work: &Work, guest: &Guest, id: &str) -> Result<Talk, Problem> {
    let id = RunId::new(id);
    match work.read.conversation(guest.tenant(), &id).await? {
        Some(_) => Ok(Talk::new(&work.engine, work.read.clone(), guest.tenant().clone(), id)),
        None => {
            let detail = format!("no conversation `{id}`");
            Err(Problem::new(StatusCode::NOT_FOUND, code::CONVERSATION_NOT_FOUND, detail)
                .hint("GET /api/v1/conversations lists those there are"))
        }
    }
}

/// A conversation for programs.
fn shown(talk: &Talk) -> Value {
    let it = talk.conversation();
    let mut shown = talk.head().map(|head| head.as_json()).unwrap_or_else(|| json!({}));
    shown["conversation_id"] = talk.id().as_str().into();
    shown["handover_context"] = it.handover().map_or(Value::Null, |handover| {
        let mut told = json!(handover);
        if let Some(fields) = told.as_object_mut() {
            // In the journal it is an amount as Baton counts.
            fields.remove("cost");
            fields.insert("cost_usd".to_owned(), handover.cost.as_f64().into());
        }
        told
    });
    shown["execution_id"] = json!(it.active_run());
    shown["service_level"] = shown_level(it.service());
    shown["waiting_since"] = json!(it.waiting_since().map(|at| at.to_string()));
    shown["first_response_at"] = json!(it.first_response_at().map(|at| at.to_string()));
    shown["reopened"] = it.reopened().into();
    shown
}

/// What is promised of a conversation; nothing where the desk's settings say.
fn shown_level(service: ServiceLevel) -> Value {
    json!({
        "priority": service.priority.unwrap_or_default(),
        "first_response_ms": service.first_response_ms,
        "resolution_ms": service.resolution_ms,
    })
}

/// A deadline out of its limits is refused before anything is written down.
fn promised(service: ServiceLevel) -> Result<ServiceLevel, Problem> {
    match service.check() {
        Ok(()) => Ok(service),
        Err(desk::Refusal::Field { field, reason }) => Err(Problem::field(field, reason)),
        Err(refusal) => Err(Problem::field("service_level", refusal.to_string())),
    }
}

/// The lines of an entry that this guest may see.
pub(super) fn lines(entry: &Entry, guest: &Guest) -> Vec<Value> {
    lines_of(entry, guest.must(Need::Answer).is_ok())
}

/// The lines of an entry, with or without what the customer does not see.
pub(crate) fn lines_of(entry: &Entry, sees_all: bool) -> Vec<Value> {
    let said = entry.events.iter().filter_map(|event| if let Event::Said { line } = event { Some(line) } else { None });
    said.filter(|line| sees_all || line.from.is_public()).map(line).collect()
}

fn line(line: &Line) -> Value {
    use conversation::Author;
    let (name, run) = match &line.from {
        Author::Customer => (None, None),
        Author::Ai { run } | Author::Suggestion { run } => (None, Some(run)),
        Author::Person { name } | Author::Note { name } => (Some(name), None),
    };
    json!({
        "number": line.number, "at": line.at.to_string(), "from": line.from.word(), "name": name, "execution_id": run,
        "text": line.text, "owned": line.owned, "internal": !line.from.is_public(), "message_id": line.message_id,
        "source": Some(&line.source).filter(|source| !source.is_empty()), "sequence": line.sequence,
        "after_gap": line.after_gap,
    })
}

/// The version of a workflow that a run would begin on now.
async fn active(work: &Work, guest: &Guest, workflow: &str) -> Result<Option<Version>, Problem> {
    let Some(version) = work.registry.active(guest.tenant(), workflow).await? else { return Ok(None) };
    let hil = work.engine.library().version(&version.bundle).await?.hil.clone();
    Ok(Some(Version { workflow: version.workflow, bundle: version.bundle, hil }))
}

fn short(name: &str, value: &str) -> Result<(), Problem> {
    if value.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    let detail = format!("`{name}` has {} bytes, over the limit of {NAME_BYTES_MAX}", value.len());
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail))
}

/// Words to the customer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Post {
    #[schema(pattern = r"\S")]
    text: String,
    /// The conversation's `number`, as whoever posts has seen it: who does not own it under that number does not speak.
    number: u64,
}

/// Posts to the customer, as the person who owns the conversation
#[utoipa::path(post, path = "/api/v1/conversations/{conversation_id}/posts", tag = "conversations",
    params(("conversation_id" = String, Path)), request_body = Post, responses((status = 200, body = Conversation),
    (status = 202, body = Conversation), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn post(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (said, Post { text, number }) = body::said(body, door.limits).await?;
    let act = Act::on(&door, guest, &id, &headers, Asked::new("post", &id, &said)).await?;
    let by = act.by();
    act.give(&Command::Post { by, number, text }).await
}

/// Words to other people.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    #[schema(pattern = r"\S")]
    text: String,
}

/// Writes a note that the customer does not see
#[utoipa::path(post, path = "/api/v1/conversations/{conversation_id}/notes", tag = "conversations",
    params(("conversation_id" = String, Path)), request_body = Note, responses((status = 200, body = Conversation),
    (status = 202, body = Conversation), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn note(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (said, Note { text }) = body::said(body, door.limits).await?;
    let act = Act::on(&door, guest, &id, &headers, Asked::new("note", &id, &said)).await?;
    let by = act.by();
    act.give(&Command::Note { by, text }).await
}

/// What is promised of a conversation; what is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(min_properties = 1)]
pub(super) struct Promise {
    #[serde(default, deserialize_with = "told")]
    #[schema(schema_with = document::promised_priority, required = false)]
    priority: Option<Priority>,
    /// From when it began to wait for a person.
    #[serde(default, deserialize_with = "told")]
    #[schema(value_type = u64, required = false, minimum = 1000, maximum = 2_592_000_000_u64)]
    first_response_ms: Option<u64>,
    /// From when it began to wait for a person.
    #[serde(default, deserialize_with = "told")]
    #[schema(value_type = u64, required = false, minimum = 1000, maximum = 2_592_000_000_u64)]
    resolution_ms: Option<u64>,
}

/// A field that is there says something: null changes nothing, and whoever sends it means something else.
fn told<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Changes how urgent a conversation is and when a person must have answered or resolved it
///
/// It holds for this one, in place of the desk's settings: at once where it waits for a person, else when it will.
#[utoipa::path(post, path = "/api/v1/conversations/{conversation_id}/service-level", tag = "conversations",
    params(("conversation_id" = String, Path)), request_body = Promise, responses((status = 200, body = Conversation),
    (status = 202, body = Conversation), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn service_level(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (said, Promise { priority, first_response_ms, resolution_ms }) = body::said(body, door.limits).await?;
    let service = promised(ServiceLevel { priority, first_response_ms, resolution_ms })?;
    if service.is_usual() {
        let detail = "say at least one of `priority`, `first_response_ms` and `resolution_ms`";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail));
    }
    let act = Act::on(&door, guest, &id, &headers, Asked::new("service_level", &id, &said)).await?;
    let by = act.by();
    act.give(&Command::ServiceLevel { by, service }).await
}

/// A body that says nothing.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Silent {}

/// Takes a conversation over, from the AI or from the queue
#[utoipa::path(post, path = "/api/v1/conversations/{conversation_id}/take-over", tag = "conversations",
    params(("conversation_id" = String, Path)), request_body = Silent, responses((status = 200, body = Conversation),
    (status = 202, body = Conversation), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn take_over(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (said, Silent {}) = body::said(body, door.limits).await?;
    let act = Act::on(&door, guest, &id, &headers, Asked::new("take_over", &id, &said)).await?;
    let by = act.by();
    act.give(&Command::TakeOver { by }).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GiveBack {
    /// What the AI's next run is told.
    #[serde(default)]
    note: String,
}

/// Gives a conversation back to the AI
#[utoipa::path(post, path = "/api/v1/conversations/{conversation_id}/give-back", tag = "conversations",
    params(("conversation_id" = String, Path)), request_body = GiveBack, responses((status = 200, body = Conversation),
    (status = 202, body = Conversation), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn give_back(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (said, GiveBack { note }) = body::said(body, door.limits).await?;
    let act = Act::on(&door, guest, &id, &headers, Asked::new("give_back", &id, &said)).await?;
    let by = act.by();
    act.give(&Command::GiveBack { by, note }).await
}

/// Resolves a conversation
#[utoipa::path(post, path = "/api/v1/conversations/{conversation_id}/resolve", tag = "conversations",
    params(("conversation_id" = String, Path)), request_body = Silent, responses((status = 200, body = Conversation),
    (status = 202, body = Conversation), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn resolve(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (said, Silent {}) = body::said(body, door.limits).await?;
    let act = Act::on(&door, guest, &id, &headers, Asked::new("resolve_conversation", &id, &said)).await?;
    let by = act.by();
    act.give(&Command::Resolve { by }).await
}

/// Opens a conversation again: it waits for a person
#[utoipa::path(post, path = "/api/v1/conversations/{conversation_id}/reopen", tag = "conversations",
    params(("conversation_id" = String, Path)), request_body = Silent, responses((status = 200, body = Conversation),
    (status = 202, body = Conversation), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn reopen(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (said, Silent {}) = body::said(body, door.limits).await?;
    let act = Act::on(&door, guest, &id, &headers, Asked::new("reopen", &id, &said)).await?;
    let by = act.by();
    act.give(&Command::Reopen { by }).await
}

/// How it went, as the customer says.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rate {
    /// 1 to 5.
    #[serde(deserialize_with = "score")]
    #[schema(minimum = 1, maximum = 5)]
    score: u8,
    #[serde(default)]
    comment: String,
}

fn score<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
    body::whole(from, "score", 1..=5)
}

/// Rates a conversation that is over, once
#[utoipa::path(post, path = "/api/v1/conversations/{conversation_id}/rate", tag = "conversations",
    params(("conversation_id" = String, Path)), request_body = Rate, responses((status = 200, body = Conversation),
    (status = 202, body = Conversation), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn rate(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (said, Rate { score, comment }) = body::said(body, door.limits).await?;
    let act = Act::on(&door, guest, &id, &headers, Asked::new("rate", &id, &said)).await?;
    act.give(&Command::Rate { score, comment }).await
}
