//! The people of the desk, who is there, and what waits for them.

pub(super) mod settings;

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use baton_core::desk::{CAPACITY_DEFAULT, Case, Command, Desk, Person, Presence, Profile, To, Waiting};
use baton_core::id::{PersonId, RunId};
use baton_engine::Told;
use baton_ports::keys::Need;
use baton_ports::read::{PAGE_DEFAULT, PAGE_MAX};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::conversations;
use super::document;
use super::guest::Guest;
use super::once::{Asked, Once};
use super::query::{Path, Query, limit};
use super::shapes::{HumanAgent, HumanAgents, Problem as Refusal, Queue, Transferred};
use crate::body;
use crate::code;
use crate::door::Door;
use crate::problem::Problem;

/// How long a request waits until the desk has taken what it was told.
const TAKE: Duration = Duration::from_secs(10);

/// Lists the people of the desk, by their ids
#[utoipa::path(get, path = "/api/v1/human-agents", tag = "people", responses((status = 200, body = HumanAgents)))]
pub(super) async fn list(State(door): State<Door>, Extension(guest): Extension<Guest>) -> Result<Json<Value>, Problem> {
    let desk = look(&door, &guest).await?;
    Ok(Json(json!({ "human_agents": desk.people().map(shown).collect::<Vec<_>>() })))
}

