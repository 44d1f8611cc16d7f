//! Reads runs.

pub(super) mod commands;
pub(super) mod fork;
pub(super) mod live;
pub(super) mod response;

use std::collections::BTreeMap;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use baton_core::bundle::ContentHash;
use baton_core::graph::{GraphDrawing, Workflow};
use baton_core::id::RunId;
use baton_core::money::Usd;
use baton_core::run::{self as runs, OpenWait, Run, StepRow};
use baton_core::time::Time;
use baton_engine::{FollowedRun, snapshot_reader};
use baton_ports::decisions;
use baton_ports::journal::TaskItem;
use baton_ports::read::{PAGE_DEFAULT, PAGE_MAX, RunFilter, RunHead, RunPage};
use baton_ports::registry;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::cursor::{PagedList, invalid_cursor};
use super::extractors::{NoQueryParams, PathParams, QueryParams, limit};
use super::openapi;
use super::principal::Principal;
use super::schemas::{
    ExecutionCostSchema, ExecutionListSchema, ExecutionSchema, ExecutionSummary, ExecutionTimeline, GraphSchema,
    JournalSchema, ProblemSchema,
};
use crate::problem::HttpProblem;
use crate::state::{AppState, RunServices};

/// Maximum length of a search text for executions, in characters.
const TEXT_CHARS_MAX: usize = 200;
/// Maximum number of bundles that a label may select.
const BUNDLES_MAX: usize = 100;

/// Which runs.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ExecutionListQuery {
    /// As `state` says it, such as `waiting` or `timed_out`; several with commas between.
    #[param(schema_with = openapi::execution_states)]
    state: Option<String>,
    workflow_id: Option<String>,
    /// A version of that workflow: its revision, its label or its bundle.
    version: Option<String>,
    /// The customer it was begun for: the `user_id` of its context.
    customer_id: Option<String>,
    /// The code of the error it ended with, such as `TIMEOUT`.
    error_code: Option<String>,
    /// Created from this day on, or at this instant or later.
    #[param(schema_with = openapi::moment)]
    from: Option<String>,
    /// Created up to this day, or before this instant.
    #[param(schema_with = openapi::moment)]
    to: Option<String>,
    /// Words that are in its id, its workflow's name or its error, whatever the case of their letters; at most 200
    /// characters.
    #[param(max_length = 200)]
    text: Option<String>,
    /// 1 to 500; 50 unless told.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// As the page before says.
    cursor: Option<String>,
}

/// Lists executions, newest first
///
/// What is asked for holds together: all of it, or it is not shown. A page looks at a bounded number of executions, so it may
/// have fewer than `limit`, or none, and still a `next_cursor`: go on until there is none. Of executions that were begun before
/// Baton could be asked for a customer's, the customer is not known.
#[utoipa::path(get, path = "/api/v1/executions", tag = "executions", params(ExecutionListQuery), responses(
    (status = 200, body = ExecutionListSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(app_state): State<AppState>,
    Extension(principal): Extension<Principal>,
    QueryParams(which): QueryParams<ExecutionListQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let services = app_state.run_services()?;
    let limit = limit(which.limit, PAGE_DEFAULT, PAGE_MAX)?;
    let states = which.state.as_deref().map_or(Ok(Vec::new()), |words| words.split(',').map(state).collect())?;
    let before = PagedList::Executions.decode(principal.tenant(), which.cursor.as_deref())?.map(RunId::from);
    if let Some(before) = &before
        && services.read.run(principal.tenant(), before).await?.is_none()
    {
        return Err(invalid_cursor("the execution that it leads to is not there any more"));
    }
    if which.text.as_deref().is_some_and(|text| text.chars().count() > TEXT_CHARS_MAX) {
        return Err(HttpProblem::invalid_parameter("text", format!("it may have {TEXT_CHARS_MAX} characters")));
    }
    let at = |name: &'static str, text: Option<String>, read: fn(&str) -> Result<Time, String>| {
        text.map(|text| read(&text).map_err(|why| HttpProblem::invalid_parameter(name, why))).transpose()
    };
    let bundles = match &which.version {
        Some(version) => Some(bundles(services, &principal, which.workflow_id.as_deref(), version).await?),
        None => None,
    };
    let filter = RunFilter {
        states,
        workflow: which.workflow_id,
        bundles,
        customer: which.customer_id,
        error_code: which.error_code,
        from: at("from", which.from, Time::parse_day_start)?,
        until: at("to", which.to, Time::parse_day_end)?,
        text: which.text,
        before,
        limit,
    };
    let RunPage { heads, next } = services.read.run_page(principal.tenant(), filter).await?;
    let next = next.map(|run| PagedList::Executions.encode(principal.tenant(), run.as_str()));
    let executions: Vec<Value> = heads.iter().map(RunHead::as_json).collect();
    Ok(Json(json!({ "executions": executions, "next_cursor": next })))
}

