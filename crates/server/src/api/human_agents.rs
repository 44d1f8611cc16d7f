//! Human agents, their presence, and the conversations that wait for them.

pub(super) mod settings;

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use baton_core::id::{PersonId, RunId};
use baton_core::routing::{
    CAPACITY_DEFAULT, HumanAgent, PersonProfile, Presence, RoutedConversation, RoutingCommand, RoutingQueue,
    TransferTarget, WaitingConversation,
};
use baton_engine::SubmitResult;
use baton_ports::keys::AccessScope;
use baton_ports::read::{PAGE_DEFAULT, PAGE_MAX};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::conversations;
use super::extractors::{PathParams, QueryParams, limit};
use super::idempotency::{IdempotencyKey, RequestFingerprint};
use super::openapi;
use super::principal::Principal;
use super::schemas::{HumanAgentListSchema, HumanAgentSchema, ProblemSchema, RoutingQueueSchema, TransferSchema};
use crate::body;
use crate::code;
use crate::problem::HttpProblem;
use crate::state::AppState;

/// How long a request waits for the routing queue to apply its command.
const SUBMIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Lists the people of the desk, by their ids
#[utoipa::path(get, path = "/api/v1/human-agents", tag = "people", responses((status = 200, body = HumanAgentListSchema)))]
pub(super) async fn list(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
) -> Result<Json<Value>, HttpProblem> {
    let desk = read_queue(&state, &principal).await?;
    Ok(Json(json!({ "human_agents": desk.people().map(human_agent_json).collect::<Vec<_>>() })))
}

/// Shows somebody of the desk
#[utoipa::path(get, path = "/api/v1/human-agents/{person_id}", tag = "people", params(("person_id" = String, Path)),
    responses((status = 200, body = HumanAgentSchema),
    (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn show(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
) -> Result<Json<Value>, HttpProblem> {
    let desk = read_queue(&state, &principal).await?;
    desk.person(&PersonId::new(id.as_str()))
        .map(|person| Json(human_agent_json(person)))
        .ok_or_else(|| human_agent_not_found(&id))
}

/// Somebody of the desk.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Put)]
pub(super) struct PutHumanAgentRequest {
    #[schema(
        pattern = r"^[^\x00-\x20\x7f-\xa0\u1680\u2000-\u200b\u2028-\u202f\u205f-\u2069\u3000\ufeff]+( +[^\x00-\x20\x7f-\xa0\u1680\u2000-\u200b\u2028-\u202f\u205f-\u2069\u3000\ufeff]+)*$",
        max_length = 200
    )]
    name: String,
    #[schema(
        pattern = r"^[^@\x00-\x20\x7f-\xa0\u1680\u2000-\u200b\u2028-\u202f\u205f-\u2069\u3000\ufeff]+@[^\x00-\x20\x7f-\xa0\u1680\u2000-\u200b\u2028-\u202f\u205f-\u2069\u3000\ufeff]+$",
        max_length = 200
    )]
    email: String,
    #[serde(default)]
    skills: Vec<String>,
    /// What they are besides, for approvals that ask for a role: `manager`.
    #[serde(default)]
    roles: Vec<String>,
    /// Conversations at a time, 1 to 100; 5 unless told.
    #[schema(minimum = 1, maximum = 100)]
    max_capacity: Option<u32>,
    /// Codes such as `es`; none: whatever is asked for.
    #[serde(default)]
    languages: Vec<String>,
}

