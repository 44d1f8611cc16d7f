//! Agents: who there is, how each has done, and one at work alone.

use std::collections::BTreeMap;

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{HeaderValue, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use baton_core::agent::{Agent, CostTier, ENDPOINT_SECRET};
use baton_core::bundle::Hash;
use baton_core::definition::{self, Catalog, SINGLE_AGENT};
use baton_core::expr::nearest;
use baton_core::id::ID_BYTES_MAX;
use baton_engine::Error;
use baton_engine::roster::{Card, Wanted as Which};
use baton_ports::registry::Version;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use super::begin::{Begin, Given, Wanted, begin};
use super::document;
use super::etag;
use super::execute::nothing;
use super::guest::Guest;
use super::known;
use super::once::Asked;
use super::query::{Path, Query};
use super::shapes::{Agent as Shown, Agents, Execution, Problem as Refusal};
use crate::body;
use crate::code;
use crate::door::{Door, Work};
use crate::problem::Problem;

/// Its node that works.
const NODE: &str = "agent";

/// Which agents.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Asking {
    /// `structured_output`, `tool_calling`, `code`, `vision`, `streaming`, or a word of your own.
    capability: Option<String>,
    /// `low`, `medium` or `high`: no dearer than this.
    #[param(schema_with = document::cost_tier)]
    cost_tier: Option<CostTier>,
    /// Only those that are well.
    #[serde(default)]
    healthy: bool,
}

/// Lists agents, the cheapest first
#[utoipa::path(get, path = "/api/v1/agents", tag = "agents", params(Asking), responses(
    (status = 200, body = Agents), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Query(Asking { capability, cost_tier, healthy }): Query<Asking>,
) -> Result<Json<Value>, Problem> {
    let work = door.work()?;
    let agents = known::agents(work, guest.tenant()).await?;
    let health = work.roster.health(guest.tenant()).await?;
    let cards = Card::all(&agents, &health, &Which { capability, cost_tier, healthy }, door.clock.now());
    Ok(Json(json!({ "agents": cards })))
}

