//! Conversations: starting, messaging, reading, and takeover by people.

pub(super) mod live;
mod request;

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use baton_core::actor;
use baton_core::conversation::{
    self, ConversationCommand, ConversationEntry, ConversationEvent, ConversationLine, ConversationStatus,
    InboundMessage, NewConversation, PinnedVersion,
};
use baton_core::id::RunId;
use baton_core::routing::{self, Priority, ServiceLevel};
use baton_core::tool::Caller;
use baton_engine::ConversationHandle;
use baton_ports::conversations::{ConversationFilter, ConversationHead};
use baton_ports::keys::AccessScope;
use baton_ports::read::{PAGE_DEFAULT, PAGE_MAX};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use super::cursor::{PagedList, invalid_cursor};
use super::execute::workflow_not_found;
use super::extractors::{NoQueryParams, PathParams, QueryParams, limit};
use super::idempotency::RequestFingerprint;
use super::openapi;
use super::principal::Principal;
use super::schemas::{ConversationListSchema, ConversationSchema, MessageListSchema, ProblemSchema};
use super::start_run::check_customer;
use crate::body;
use crate::code;
use crate::problem::HttpProblem;
use crate::state::{AppState, RunServices};

use request::ConversationRequest;

/// Maximum length of a message id, a sender, a user id or a channel, in bytes.
const NAME_BYTES_MAX: usize = 200;
/// The default sender of a message.
const SENDER: &str = "customer";
const CHANNEL: &str = "api";

/// A conversation to begin.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Begin)]
pub(super) struct StartConversationRequest {
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
    #[schema(schema_with = openapi::priority)]
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
#[utoipa::path(post, path = "/api/v1/conversations", tag = "conversations", request_body = StartConversationRequest,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "at most 255 characters; one conversation a key"),
        ("Prefer" = Option<String>, Header, description = "`wait=SECONDS` or `respond-async`"),
    ),
    responses(
        (status = 200, body = ConversationSchema, description = "it rests: it has answered, or waits for somebody"),
        (status = 202, body = ConversationSchema, description = "it goes on"),
        (status = "4XX", body = ProblemSchema, content_type = "application/problem+json"),
    ))]
