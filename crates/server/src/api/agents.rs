//! Agents: the list, how each has performed, and running a single one.

use std::collections::BTreeMap;

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{HeaderValue, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use baton_core::agent::{AgentDefinition, CostTier, ENDPOINT_SECRET};
use baton_core::bundle::ContentHash;
use baton_core::definition::{self, DefinitionCatalog, SINGLE_AGENT_PREFIX};
use baton_core::id::ID_BYTES_MAX;
use baton_engine::EngineError;
use baton_engine::agent_registry::{AgentFilter, AgentListing};
use baton_expr::nearest;
use baton_ports::registry::WorkflowVersion;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use super::etag;
use super::execute::empty_object;
use super::extractors::{PathParams, QueryParams};
use super::idempotency::RequestFingerprint;
use super::openapi;
use super::principal::Principal;
use super::schemas::{AgentListSchema, AgentSchema, ExecutionSchema, ProblemSchema};
use super::start_run::{RunInput, RunTarget, StartRunCommand, start_run};
use super::tenant_catalog;
use crate::body;
use crate::code;
use crate::problem::HttpProblem;
use crate::state::{AppState, RunServices};

/// The id of the only node of a single-agent workflow.
const NODE: &str = "agent";

/// Which agents.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct AgentListQuery {
    /// `structured_output`, `tool_calling`, `code`, `vision`, `streaming`, or a word of your own.
    capability: Option<String>,
    /// `low`, `medium` or `high`: no dearer than this.
    #[param(schema_with = openapi::cost_tier)]
    cost_tier: Option<CostTier>,
    /// Only those that are well.
    #[serde(default)]
    healthy: bool,
}

/// Lists agents, the cheapest first
#[utoipa::path(get, path = "/api/v1/agents", tag = "agents", params(AgentListQuery), responses(
    (status = 200, body = AgentListSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    QueryParams(AgentListQuery { capability, cost_tier, healthy }): QueryParams<AgentListQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let services = state.run_services()?;
    let agents = tenant_catalog::agents(services, principal.tenant()).await?;
    let health = services.agent_registry.health(principal.tenant()).await?;
    let cards = AgentListing::all(&agents, &health, &AgentFilter { capability, cost_tier, healthy }, state.clock.now());
    Ok(Json(json!({ "agents": cards })))
}