/// Shows an agent: how it has done, and what defines it
#[utoipa::path(get, path = "/api/v1/agents/{agent_id}", tag = "agents",
    params(("agent_id" = String, Path)),
    responses((status = 200, body = Shown), (status = 404, body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn show(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let work = door.work()?;
    let agent = find(work, &guest, &name).await?;
    let written = if is_of_files(work, &guest, &name) {
        None
    } else {
        work.roster.registration(guest.tenant(), &name).await?.map(|(_, written)| written)
    };
    answered(&door, &guest, &agent, written, StatusCode::OK).await
}

async fn answered(
    door: &Door,
    guest: &Guest,
    agent: &Agent,
    written: Option<u64>,
    status: StatusCode,
) -> Result<Response, Problem> {
    let health = door.work()?.roster.health(guest.tenant()).await?;
    let one = BTreeMap::from([(agent.name.clone(), agent.clone())]);
    let card = Card::all(&one, &health, &Which::default(), door.clock.now()).pop();
    let mut shown = json!(card);
    shown["definition"] = json!(agent);
    shown["is_registered"] = written.is_some().into();
    let mut response = (status, Json(shown)).into_response();
    if let Some(written) = written {
        etag::say(&mut response, written);
    }
    Ok(response)
}

async fn find(work: &Work, guest: &Guest, name: &str) -> Result<Agent, Problem> {
    let agents = known::agents(work, guest.tenant()).await?;
    agents.get(name).cloned().ok_or_else(|| no_agent(name, &agents))
}

fn no_agent(name: &str, agents: &BTreeMap<String, Agent>) -> Problem {
    let problem = Problem::new(StatusCode::NOT_FOUND, code::AGENT_NOT_FOUND, format!("no agent `{name}`"));
    match nearest(name, agents.keys().map(String::as_str)) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint("GET /api/v1/agents lists those there are"),
    }
}

fn is_of_files(work: &Work, guest: &Guest, name: &str) -> bool {
    let files = work.files.borrow();
    files.tenant.as_ref() == Some(guest.tenant()) && files.own_agents.contains(name)
}

/// What may be registered, or why not.
fn checked(work: &Work, guest: &Guest, agent: &Agent) -> Result<(), Problem> {
    let name = &agent.name;
    if is_of_files(work, guest, name) {
        let detail =
            format!("`{name}` is an agent of the project's own files, which stands before any other of its name");
        let problem = Problem::new(StatusCode::CONFLICT, code::NAME_TAKEN, detail);
        return Err(problem.hint("give it another name, or change the file in agents/"));
    }
    if agent.metadata.contains_key(ENDPOINT_SECRET) {
        let message = format!("`{name}` names a secret, and only agents of the project's own files may");
        let hint = format!("leave `metadata.{ENDPOINT_SECRET}` out, or put the agent into agents/");
        return Err(Problem::from(Error::BadAgent { message }).hint(hint));
    }
    baton_engine::check_agent(agent).map_err(|message| Error::BadAgent { message }.into())
}

/// Makes an agent known
///
/// As a file in `agents/` defines one. The same one sent again is answered as it stands.
#[utoipa::path(post, path = "/api/v1/agents", tag = "agents", request_body = Object, responses(
    (status = 201, body = Shown), (status = 200, body = Shown, description = "this very agent is known already"),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn create(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    body: Body,
) -> Result<Response, Problem> {
    let agent: Agent = body::json(body, door.limits).await?;
    let work = door.work()?;
    checked(work, &guest, &agent)?;
    if let Some(written) = work.roster.register_over(guest.tenant(), &agent, Some(0), door.clock.now()).await? {
        let mut response = answered(&door, &guest, &agent, Some(written), StatusCode::CREATED).await?;
        let address = format!("/api/v1/agents/{}", super::workflows::edit::in_path(&agent.name));
        if let Ok(address) = HeaderValue::try_from(address) {
            response.headers_mut().insert(LOCATION, address);
        }
        return Ok(response);
    }
    match work.roster.registration(guest.tenant(), &agent.name).await? {
        Some((same, written)) if same == agent => answered(&door, &guest, &agent, Some(written), StatusCode::OK).await,
        _ => {
            let detail = format!("there is an agent `{}`, and it is another", agent.name);
            let hint = format!("PUT /api/v1/agents/{} changes it", super::workflows::edit::in_path(&agent.name));
            Err(Problem::new(StatusCode::CONFLICT, code::NAME_TAKEN, detail).hint(hint))
        }
    }
}

/// Changes an agent, or makes it known
///
/// With `If-Match`, only where it stands as it was read. Versions that name it keep the one they pinned.
#[utoipa::path(put, path = "/api/v1/agents/{agent_id}", tag = "agents",
    params(("agent_id" = String, Path),
        ("If-Match" = Option<String>, Header, description = "the `ETag` that was read")),
    request_body = Object, responses((status = 200, body = Shown),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn replace(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let expected = etag::expected(&headers)?;
    let mut said: Map<String, Value> = body::json(body, door.limits).await?;
    if said.entry("name").or_insert_with(|| name.as_str().into()) != name.as_str() {
        let detail = format!("the agent is called otherwise than the address says, `{name}`");
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code::AGENT_INVALID, detail);
        return Err(problem.hint("an agent keeps its name; POST /api/v1/agents makes another"));
    }
    let agent: Agent = serde_json::from_value(said.into()).map_err(|error| Problem::unfit(&error))?;
    let work = door.work()?;
    checked(work, &guest, &agent)?;
    match work.roster.register_over(guest.tenant(), &agent, expected, door.clock.now()).await? {
        Some(written) => answered(&door, &guest, &agent, Some(written), StatusCode::OK).await,
        None => Err(etag::stale(&format!("`{name}`"))),
    }
}

/// Forgets an agent that was made known
///
/// Versions that name it keep it. Agents of files, and those that are shipped, stay.
#[utoipa::path(delete, path = "/api/v1/agents/{agent_id}", tag = "agents",
    params(("agent_id" = String, Path),
        ("If-Match" = Option<String>, Header, description = "the `ETag` that was read")),
    responses((status = 204), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn remove(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let work = door.work()?;
    let (tenant, now) = (guest.tenant(), door.clock.now());
    if work.roster.registration(tenant, &name).await?.is_none() {
        // One of a file or of this binary is there, and is nobody's to remove here.
        find(work, &guest, &name).await?;
        let detail = format!("`{name}` was not made known here: it comes from a file, or is shipped");
        let problem = Problem::new(StatusCode::CONFLICT, code::NAME_TAKEN, detail);
        return Err(problem.hint("an agent of a file is removed with the file"));
    }
    match etag::expected(&headers)? {
        Some(expected) if !work.roster.remove_over(tenant, &name, expected, now).await? => {
            return Err(etag::stale(&format!("`{name}`")));
        }
        Some(_) => {}
        None => {
            work.roster.remove(tenant, &name, now).await?;
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Work for one agent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AgentTask)]
pub(super) struct Execute {
    /// What it is asked; its own prompt unless told.
    task: Option<String>,
    /// What its prompt reads.
    #[serde(default = "nothing")]
    #[schema(value_type = Object)]
    input_data: Value,
    /// As of a workflow that is executed.
    #[serde(default)]
    #[schema(value_type = Object)]
    context: Map<String, Value>,
}

/// Lets one agent work
///
/// As a run of one node, `agent`: it is recorded, priced and looked at like any other.
#[utoipa::path(post, path = "/api/v1/agents/{agent_id}/execute", tag = "agents", request_body = Execute,
    params(("agent_id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "at most 255 characters; one run a key"),
        ("Prefer" = Option<String>, Header, description = "`wait=SECONDS` or `respond-async`")),
    responses((status = 200, body = Execution, description = "it has ended"),
        (status = 202, body = Execution, description = "it goes on, or waits for somebody"),
        (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn execute(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Execute { task, mut input_data, context } = body::json(body, door.limits).await?;
    let has_task = task.is_some();
    if let Some(task) = task {
        let Some(fields) = input_data.as_object_mut() else {
            let detail = "`input_data` is an object of what the agent's prompt reads";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail));
        };
        fields.insert(TASK.to_owned(), task.into());
    }
    let mut said = json!({ "input": input_data, "context": context, "task": has_task });
    // A key of the caller's is in nothing that is written, not even hashed.
    baton_engine::take_key(&mut said["context"]);
    let given = Given { input: input_data, context: context.into() };
    let wanted = Begin::New(Wanted::Agent { name: name.clone(), has_task }, given);
    begin(&door, &guest, &headers, Asked::new("execute agent", &name, &said), wanted).await
}

/// Where in the input of such a run the task stands.
const TASK: &str = "task";

/// The workflow of this agent alone; unchanged, it keeps its revision.
pub(super) async fn alone(
    door: &Door,
    work: &Work,
    guest: &Guest,
    name: &str,
    has_task: bool,
) -> Result<Version, Problem> {
    let agent = find(work, guest, name).await?;
    let mut node = json!({ "id": NODE, "agent": name });
    if has_task {
        node[TASK] = format!("{{{{ input.{TASK} }}}}").into();
    }
    let definition = json!({ "name": called(name, has_task), "nodes": [node] });
    let tools = known::tools(door, guest.tenant())?;
    let catalog = Catalog { agents: BTreeMap::from([(name.to_owned(), agent)]), tools, workflows: BTreeMap::new() };
    let checked = definition::check_single_call(&definition, &catalog);
    let Some((workflow, bundle)) = checked.ready() else {
        let first = checked.diagnostics.first().map(|found| found.message.clone()).unwrap_or_default();
        return Err(Error::BadAgent { message: format!("agent `{name}` cannot work alone: {first}") }.into());
    };
    let (text, hash) = bundle.seal().map_err(|error| Problem::broken("a bundle could not be written", &error))?;
    let (tenant, now) = (guest.tenant(), door.clock.now());
    Ok(work.registry.save(tenant, &workflow.name, &workflow.version, text.into(), &hash, now).await?)
}

/// An agent's name may be as long as a workflow's: then its hash stands for it.
fn called(name: &str, has_task: bool) -> String {
    let told = format!("{SINGLE_AGENT}{}.{name}", if has_task { TASK } else { "alone" });
    if told.len() <= ID_BYTES_MAX { told } else { format!("{SINGLE_AGENT}{}", Hash::of(told.as_bytes()).as_str()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workflow_of_an_agent_alone_has_a_name_of_its_own_however_long_the_agents_is() {
        let long = "x".repeat(ID_BYTES_MAX);
        let names = [called("a", false), called("a", true), called(&long, false), called(&long, true)];
        assert!(names.iter().all(|name| name.len() <= ID_BYTES_MAX && definition::is_single(name)));
        assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), names.len());
    }
}