pub(super) async fn begin(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let (said, begin) = body::json_with_raw(body, state.limits).await?;
    let StartConversationRequest {
        workflow_id,
        user_id,
        channel,
        message,
        context,
        priority,
        first_response_ms,
        resolution_ms,
    } = begin;
    let service = check_service_level(ServiceLevel { priority, first_response_ms, resolution_ms })?;
    let mut context = Value::Object(context);
    if baton_engine::take_key(&mut context).is_some() {
        let detail = "a conversation lasts longer than this server keeps anybody's key: leave `context.api_key` out";
        return Err(HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail));
    }
    for (name, value) in [("user_id", &user_id), ("channel", &channel)] {
        check_length(name, value.as_deref().unwrap_or_default())?;
    }
    if let Some(user) = &user_id {
        actor::check_text(user, NAME_BYTES_MAX).map_err(|why| HttpProblem::invalid_field("user_id", why))?;
    }
    check_customer(&context)?;
    if message.as_deref().is_some_and(|message| message.trim().is_empty()) {
        return Err(HttpProblem::invalid_field(
            "message",
            "it says nothing; leave it out to begin without a first message",
        ));
    }
    let services = state.run_services()?;
    let Some(version) = active_version(services, &principal, &workflow_id).await? else {
        return Err(workflow_not_found(services, &principal, &workflow_id).await);
    };
    let act =
        ConversationRequest::new(&state, principal, &headers, RequestFingerprint::new("converse", &workflow_id, &said))
            .await?;
    let caller = Caller {
        user_id: user_id.clone().or_else(|| Caller::of(&context, None).user_id),
        conversation_id: Some(act.id().to_string()),
        key_id: Some(act.guest().key_id().to_owned()),
        begun_by: Some(act.guest().actor_name().to_owned()),
        ..Caller::of(&context, services.zone.as_deref())
    };
    let begun = NewConversation {
        conversation: act.id().clone(),
        tenant: act.guest().tenant().clone(),
        user: user_id,
        channel: channel.unwrap_or_else(|| CHANNEL.to_owned()),
        caller,
        context,
        service,
        version: version.clone(),
    };
    let first = message.map(|text| InboundMessage {
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
#[schema(as = Write)]
pub(super) struct CustomerMessageRequest {
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
    request_body = CustomerMessageRequest,
    params(
        ("conversation_id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "the message's id, where the body has none"),
        ("Prefer" = Option<String>, Header, description = "`wait=SECONDS` or `respond-async`"),
    ),
    responses((status = 200, body = ConversationSchema), (status = 202, body = ConversationSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn message(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let (said, CustomerMessageRequest { text, message_id, source, sequence }) =
        body::json_with_raw(body, state.limits).await?;
    let source = source.unwrap_or_else(|| SENDER.to_owned());
    check_length("source", &source)?;
    check_length("message_id", message_id.as_deref().unwrap_or_default())?;
    let act =
        ConversationRequest::load(&state, principal, &id, &headers, RequestFingerprint::new("message", &id, &said))
            .await?;
    let version = act.version().await?;
    let message_id = message_id.unwrap_or_else(|| act.command_id());
    let command_id = format!("message/{}/{source}/{message_id}", source.len());
    act.submit_as(
        &command_id,
        &ConversationCommand::Message(InboundMessage { message_id, source, sequence, text, version }),
    )
    .await
}

/// Which conversations.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ConversationListQuery {
    /// `active`, `closed` or `escalated`.
    #[param(schema_with = openapi::conversation_status)]
    status: Option<String>,
    /// Such as `pending_human`.
    #[param(schema_with = openapi::conversation_state)]
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
#[utoipa::path(get, path = "/api/v1/conversations", tag = "conversations", params(ConversationListQuery), responses(
    (status = 200, body = ConversationListSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(app_state): State<AppState>,
    Extension(principal): Extension<Principal>,
    QueryParams(which): QueryParams<ConversationListQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let limit = limit(which.limit, PAGE_DEFAULT, PAGE_MAX)?;
    let status = which.status.map(|word| {
        let words = ConversationStatus::ALL.map(ConversationStatus::word).join(", ");
        ConversationStatus::parse(&word)
            .ok_or_else(|| HttpProblem::invalid_parameter("status", format!("`{word}` is none of {words}")))
    });
    let state = which.state.map(|word| {
        let words = conversation::ConversationState::ALL.map(conversation::ConversationState::word).join(", ");
        let state = conversation::ConversationState::parse(&word);
        state.ok_or_else(|| HttpProblem::invalid_parameter("state", format!("`{word}` is none of {words}")))
    });
    let before = PagedList::Conversations.decode(principal.tenant(), which.cursor.as_deref())?.map(RunId::from);
    let services = app_state.run_services()?;
    if let Some(before) = &before
        && services.read.conversation(principal.tenant(), before).await?.is_none()
    {
        return Err(invalid_cursor("the conversation that it leads to is not there any more"));
    }
    let filter = ConversationFilter {
        status: status.transpose()?,
        state: state.transpose()?,
        person: which.owner,
        before,
        limit,
    };
    let heads = services.read.conversations(principal.tenant(), filter).await?;
    let next = heads.last().filter(|_| heads.len() == limit);
    let next = next.map(|head| PagedList::Conversations.encode(principal.tenant(), head.conversation.as_str()));
    let shown: Vec<Value> = heads.iter().map(ConversationHead::as_json).collect();
    Ok(Json(json!({ "conversations": shown, "next_cursor": next })))
}

/// Shows a conversation
///
/// With what went along when it was handed over, and the `number` that whoever posts quotes.
#[utoipa::path(get, path = "/api/v1/conversations/{conversation_id}", tag = "conversations",
    params(("conversation_id" = String, Path)), responses((status = 200, body = ConversationSchema),
    (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn show(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    QueryParams(NoQueryParams {}): QueryParams<NoQueryParams>,
) -> Result<Json<Value>, HttpProblem> {
    let services = state.run_services()?;
    if let Some(head) =
        services.read.conversation(principal.tenant(), &RunId::new(&*id)).await?.filter(|head| head.erased_at.is_some())
    {
        return Ok(Json(head.as_json()));
    }
    let mut handle = find(services, &principal, &id).await?;
    handle.catch_up().await?;
    Ok(Json(conversation_json(&handle)))
}

/// Which lines.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct MessageListQuery {
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
    params(("conversation_id" = String, Path), MessageListQuery), responses((status = 200, body = MessageListSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn messages(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    QueryParams(which): QueryParams<MessageListQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let services = state.run_services()?;
    let limit = limit(which.limit, PAGE_DEFAULT, PAGE_MAX)?;
    let handle = find(services, &principal, &id).await?;
    let (mut found, mut after, mut is_whole) = (Vec::new(), which.after, false);
    while found.len() < limit && !is_whole {
        let page = services.read.entries(principal.tenant(), handle.id(), after, PAGE_DEFAULT).await?;
        is_whole = page.is_empty();
        for entry in page {
            let entry: ConversationEntry = serde_json::from_slice(&entry).map_err(baton_engine::EngineError::from)?;
            after += 1;
            found.extend(visible_lines(&entry, &principal));
            if found.len() >= limit {
                break;
            }
        }
    }
    Ok(Json(json!({ "messages": found, "next_after": (!is_whole).then_some(after) })))
}

/// Returns a handle on the tenant's conversation. Its entries are not read yet.
pub(super) async fn find(
    services: &RunServices,
    principal: &Principal,
    id: &str,
) -> Result<ConversationHandle, HttpProblem> {
    let id = RunId::new(id);
    match services.read.conversation(principal.tenant(), &id).await? {
        Some(_) => Ok(ConversationHandle::new(&services.engine, services.read.clone(), principal.tenant().clone(), id)),
        None => {
            let detail = format!("no conversation `{id}`");
            Err(HttpProblem::new(StatusCode::NOT_FOUND, code::CONVERSATION_NOT_FOUND, detail)
                .with_hint("GET /api/v1/conversations lists those there are"))
        }
    }
}

/// The JSON form of a conversation.
fn conversation_json(handle: &ConversationHandle) -> Value {
    let it = handle.conversation();
    let mut shown = handle.head().map(|head| head.as_json()).unwrap_or_else(|| json!({}));
    shown["conversation_id"] = handle.id().as_str().into();
    shown["handover_context"] = it.handover().map_or(Value::Null, |handover| {
        let mut told = json!(handover);
        if let Some(fields) = told.as_object_mut() {
            // The journal stores the cost as an internal amount.
            fields.remove("cost");
            fields.insert("cost_usd".to_owned(), handover.cost.as_f64().into());
        }
        told
    });
    shown["execution_id"] = json!(it.active_run());
    shown["service_level"] = service_level_json(it.service_level());
    shown["waiting_since"] = json!(it.waiting_since().map(|at| at.to_string()));
    shown["first_response_at"] = json!(it.first_response_at().map(|at| at.to_string()));
    shown["reopened"] = it.reopen_count().into();
    shown
}

/// The service level of a conversation. A value is null if the settings of the routing queue apply.
fn service_level_json(service: ServiceLevel) -> Value {
    json!({
        "priority": service.priority.unwrap_or_default(),
        "first_response_ms": service.first_response_ms,
        "resolution_ms": service.resolution_ms,
    })
}

/// Refuses a deadline outside its limits before anything is stored.
fn check_service_level(service: ServiceLevel) -> Result<ServiceLevel, HttpProblem> {
    match service.check() {
        Ok(()) => Ok(service),
        Err(routing::RoutingRefusal::Field { field, reason }) => Err(HttpProblem::invalid_field(field, reason)),
        Err(refusal) => Err(HttpProblem::invalid_field("service_level", refusal.to_string())),
    }
}

/// The lines of an entry that this principal may see.
pub(super) fn visible_lines(entry: &ConversationEntry, principal: &Principal) -> Vec<Value> {
    entry_lines(entry, principal.require(AccessScope::Answer).is_ok())
}

/// The lines of an entry, with or without the internal ones that the customer does not see.
pub(crate) fn entry_lines(entry: &ConversationEntry, sees_all: bool) -> Vec<Value> {
    let said = entry
        .events
        .iter()
        .filter_map(|event| if let ConversationEvent::Said { line } = event { Some(line) } else { None });
    said.filter(|line| sees_all || line.from.is_public()).map(line_json).collect()
}

fn line_json(line: &ConversationLine) -> Value {
    use conversation::LineAuthor;
    let (name, run) = match &line.from {
        LineAuthor::Customer => (None, None),
        LineAuthor::Ai { run } | LineAuthor::Suggestion { run } => (None, Some(run)),
        LineAuthor::Person { name } | LineAuthor::Note { name } => (Some(name), None),
    };
    json!({
        "number": line.number, "at": line.at.to_string(), "from": line.from.word(), "name": name, "execution_id": run,
        "text": line.text, "owned": line.owned, "internal": !line.from.is_public(), "message_id": line.message_id,
        "source": Some(&line.source).filter(|source| !source.is_empty()), "sequence": line.sequence,
        "after_gap": line.after_gap,
    })
}

/// The active version of a workflow, on which a new run would start.
async fn active_version(
    services: &RunServices,
    principal: &Principal,
    workflow: &str,
) -> Result<Option<PinnedVersion>, HttpProblem> {
    let Some(version) = services.registry.active(principal.tenant(), workflow).await? else { return Ok(None) };
    let hil = services.engine.workflows().version(&version.bundle).await?.hil.clone();
    Ok(Some(PinnedVersion { workflow: version.workflow, bundle: version.bundle, hil }))
}

fn check_length(name: &str, value: &str) -> Result<(), HttpProblem> {
    if value.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    let detail = format!("`{name}` has {} bytes, over the limit of {NAME_BYTES_MAX}", value.len());
    Err(HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail))
}

/// Words to the customer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Post)]
pub(super) struct PostMessageRequest {
    #[schema(pattern = r"\S")]
    text: String,
    /// The conversation's `number`, as whoever posts has seen it: who does not own it under that number does not speak.
    number: u64,
}

/// Posts to the customer, as the person who owns the conversation
#[utoipa::path(post, path = "/api/v1/conversations/{conversation_id}/posts", tag = "conversations",
    params(("conversation_id" = String, Path)), request_body = PostMessageRequest, responses((status = 200, body = ConversationSchema),
    (status = 202, body = ConversationSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn post(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let (said, PostMessageRequest { text, number }) = body::json_with_raw(body, state.limits).await?;
    let act = ConversationRequest::load(&state, principal, &id, &headers, RequestFingerprint::new("post", &id, &said))
        .await?;
    let by = act.actor_name();
    act.submit(&ConversationCommand::Post { by, number, text }).await
}

/// Words to other people.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Note)]
pub(super) struct AddNoteRequest {
    #[schema(pattern = r"\S")]
    text: String,
}

/// Writes a note that the customer does not see
#[utoipa::path(post, path = "/api/v1/conversations/{conversation_id}/notes", tag = "conversations",
    params(("conversation_id" = String, Path)), request_body = AddNoteRequest, responses((status = 200, body = ConversationSchema),
    (status = 202, body = ConversationSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn note(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let (said, AddNoteRequest { text }) = body::json_with_raw(body, state.limits).await?;
    let act = ConversationRequest::load(&state, principal, &id, &headers, RequestFingerprint::new("note", &id, &said))
        .await?;
    let by = act.actor_name();
    act.submit(&ConversationCommand::Note { by, text }).await
}

/// What is promised of a conversation; what is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(min_properties = 1)]
#[schema(as = Promise)]
pub(super) struct ServiceLevelRequest {
    #[serde(default, deserialize_with = "non_null")]
    #[schema(schema_with = openapi::promised_priority, required = false)]
    priority: Option<Priority>,
    /// From when it began to wait for a person.
    #[serde(default, deserialize_with = "non_null")]
    #[schema(value_type = u64, required = false, minimum = 1000, maximum = 2_592_000_000_u64)]
    first_response_ms: Option<u64>,
    /// From when it began to wait for a person.
    #[serde(default, deserialize_with = "non_null")]
    #[schema(value_type = u64, required = false, minimum = 1000, maximum = 2_592_000_000_u64)]
    resolution_ms: Option<u64>,
}

/// Refuses null. A field that is present must have a value: null would change nothing, and the sender must have
/// meant something else.
fn non_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Changes how urgent a conversation is and when a person must have answered or resolved it
///
/// It holds for this one, in place of the desk's settings: at once where it waits for a person, else when it will.
#[utoipa::path(post, path = "/api/v1/conversations/{conversation_id}/service-level", tag = "conversations",
    params(("conversation_id" = String, Path)), request_body = ServiceLevelRequest, responses((status = 200, body = ConversationSchema),
    (status = 202, body = ConversationSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn service_level(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let (said, ServiceLevelRequest { priority, first_response_ms, resolution_ms }) =
        body::json_with_raw(body, state.limits).await?;
    let service = check_service_level(ServiceLevel { priority, first_response_ms, resolution_ms })?;
    if service.is_usual() {
        let detail = "say at least one of `priority`, `first_response_ms` and `resolution_ms`";
        return Err(HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail));
    }
    let act = ConversationRequest::load(
        &state,
        principal,
        &id,
        &headers,
        RequestFingerprint::new("service_level", &id, &said),
    )
    .await?;
    let by = act.actor_name();
    act.submit(&ConversationCommand::ServiceLevel { by, service }).await
}

/// A body that says nothing.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Silent)]
pub(super) struct EmptyConversationRequest {}

/// Takes a conversation over, from the AI or from the queue
#[utoipa::path(post, path = "/api/v1/conversations/{conversation_id}/take-over", tag = "conversations",
    params(("conversation_id" = String, Path)), request_body = EmptyConversationRequest, responses((status = 200, body = ConversationSchema),
    (status = 202, body = ConversationSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn take_over(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let (said, EmptyConversationRequest {}) = body::json_with_raw(body, state.limits).await?;
    let act =
        ConversationRequest::load(&state, principal, &id, &headers, RequestFingerprint::new("take_over", &id, &said))
            .await?;
    let by = act.actor_name();
    act.submit(&ConversationCommand::TakeOver { by }).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GiveBack)]
pub(super) struct GiveBackRequest {
    /// What the AI's next run is told.
    #[serde(default)]
    note: String,
}

/// Gives a conversation back to the AI
#[utoipa::path(post, path = "/api/v1/conversations/{conversation_id}/give-back", tag = "conversations",
    params(("conversation_id" = String, Path)), request_body = GiveBackRequest, responses((status = 200, body = ConversationSchema),
    (status = 202, body = ConversationSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn give_back(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let (said, GiveBackRequest { note }) = body::json_with_raw(body, state.limits).await?;
    let act =
        ConversationRequest::load(&state, principal, &id, &headers, RequestFingerprint::new("give_back", &id, &said))
            .await?;
    let by = act.actor_name();
    act.submit(&ConversationCommand::GiveBack { by, note }).await
}

/// Resolves a conversation
#[utoipa::path(post, path = "/api/v1/conversations/{conversation_id}/resolve", tag = "conversations",
    params(("conversation_id" = String, Path)), request_body = EmptyConversationRequest, responses((status = 200, body = ConversationSchema),
    (status = 202, body = ConversationSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn resolve(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let (said, EmptyConversationRequest {}) = body::json_with_raw(body, state.limits).await?;
    let act = ConversationRequest::load(
        &state,
        principal,
        &id,
        &headers,
        RequestFingerprint::new("resolve_conversation", &id, &said),
    )
    .await?;
    let by = act.actor_name();
    act.submit(&ConversationCommand::Resolve { by }).await
}

/// Opens a conversation again: it waits for a person
#[utoipa::path(post, path = "/api/v1/conversations/{conversation_id}/reopen", tag = "conversations",
    params(("conversation_id" = String, Path)), request_body = EmptyConversationRequest, responses((status = 200, body = ConversationSchema),
    (status = 202, body = ConversationSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn reopen(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let (said, EmptyConversationRequest {}) = body::json_with_raw(body, state.limits).await?;
    let act =
        ConversationRequest::load(&state, principal, &id, &headers, RequestFingerprint::new("reopen", &id, &said))
            .await?;
    let by = act.actor_name();
    act.submit(&ConversationCommand::Reopen { by }).await
}

/// How it went, as the customer says.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Rate)]
pub(super) struct RateConversationRequest {
    /// 1 to 5.
    #[serde(deserialize_with = "score")]
    #[schema(minimum = 1, maximum = 5)]
    score: u8,
    #[serde(default)]
    comment: String,
}

fn score<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
    body::integer_in_range(from, "score", 1..=5)
}

/// Rates a conversation that is over, once
#[utoipa::path(post, path = "/api/v1/conversations/{conversation_id}/rate", tag = "conversations",
    params(("conversation_id" = String, Path)), request_body = RateConversationRequest, responses((status = 200, body = ConversationSchema),
    (status = 202, body = ConversationSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn rate(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let (said, RateConversationRequest { score, comment }) = body::json_with_raw(body, state.limits).await?;
    let act = ConversationRequest::load(&state, principal, &id, &headers, RequestFingerprint::new("rate", &id, &said))
        .await?;
    act.submit(&ConversationCommand::Rate { score, comment }).await
}