/// Shows somebody of the desk
#[utoipa::path(get, path = "/api/v1/human-agents/{person_id}", tag = "people", params(("person_id" = String, Path)),
    responses((status = 200, body = HumanAgent),
    (status = 404, body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn show(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let desk = look(&door, &guest).await?;
    desk.person(&PersonId::new(id.as_str())).map(|person| Json(shown(person))).ok_or_else(|| nobody(&id))
}

/// Somebody of the desk.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Put {
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
    request_body = Put, responses((status = 200, body = HumanAgent),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn put(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let Put { name, email, skills, roles, max_capacity, languages } = body::json(body, door.limits).await?;
    let person = PersonId::parse(&id).map_err(|invalid| Problem::parameter("person_id", invalid))?;
    let profile = Profile {
        id: person.clone(),
        name,
        email,
        skills: skills.into_iter().collect(),
        roles: roles.into_iter().collect(),
        max_capacity: max_capacity.unwrap_or(CAPACITY_DEFAULT),
        languages: languages.into_iter().collect(),
    };
    tell(&door, &guest, &fresh(), &Command::PutPerson(profile)).await?;
    show(State(door), Extension(guest), Path(id)).await
}

/// Takes somebody off the desk; what they have goes to others
#[utoipa::path(delete, path = "/api/v1/human-agents/{person_id}", tag = "people", params(("person_id" = String, Path)),
    responses((status = 204), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn remove(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    tell(&door, &guest, &fresh(), &Command::RemovePerson { person: id.into() }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether somebody is there.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct There {
    /// `online`, `away` or `offline`.
    #[schema(schema_with = document::presence)]
    status: String,
}

/// Says whether somebody is there
///
/// Somebody of role `human_agent` says so of themselves alone. Said again, it is a sign of life, as is whatever else they do:
/// who gives none for 5 minutes (`unheard_after_ms` of the desk's settings) is offline.
#[utoipa::path(put, path = "/api/v1/human-agents/{person_id}/presence", tag = "people",
    params(("person_id" = String, Path)), request_body = There, responses((status = 200, body = HumanAgent),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn presence(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let There { status } = body::json(body, door.limits).await?;
    let presence = Presence::parse(&status).ok_or_else(|| {
        let words = Presence::ALL.map(Presence::word).join(", ");
        let detail = format!("`status`: `{status}` is none of {words}");
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail)
    })?;
    if guest.by() != id {
        guest.must(Need::Operate)?;
    }
    let person = id.as_str().into();
    tell(&door, &guest, &fresh(), &Command::Presence { person, presence }).await?;
    show(State(door), Extension(guest), Path(id)).await
}

/// Which part of the line.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Behind this place, as the page before says.
    #[serde(default)]
    after: usize,
    /// 1 to 500; 50 unless told.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
}

/// Lists the conversations that wait for a person, first first, each with why it is nobody's yet
#[utoipa::path(get, path = "/api/v1/queue", tag = "people", params(Which), responses((status = 200, body = Queue),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn queue(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Query(which): Query<Which>,
) -> Result<Json<Value>, Problem> {
    let limit = limit(which.limit, PAGE_DEFAULT, PAGE_MAX)?;
    let desk = look(&door, &guest).await?;
    let line = desk.line(which.after, limit);
    let next = line.last().map(|last| last.place).filter(|place| *place < desk.waiting());
    let waiting: Vec<Value> = line.iter().map(waits).collect();
    Ok(Json(json!({ "waiting": waiting, "total": desk.waiting(), "next_after": next })))
}

/// Who is to have it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Transfer {
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
    request_body = Transfer,
    params(("conversation_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = Transferred),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn transfer(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    conversations::find(door.work()?, &guest, &id).await?;
    let (said, Transfer { number, person, skills }) = body::said(body, door.limits).await?;
    let to = match (person, skills) {
        (Some(person), None) => To::Person(person.into()),
        (None, Some(skills)) => To::Skills(skills.into_iter().collect()),
        (Some(_), Some(_)) | (None, None) => {
            let detail = "either `person` or `skills` says where it goes";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail));
        }
    };
    let mut once = Once::of(&door, &guest, &headers, Asked::new("transfer", &id, &said)).await?;
    let conversation = RunId::new(id.as_str());
    let desk = look(&door, &guest).await?;
    let owns = desk
        .case(&conversation)
        .is_some_and(|case| case.owner.as_ref().is_some_and(|owner| owner.as_str() == guest.by()));
    let is_repeated = once.as_ref().is_some_and(|once| once.before.is_some());
    if !owns && !is_repeated {
        guest.must(Need::Operate)?;
    }
    if let Some(once) = &mut once {
        once.note(&door, &guest, &conversation).await?;
    }
    let command_id = once.as_ref().map_or_else(fresh, Once::command);
    let command = Command::Transfer { conversation: conversation.clone(), number, to };
    if let Err(problem) = tell(&door, &guest, &command_id, &command).await {
        if let Some(once) = &once {
            once.note_refused(&door, &guest, &conversation, &problem).await?;
        }
        return Err(problem);
    }
    let desk = look(&door, &guest).await?;
    let case = desk.case(&conversation);
    let shown = json!({
        "conversation_id": conversation,
        "assigned_agent_id": case.and_then(|case| case.owner.clone()),
        "number": case.map(|case| case.number),
    });
    let mut response = Json(shown).into_response();
    if let Some(once) = &once {
        once.say(&mut response);
    }
    Ok(response)
}

/// What somebody of the desk did is a sign of life. What they did stands, whatever becomes of this.
pub(super) async fn hear(door: &Door, guest: &Guest) {
    let (Ok(work), Ok(person)) = (door.work(), PersonId::parse(guest.by())) else { return };
    if let Err(error) = door.desks.hear(&work.engine, &*work.read, guest.tenant(), person).await {
        tracing::debug!(%error, by = guest.by(), "a sign of life could not be written down");
    }
}

async fn look(door: &Door, guest: &Guest) -> Result<Arc<Desk>, Problem> {
    Ok(door.desks.look(&*door.work()?.read, guest.tenant()).await?)
}

async fn tell(door: &Door, guest: &Guest, command_id: &str, command: &Command) -> Result<(), Problem> {
    let before = look(door, guest).await?;
    match door.desks.tell(&door.work()?.engine, guest.tenant(), command_id, command, TAKE).await? {
        Told::Taken | Told::Again => Ok(()),
        Told::Refused { code, message } => Err(refused(code, message)),
        // Whoever moves it may say no where nobody here hears it.
        Told::Accepted => match Desk::clone(&before).decide(command.clone(), door.clock.now()) {
            Ok(_) => Ok(()),
            Err(refusal) => Err(refused(refusal.code(), refusal.to_string())),
        },
    }
}

fn refused(code: &'static str, message: String) -> Problem {
    let status = match code {
        "DESK-001" => StatusCode::UNPROCESSABLE_ENTITY,
        "DESK-004" | "DESK-006" => StatusCode::NOT_FOUND,
        _ => StatusCode::CONFLICT,
    };
    Problem::new(status, code, message)
}

fn fresh() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn nobody(id: &str) -> Problem {
    let problem = Problem::new(StatusCode::NOT_FOUND, "DESK-004", format!("the desk has nobody of the id `{id}`"));
    problem.hint("GET /api/v1/human-agents lists who is on it")
}

/// Somebody, by the seed's names.
fn shown(person: &Person) -> Value {
    let Profile { id, name, email, skills, roles, max_capacity, languages } = &person.profile;
    json!({
        "id": id, "name": name, "email": email, "status": person.presence, "skills": skills, "roles": roles, "languages": languages,
        "current_load": person.load(), "max_capacity": max_capacity, "conversations": person.has,
        "last_active": person.heard_at.to_string(), "created_at": person.created_at.to_string(),
    })
}

fn waits(waiting: &Waiting<'_>) -> Value {
    let Case { conversation, number, wants, priority, waiting_since, respond_by, resolve_by, .. } = waiting.case;
    json!({
        "conversation_id": conversation, "number": number, "place": waiting.place, "skills": wants.skills,
        "language": wants.language, "priority": priority, "waiting_since": waiting_since.to_string(),
        "first_response_by": respond_by.map(|at| at.to_string()), "resolve_by": resolve_by.to_string(),
        "waits_for": waiting.waits_for.word(),
    })
}
