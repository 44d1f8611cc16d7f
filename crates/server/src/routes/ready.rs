//! `/ready`: the state of each dependency, by name, with its response time. Public; 503 if one is not available.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::state::AppState;

pub(crate) async fn ready(State(state): State<AppState>) -> (StatusCode, Json<Value>) {
    if *state.stopping.borrow() {
        let body = json!({ "status": "not_ready", "checks": { "server": "unhealthy: it is stopping" } });
        return (StatusCode::SERVICE_UNAVAILABLE, Json(body));
    }
    let answer = state.checks().report().await;
    let status = if answer.is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(answer.body))
}
