//! What can be named as `model`: the profiles, every model of the catalogue, the tenant's workflows, and the
//! embedder.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use baton_core::definition::is_single;
use baton_ports::keys::{Key, Need};
use serde_json::{Value, json};

use super::error::Error;
use super::workflow::PREFIX;
use crate::api::Path;
use crate::auth::Bearer;
use crate::door::Door;
use crate::problem::Problem;

pub(crate) async fn list(State(door): State<Door>, headers: HeaderMap) -> Result<Json<Value>, Error> {
    let key = let_in(&door, &headers).await?;
    let workflows = workflows(&door, &key).await?;
    let embedder = embedder(&door);
    let names = door.models.names().into_iter().chain(workflows).chain(embedder);
    let data: Vec<Value> = names.map(|name| shown(&name)).collect();
    Ok(Json(json!({ "object": "list", "data": data })))
}

pub(crate) async fn one(
    State(door): State<Door>,
    headers: HeaderMap,
    model: Result<Path<String>, Problem>,
) -> Result<Json<Value>, Error> {
    let key = let_in(&door, &headers).await?;
    let Path(model) = model?;
    let is_known = door.models.names().contains(&model) || embedder(&door).as_ref() == Some(&model);
    if is_known || workflows(&door, &key).await?.contains(&model) {
        return Ok(Json(shown(&model)));
    }
    Err(Error::no_model(&model))
}

/// Whoever may ask them, or look at what there is.
async fn let_in(door: &Door, headers: &HeaderMap) -> Result<Arc<Bearer>, Error> {
    let key = door.bearer(headers).await?;
    let may = key.may(Need::Run).or_else(|_| key.may(Need::Look));
    may.map_err(|barred| Error::barred(&key, Need::Run, barred))?;
    key.turn(door.clock.now())?;
    Ok(key)
}

/// The tenant's workflows that run, as models.
async fn workflows(door: &Door, key: &Key) -> Result<Vec<String>, Error> {
    let Ok(work) = door.work() else { return Ok(Vec::new()) };
    let all = work.registry.workflows(&key.tenant).await.map_err(Problem::from)?;
    let runs = all.into_iter().filter(|version| version.active && !is_single(&version.workflow));
    Ok(runs.map(|version| format!("{PREFIX}{}", version.workflow)).collect())
}

/// What makes vectors, unless a model for other things has its name as well.
fn embedder(door: &Door) -> Option<String> {
    let name = &door.house().ok()?.embedder.space().name;
    (!door.models.names().contains(name)).then(|| name.clone())
}

fn shown(name: &str) -> Value {
    // Clients want a moment of creation; a catalogue has none.
    json!({ "id": name, "object": "model", "created": 0, "owned_by": "baton" })
}