/// Puts somebody on the desk, or changes them
///
/// Their id is the name of their key: who comes with it speaks as this person.
#[utoipa::path(put, path = "/api/v1/human-agents/{person_id}", tag = "people", params(("person_id" = String, Path)),
    request_body = PutHumanAgentRequest, responses((status = 200, body = HumanAgentSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn put(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    body: Body,
) -> Result<Json<Value>, HttpProblem> {
    let PutHumanAgentRequest { name, email, skills, roles, max_capacity, languages } =
        body::json(body, state.limits).await?;
    let person = PersonId::parse(&id).map_err(|invalid| HttpProblem::invalid_parameter("person_id", invalid))?;
    let profile = PersonProfile {
        id: person.clone(),
        name,
        email,
        skills: skills.into_iter().collect(),
        roles: roles.into_iter().collect(),
        max_capacity: max_capacity.unwrap_or(CAPACITY_DEFAULT),
        languages: languages.into_iter().collect(),
    };
    submit(&state, &principal, &new_command_id(), &RoutingCommand::PutPerson(profile)).await?;
    show(State(state), Extension(principal), PathParams(id)).await
}

/// Takes somebody off the desk; what they have goes to others
#[utoipa::path(delete, path = "/api/v1/human-agents/{person_id}", tag = "people", params(("person_id" = String, Path)),
    responses((status = 204), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn remove(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
) -> Result<StatusCode, HttpProblem> {
    submit(&state, &principal, &new_command_id(), &RoutingCommand::RemovePerson { person: id.into() }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether somebody is there.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = There)]
pub(super) struct PresenceRequest {
    /// `online`, `away` or `offline`.
    #[schema(schema_with = openapi::presence)]
    status: String,
}

/// Says whether somebody is there
///
/// Somebody of role `human_agent` says so of themselves alone. Said again, it is a sign of life, as is whatever else they do:
/// who gives none for 5 minutes (`unheard_after_ms` of the desk's settings) is offline.
#[utoipa::path(put, path = "/api/v1/human-agents/{person_id}/presence", tag = "people",
    params(("person_id" = String, Path)), request_body = PresenceRequest, responses((status = 200, body = HumanAgentSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn presence(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    body: Body,
) -> Result<Json<Value>, HttpProblem> {
    let PresenceRequest { status } = body::json(body, state.limits).await?;
    let presence = Presence::parse(&status).ok_or_else(|| {
        let words = Presence::ALL.map(Presence::word).join(", ");
        let detail = format!("`status`: `{status}` is none of {words}");
        HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail)
    })?;
    if principal.actor_name() != id {
        principal.require(AccessScope::Operate)?;
    }
    let person = id.as_str().into();
    submit(&state, &principal, &new_command_id(), &RoutingCommand::Presence { person, presence }).await?;
    show(State(state), Extension(principal), PathParams(id)).await
}

/// Which part of the line.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct RoutingQueueQuery {
    /// Behind this place, as the page before says.
    #[serde(default)]
    after: usize,
    /// 1 to 500; 50 unless told.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
}

/// Lists the conversations that wait for a person, first first, each with why it is nobody's yet
#[utoipa::path(get, path = "/api/v1/queue", tag = "people", params(RoutingQueueQuery), responses((status = 200, body = RoutingQueueSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn queue(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    QueryParams(which): QueryParams<RoutingQueueQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let limit = limit(which.limit, PAGE_DEFAULT, PAGE_MAX)?;
    let desk = read_queue(&state, &principal).await?;
    let line = desk.waiting_page(which.after, limit);
    let next = line.last().map(|last| last.position).filter(|place| *place < desk.waiting_count());
    let waiting: Vec<Value> = line.iter().map(queued_json).collect();
    Ok(Json(json!({ "waiting": waiting, "total": desk.waiting_count(), "next_after": next })))
}

/// Who is to have it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Transfer)]
pub(super) struct TransferRequest {
    /// The number of its owner now, as the conversation shows it: whoever was faster is not overruled.
    number: u64,
    /// Somebody who is online and has room; or else `skills`.
    person: Option<String>,
    /// It goes into the line for whoever has these; or else `person`.
    skills: Option<Vec<String>>,
}

/// Passes a conversation on to somebody else
///
/// Somebody of role `human_agent` passes on what is their own.
#[utoipa::path(post, path = "/api/v1/conversations/{conversation_id}/transfer", tag = "people",
    request_body = TransferRequest,
    params(("conversation_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = TransferSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn transfer(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    conversations::find(state.run_services()?, &principal, &id).await?;
    let (said, TransferRequest { number, person, skills }) = body::json_with_raw(body, state.limits).await?;
    let to = match (person, skills) {
        (Some(person), None) => TransferTarget::Person(person.into()),
        (None, Some(skills)) => TransferTarget::Skills(skills.into_iter().collect()),
        (Some(_), Some(_)) | (None, None) => {
            let detail = "either `person` or `skills` says where it goes";
            return Err(HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail));
        }
    };
    let mut once =
        IdempotencyKey::of(&state, &principal, &headers, RequestFingerprint::new("transfer", &id, &said)).await?;
    let conversation = RunId::new(id.as_str());
    let desk = read_queue(&state, &principal).await?;
    let owns = desk
        .conversation(&conversation)
        .is_some_and(|case| case.owner.as_ref().is_some_and(|owner| owner.as_str() == principal.actor_name()));
    let is_repeated = once.as_ref().is_some_and(|once| once.previous_run.is_some());
    if !owns && !is_repeated {
        principal.require(AccessScope::Operate)?;
    }
    if let Some(once) = &mut once {
        once.record(&state, &principal, &conversation).await?;
    }
    let command_id = once.as_ref().map_or_else(new_command_id, IdempotencyKey::command_id);
    let command = RoutingCommand::Transfer { conversation: conversation.clone(), number, to };
    if let Err(problem) = submit(&state, &principal, &command_id, &command).await {
        if let Some(once) = &once {
            once.record_refusal(&state, &principal, &conversation, &problem).await?;
        }
        return Err(problem);
    }
    let desk = read_queue(&state, &principal).await?;
    let case = desk.conversation(&conversation);
    let shown = json!({
        "conversation_id": conversation,
        "assigned_agent_id": case.and_then(|case| case.owner.clone()),
        "number": case.map(|case| case.number),
    });
    let mut response = Json(shown).into_response();
    if let Some(once) = &once {
        once.set_headers(&mut response);
    }
    Ok(response)
}

/// Records an action of a human agent as a sign of presence. A failure here does not affect the action.
pub(super) async fn record_activity(state: &AppState, principal: &Principal) {
    let (Ok(services), Ok(person)) = (state.run_services(), PersonId::parse(principal.actor_name())) else { return };
    if let Err(error) =
        state.routing_queues.record_activity(&services.engine, &*services.read, principal.tenant(), person).await
    {
        tracing::debug!(%error, by = principal.actor_name(), "a sign of life could not be written down");
    }
}

async fn read_queue(state: &AppState, principal: &Principal) -> Result<Arc<RoutingQueue>, HttpProblem> {
    Ok(state.routing_queues.current(&*state.run_services()?.read, principal.tenant()).await?)
}

async fn submit(
    state: &AppState,
    principal: &Principal,
    command_id: &str,
    command: &RoutingCommand,
) -> Result<(), HttpProblem> {
    let before = read_queue(state, principal).await?;
    match state
        .routing_queues
        .submit(&state.run_services()?.engine, principal.tenant(), command_id, command, SUBMIT_TIMEOUT)
        .await?
    {
        SubmitResult::Applied | SubmitResult::Duplicate => Ok(()),
        SubmitResult::Refused { code, message } => Err(routing_problem(code, message)),
        // The process that owns the routing queue may refuse the command, and its answer does not reach this
        // process. So the command is checked here too.
        SubmitResult::Accepted => match RoutingQueue::clone(&before).decide(command.clone(), state.clock.now()) {
            Ok(_) => Ok(()),
            Err(refusal) => Err(routing_problem(refusal.code(), refusal.to_string())),
        },
    }
}

fn routing_problem(code: &'static str, message: String) -> HttpProblem {
    let status = match code {
        "DESK-001" => StatusCode::UNPROCESSABLE_ENTITY,
        "DESK-004" | "DESK-006" => StatusCode::NOT_FOUND,
        _ => StatusCode::CONFLICT,
    };
    HttpProblem::new(status, code, message)
}

fn new_command_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn human_agent_not_found(id: &str) -> HttpProblem {
    let problem = HttpProblem::new(StatusCode::NOT_FOUND, "DESK-004", format!("the desk has nobody of the id `{id}`"));
    problem.with_hint("GET /api/v1/human-agents lists who is on it")
}

/// The JSON form of a human agent. Its field names are those of the design documents.
fn human_agent_json(person: &HumanAgent) -> Value {
    let PersonProfile { id, name, email, skills, roles, max_capacity, languages } = &person.profile;
    json!({
        "id": id, "name": name, "email": email, "status": person.presence, "skills": skills, "roles": roles, "languages": languages,
        "current_load": person.load(), "max_capacity": max_capacity, "conversations": person.has,
        "last_active": person.heard_at.to_string(), "created_at": person.created_at.to_string(),
    })
}

fn queued_json(waiting: &WaitingConversation<'_>) -> Value {
    let RoutedConversation { conversation, number, wants, priority, waiting_since, respond_by, resolve_by, .. } =
        waiting.conversation;
    json!({
        "conversation_id": conversation, "number": number, "place": waiting.position, "skills": wants.skills,
        "language": wants.language, "priority": priority, "waiting_since": waiting_since.to_string(),
        "first_response_by": respond_by.map(|at| at.to_string()), "resolve_by": resolve_by.to_string(),
        "waits_for": waiting.blocker.word(),
    })
}
