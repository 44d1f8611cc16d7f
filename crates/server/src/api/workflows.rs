//! Reads workflows and their versions.

pub(super) mod activation;
pub(super) mod edit;
pub(super) mod generate;

use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use baton_core::bundle::Bundle;
use baton_core::definition::{self, is_single_call_name, yaml};
use baton_core::graph::{GraphDrawing, Workflow};
use baton_ports::registry::{WorkflowStatus, WorkflowVersion};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::etag;
use super::execute::workflow_not_found;
use super::extractors::{PathParams, QueryParams};
use super::principal::Principal;
use super::schemas::{
    ProblemSchema, TemplateListSchema, TemplateSchema, VersionDiff, VersionListSchema, WorkflowListSchema,
    WorkflowSchema,
};
use crate::code;
use crate::problem::HttpProblem;
use crate::state::{AppState, RunServices};

/// The JSON form of a version.
fn version_json(version: &WorkflowVersion) -> Value {
    let WorkflowVersion { workflow, revision, label, bundle, active, created_at, made_by, activated_at } = version;
    json!({
        "workflow": workflow, "revision": revision, "label": label, "bundle": bundle, "active": active,
        "created_at": created_at.to_string(), "made_by": made_by,
        "activated_at": activated_at.map(|at| at.to_string()),
    })
}

/// Lists workflows by name
///
/// Each by its active version, or by its newest where none is active yet. Those that were put away are left out.
#[utoipa::path(get, path = "/api/v1/workflows", tag = "workflows", responses((status = 200, body = WorkflowListSchema)))]
pub(super) async fn list(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
) -> Result<Json<Value>, HttpProblem> {
    let all = state.run_services()?.registry.workflows(principal.tenant()).await?;
    let all = all.iter().filter(|version| !is_single_call_name(&version.workflow));
    Ok(Json(json!({ "workflows": all.map(version_json).collect::<Vec<_>>() })))
}

/// Which version.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct RevisionQuery {
    /// The active one unless told, and the newest where none is active.
    revision: Option<u32>,
}

/// A version, with the status of its workflow.
struct WorkflowDetail {
    standing: WorkflowStatus,
    version: WorkflowVersion,
    bundle: Bundle,
    compiled: Arc<Workflow>,
}

impl WorkflowDetail {
    async fn read(
        services: &RunServices,
        principal: &Principal,
        name: &str,
        revision: Option<u32>,
    ) -> Result<Self, HttpProblem> {
        let Some(standing) = services.registry.workflow_status(principal.tenant(), name).await? else {
            return Err(workflow_not_found(services, principal, name).await);
        };
        let version = match (revision, &standing.active) {
            (None, Some(active)) => active.clone(),
            _ => version(services, principal, name, revision).await?,
        };
        let compiled = services.engine.workflows().version(&version.bundle).await?;
        let bundle = bundle(services, &version).await?;
        Ok(Self { standing, version, bundle, compiled })
    }
}

/// A version by its revision; the newest by default.
async fn version(
    services: &RunServices,
    principal: &Principal,
    name: &str,
    revision: Option<u32>,
) -> Result<WorkflowVersion, HttpProblem> {
    let all = services.registry.versions(principal.tenant(), name).await?;
    if all.is_empty() {
        return Err(workflow_not_found(services, principal, name).await);
    }
    let newest = all.first().map_or(0, |version| version.revision);
    let found = all.into_iter().find(|version| revision.is_none_or(|revision| version.revision == revision));
    found.ok_or_else(|| revision_not_found(name, revision.unwrap_or_default(), newest))
}

fn revision_not_found(name: &str, revision: u32, newest: u32) -> HttpProblem {
    let detail = format!("`{name}` has no revision {revision}");
    HttpProblem::new(StatusCode::NOT_FOUND, code::WORKFLOW_NOT_FOUND, detail)
        .with_hint(format!("its newest is {newest}"))
}

async fn bundle(services: &RunServices, version: &WorkflowVersion) -> Result<Bundle, HttpProblem> {
    let text = services.registry.bundle(&version.bundle).await?.unwrap_or_default();
    serde_json::from_slice(&text).map_err(|error| {
        let detail = format!("revision {} of `{}` cannot be read: {error}", version.revision, version.workflow);
        HttpProblem::new(StatusCode::CONFLICT, code::VERSION_UNUSABLE, detail)
    })
}

