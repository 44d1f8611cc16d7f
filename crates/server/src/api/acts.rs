//! What whoever runs the house does, told in the audit trail: who, what, to what, and digests of how it stood before and
//! stands since.
//!
//! The row is written once it is done, before it is answered; what is refused leaves none. A process that dies between the
//! act and its row leaves none either, nor does a store that cannot take it: that is in the log.

use std::sync::Arc;

use axum::Extension;
use axum::body::{self as bytes, Body, HttpBody as _};
use axum::extract::{MatchedPath, RawPathParams, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use baton_core::audit::Administered;
use baton_core::id::TenantId;
use baton_engine::outgoing::Subscription;
use baton_engine::settings::Topic;
use baton_engine::triggers::hook::Hook;
use baton_engine::triggers::schedule::Schedule;
use baton_engine::triggers::{self, Named};
use serde::Serialize;
use serde_json::{Value, json};

use super::guest::Guest;
use crate::door::{Door, House};
use crate::problem::Problem;

/// Where the paths of the API begin.
const BELOW: &str = "/api/v1/";
/// Bytes of an answer that is looked into for the name of what was made.
const LOOKED_INTO: u64 = 1 << 20;
/// What is asked by POST and changes nothing.
const LOOKS: [&str; 1] = ["workflows.validate"];

/// Around what acts: a row of it, where it is done.
pub(super) async fn told(
    Extension(door): Extension<Door>,
    Extension(guest): Extension<Guest>,
    matched: MatchedPath,
    parts: RawPathParams,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let action = action(request.method(), matched.as_str());
    let (Ok(house), false) = (door.house(), *request.method() == Method::GET || LOOKS.contains(&action.as_str()))
    else {
        return Ok(next.run(request).await);
    };
    let kind = action.split('.').next().unwrap_or_default().to_owned();
    let target = parts.iter().next().map(|(_, value)| value.to_owned());
    let before = seen(&door, guest.tenant(), &kind, target.as_deref()).await?;
    let response = next.run(request).await;
    if !response.status().is_success() {
        return Ok(response);
    }
    let (target, response) = match target {
        Some(target) => (Some(target), response),
        None => made(response).await?,
    };
    let act = Administered { action, target, by: guest.by().to_owned(), key_id: None, before, after: None };
    // It is done, and whoever asked is told so whatever becomes of its row.
    if let Err(problem) = noted(&door, house, &guest, &kind, act).await {
        tracing::error!(tenant = %guest.tenant(), by = guest.by(), kind, ?problem, "an act has no row in the audit trail");
    }
    Ok(response)
}

async fn noted(door: &Door, house: &House, guest: &Guest, kind: &str, act: Administered) -> Result<(), Problem> {
    let after = seen(door, guest.tenant(), kind, act.target.as_deref()).await?;
    let key_id = Some(guest.key_id().to_owned());
    let row = Administered { key_id, after, ..act }.row(guest.tenant(), door.clock.now());
    Ok(house.audit.note(row).await?)
}

/// `keys.create`, `keys.rotate`, `workflows.put`: the words of the path, and the method where they are none of a verb.
fn action(method: &Method, path: &str) -> String {
    let path = path.strip_prefix(BELOW).unwrap_or(path.trim_start_matches('/'));
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

/// The name of what was made, as the answer says it.
async fn made(response: Response) -> Result<(Option<String>, Response), Problem> {
    if response.body().size_hint().upper().is_none_or(|bytes| bytes > LOOKED_INTO) {
        return Ok((None, response));
    }
    let (parts, body) = response.into_parts();
    let body = bytes::to_bytes(body, usize::MAX).await.map_err(|error| Problem::broken("an answer", &error))?;
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    let name = ["workflow", "agent_id", "id", "name", "document"].into_iter().find_map(|name| answer[name].as_str());
    Ok((name.map(str::to_owned), Response::from_parts(parts, Body::from(body))))
}

/// How something stands, without its secrets; nothing where it is not there, or nothing is kept of its kind.
async fn seen(door: &Door, tenant: &TenantId, kind: &str, name: Option<&str>) -> Result<Option<Value>, Problem> {
    let (Some(name), work) = (name, door.work()?) else { return Ok(None) };
    Ok(match kind {
        "keys" => {
            let all = door.house()?.keys.all(tenant).await?;
            all.into_iter().find(|key| key.id == name).map(|key| json!(key))
        }
        "tenants" => work.roster.tenants().find(&TenantId::from(name)).await?.map(|(_, tenant)| json!(tenant)),
        "workflows" => {
            let standing = work.registry.standing(tenant, name).await?;
            standing.map(|standing| {
                let split: Vec<_> = standing.split.iter().map(|(version, percent)| (version.revision, percent)).collect();
                json!({ "changes": standing.changes, "archived_at": standing.archived_at, "active": standing.active, "split": split })
            })
        }
        "tools" => set(door, tenant, Topic::Tool, name).await?,
        "budgets" => set(door, tenant, Topic::Budget, name).await?,
        "sources" => set(door, tenant, Topic::Source, name).await?,
        "agents" => work.roster.registration(tenant, name).await?.map(|(agent, _)| json!(agent)),
        "webhooks" => trigger::<Hook>(work.records.clone(), tenant, name).await?,
        "subscriptions" => trigger::<Subscription>(work.records.clone(), tenant, name).await?,
        "schedules" => trigger::<Schedule>(work.records.clone(), tenant, name).await?,
        _ => None,
    })
}

async fn set(door: &Door, tenant: &TenantId, topic: Topic, name: &str) -> Result<Option<Value>, Problem> {
    // By the name it goes by itself: what was set is kept under that.
    let house = door.house()?;
    let own = (topic == Topic::Tool).then(|| house.catalogue.describe(tenant, name)).flatten();
    let name = own.as_ref().map_or(name, |tool| &*tool.name);
    Ok(house.settings.find(tenant, topic, name).await?.map(|setting| setting.value))
}

async fn trigger<T: Named + Serialize>(
    records: Arc<dyn baton_ports::records::Records>,
    tenant: &TenantId,
    name: &str,
) -> Result<Option<Value>, Problem> {
    match triggers::find::<T>(&*records, tenant, name).await {
        Ok((_, found)) => Ok(Some(json!(found))),
        Err(triggers::Error::Unknown { .. }) => Ok(None),
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
