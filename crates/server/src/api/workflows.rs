//! Workflows and their versions, looked at.

pub(super) mod edit;
pub(super) mod generate;
pub(super) mod stand;

use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use baton_core::bundle::Bundle;
use baton_core::definition::{self, is_single, yaml};
use baton_core::graph::{Drawing, Workflow as Compiled};
use baton_ports::registry::{Standing, Version};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::etag;
use super::execute::no_workflow;
use super::guest::Guest;
use super::query::{Path, Query};
use super::shapes::{Differences, Problem as Refusal, Template, Templates, Versions, Workflow, Workflows};
use crate::code;
use crate::door::{Door, Work};
use crate::problem::Problem;

/// A version for programs.
fn told(version: &Version) -> Value {
    let Version { workflow, revision, label, bundle, active, created_at, made_by, activated_at } = version;
    json!({
        "workflow": workflow, "revision": revision, "label": label, "bundle": bundle, "active": active,
        "created_at": created_at.to_string(), "made_by": made_by,
        "activated_at": activated_at.map(|at| at.to_string()),
    })
}

/// Lists workflows by name
///
/// Each by its active version, or by its newest where none is active yet. Those that were put away are left out.
#[utoipa::path(get, path = "/api/v1/workflows", tag = "workflows", responses((status = 200, body = Workflows)))]
pub(super) async fn list(State(door): State<Door>, Extension(guest): Extension<Guest>) -> Result<Json<Value>, Problem> {
    let all = door.work()?.registry.workflows(guest.tenant()).await?;
    let all = all.iter().filter(|version| !is_single(&version.workflow));
    Ok(Json(json!({ "workflows": all.map(told).collect::<Vec<_>>() })))
}

/// Which version.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// The active one unless told, and the newest where none is active.
    revision: Option<u32>,
}

/// A version, with how its workflow stands.
struct Shown {
    standing: Standing,
    version: Version,
    bundle: Bundle,
    compiled: Arc<Compiled>,
}

impl Shown {
    async fn read(work: &Work, guest: &Guest, name: &str, revision: Option<u32>) -> Result<Self, Problem> {
        let Some(standing) = work.registry.standing(guest.tenant(), name).await? else {
            return Err(no_workflow(work, guest, name).await);
        };
        let version = match (revision, &standing.active) {
            (None, Some(active)) => active.clone(),
            _ => version(work, guest, name, revision).await?,
        };
        let compiled = work.engine.library().version(&version.bundle).await?;
        let bundle = bundle(work, &version).await?;
        Ok(Self { standing, version, bundle, compiled })
    }
}

/// A version by its revision; the newest unless told.
async fn version(work: &Work, guest: &Guest, name: &str, revision: Option<u32>) -> Result<Version, Problem> {
    let all = work.registry.versions(guest.tenant(), name).await?;
    if all.is_empty() {
        return Err(no_workflow(work, guest, name).await);
    }
    let newest = all.first().map_or(0, |version| version.revision);
    let found = all.into_iter().find(|version| revision.is_none_or(|revision| version.revision == revision));
    found.ok_or_else(|| no_revision(name, revision.unwrap_or_default(), newest))
}

fn no_revision(name: &str, revision: u32, newest: u32) -> Problem {
    let detail = format!("`{name}` has no revision {revision}");
    Problem::new(StatusCode::NOT_FOUND, code::WORKFLOW_NOT_FOUND, detail).hint(format!("its newest is {newest}"))
}

async fn bundle(work: &Work, version: &Version) -> Result<Bundle, Problem> {
    let text = work.registry.bundle(&version.bundle).await?.unwrap_or_default();
    serde_json::from_slice(&text).map_err(|error| {
        let detail = format!("revision {} of `{}` cannot be read: {error}", version.revision, version.workflow);
        Problem::new(StatusCode::CONFLICT, code::VERSION_UNUSABLE, detail)
    })
}

