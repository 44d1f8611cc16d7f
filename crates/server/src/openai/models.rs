//! The names that `model` accepts: the profiles, every model of the catalogue, the tenant's workflows, and the
//! embedder.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use baton_core::definition::is_single_call_name;
use baton_ports::keys::{AccessScope, ApiKeyRecord};
use serde_json::{Value, json};

use super::error::OpenAiError;
use super::workflow::PREFIX;
use crate::api::PathParams;
use crate::auth::AuthenticatedKey;
use crate::problem::HttpProblem;
use crate::state::AppState;

pub(crate) async fn list(State(state): State<AppState>, headers: HeaderMap) -> Result<Json<Value>, OpenAiError> {
    let key = authenticate(&state, &headers).await?;
    let workflows = workflows(&state, &key).await?;
    let embedder = embedder(&state);
    let names = state.models.names().into_iter().chain(workflows).chain(embedder);
    let data: Vec<Value> = names.map(|name| model_json(&name)).collect();
    Ok(Json(json!({ "object": "list", "data": data })))
}

pub(crate) async fn show(
    State(state): State<AppState>,
    headers: HeaderMap,
    model: Result<PathParams<String>, HttpProblem>,
) -> Result<Json<Value>, OpenAiError> {
    let key = authenticate(&state, &headers).await?;
    let PathParams(model) = model?;
    let is_known = state.models.names().contains(&model) || embedder(&state).as_ref() == Some(&model);
    if is_known || workflows(&state, &key).await?.contains(&model) {
        return Ok(Json(model_json(&model)));
    }
    Err(OpenAiError::model_not_found(&model))
}

/// Authenticates a caller that may run models or read.
async fn authenticate(state: &AppState, headers: &HeaderMap) -> Result<Arc<AuthenticatedKey>, OpenAiError> {
    let key = state.authenticate(headers).await?;
    let may = key.authorize(AccessScope::Run).or_else(|_| key.authorize(AccessScope::Look));
    may.map_err(|barred| OpenAiError::forbidden(&key, AccessScope::Run, barred))?;
    key.check_rate(state.clock.now())?;
    Ok(key)
}

/// The tenant's active workflows, as models.
async fn workflows(state: &AppState, key: &ApiKeyRecord) -> Result<Vec<String>, OpenAiError> {
    let Ok(services) = state.run_services() else { return Ok(Vec::new()) };
    let all = services.registry.workflows(&key.tenant).await.map_err(HttpProblem::from)?;
    let runs = all.into_iter().filter(|version| version.active && !is_single_call_name(&version.workflow));
    Ok(runs.map(|version| format!("{PREFIX}{}", version.workflow)).collect())
}

/// The embedder, unless another model has the same name.
fn embedder(state: &AppState) -> Option<String> {
    let name = &state.admin_services().ok()?.embedder.space().name;
    (!state.models.names().contains(name)).then(|| name.clone())
}

fn model_json(name: &str) -> Value {
    // Clients require a creation time; a catalogue has none.
    json!({ "id": name, "object": "model", "created": 0, "owned_by": "baton" })
}
