//! Forks: a new run that starts from a prefix of another run's history.

use std::collections::BTreeMap;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use baton_core::id::RunId;
use baton_core::run::{NodeAddress, RunForked, entries_before};
use baton_engine::{FollowedRun, RunFork};
use baton_expr::nearest;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{LoadedExecution, load_run};
use crate::api::extractors::PathParams;
use crate::api::idempotency::RequestFingerprint;
use crate::api::principal::Principal;
use crate::api::schemas::{ExecutionSchema, ProblemSchema};
use crate::api::start_run::{StartRunCommand, start_run};
use crate::body;
use crate::code;
use crate::problem::HttpProblem;
use crate::state::{AppState, RunServices};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Fork)]
pub(in crate::api) struct ForkExecutionRequest {
    /// The node it begins at, as the execution's `nodes` name it: what was recorded before stands, the rest is done anew.
    #[schema(min_length = 1)]
    node_id: String,
    /// Variables that are otherwise in the new run.
    #[serde(default)]
    #[schema(value_type = Object)]
    variables: Map<String, Value>,
    /// The new run undoes what it inherited; the original does unless told.
    #[serde(default)]
    owns_undo: bool,
}

/// A request to fork a run.
pub(in crate::api) struct ForkCommand {
    of: String,
    fork: ForkExecutionRequest,
}

/// Begins a new run where this one's past is cut
///
/// What was recorded before the node began is inherited and not done again. The original stays as it is. What is answered is
/// the new run.
#[utoipa::path(post, path = "/api/v1/executions/{execution_id}/fork", tag = "executions",
    params(("execution_id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "at most 255 characters; one run a key")),
    request_body = ForkExecutionRequest, responses(
    (status = 200, body = ExecutionSchema), (status = 202, body = ExecutionSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(in crate::api) async fn fork(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let (said, fork) = body::json_with_raw(body, state.limits).await?;
    let wanted = StartRunCommand::Forked(ForkCommand { of: id.clone(), fork });
    start_run(&state, &principal, &headers, RequestFingerprint::new("fork", &id, &said), wanted).await
}

impl ForkCommand {
    /// Builds the engine's input.
    pub async fn prepare(
        self,
        services: &RunServices,
        principal: &Principal,
        run: RunId,
    ) -> Result<RunFork, HttpProblem> {
        let Self { of, fork: ForkExecutionRequest { node_id, variables, owns_undo } } = self;
        let (head, FollowedRun { run: origin, entries }) = load_run(services, principal, &of).await?;
        let record = LoadedExecution { head, run: origin };
        let past = entries_before(&entries, &NodeAddress::parse(&node_id));
        let past = past.ok_or_else(|| never_reached(&record, &node_id))?;
        check_variables(&record, &variables)?;
        let variables = BTreeMap::from_iter(variables);
        let (from, by) = (record.head.run, principal.actor_name().to_owned());
        let forked = RunForked { run, from, by, variables, owns_undo };
        Ok(RunFork { tenant: principal.tenant().clone(), workflow: record.head.workflow, past, forked })
    }
}

/// Refuses a variable that does not exist, because its name is probably misspelt.
fn check_variables(record: &LoadedExecution, variables: &Map<String, Value>) -> Result<(), HttpProblem> {
    let names = record.run.variable_names();
    let Some(unknown) = variables.keys().find(|name| !names.contains(*name)) else { return Ok(()) };
    let detail = format!("`variables`: `{}` has no variable `{unknown}`", record.head.run);
    let problem =
        HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail).with_run(&record.head.run);
    Err(match nearest(unknown, names.iter().map(String::as_str)) {
        Some(near) => problem.with_hint(format!("did you mean `{near}`?")),
        None => problem.with_hint(format!("it has {}", Vec::from_iter(names).join(", "))),
    })
}

fn never_reached(record: &LoadedExecution, node: &str) -> HttpProblem {
    let nodes: Vec<String> = record.run.nodes().iter().map(|row| row.node.to_string()).collect();
    let detail = format!("`node_id`: `{node}` was never begun in `{}`", record.head.run);
    let problem =
        HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail).with_run(&record.head.run);
    match nearest(node, nodes.iter().map(String::as_str)).filter(|near| *near != node) {
        Some(near) => problem.with_hint(format!("did you mean `{near}`?")),
        None => problem.with_hint("fork at a node that ran; the execution's `nodes` say which did"),
    }
}