/// Shows an agent: how it has done, and what defines it
#[utoipa::path(get, path = "/api/v1/agents/{agent_id}", tag = "agents",
    params(("agent_id" = String, Path)),
    responses((status = 200, body = AgentSchema), (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn show(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
) -> Result<Response, HttpProblem> {
    let services = state.run_services()?;
    let agent = find(services, &principal, &name).await?;
    let written = if is_from_files(services, &principal, &name) {
        None
    } else {
        services.agent_registry.registration(principal.tenant(), &name).await?.map(|(_, written)| written)
    };
    agent_response(&state, &principal, &agent, written, StatusCode::OK).await
}

async fn agent_response(
    state: &AppState,
    principal: &Principal,
    agent: &AgentDefinition,
    written: Option<u64>,
    status: StatusCode,
) -> Result<Response, HttpProblem> {
    let health = state.run_services()?.agent_registry.health(principal.tenant()).await?;
    let one = BTreeMap::from([(agent.name.clone(), agent.clone())]);
    let card = AgentListing::all(&one, &health, &AgentFilter::default(), state.clock.now()).pop();
    let mut shown = json!(card);
    shown["definition"] = json!(agent);
    shown["is_registered"] = written.is_some().into();
    let mut response = (status, Json(shown)).into_response();
    if let Some(written) = written {
        etag::set_etag(&mut response, written);
    }
    Ok(response)
}

async fn find(services: &RunServices, principal: &Principal, name: &str) -> Result<AgentDefinition, HttpProblem> {
    let agents = tenant_catalog::agents(services, principal.tenant()).await?;
    agents.get(name).cloned().ok_or_else(|| agent_not_found(name, &agents))
}

fn agent_not_found(name: &str, agents: &BTreeMap<String, AgentDefinition>) -> HttpProblem {
    let problem = HttpProblem::new(StatusCode::NOT_FOUND, code::AGENT_NOT_FOUND, format!("no agent `{name}`"));
    match nearest(name, agents.keys().map(String::as_str)) {
        Some(near) => problem.with_hint(format!("did you mean `{near}`?")),
        None => problem.with_hint("GET /api/v1/agents lists those there are"),
    }
}

fn is_from_files(services: &RunServices, principal: &Principal, name: &str) -> bool {
    let files = services.files.borrow();
    files.tenant.as_ref() == Some(principal.tenant()) && files.own_agents.contains(name)
}

/// Checks that the agent may be registered.
fn check_agent(services: &RunServices, principal: &Principal, agent: &AgentDefinition) -> Result<(), HttpProblem> {
    let name = &agent.name;
    if is_from_files(services, principal, name) {
        let detail =
            format!("`{name}` is an agent of the project's own files, which stands before any other of its name");
        let problem = HttpProblem::new(StatusCode::CONFLICT, code::NAME_TAKEN, detail);
        return Err(problem.with_hint("give it another name, or change the file in agents/"));
    }
    if agent.metadata.contains_key(ENDPOINT_SECRET) {
        let message = format!("`{name}` names a secret, and only agents of the project's own files may");
        let hint = format!("leave `metadata.{ENDPOINT_SECRET}` out, or put the agent into agents/");
        return Err(HttpProblem::from(EngineError::BadAgent { message }).with_hint(hint));
    }
    baton_engine::check_agent(agent).map_err(|message| EngineError::BadAgent { message }.into())
}

/// Makes an agent known
///
/// As a file in `agents/` defines one. The same one sent again is answered as it stands.
#[utoipa::path(post, path = "/api/v1/agents", tag = "agents", request_body = Object, responses(
    (status = 201, body = AgentSchema), (status = 200, body = AgentSchema, description = "this very agent is known already"),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn create(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    body: Body,
) -> Result<Response, HttpProblem> {
    let agent: AgentDefinition = body::json(body, state.limits).await?;
    let services = state.run_services()?;
    check_agent(services, &principal, &agent)?;
    if let Some(written) =
        services.agent_registry.register_if_version(principal.tenant(), &agent, Some(0), state.clock.now()).await?
    {
        let mut response = agent_response(&state, &principal, &agent, Some(written), StatusCode::CREATED).await?;
        let address = format!("/api/v1/agents/{}", super::workflows::edit::in_path(&agent.name));
        if let Ok(address) = HeaderValue::try_from(address) {
            response.headers_mut().insert(LOCATION, address);
        }
        return Ok(response);
    }
    match services.agent_registry.registration(principal.tenant(), &agent.name).await? {
        Some((same, written)) if same == agent => {
            agent_response(&state, &principal, &agent, Some(written), StatusCode::OK).await
        }
        _ => {
            let detail = format!("there is an agent `{}`, and it is another", agent.name);
            let hint = format!("PUT /api/v1/agents/{} changes it", super::workflows::edit::in_path(&agent.name));
            Err(HttpProblem::new(StatusCode::CONFLICT, code::NAME_TAKEN, detail).with_hint(hint))
        }
    }
}

/// Changes an agent, or makes it known
///
/// With `If-Match`, only where it stands as it was read. Versions that name it keep the one they pinned.
#[utoipa::path(put, path = "/api/v1/agents/{agent_id}", tag = "agents",
    params(("agent_id" = String, Path),
        ("If-Match" = Option<String>, Header, description = "the `ETag` that was read")),
    request_body = Object, responses((status = 200, body = AgentSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn replace(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let expected = etag::if_match(&headers)?;
    let mut said: Map<String, Value> = body::json(body, state.limits).await?;
    if said.entry("name").or_insert_with(|| name.as_str().into()) != name.as_str() {
        let detail = format!("the agent is called otherwise than the address says, `{name}`");
        let problem = HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, code::AGENT_INVALID, detail);
        return Err(problem.with_hint("an agent keeps its name; POST /api/v1/agents makes another"));
    }
    let agent: AgentDefinition =
        serde_json::from_value(said.into()).map_err(|error| HttpProblem::invalid_json(&error))?;
    let services = state.run_services()?;
    check_agent(services, &principal, &agent)?;
    match services.agent_registry.register_if_version(principal.tenant(), &agent, expected, state.clock.now()).await? {
        Some(written) => agent_response(&state, &principal, &agent, Some(written), StatusCode::OK).await,
        None => Err(etag::precondition_failed(&format!("`{name}`"))),
    }
}

/// Forgets an agent that was made known
///
/// Versions that name it keep it. Agents of files, and those that are shipped, stay.
#[utoipa::path(delete, path = "/api/v1/agents/{agent_id}", tag = "agents",
    params(("agent_id" = String, Path),
        ("If-Match" = Option<String>, Header, description = "the `ETag` that was read")),
    responses((status = 204), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn remove(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
    headers: HeaderMap,
) -> Result<StatusCode, HttpProblem> {
    let services = state.run_services()?;
    let (tenant, now) = (principal.tenant(), state.clock.now());
    if services.agent_registry.registration(tenant, &name).await?.is_none() {
        // An agent of a file or of this binary exists, but cannot be removed here.
        find(services, &principal, &name).await?;
        let detail = format!("`{name}` was not made known here: it comes from a file, or is shipped");
        let problem = HttpProblem::new(StatusCode::CONFLICT, code::NAME_TAKEN, detail);
        return Err(problem.with_hint("an agent of a file is removed with the file"));
    }
    match etag::if_match(&headers)? {
        Some(expected) if !services.agent_registry.remove_if_version(tenant, &name, expected, now).await? => {
            return Err(etag::precondition_failed(&format!("`{name}`")));
        }
        Some(_) => {}
        None => {
            services.agent_registry.remove(tenant, &name, now).await?;
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Work for one agent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AgentTask)]
pub(super) struct ExecuteAgentRequest {
    /// What it is asked; its own prompt unless told.
    task: Option<String>,
    /// What its prompt reads.
    #[serde(default = "empty_object")]
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
#[utoipa::path(post, path = "/api/v1/agents/{agent_id}/execute", tag = "agents", request_body = ExecuteAgentRequest,
    params(("agent_id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "at most 255 characters; one run a key"),
        ("Prefer" = Option<String>, Header, description = "`wait=SECONDS` or `respond-async`")),
    responses((status = 200, body = ExecutionSchema, description = "it has ended"),
        (status = 202, body = ExecutionSchema, description = "it goes on, or waits for somebody"),
        (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn execute(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let ExecuteAgentRequest { task, mut input_data, context } = body::json(body, state.limits).await?;
    let has_task = task.is_some();
    if let Some(task) = task {
        let Some(fields) = input_data.as_object_mut() else {
            let detail = "`input_data` is an object of what the agent's prompt reads";
            return Err(HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail));
        };
        fields.insert(TASK.to_owned(), task.into());
    }
    let mut said = json!({ "input": input_data, "context": context, "task": has_task });
    // The caller's own model key is removed from everything that is stored, even from what is hashed.
    baton_engine::take_key(&mut said["context"]);
    let given = RunInput { input: input_data, context: context.into() };
    let wanted = StartRunCommand::New(RunTarget::Agent { name: name.clone(), has_task }, given);
    start_run(&state, &principal, &headers, RequestFingerprint::new("execute agent", &name, &said), wanted).await
}

/// The field of the input that carries the task in such a run.
const TASK: &str = "task";

/// Returns the workflow that runs this agent alone. If the agent is unchanged, the workflow keeps its revision.
pub(super) async fn single_agent_workflow(
    state: &AppState,
    services: &RunServices,
    principal: &Principal,
    name: &str,
    has_task: bool,
) -> Result<WorkflowVersion, HttpProblem> {
    let agent = find(services, principal, name).await?;
    let mut node = json!({ "id": NODE, "agent": name });
    if has_task {
        node[TASK] = format!("{{{{ input.{TASK} }}}}").into();
    }
    let definition = json!({ "name": single_agent_name(name, has_task), "nodes": [node] });
    let tools = tenant_catalog::tools(state, principal.tenant())?;
    let catalog =
        DefinitionCatalog { agents: BTreeMap::from([(name.to_owned(), agent)]), tools, workflows: BTreeMap::new() };
    let checked = definition::check_single_call(&definition, &catalog);
    let Some((workflow, bundle)) = checked.runnable() else {
        let first = checked.diagnostics.first().map(|found| found.message.clone()).unwrap_or_default();
        return Err(EngineError::BadAgent { message: format!("agent `{name}` cannot work alone: {first}") }.into());
    };
    let (text, hash) = bundle.seal().map_err(|error| HttpProblem::internal("a bundle could not be written", &error))?;
    let (tenant, now) = (principal.tenant(), state.clock.now());
    Ok(services.registry.save(tenant, &workflow.name, &workflow.version, text.into(), &hash, now).await?)
}

/// An agent's name may be as long as a workflow's. A name that would become too long is replaced by its hash.
fn single_agent_name(name: &str, has_task: bool) -> String {
    let told = format!("{SINGLE_AGENT_PREFIX}{}.{name}", if has_task { TASK } else { "alone" });
    if told.len() <= ID_BYTES_MAX {
        told
    } else {
        format!("{SINGLE_AGENT_PREFIX}{}", ContentHash::of(told.as_bytes()).as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workflow_of_an_agent_alone_has_a_name_of_its_own_however_long_the_agents_is() {
        let long = "x".repeat(ID_BYTES_MAX);
        let names = [
            single_agent_name("a", false),
            single_agent_name("a", true),
            single_agent_name(&long, false),
            single_agent_name(&long, true),
        ];
        assert!(names.iter().all(|name| name.len() <= ID_BYTES_MAX && definition::is_single_call_name(name)));
        assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), names.len());
    }
}