/// The bundles that a version of a workflow pins: one by its revision or its hash, possibly several by a label.
async fn bundles(
    services: &RunServices,
    principal: &Principal,
    workflow: Option<&str>,
    version: &str,
) -> Result<Vec<ContentHash>, HttpProblem> {
    let Some(workflow) = workflow else {
        return Err(HttpProblem::invalid_parameter("version", "say of which workflow, with `workflow_id`"));
    };
    let all = services.registry.versions(principal.tenant(), workflow).await?;
    let revision = version.parse::<u32>().ok();
    let is_it = |it: &registry::WorkflowVersion| {
        Some(it.revision) == revision || it.label == version || it.bundle.as_str() == version
    };
    let mut found: Vec<ContentHash> = all.into_iter().filter(is_it).map(|it| it.bundle).collect();
    found.sort_unstable();
    found.dedup();
    found.truncate(BUNDLES_MAX);
    Ok(found)
}

fn state(word: &str) -> Result<runs::RunState, HttpProblem> {
    runs::RunState::parse(word).ok_or_else(|| {
        let words: Vec<&str> = runs::RunState::ALL.into_iter().map(runs::RunState::word).collect();
        HttpProblem::invalid_parameter("state", format!("`{word}` is none of {}", words.join(", ")))
    })
}

/// A run's current state, and its head as it appears in lists.
struct LoadedExecution {
    head: RunHead,
    run: Run,
}

impl LoadedExecution {
    async fn read(services: &RunServices, principal: &Principal, id: &str) -> Result<Self, HttpProblem> {
        let head = find_head(services, principal, id).await?;
        let run =
            snapshot_reader::read_run(&*services.read, services.engine.workflows(), principal.tenant(), &head.run)
                .await?;
        Ok(Self { head, run })
    }

    /// The open waits of the run and of its child runs.
    async fn open_waits(&self, services: &RunServices, principal: &Principal) -> Result<Vec<OpenWait>, HttpProblem> {
        let mut open = OpenWait::of(&self.head.run, &self.run);
        let mut children = self.run.children();
        while let Some(child) = children.pop() {
            let run =
                snapshot_reader::read_run(&*services.read, services.engine.workflows(), principal.tenant(), &child)
                    .await?;
            open.extend(OpenWait::of(&child, &run));
            children.extend(run.children());
        }
        Ok(open)
    }
}

/// Loads a run with all its entries.
async fn load_run(
    services: &RunServices,
    principal: &Principal,
    id: &str,
) -> Result<(RunHead, FollowedRun), HttpProblem> {
    let head = find_head(services, principal, id).await?;
    let followed =
        FollowedRun::read(&*services.read, services.engine.workflows(), principal.tenant(), &head.run).await?;
    Ok((head, followed))
}

/// The head of a tenant's run.
async fn find_head(services: &RunServices, principal: &Principal, id: &str) -> Result<RunHead, HttpProblem> {
    let run = RunId::new(id);
    services.read.run(principal.tenant(), &run).await?.ok_or_else(|| HttpProblem::run_not_found(&run))
}

