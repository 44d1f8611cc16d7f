//! The settings of the routing queue: its deadlines, and the action when one is missed.

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use baton_core::routing::{RoutingCommand, RoutingSettings};

use super::{new_command_id, read_queue, submit};
use crate::api::principal::Principal;
use crate::api::schemas::{ProblemSchema, RoutingSettingsSchema};
use crate::body;
use crate::problem::HttpProblem;
use crate::state::AppState;

/// Shows the desk's settings
#[utoipa::path(get, path = "/api/v1/desk/settings", tag = "people", responses((status = 200, body = RoutingSettingsSchema)))]
pub(in crate::api) async fn show(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
) -> Result<Json<RoutingSettings>, HttpProblem> {
    Ok(Json(read_queue(&state, &principal).await?.settings().clone()))
}

/// Sets the desk's settings, all of them
///
/// What is left out is as it is unless told. Deadlines hold for conversations that come from now on; chains and the time after
/// which somebody is offline for those that are there, too.
#[utoipa::path(put, path = "/api/v1/desk/settings", tag = "people", request_body = RoutingSettingsSchema, responses(
    (status = 200, body = RoutingSettingsSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(in crate::api) async fn put(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    body: Body,
) -> Result<Json<RoutingSettings>, HttpProblem> {
    let settings: RoutingSettings = body::json(body, state.limits).await?;
    submit(&state, &principal, &new_command_id(), &RoutingCommand::Settings(settings)).await?;
    show(State(state), Extension(principal)).await
}