/// Shows a version of a workflow, and its graph
///
/// The `ETag` stands for how the workflow stands, all its versions included: a change takes it as `If-Match`.
#[utoipa::path(get, path = "/api/v1/workflows/{workflow_id}", tag = "workflows",
    params(("workflow_id" = String, Path), Which),
    responses((status = 200, body = Workflow), (status = 404, body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn show(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(name): Path<String>,
    Query(which): Query<Which>,
) -> Result<Response, Problem> {
    let Shown { standing, version, bundle, compiled } =
        Shown::read(door.work()?, &guest, &name, which.revision).await?;
    let mut shown = told(&version);
    shown["graph"] = json!(Drawing::of(&compiled.graph));
    shown["input"] = json!(compiled.input.schema());
    shown["yaml"] = yaml::written(&bundle.definition).into();
    shown["definition"] = json!(bundle);
    shown["traffic"] = json!(standing.shares());
    shown["archived_at"] = json!(standing.archived_at.map(|at| at.to_string()));
    let mut response = Json(shown).into_response();
    etag::say(&mut response, standing.changes);
    Ok(response)
}

/// Lists a workflow's versions, newest first
#[utoipa::path(get, path = "/api/v1/workflows/{workflow_id}/versions", tag = "workflows",
    params(("workflow_id" = String, Path)),
    responses((status = 200, body = Versions), (status = 404, body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn versions(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    let work = door.work()?;
    let all = work.registry.versions(guest.tenant(), &name).await?;
    if all.is_empty() {
        return Err(no_workflow(work, &guest, &name).await);
    }
    Ok(Json(json!({ "versions": all.iter().map(told).collect::<Vec<_>>() })))
}

/// Says what one version says otherwise than another
///
/// Of the definition, and of what it pins: agents, tools, and other workflows. Nodes are compared by their ids, wherever they
/// stand.
#[utoipa::path(get, path = "/api/v1/workflows/{workflow_id}/versions/{from}/diff/{to}", tag = "workflows",
    params(("workflow_id" = String, Path), ("from" = u32, Path), ("to" = u32, Path)),
    responses((status = 200, body = Differences),
        (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn diff(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path((name, from, to)): Path<(String, u32, u32)>,
) -> Result<Json<Value>, Problem> {
    let work = door.work()?;
    let read = async |revision: u32| -> Result<Value, Problem> {
        let version = version(work, &guest, &name, Some(revision)).await?;
        let Bundle { definition, agents, tools, subworkflows, .. } = bundle(work, &version).await?;
        Ok(json!({ "definition": definition, "agents": agents, "tools": tools, "subworkflows": subworkflows }))
    };
    let (told, count) = definition::diff(&read(from).await?, &read(to).await?);
    Ok(Json(json!({ "from": from, "to": to, "differences": told, "count": count })))
}

/// How a workflow is written.
#[derive(Clone, Copy, Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Format {
    #[default]
    Yaml,
    Json,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Export {
    /// The active one unless told, and the newest where none is active.
    revision: Option<u32>,
    /// `yaml` unless told.
    #[serde(default)]
    #[param(inline)]
    format: Format,
}

/// Takes a version out as a file
#[utoipa::path(get, path = "/api/v1/workflows/{workflow_id}/export", tag = "workflows",
    params(("workflow_id" = String, Path), Export),
    responses((status = 200, content((Object = "application/yaml"), (Object = "application/json"))),
        (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn export(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(name): Path<String>,
    Query(wanted): Query<Export>,
) -> Result<Response, Problem> {
    let bundle = Shown::read(door.work()?, &guest, &name, wanted.revision).await?.bundle;
    let (kind, end, text) = match wanted.format {
        Format::Yaml => ("application/yaml", "yaml", yaml::written(&bundle.definition)),
        Format::Json => ("application/json", "json", format!("{:#}\n", bundle.definition)),
    };
    let mut response = ([(CONTENT_TYPE, kind)], text).into_response();
    // Only what every file system takes; a name beyond it is the caller's to choose.
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{plain}.{end}\"")) {
        response.headers_mut().insert(CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

/// Lists workflows to begin from
#[utoipa::path(get, path = "/api/v1/workflows/templates", tag = "workflows", responses((status = 200, body = Templates)))]
pub(super) async fn templates(State(door): State<Door>) -> Result<Json<Value>, Problem> {
    let files = door.work()?.files.borrow().clone();
    let all: Vec<Value> = files.templates.iter().map(shown_template).collect();
    Ok(Json(json!({ "templates": all })))
}

/// Shows a workflow to begin from
#[utoipa::path(get, path = "/api/v1/workflows/templates/{template_id}", tag = "workflows",
    params(("template_id" = String, Path)),
    responses((status = 200, body = Template), (status = 404, body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn template(State(door): State<Door>, Path(name): Path<String>) -> Result<Json<Value>, Problem> {
    let files = door.work()?.files.borrow().clone();
    let found = files.templates.iter().find(|template| template.name == name);
    found.map(|template| Json(shown_template(template))).ok_or_else(|| {
        let detail = format!("no template `{name}`");
        Problem::new(StatusCode::NOT_FOUND, code::WORKFLOW_NOT_FOUND, detail)
            .hint("GET /api/v1/workflows/templates lists those there are")
    })
}

fn shown_template(template: &crate::door::Template) -> Value {
    let document = definition::source::read(template.text.as_bytes()).map(|tree| tree.to_json()).unwrap_or_default();
    json!({ "name": template.name, "description": document["description"], "yaml": template.text })
}
