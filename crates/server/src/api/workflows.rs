//! Workflows and their versions, looked at.

use axum::Extension;
use axum::Json;
use axum::extract::{Path, State};
use baton_core::graph::Drawing;
use baton_ports::registry::Version;
use serde_json::{Value, json};

use super::execute::no_workflow;
use super::guest::Guest;
use super::shapes::{Problem as Refusal, Versions, Workflow, Workflows};
use crate::door::Door;
use crate::problem::Problem;

/// A version for programs.
fn told(version: &Version) -> Value {
    let Version { workflow, revision, label, bundle, active, created_at } = version;
    json!({
        "workflow": workflow, "revision": revision, "label": label, "bundle": bundle, "active": active,
        "created_at": created_at.to_string(),
    })
}

/// Lists workflows by name, with their active versions
#[utoipa::path(get, path = "/api/v1/workflows", tag = "workflows", responses((status = 200, body = Workflows)))]
pub(super) async fn list(State(door): State<Door>, Extension(guest): Extension<Guest>) -> Result<Json<Value>, Problem> {
    let active = door.work()?.registry.workflows(guest.tenant()).await?;
    Ok(Json(json!({ "workflows": active.iter().map(told).collect::<Vec<_>>() })))
}

/// Shows a workflow's active version, and its graph
#[utoipa::path(get, path = "/api/v1/workflows/{workflow_id}", tag = "workflows",
    params(("workflow_id" = String, Path)),
    responses((status = 200, body = Workflow), (status = 404, body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn show(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    let work = door.work()?;
    let Some(version) = work.registry.active(guest.tenant(), &name).await? else {
        return Err(no_workflow(work, &guest, &name).await);
    };
    let compiled = work.engine.library().version(&version.bundle).await?;
    let text = work.registry.bundle(&version.bundle).await?;
    let definition = text.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    let mut shown = told(&version);
    shown["graph"] = json!(Drawing::of(&compiled.graph));
    shown["definition"] = json!(definition);
    Ok(Json(shown))
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
