//! Records administrative actions in the audit trail: the actor, the action, its target, and digests of the
//! target's state before and after.
//!
//! The row is written after the action and before the response. A refused action leaves no row. If the process dies
//! between the action and its row, or the store cannot take the row, there is no row either; the second case is
//! logged.

use std::sync::Arc;

use axum::Extension;
use axum::body::{self as bytes, Body, HttpBody as _};
use axum::extract::{MatchedPath, RawPathParams, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use baton_core::audit::AdminAction;
use baton_core::id::TenantId;
use baton_engine::settings::SettingTopic;
use baton_engine::triggers::schedule::ScheduleTrigger;
use baton_engine::triggers::webhook::WebhookTrigger;
use baton_engine::triggers::{self, NamedDefinition};
use baton_engine::webhook_delivery::WebhookSubscription;
use serde::Serialize;
use serde_json::{Value, json};

use super::principal::Principal;
use crate::problem::HttpProblem;
use crate::state::{AdminServices, AppState};

/// The prefix of the API's paths.
const API_PREFIX: &str = "/api/v1/";
/// Maximum size of a response body that is searched for the name of the created object, in bytes.
const NAME_BODY_BYTES_MAX: u64 = 1 << 20;
/// Actions that use POST and change nothing.
const READ_ONLY_POSTS: [&str; 1] = ["workflows.validate"];

/// Middleware that appends an audit row for each successful action.
pub(super) async fn audit_middleware(
    Extension(state): Extension<AppState>,
    Extension(principal): Extension<Principal>,
    matched: MatchedPath,
    parts: RawPathParams,
    request: Request,
    next: Next,
) -> Result<Response, HttpProblem> {
    let action = action(request.method(), matched.as_str());
    let (Ok(admin), false) =
        (state.admin_services(), *request.method() == Method::GET || READ_ONLY_POSTS.contains(&action.as_str()))
    else {
        return Ok(next.run(request).await);
    };
    let kind = action.split('.').next().unwrap_or_default().to_owned();
    let target = parts.iter().next().map(|(_, value)| value.to_owned());
    let before = current_state(&state, principal.tenant(), &kind, target.as_deref()).await?;
    let response = next.run(request).await;
    if !response.status().is_success() {
        return Ok(response);
    }
    let (target, response) = match target {
        Some(target) => (Some(target), response),
        None => created_name(response).await?,
    };
    let act = AdminAction { action, target, by: principal.actor_name().to_owned(), key_id: None, before, after: None };
    // The action is done, so the caller gets its response even if the row cannot be written.
    if let Err(problem) = append_audit_row(&state, admin, &principal, &kind, act).await {
        tracing::error!(tenant = %principal.tenant(), by = principal.actor_name(), kind, ?problem, "an act has no row in the audit trail");
    }
    Ok(response)
}

async fn append_audit_row(
    state: &AppState,
    admin: &AdminServices,
    principal: &Principal,
    kind: &str,
    act: AdminAction,
) -> Result<(), HttpProblem> {
    let after = current_state(state, principal.tenant(), kind, act.target.as_deref()).await?;
    let key_id = Some(principal.key_id().to_owned());
    let row = AdminAction { key_id, after, ..act }.row(principal.tenant(), state.clock.now());
    Ok(admin.audit.append_row(row).await?)
}

/// The name of an action, such as `keys.create`, `keys.rotate` or `workflows.put`: the words of the path, followed
/// by the method if they contain no verb.
fn action(method: &Method, path: &str) -> String {
    let path = path.strip_prefix(API_PREFIX).unwrap_or(path.trim_start_matches('/'));
    let words: Vec<&str> = path.split('/').filter(|part| !part.starts_with('{')).collect();
    let is_of_one = path.ends_with('}');
    let verb = match *method {
        Method::PUT => Some("put"),
        Method::DELETE => Some("delete"),
        Method::POST if is_of_one || words.len() == 1 => Some("create"),
        _ if path.ends_with("/documents") || path.ends_with("/links") => Some("create"),
        _ => None,
    };
    words.into_iter().chain(verb).collect::<Vec<_>>().join(".")
}

/// The name of the created object, read from the response.
async fn created_name(response: Response) -> Result<(Option<String>, Response), HttpProblem> {
    if response.body().size_hint().upper().is_none_or(|bytes| bytes > NAME_BODY_BYTES_MAX) {
        return Ok((None, response));
    }
    let (parts, body) = response.into_parts();
    let body = bytes::to_bytes(body, usize::MAX).await.map_err(|error| HttpProblem::internal("an answer", &error))?;
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    let name = ["workflow", "agent_id", "id", "name", "document"].into_iter().find_map(|name| answer[name].as_str());
    Ok((name.map(str::to_owned), Response::from_parts(parts, Body::from(body))))
}

/// The current state of an object, without its secrets. `None` if it does not exist, or if no state is stored for
/// its kind.
async fn current_state(
    state: &AppState,
    tenant: &TenantId,
    kind: &str,
    name: Option<&str>,
) -> Result<Option<Value>, HttpProblem> {
    let (Some(name), services) = (name, state.run_services()?) else { return Ok(None) };
    Ok(match kind {
        "keys" => {
            let all = state.admin_services()?.keys.all(tenant).await?;
            all.into_iter().find(|key| key.id == name).map(|key| json!(key))
        }
        "tenants" => {
            services.agent_registry.tenants().find(&TenantId::from(name)).await?.map(|(_, tenant)| json!(tenant))
        }
        "workflows" => {
            let standing = services.registry.workflow_status(tenant, name).await?;
            standing.map(|standing| {
                let split: Vec<_> = standing.split.iter().map(|(version, percent)| (version.revision, percent)).collect();
                json!({ "changes": standing.changes, "archived_at": standing.archived_at, "active": standing.active, "split": split })
            })
        }
        "tools" => current_setting(state, tenant, SettingTopic::Tool, name).await?,
        "budgets" => current_setting(state, tenant, SettingTopic::Budget, name).await?,
        "sources" => current_setting(state, tenant, SettingTopic::Source, name).await?,
        "agents" => services.agent_registry.registration(tenant, name).await?.map(|(agent, _)| json!(agent)),
        "webhooks" => trigger::<WebhookTrigger>(services.records.clone(), tenant, name).await?,
        "subscriptions" => trigger::<WebhookSubscription>(services.records.clone(), tenant, name).await?,
        "schedules" => trigger::<ScheduleTrigger>(services.records.clone(), tenant, name).await?,
        _ => None,
    })
}

async fn current_setting(
    state: &AppState,
    tenant: &TenantId,
    topic: SettingTopic,
    name: &str,
) -> Result<Option<Value>, HttpProblem> {
    // Settings are stored under the tool's own name, not under an alias.
    let admin = state.admin_services()?;
    let own = (topic == SettingTopic::Tool).then(|| admin.catalogue.describe(tenant, name)).flatten();
    let name = own.as_ref().map_or(name, |tool| &*tool.name);
    Ok(admin.settings.find(tenant, topic, name).await?.map(|setting| setting.value))
}

async fn trigger<T: NamedDefinition + Serialize>(
    records: Arc<dyn baton_ports::records::RecordStore>,
    tenant: &TenantId,
    name: &str,
) -> Result<Option<Value>, HttpProblem> {
    match triggers::find::<T>(&*records, tenant, name).await {
        Ok((_, found)) => Ok(Some(json!(found))),
        Err(triggers::TriggerError::Unknown { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_is_called_by_its_path() {
        let cases = [
            (Method::POST, "/api/v1/keys", "keys.create"),
            (Method::POST, "/api/v1/keys/{key_id}/rotate", "keys.rotate"),
            (Method::DELETE, "/api/v1/keys/{key_id}", "keys.delete"),
            (Method::PUT, "/api/v1/workflows/{workflow_id}/traffic", "workflows.traffic.put"),
            (Method::POST, "/api/v1/workflows/{workflow_id}/activate", "workflows.activate"),
            (Method::POST, "/api/v1/knowledge/documents", "knowledge.documents.create"),
            (Method::POST, "/api/v1/admin/circuit-breaker/{model}/close", "admin.circuit-breaker.close"),
            (Method::POST, "/api/v1/composio/connect/{app}", "composio.connect.create"),
        ];
        for (method, path, expect) in cases {
            assert_eq!(action(&method, path), expect);
        }
    }
}
