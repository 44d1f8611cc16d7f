//! What can be named as `model`: the profiles, and every model of the catalogue.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::error::Error;
use crate::door::Door;

pub(crate) async fn list(State(door): State<Door>, headers: HeaderMap) -> Result<Json<Value>, Error> {
    door.keys.bearer(&headers).await?;
    let data: Vec<Value> = door.models.names().iter().map(|name| shown(name)).collect();
    Ok(Json(json!({ "object": "list", "data": data })))
}

pub(crate) async fn one(
    State(door): State<Door>,
    headers: HeaderMap,
    Path(model): Path<String>,
) -> Result<Json<Value>, Error> {
    door.keys.bearer(&headers).await?;
    if door.models.names().contains(&model) {
        return Ok(Json(shown(&model)));
    }
    Err(Error::no_model(&model))
}

fn shown(name: &str) -> Value {
    // Clients want a moment of creation; a catalogue has none.
    json!({ "id": name, "object": "model", "created": 0, "owned_by": "baton" })
}
