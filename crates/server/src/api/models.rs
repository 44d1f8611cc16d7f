//! Models: what is known of them, and those that are left alone.

use axum::Extension;
use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use baton_core::expr::nearest;
use baton_ports::circuits::{Circuit, State as Circuits};
use baton_ports::keys::Need;
use baton_ports::models::{Listed, meant};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::guest::Guest;
use super::query::{Path, Query};
use super::shapes::Problem as Refusal;
use super::shapes::models::{CircuitList, CircuitState, ModelList, Profiles};
use super::tenants::Host;
use crate::body;
use crate::code;
use crate::door::Door;
use crate::problem::Problem;

/// Tokens of the text that profiles are shown for, unless told, and at most.
const TOKENS_DEFAULT: u64 = 1_000;
const TOKENS_MAX: u64 = 10_000_000;
/// Characters of why a circuit was opened or closed.
const REASON_CHARS_MAX: usize = 1_000;

pub(super) fn paths() -> OpenApiRouter<Door> {
    let looks = OpenApiRouter::new().routes(routes!(list)).routes(routes!(profiles)).routes(routes!(circuits));
    let operates = OpenApiRouter::new().routes(routes!(close)).routes(routes!(open));
    super::needing(Need::Look, looks).merge(super::acting(Need::Operate, operates))
}

/// The same without the prefix, for who was told of them so.
pub(super) fn short_paths() -> Router<Door> {
    let operates = Router::new()
        .route("/admin/circuit-breaker/{model}/close", post(close))
        .route("/admin/circuit-breaker/{model}/open", post(open));
    super::acting_too(Need::Operate, operates)
}

/// Lists models with their facts, and what stands against each now
#[utoipa::path(get, path = "/api/v1/models", tag = "models", responses((status = 200, body = ModelList)))]
pub(super) async fn list(State(door): State<Door>, Extension(guest): Extension<Guest>) -> Result<Json<Value>, Problem> {
    let models = door.models.models(guest.tenant());
    Ok(Json(json!({ "scripted": door.work()?.scripted, "models": models })))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct For {
    /// How long the text is that a model is chosen for, in tokens; 1,000 unless told.
    #[param(maximum = 10_000_000)]
    tokens: Option<u64>,
}

/// Lists profiles: their rules, and which model each would ask now
#[utoipa::path(get, path = "/api/v1/models/profiles", tag = "models", params(For), responses(
    (status = 200, body = Profiles), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn profiles(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Query(asked): Query<For>,
) -> Result<Json<Value>, Problem> {
    let tokens = asked.tokens.unwrap_or(TOKENS_DEFAULT);
    if tokens > TOKENS_MAX {
        return Err(Problem::parameter("tokens", format!("it must be 0 to {TOKENS_MAX}")));
    }
    Ok(Json(json!({ "profiles": door.models.profiles(guest.tenant(), tokens) })))
}

/// Lists the circuits that anything was ever said of; those of all other models are closed
///
/// They are everybody's. Who opened or closed one by hand, and why, is told to the server's own tenant alone.
#[utoipa::path(get, path = "/api/v1/admin/circuit-breaker", tag = "models", responses((status = 200, body = CircuitList)))]
pub(super) async fn circuits(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
) -> Result<Json<Value>, Problem> {
    let (mut circuits, now) = (door.house()?.circuits.circuits().await?, door.clock.now());
    if door.work()?.tenant != *guest.tenant() {
        circuits.iter_mut().for_each(|circuit| (circuit.by, circuit.reason) = (String::new(), String::new()));
    }
    Ok(Json(json!({ "circuits": circuits.iter().map(|circuit| circuit.as_json(now)).collect::<Vec<_>>() })))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    /// It is shown with the circuit.
    #[serde(default)]
    #[schema(max_length = 1000)]
    reason: String,
}

/// Closes a model's circuit: it is asked again
///
/// For the server's own tenant, since a model's circuit is everybody's. Every process hears it within a second. It answers at `/admin/circuit-breaker/{model}/close` too. A name with a slash is
/// written with `%2F`.
#[utoipa::path(post, path = "/api/v1/admin/circuit-breaker/{model}/close", tag = "models",
    params(("model" = String, Path)), request_body = Why, responses(
    (status = 200, body = CircuitState), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn close(
    _host: Host,
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(model): Path<String>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    set(&door, &guest, &model, Circuits::Closed, body).await
}

/// Opens a model's circuit: it is asked no more until a person closes it
///
/// For the server's own tenant, since a model's circuit is everybody's.
#[utoipa::path(post, path = "/api/v1/admin/circuit-breaker/{model}/open", tag = "models",
    params(("model" = String, Path)), request_body = Why, responses(
    (status = 200, body = CircuitState), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn open(
    _host: Host,
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(model): Path<String>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    set(&door, &guest, &model, Circuits::Open, body).await
}

/// Said twice it is as said once, so there is nothing to repeat a request for under a key.
async fn set(door: &Door, guest: &Guest, named: &str, state: Circuits, body: Body) -> Result<Json<Value>, Problem> {
    let Why { reason } = body::json(body, door.limits).await?;
    if reason.chars().count() > REASON_CHARS_MAX {
        let detail = format!("`reason` may have {REASON_CHARS_MAX} characters");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail));
    }
    let (house, models) = (door.house()?, door.models.models(guest.tenant()));
    let model = meant(&models, named);
    // One that was asked for by a name no catalogue has may have failed too.
    let is_known = models.iter().any(|listed| listed.name == model)
        || house.circuits.circuits().await?.iter().any(|circuit| circuit.model == model);
    if !is_known {
        return Err(unknown(&models, named));
    }
    let now = door.clock.now();
    let (model, by) = (model.to_owned(), guest.by().to_owned());
    let circuit = Circuit { model, state, until: None, since: now, by, reason };
    house.circuits.set(circuit.clone()).await?;
    Ok(Json(circuit.as_json(now)))
}

/// A name that is no model's, told with the nearest that is.
fn unknown(models: &[Listed], name: &str) -> Problem {
    let problem = Problem::new(StatusCode::NOT_FOUND, code::MODEL_NOT_FOUND, format!("no model `{name}` is known"));
    match nearest(name, models.iter().map(|model| model.name.as_str())) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint("GET /api/v1/models lists those there are"),
    }
}
