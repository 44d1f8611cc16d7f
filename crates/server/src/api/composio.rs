//! Composio: the apps that are chosen, what they can do, and the accounts that people connect.

use axum::Extension;
use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use baton_ports::connections::{Action, App, Fault, Link, Wish};
use baton_ports::keys::Need;
use baton_ports::read::{PAGE_DEFAULT, PAGE_MAX};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::cursor::List;
use super::guest::Guest;
use super::query::{Path, Query, limit};
use super::shapes::Problem as Refusal;
use super::shapes::composio::{Actions, Apps, Connecting, Connections, Disconnected, Refreshed};
use super::tools::within;
use crate::body;
use crate::code;
use crate::door::Door;
use crate::problem::Problem;

/// Actions of one search unless told, and at most.
const FOUND_DEFAULT: usize = 10;
const FOUND_MAX: usize = 50;
/// Characters of an address that a browser is sent to.
const ADDRESS_CHARS_MAX: usize = 2_000;
/// An account of the tenant's own.
const COMPANY: &str = "company";

pub(super) fn paths() -> OpenApiRouter<Door> {
    let looks = OpenApiRouter::new()
        .routes(routes!(apps))
        .routes(routes!(actions))
        .routes(routes!(search))
        .routes(routes!(find))
        .routes(routes!(connections));
    let runs = OpenApiRouter::new().routes(routes!(connect)).routes(routes!(disconnect));
    let operates = OpenApiRouter::new().routes(routes!(refresh));
    super::needing(Need::Look, looks)
        .merge(super::acting(Need::Run, runs))
        .merge(super::acting(Need::Operate, operates))
}

/// The same without the prefix, as the seeds ask them.
pub(super) fn short_paths() -> Router<Door> {
    let looks = Router::new()
        .route("/composio/apps", get(apps))
        .route("/composio/actions", get(actions))
        .route("/composio/actions/search", get(search))
        .route("/composio/search", post(find))
        .route("/composio/connections", get(connections));
    let runs = Router::new()
        .route("/composio/connect/{app}", post(connect))
        .route("/composio/connections/{app}", delete(disconnect));
    let operates = Router::new().route("/composio/refresh", post(refresh));
    super::needing_too(Need::Look, looks)
        .merge(super::acting_too(Need::Run, runs))
        .merge(super::acting_too(Need::Operate, operates))
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused { reason } => Self::new(StatusCode::UNPROCESSABLE_ENTITY, code::COMPOSIO_REFUSED, reason),
            Fault::Unavailable { .. } => {
                Self::new(StatusCode::BAD_GATEWAY, code::COMPOSIO_UNAVAILABLE, fault.to_string())
            }
            Fault::Storage { .. } => Self::broken("what is kept of Composio", &fault),
        }
    }
}

/// Which apps.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct OfCategory {
    /// As Composio calls it; case and hyphens do not matter.
    category: Option<String>,
}

/// Lists the apps that are chosen, and whether an account is connected
#[utoipa::path(get, path = "/api/v1/composio/apps", tag = "composio", params(OfCategory), responses(
    (status = 200, body = Apps), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn apps(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Query(of): Query<OfCategory>,
) -> Result<Json<Value>, Problem> {
    let plain = |text: &str| text.chars().filter(|char| char.is_alphanumeric()).collect::<String>().to_lowercase();
    let mut apps: Vec<App> = door.house()?.connections.apps(guest.tenant()).await?;
    if let Some(category) = of.category.as_deref().map(plain) {
        apps.retain(|app| plain(&app.category) == category);
    }
    Ok(Json(json!({ "apps": apps })))
}

/// Which actions.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct OfApp {
    /// One app's, by its name.
    app: Option<String>,
    /// 1 to 500; 50 unless told.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// As the page before says.
    cursor: Option<String>,
}

/// Lists what apps can do, by name
#[utoipa::path(get, path = "/api/v1/composio/actions", tag = "composio", params(OfApp), responses(
    (status = 200, body = Actions), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn actions(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Query(of): Query<OfApp>,
) -> Result<Json<Value>, Problem> {
    let limit = limit(of.limit, PAGE_DEFAULT, PAGE_MAX)?;
    let after = List::ComposioActions.place(guest.tenant(), of.cursor.as_deref())?;
    let all: Vec<Action> = door.house()?.connections.actions(guest.tenant(), of.app.as_deref()).await?;
    // They are in the order of both, so what is behind the last of a page is on the next.
    let after = after.as_deref().map(|place| place.split_once('.').unwrap_or((place, "")));
    let is_behind = |action: &&Action| after.is_none_or(|after| (&*action.app_name, &*action.action_name) > after);
    let page: Vec<&Action> = all.iter().filter(is_behind).take(limit).collect();
    let next = page.last().filter(|_| page.len() == limit);
    let next = next.map(|action| format!("{}.{}", action.app_name, action.action_name));
    let next = next.map(|place| List::ComposioActions.cursor(guest.tenant(), &place));
    Ok(Json(json!({ "actions": page, "next_cursor": next })))
}

/// What is looked for.
#[derive(Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ActionQuery {
    #[param(pattern = r"\S", max_length = 1000)]
    #[schema(pattern = r"\S", max_length = 1000)]
    query: String,
    /// 1 to 50; 10 unless told.
    #[param(minimum = 1, maximum = 50)]
    #[schema(minimum = 1, maximum = 50)]
    limit: Option<usize>,
}

