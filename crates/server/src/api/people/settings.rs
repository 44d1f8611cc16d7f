//! The desk's settings: its deadlines, and what is done where one is missed.

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use baton_core::desk::{Command, Settings};

use super::{fresh, look, tell};
use crate::api::guest::Guest;
use crate::api::shapes::{DeskSettings, Problem as Refusal};
use crate::body;
use crate::door::Door;
use crate::problem::Problem;

/// Shows the desk's settings
#[utoipa::path(get, path = "/api/v1/desk/settings", tag = "people", responses((status = 200, body = DeskSettings)))]
pub(in crate::api) async fn show(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
) -> Result<Json<Settings>, Problem> {
    Ok(Json(look(&door, &guest).await?.settings().clone()))
}

/// Sets the desk's settings, all of them
///
/// What is left out is as it is unless told. Deadlines hold for conversations that come from now on; chains and the time after
/// which somebody is offline for those that are there, too.
#[utoipa::path(put, path = "/api/v1/desk/settings", tag = "people", request_body = DeskSettings, responses(
    (status = 200, body = DeskSettings), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(in crate::api) async fn put(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    body: Body,
) -> Result<Json<Settings>, Problem> {
    let settings: Settings = body::json(body, door.limits).await?;
    tell(&door, &guest, &fresh(), &Command::Settings(settings)).await?;
    show(State(door), Extension(guest)).await
}
