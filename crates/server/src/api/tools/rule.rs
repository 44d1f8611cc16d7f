//! A tenant's rules for the calls of a tool: whether calls are allowed, who approves them, and their preset
//! arguments.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::{Extension, Json};
use baton_engine::settings::SettingTopic;
use serde_json::Value;

use super::tool_not_found;
use crate::api::extractors::PathParams;
use crate::api::principal::Principal;
use crate::api::schemas::ProblemSchema;
use crate::api::schemas::tools::{ToolRule, ToolRuleHistory};
use crate::api::tenant_settings;
use crate::body;
use crate::problem::HttpProblem;
use crate::state::AppState;

/// Resolves an alias to the tool's own name.
fn resolve_tool_name(state: &AppState, principal: &Principal, name: &str) -> Result<String, HttpProblem> {
    let admin = state.admin_services()?;
    let tool =
        admin.catalogue.describe(principal.tenant(), name).ok_or_else(|| tool_not_found(admin, principal, name))?;
    Ok(tool.name.to_string())
}

/// Shows what the tenant has set of a tool beside the settings' files
#[utoipa::path(get, path = "/api/v1/tools/{name}/rule", tag = "tools", params(("name" = String, Path)), responses(
    (status = 200, body = ToolRule, description = "empty where nothing is set"),
    (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(in crate::api) async fn show(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
) -> Result<Response, HttpProblem> {
    tenant_settings::show_setting(
        &state,
        &principal,
        SettingTopic::Tool,
        &resolve_tool_name(&state, &principal, &name)?,
    )
    .await
}

/// Shows who set what of a tool, and when, newest first
///
/// The last 100 changes are kept.
#[utoipa::path(get, path = "/api/v1/tools/{name}/rule/history", tag = "tools", params(("name" = String, Path)), responses(
    (status = 200, body = ToolRuleHistory), (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(in crate::api) async fn history(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
) -> Result<Json<Value>, HttpProblem> {
    tenant_settings::history(&state, &principal, SettingTopic::Tool, &resolve_tool_name(&state, &principal, &name)?)
        .await
}

/// Sets what holds for the tenant's calls of a tool, all of it
///
/// Whoever edits tools may be stricter than what is set; what an admin set is loosened by an admin alone (`RULE_LOOSENED`).
///
/// It holds beside the settings' files and makes nothing possible that they do not: what they disable stays disabled, what
/// they want allowed by people stays so, and what they override stays theirs. It holds at once here, and in other processes
/// within seconds.
#[utoipa::path(put, path = "/api/v1/tools/{name}/rule", tag = "tools", request_body = ToolRule,
    params(("name" = String, Path), ("If-Match" = Option<String>, Header, description = "the `ETag` of what is replaced")),
    responses((status = 200, body = ToolRule),
        (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(in crate::api) async fn put(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let rule = body::json(body, state.limits).await?;
    let name = resolve_tool_name(&state, &principal, &name)?;
    tenant_settings::put(&state, &principal, &headers, (SettingTopic::Tool, &name), rule).await
}

/// Leaves a tool to the settings' files again
///
/// What an admin set is deleted by an admin alone.
#[utoipa::path(delete, path = "/api/v1/tools/{name}/rule", tag = "tools",
    params(("name" = String, Path), ("If-Match" = Option<String>, Header, description = "the `ETag` of what is left")),
    responses((status = 204, description = "nothing is set of it"),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(in crate::api) async fn remove(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
    headers: HeaderMap,
) -> Result<StatusCode, HttpProblem> {
    // The rule of a removed tool is stored under the name with which it was set.
    let name = resolve_tool_name(&state, &principal, &name).unwrap_or(name);
    tenant_settings::remove(&state, &principal, &headers, (SettingTopic::Tool, &name)).await
}