/// Searches for actions by what they do, the best first
#[utoipa::path(get, path = "/api/v1/composio/actions/search", tag = "composio", params(ActionQuery), responses(
    (status = 200, body = Actions), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn search(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Query(sought): Query<ActionQuery>,
) -> Result<Json<Value>, Problem> {
    found(&door, &guest, &sought).await
}

/// The same, where the words are better kept out of addresses
#[utoipa::path(post, path = "/api/v1/composio/search", tag = "composio", request_body = ActionQuery, responses(
    (status = 200, body = Actions), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn find(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let sought: ActionQuery = body::json(body, door.limits).await?;
    found(&door, &guest, &sought).await
}

async fn found(door: &Door, guest: &Guest, sought: &ActionQuery) -> Result<Json<Value>, Problem> {
    let limit = limit(sought.limit, FOUND_DEFAULT, FOUND_MAX)?;
    let words = within("query", &sought.query)?;
    let (actions, degraded) = door.house()?.connections.search(guest.tenant(), words, limit).await?;
    let mut told = json!({ "actions": actions });
    if let Some(reason) = degraded {
        told["degraded_reason"] = json!(reason);
    }
    Ok(Json(told))
}

/// Whose account, and where the browser goes then.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Connect {
    /// A customer's id, or `company` (unless told), `user:ID`, `conversation:ID`, `agent:NAME`, `name:NAME`.
    #[serde(default = "company")]
    entity_id: String,
    /// Where the person's browser goes once it is connected; unless told to `callback_base` of the settings.
    redirect_url: Option<String>,
}

fn company() -> String {
    COMPANY.to_owned()
}

/// Begins to connect an account: whoever opens the address finishes it
///
/// Whoever runs workflows may connect a customer's account; the tenant's own, and those of agents, are for those who decide
/// what becomes of runs. Asked twice, the later address is the one to open.
#[utoipa::path(post, path = "/api/v1/composio/connect/{app}", tag = "composio", params(("app" = String, Path)),
    request_body = Connect, responses(
    (status = 200, body = Connecting), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn connect(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(app): Path<String>,
    body: Body,
) -> Result<Json<Link>, Problem> {
    let Connect { entity_id, redirect_url } = body::json(body, door.limits).await?;
    may_act_for(&guest, &entity_id)?;
    if let Some(address) = &redirect_url {
        let is_one = ["https://", "http://"].iter().any(|scheme| address.starts_with(scheme));
        if !is_one || address.chars().count() > ADDRESS_CHARS_MAX || address.chars().any(char::is_control) {
            let detail =
                format!("`redirect_url` is an address of https or http of at most {ADDRESS_CHARS_MAX} characters");
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail));
        }
    }
    let state = state();
    let wish = Wish { app: &app, entity: &entity_id, callback: redirect_url.as_deref(), state: &state };
    Ok(Json(door.house()?.connections.connect(guest.tenant(), wish).await?))
}

/// An account that is no customer's is for who decides what becomes of runs.
fn may_act_for(guest: &Guest, entity: &str) -> Result<(), Problem> {
    let is_shared = entity == COMPANY || ["agent:", "name:"].iter().any(|kind| entity.starts_with(kind));
    if is_shared { guest.must(Need::Operate) } else { Ok(()) }
}

/// What nobody can guess: 148 random bits.
fn state() -> String {
    format!("{}{}", uuid::Uuid::now_v7().simple(), uuid::Uuid::now_v7().simple())
}

/// How connections are looked at.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Looked {
    /// Ask Composio how each stands now; else as it was when it was looked at last.
    #[serde(default)]
    check: bool,
}

/// Lists the accounts that are connected, and how they stand
#[utoipa::path(get, path = "/api/v1/composio/connections", tag = "composio", params(Looked), responses(
    (status = 200, body = Connections), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn connections(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Query(looked): Query<Looked>,
) -> Result<Json<Value>, Problem> {
    let all = door.house()?.connections.accounts(guest.tenant(), looked.check).await?;
    Ok(Json(json!({ "connections": all })))
}

/// Whose account.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Whose {
    /// As it was connected for; `company` unless told.
    entity_id: Option<String>,
}

/// Revokes an account at Composio and forgets it
#[utoipa::path(delete, path = "/api/v1/composio/connections/{app}", tag = "composio",
    params(("app" = String, Path), Whose), responses(
    (status = 200, body = Disconnected), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn disconnect(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(app): Path<String>,
    Query(whose): Query<Whose>,
) -> Result<Json<Value>, Problem> {
    let entity = whose.entity_id.unwrap_or_else(company);
    may_act_for(&guest, &entity)?;
    match door.house()?.connections.disconnect(guest.tenant(), &app, &entity).await? {
        Some(connection) => Ok(Json(json!({ "disconnected": connection }))),
        None => {
            let detail = format!("`{entity}` has connected no account of `{app}`");
            let problem = Problem::new(StatusCode::NOT_FOUND, code::CONNECTION_NOT_FOUND, detail);
            Err(problem.hint("GET /api/v1/composio/connections lists those there are"))
        }
    }
}

/// Which versions.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Refresh {
    /// The newest of those whose version the settings do not pin, which is pinned then.
    #[serde(default)]
    newest: bool,
}

/// Looks up now which actions the apps have
#[utoipa::path(post, path = "/api/v1/composio/refresh", tag = "composio", request_body = Refresh, responses(
    (status = 200, body = Refreshed), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn refresh(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let Refresh { newest } = body::json(body, door.limits).await?;
    let found = door.house()?.connections.refresh(guest.tenant(), newest).await?;
    Ok(Json(json!({ "toolkits": found })))
}