/// Shows an execution
///
/// All that is known of it: what it came to, each node, its variables, what it waits for, and what a rollback would undo.
#[utoipa::path(get, path = "/api/v1/executions/{execution_id}", tag = "executions",
    params(("execution_id" = String, Path)),
    responses((status = 200, body = ExecutionSchema), (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn show(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    QueryParams(NoQueryParams {}): QueryParams<NoQueryParams>,
) -> Result<Json<Value>, HttpProblem> {
    let services = state.run_services()?;
    let head = find_head(services, &principal, &id).await?;
    if head.erased_at.is_some() {
        return Ok(Json(tombstone(&head)));
    }
    let record = LoadedExecution::read(services, &principal, &id).await?;
    let open = record.open_waits(services, &principal).await?;
    let run = &record.run;
    let mut shown = record.head.merge_into(runs::detail(run, &open));
    let runs_on = version_json(services, &principal, &record).await?;
    if let (Some(label), Some(revision)) = (runs_on["label"].as_str(), runs_on["revision"].as_u64()) {
        shown["version"] = format!("{label} (revision {revision})").trim_start().into();
    }
    shown["runs_on"] = runs_on;
    shown["max_cost_usd"] = json!(run.workflow().and_then(|workflow| workflow.max_cost).map(Usd::as_f64));
    let items = services.read.open_tasks(principal.tenant(), Some(&record.head.run)).await?;
    shown["desk"] = json!(items.iter().map(TaskItem::as_json).collect::<Vec<_>>());
    Ok(Json(shown))
}

/// The remaining data of an erased run: its list fields, and the version it used.
fn tombstone(head: &RunHead) -> Value {
    let mut shown = runs::detail(&Run::new(), &[]);
    if let (Value::Object(fields), Value::Object(own)) = (&mut shown, head.as_json()) {
        fields.extend(own);
    }
    shown["runs_on"] = json!({ "workflow": head.workflow, "bundle": head.erased_version });
    shown["desk"] = json!([]);
    shown
}

/// The version of a run; null if the run has not started.
async fn version_json(
    services: &RunServices,
    principal: &Principal,
    record: &LoadedExecution,
) -> Result<Value, HttpProblem> {
    let run = &record.run;
    let (Some(workflow), Some(bundle)) = (run.workflow(), run.bundle()) else { return Ok(Value::Null) };
    let all = services.registry.versions(principal.tenant(), &workflow.name).await?;
    let revision = all.iter().find(|version| version.bundle == *bundle).map(|version| version.revision);
    Ok(json!({ "workflow": workflow.name, "revision": revision, "label": workflow.version, "bundle": bundle }))
}

/// Lists an execution's calls in the order they were first sent
#[utoipa::path(get, path = "/api/v1/executions/{execution_id}/timeline", tag = "executions",
    params(("execution_id" = String, Path)),
    responses((status = 200, body = ExecutionTimeline), (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn timeline(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    QueryParams(NoQueryParams {}): QueryParams<NoQueryParams>,
) -> Result<Json<Value>, HttpProblem> {
    let steps: Vec<StepRow> = runs::timeline(&load_run(state.run_services()?, &principal, &id).await?.1.entries);
    Ok(Json(json!({ "steps": steps })))
}

/// Counts an execution's calls, and how they ended
#[utoipa::path(get, path = "/api/v1/executions/{execution_id}/summary", tag = "executions",
    params(("execution_id" = String, Path)),
    responses((status = 200, body = ExecutionSummary), (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn summary(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    QueryParams(NoQueryParams {}): QueryParams<NoQueryParams>,
) -> Result<Json<Value>, HttpProblem> {
    let (_, FollowedRun { run, entries }) = load_run(state.run_services()?, &principal, &id).await?;
    Ok(Json(runs::summary(&run, &entries)))
}

/// Says what an execution has cost: each node, and each model
///
/// `by_node` is the run's own books. `by_model` counts the attempts at models that are remembered, which may be fewer: it is
/// kept for looking back and not for money.
#[utoipa::path(get, path = "/api/v1/executions/{execution_id}/costs", tag = "executions",
    params(("execution_id" = String, Path)),
    responses((status = 200, body = ExecutionCostSchema),
        (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn costs(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    QueryParams(NoQueryParams {}): QueryParams<NoQueryParams>,
) -> Result<Json<Value>, HttpProblem> {
    let services = state.run_services()?;
    let record = LoadedExecution::read(services, &principal, &id).await?;
    let run = &record.run;
    let filter =
        decisions::DecisionFilter { run: Some(record.head.run.clone()), key: None, limit: decisions::LIST_MAX };
    let mut by_model: BTreeMap<(String, String), ModelSpend> = BTreeMap::new();
    for decision in services.decisions.decisions(principal.tenant(), filter).await? {
        if decision.model.is_empty() {
            continue;
        }
        by_model.entry((decision.model.clone(), decision.provider.clone())).or_default().add(&decision);
    }
    let nodes: Vec<Value> = run
        .nodes()
        .iter()
        .filter(|row| row.cost_usd > 0.0)
        .map(|row| json!({ "node_id": row.node, "kind": row.kind, "cost_usd": row.cost_usd }))
        .collect();
    let models: Vec<Value> = by_model.iter().map(|((model, provider), spent)| spent.as_json(model, provider)).collect();
    Ok(Json(json!({
        "execution_id": record.head.run,
        "total_cost_usd": run.cost().as_f64(),
        "max_cost_usd": run.workflow().and_then(|workflow| workflow.max_cost).map(Usd::as_f64),
        "by_node": nodes,
        "by_model": models,
    })))
}

/// The number of calls to one model, and their cost.
#[derive(Default)]
struct ModelSpend {
    calls: u64,
    tokens: u64,
    cost: Usd,
    latency_ms: u64,
}

impl ModelSpend {
    fn add(&mut self, decision: &decisions::ModelDecision) {
        self.calls += 1;
        self.cost += decision.actual_cost;
        self.latency_ms += decision.latency_ms;
        if let Some(usage) = &decision.usage {
            self.tokens += usage.input_tokens + usage.cached_tokens + usage.cache_write_tokens + usage.output_tokens;
        }
    }

    fn as_json(&self, model: &str, provider: &str) -> Value {
        json!({
            "selected_model": model, "selected_provider": provider, "calls": self.calls, "total_tokens": self.tokens,
            "cost_usd": self.cost.as_f64(), "avg_latency_ms": self.latency_ms / self.calls.max(1),
        })
    }
}

/// Which entries.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct JournalQuery {
    /// Entries behind this one; all unless told.
    #[serde(default)]
    after: u64,
    /// 1 to 500; 50 unless told.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
}

/// Reads an execution's journal: what happened, as it was recorded
#[utoipa::path(get, path = "/api/v1/executions/{execution_id}/journal", tag = "executions",
    params(("execution_id" = String, Path), JournalQuery),
    responses((status = 200, body = JournalSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn journal(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    QueryParams(which): QueryParams<JournalQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let services = state.run_services()?;
    let limit = limit(which.limit, PAGE_DEFAULT, PAGE_MAX)?;
    let head = find_head(services, &principal, &id).await?;
    if which.after >= head.seq {
        return Ok(Json(json!({ "entries": [], "next_after": null })));
    }
    let page = services.read.entries(principal.tenant(), &head.run, which.after, limit).await?;
    let mut entries = Vec::with_capacity(page.len());
    for (seq, entry) in (which.after + 1..).zip(&page) {
        entries.push(entry_json(seq, &baton_engine::decode(entry).map_err(baton_engine::EngineError::from)?));
    }
    let last = which.after + page.len() as u64;
    let next = (last < head.seq && !page.is_empty()).then_some(last);
    Ok(Json(json!({ "entries": entries, "next_after": next })))
}

/// The JSON form of a journal entry.
fn entry_json(seq: u64, entry: &runs::RunEntry) -> Value {
    json!({ "seq": seq, "at": entry.at.to_string(), "events": entry.events })
}

/// How a graph is drawn.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct GraphQuery {
    /// `json` unless told; `mermaid`, `dot` and `levels` are text, as `baton graph` writes them.
    #[param(schema_with = openapi::graph_format)]
    format: Option<String>,
}

/// The graph of the version an execution is on
///
/// How far each node has come stands in the execution's own `nodes`, by address.
#[utoipa::path(get, path = "/api/v1/executions/{execution_id}/graph", tag = "executions",
    params(("execution_id" = String, Path), GraphQuery),
    responses((status = 200, description = "nodes and edges, or the drawing as text",
    content((GraphSchema = "application/json"), (String = "text/plain"))),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn graph(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    QueryParams(GraphQuery { format }): QueryParams<GraphQuery>,
) -> Result<Response, HttpProblem> {
    let draw: fn(&Workflow) -> Response = match format.as_deref().unwrap_or("json") {
        "json" => |workflow: &Workflow| Json(json!(GraphDrawing::of(&workflow.graph))).into_response(),
        "mermaid" => |workflow: &Workflow| text(baton_core::graph::mermaid(workflow)),
        "dot" => |workflow: &Workflow| text(baton_core::graph::dot(workflow)),
        "levels" => |workflow: &Workflow| text(baton_core::graph::levels_text(&workflow.graph)),
        other => {
            let words = openapi::GRAPH_FORMATS.join(", ");
            return Err(HttpProblem::invalid_parameter("format", format!("`{other}` is none of {words}")));
        }
    };
    let record = LoadedExecution::read(state.run_services()?, &principal, &id).await?;
    let nothing = || Json(json!(GraphDrawing::default())).into_response();
    Ok(record.run.workflow().map_or_else(nothing, |workflow| draw(workflow)))
}

fn text(drawing: String) -> Response {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], drawing).into_response()
}
