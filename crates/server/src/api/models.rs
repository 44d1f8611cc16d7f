//! Models: their profiles, and the circuits of those that are suspended.

use axum::Extension;
use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use baton_expr::nearest;
use baton_ports::circuits::{ModelCircuit, ModelCircuitState};
use baton_ports::keys::AccessScope;
use baton_ports::models::{ModelListing, resolve_name};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extractors::{PathParams, QueryParams};
use super::principal::Principal;
use super::schemas::ProblemSchema;
use super::schemas::models::{CircuitList, CircuitSchema, ModelList, ProfileListSchema};
use super::tenants::ServerOperator;
use crate::body;
use crate::code;
use crate::problem::HttpProblem;
use crate::state::AppState;

/// Default and maximum number of tokens for which profiles are calculated.
const TOKENS_DEFAULT: u64 = 1_000;
const TOKENS_MAX: u64 = 10_000_000;
/// Maximum length of the reason for opening or closing a circuit, in characters.
const REASON_CHARS_MAX: usize = 1_000;

pub(super) fn paths() -> OpenApiRouter<AppState> {
    let looks = OpenApiRouter::new().routes(routes!(list)).routes(routes!(profiles)).routes(routes!(circuits));
    let operates = OpenApiRouter::new().routes(routes!(close)).routes(routes!(open));
    super::require(AccessScope::Look, looks).merge(super::audited(AccessScope::Operate, operates))
}

/// Compatibility paths without the prefix, from the design documents.
pub(super) fn short_paths() -> Router<AppState> {
    let operates = Router::new()
        .route("/admin/circuit-breaker/{model}/close", post(close))
        .route("/admin/circuit-breaker/{model}/open", post(open));
    super::audited_unlisted(AccessScope::Operate, operates)
}

/// Lists models with their facts, and what stands against each now
#[utoipa::path(get, path = "/api/v1/models", tag = "models", responses((status = 200, body = ModelList)))]
pub(super) async fn list(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
) -> Result<Json<Value>, HttpProblem> {
    let models = state.models.models(principal.tenant());
    Ok(Json(json!({ "scripted": state.run_services()?.scripted, "models": models })))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ProfileListQuery {
    /// How long the text is that a model is chosen for, in tokens; 1,000 unless told.
    #[param(maximum = 10_000_000)]
    tokens: Option<u64>,
}

/// Lists profiles: their rules, and which model each would ask now
#[utoipa::path(get, path = "/api/v1/models/profiles", tag = "models", params(ProfileListQuery), responses(
    (status = 200, body = ProfileListSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn profiles(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    QueryParams(asked): QueryParams<ProfileListQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let tokens = asked.tokens.unwrap_or(TOKENS_DEFAULT);
    if tokens > TOKENS_MAX {
        return Err(HttpProblem::invalid_parameter("tokens", format!("it must be 0 to {TOKENS_MAX}")));
    }
    Ok(Json(json!({ "profiles": state.models.profiles(principal.tenant(), tokens) })))
}

/// Lists the circuits that anything was ever said of; those of all other models are closed
///
/// They are everybody's. Who opened or closed one by hand, and why, is told to the server's own tenant alone.
#[utoipa::path(get, path = "/api/v1/admin/circuit-breaker", tag = "models", responses((status = 200, body = CircuitList)))]
pub(super) async fn circuits(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
) -> Result<Json<Value>, HttpProblem> {
    let (mut circuits, now) = (state.admin_services()?.circuits.circuits().await?, state.clock.now());
    if state.run_services()?.tenant != *principal.tenant() {
        circuits.iter_mut().for_each(|circuit| (circuit.by, circuit.reason) = (String::new(), String::new()));
    }
    Ok(Json(json!({ "circuits": circuits.iter().map(|circuit| circuit.as_json(now)).collect::<Vec<_>>() })))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Why)]
pub(super) struct CircuitChangeRequest {
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
    params(("model" = String, Path)), request_body = CircuitChangeRequest, responses(
    (status = 200, body = CircuitSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn close(
    _host: ServerOperator,
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(model): PathParams<String>,
    body: Body,
) -> Result<Json<Value>, HttpProblem> {
    set_circuit(&state, &principal, &model, ModelCircuitState::Closed, body).await
}

/// Opens a model's circuit: it is asked no more until a person closes it
///
/// For the server's own tenant, since a model's circuit is everybody's.
#[utoipa::path(post, path = "/api/v1/admin/circuit-breaker/{model}/open", tag = "models",
    params(("model" = String, Path)), request_body = CircuitChangeRequest, responses(
    (status = 200, body = CircuitSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn open(
    _host: ServerOperator,
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(model): PathParams<String>,
    body: Body,
) -> Result<Json<Value>, HttpProblem> {
    set_circuit(&state, &principal, &model, ModelCircuitState::Open, body).await
}

/// Setting a circuit twice has the same effect as once, so it needs no idempotency key.
async fn set_circuit(
    app_state: &AppState,
    principal: &Principal,
    named: &str,
    state: ModelCircuitState,
    body: Body,
) -> Result<Json<Value>, HttpProblem> {
    let CircuitChangeRequest { reason } = body::json(body, app_state.limits).await?;
    if reason.chars().count() > REASON_CHARS_MAX {
        let detail = format!("`reason` may have {REASON_CHARS_MAX} characters");
        return Err(HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail));
    }
    let (admin, models) = (app_state.admin_services()?, app_state.models.models(principal.tenant()));
    let model = resolve_name(&models, named);
    // A model requested under a name that is in no catalogue may have failed too.
    let is_known = models.iter().any(|listed| listed.name == model)
        || admin.circuits.circuits().await?.iter().any(|circuit| circuit.model == model);
    if !is_known {
        return Err(model_not_found(&models, named));
    }
    let now = app_state.clock.now();
    let (model, by) = (model.to_owned(), principal.actor_name().to_owned());
    let circuit = ModelCircuit { model, state, until: None, since: now, by, reason };
    admin.circuits.set(circuit.clone()).await?;
    Ok(Json(circuit.as_json(now)))
}

/// The problem for an unknown model name; it suggests the nearest known name.
fn model_not_found(models: &[ModelListing], name: &str) -> HttpProblem {
    let problem = HttpProblem::new(StatusCode::NOT_FOUND, code::MODEL_NOT_FOUND, format!("no model `{name}` is known"));
    match nearest(name, models.iter().map(|model| model.name.as_str())) {
        Some(near) => problem.with_hint(format!("did you mean `{near}`?")),
        None => problem.with_hint("GET /api/v1/models lists those there are"),
    }
}