/// Shows a version of a workflow, and its graph
///
/// The `ETag` stands for how the workflow stands, all its versions included: a change takes it as `If-Match`.
#[utoipa::path(get, path = "/api/v1/workflows/{workflow_id}", tag = "workflows",
    params(("workflow_id" = String, Path), RevisionQuery),
    responses((status = 200, body = WorkflowSchema), (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn show(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
    QueryParams(which): QueryParams<RevisionQuery>,
) -> Result<Response, HttpProblem> {
    let WorkflowDetail { standing, version, bundle, compiled } =
        WorkflowDetail::read(state.run_services()?, &principal, &name, which.revision).await?;
    let mut shown = version_json(&version);
    shown["graph"] = json!(GraphDrawing::of(&compiled.graph));
    shown["input"] = json!(compiled.input.schema());
    shown["yaml"] = yaml::to_yaml(&bundle.definition).into();
    shown["definition"] = json!(bundle);
    shown["traffic"] = json!(standing.shares());
    shown["archived_at"] = json!(standing.archived_at.map(|at| at.to_string()));
    let mut response = Json(shown).into_response();
    etag::set_etag(&mut response, standing.changes);
    Ok(response)
}

/// Lists a workflow's versions, newest first
#[utoipa::path(get, path = "/api/v1/workflows/{workflow_id}/versions", tag = "workflows",
    params(("workflow_id" = String, Path)),
    responses((status = 200, body = VersionListSchema), (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn versions(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
) -> Result<Json<Value>, HttpProblem> {
    let services = state.run_services()?;
    let all = services.registry.versions(principal.tenant(), &name).await?;
    if all.is_empty() {
        return Err(workflow_not_found(services, &principal, &name).await);
    }
    Ok(Json(json!({ "versions": all.iter().map(version_json).collect::<Vec<_>>() })))
}

/// Says what one version says otherwise than another
///
/// Of the definition, and of what it pins: agents, tools, and other workflows. Nodes are compared by their ids, wherever they
/// stand.
#[utoipa::path(get, path = "/api/v1/workflows/{workflow_id}/versions/{from}/diff/{to}", tag = "workflows",
    params(("workflow_id" = String, Path), ("from" = u32, Path), ("to" = u32, Path)),
    responses((status = 200, body = VersionDiff),
        (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn diff(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams((name, from, to)): PathParams<(String, u32, u32)>,
) -> Result<Json<Value>, HttpProblem> {
    let services = state.run_services()?;
    let read = async |revision: u32| -> Result<Value, HttpProblem> {
        let version = version(services, &principal, &name, Some(revision)).await?;
        let Bundle { definition, agents, tools, subworkflows, .. } = bundle(services, &version).await?;
        Ok(json!({ "definition": definition, "agents": agents, "tools": tools, "subworkflows": subworkflows }))
    };
    let (told, count) = definition::diff(&read(from).await?, &read(to).await?);
    Ok(Json(json!({ "from": from, "to": to, "differences": told, "count": count })))
}

/// How a workflow is written.
#[derive(Clone, Copy, Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Format)]
pub(super) enum DocumentFormat {
    #[default]
    Yaml,
    Json,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportQuery {
    /// The active one unless told, and the newest where none is active.
    revision: Option<u32>,
    /// `yaml` unless told.
    #[serde(default)]
    #[param(inline)]
    format: DocumentFormat,
}

/// Takes a version out as a file
#[utoipa::path(get, path = "/api/v1/workflows/{workflow_id}/export", tag = "workflows",
    params(("workflow_id" = String, Path), ExportQuery),
    responses((status = 200, content((Object = "application/yaml"), (Object = "application/json"))),
        (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn export(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
    QueryParams(wanted): QueryParams<ExportQuery>,
) -> Result<Response, HttpProblem> {
    let bundle = WorkflowDetail::read(state.run_services()?, &principal, &name, wanted.revision).await?.bundle;
    let (kind, end, text) = match wanted.format {
        DocumentFormat::Yaml => ("application/yaml", "yaml", yaml::to_yaml(&bundle.definition)),
        DocumentFormat::Json => ("application/json", "json", format!("{:#}\n", bundle.definition)),
    };
    let mut response = ([(CONTENT_TYPE, kind)], text).into_response();
    // Only characters that every file system accepts, because the caller chooses the name.
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{plain}.{end}\"")) {
        response.headers_mut().insert(CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

/// Lists workflows to begin from
#[utoipa::path(get, path = "/api/v1/workflows/templates", tag = "workflows", responses((status = 200, body = TemplateListSchema)))]
pub(super) async fn templates(State(state): State<AppState>) -> Result<Json<Value>, HttpProblem> {
    let files = state.run_services()?.files.borrow().clone();
    let all: Vec<Value> = files.templates.iter().map(template_json).collect();
    Ok(Json(json!({ "templates": all })))
}

/// Shows a workflow to begin from
#[utoipa::path(get, path = "/api/v1/workflows/templates/{template_id}", tag = "workflows",
    params(("template_id" = String, Path)),
    responses((status = 200, body = TemplateSchema), (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn template(
    State(state): State<AppState>,
    PathParams(name): PathParams<String>,
) -> Result<Json<Value>, HttpProblem> {
    let files = state.run_services()?.files.borrow().clone();
    let found = files.templates.iter().find(|template| template.name == name);
    found.map(|template| Json(template_json(template))).ok_or_else(|| {
        let detail = format!("no template `{name}`");
        HttpProblem::new(StatusCode::NOT_FOUND, code::WORKFLOW_NOT_FOUND, detail)
            .with_hint("GET /api/v1/workflows/templates lists those there are")
    })
}

fn template_json(template: &crate::state::WorkflowTemplate) -> Value {
    let document = definition::source::read(template.text.as_bytes()).map(|tree| tree.to_json()).unwrap_or_default();
    json!({ "name": template.name, "description": document["description"], "yaml": template.text })
}
