//! Composio: the enabled apps, their actions, and the accounts that people connect.

use axum::Extension;
use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use baton_ports::connections::{AppAction, AppListing, AuthorizationLink, ConnectionError, ConnectionRequest};
use baton_ports::keys::AccessScope;
use baton_ports::read::{PAGE_DEFAULT, PAGE_MAX};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::cursor::PagedList;
use super::extractors::{PathParams, QueryParams, limit};
use super::principal::Principal;
use super::schemas::ProblemSchema;
use super::schemas::composio::{
    ComposioActionList, ComposioAppList, ComposioConnectionList, ConnectionStart, DisconnectionSchema, ToolkitRefresh,
};
use super::tools::check_query;
use crate::body;
use crate::code;
use crate::problem::HttpProblem;
use crate::state::AppState;

/// Default and maximum number of actions returned by a search.
const RESULTS_DEFAULT: usize = 10;
const RESULTS_MAX: usize = 50;
/// Maximum length of a redirect URL, in characters.
const ADDRESS_CHARS_MAX: usize = 2_000;
/// The entity of an account that belongs to the tenant itself.
const COMPANY: &str = "company";

pub(super) fn paths() -> OpenApiRouter<AppState> {
    let looks = OpenApiRouter::new()
        .routes(routes!(apps))
        .routes(routes!(actions))
        .routes(routes!(search))
        .routes(routes!(find))
        .routes(routes!(connections));
    let runs = OpenApiRouter::new().routes(routes!(connect)).routes(routes!(disconnect));
    let operates = OpenApiRouter::new().routes(routes!(refresh));
    super::require(AccessScope::Look, looks)
        .merge(super::audited(AccessScope::Run, runs))
        .merge(super::audited(AccessScope::Operate, operates))
}

/// Compatibility paths without the prefix, from the design documents.
pub(super) fn short_paths() -> Router<AppState> {
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
    super::require_unlisted(AccessScope::Look, looks)
        .merge(super::audited_unlisted(AccessScope::Run, runs))
        .merge(super::audited_unlisted(AccessScope::Operate, operates))
}

impl From<ConnectionError> for HttpProblem {
    fn from(fault: ConnectionError) -> Self {
        match fault {
            ConnectionError::Rejected { reason } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, code::COMPOSIO_REFUSED, reason)
            }
            ConnectionError::Unavailable { .. } => {
                Self::new(StatusCode::BAD_GATEWAY, code::COMPOSIO_UNAVAILABLE, fault.to_string())
            }
            ConnectionError::Storage { .. } => Self::internal("what is kept of Composio", &fault),
        }
    }
}

/// Which apps.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ComposioAppsQuery {
    /// As Composio calls it; case and hyphens do not matter.
    category: Option<String>,
}

/// Lists the apps that are chosen, and whether an account is connected
#[utoipa::path(get, path = "/api/v1/composio/apps", tag = "composio", params(ComposioAppsQuery), responses(
    (status = 200, body = ComposioAppList), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn apps(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    QueryParams(of): QueryParams<ComposioAppsQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let plain = |text: &str| text.chars().filter(|char| char.is_alphanumeric()).collect::<String>().to_lowercase();
    let mut apps: Vec<AppListing> = state.admin_services()?.connections.apps(principal.tenant()).await?;
    if let Some(category) = of.category.as_deref().map(plain) {
        apps.retain(|app| plain(&app.category) == category);
    }
    Ok(Json(json!({ "apps": apps })))
}

/// Which actions.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ComposioActionsQuery {
    /// One app's, by its name.
    app: Option<String>,
    /// 1 to 500; 50 unless told.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// As the page before says.
    cursor: Option<String>,
}

/// Lists what apps can do, by name
#[utoipa::path(get, path = "/api/v1/composio/actions", tag = "composio", params(ComposioActionsQuery), responses(
    (status = 200, body = ComposioActionList), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn actions(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    QueryParams(of): QueryParams<ComposioActionsQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let limit = limit(of.limit, PAGE_DEFAULT, PAGE_MAX)?;
    let after = PagedList::ComposioActions.decode(principal.tenant(), of.cursor.as_deref())?;
    let all: Vec<AppAction> =
        state.admin_services()?.connections.actions(principal.tenant(), of.app.as_deref()).await?;
    // The entries are ordered by both, so the entries after the last one of a page are on the next page.
    let after = after.as_deref().map(|place| place.split_once('.').unwrap_or((place, "")));
    let is_behind = |action: &&AppAction| after.is_none_or(|after| (&*action.app_name, &*action.action_name) > after);
    let page: Vec<&AppAction> = all.iter().filter(is_behind).take(limit).collect();
    let next = page.last().filter(|_| page.len() == limit);
    let next = next.map(|action| format!("{}.{}", action.app_name, action.action_name));
    let next = next.map(|place| PagedList::ComposioActions.encode(principal.tenant(), &place));
    Ok(Json(json!({ "actions": page, "next_cursor": next })))
}

/// What is looked for.
#[derive(Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
#[schema(as = ActionQuery)]
pub(super) struct ActionSearchQuery {
    #[param(pattern = r"\S", max_length = 1000)]
    #[schema(pattern = r"\S", max_length = 1000)]
    query: String,
    /// 1 to 50; 10 unless told.
    #[param(minimum = 1, maximum = 50)]
    #[schema(minimum = 1, maximum = 50)]
    limit: Option<usize>,
}

/// Searches for actions by what they do, the best first
#[utoipa::path(get, path = "/api/v1/composio/actions/search", tag = "composio", params(ActionSearchQuery), responses(
    (status = 200, body = ComposioActionList), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn search(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    QueryParams(sought): QueryParams<ActionSearchQuery>,
) -> Result<Json<Value>, HttpProblem> {
    search_actions(&state, &principal, &sought).await
}

/// The same, where the words are better kept out of addresses
#[utoipa::path(post, path = "/api/v1/composio/search", tag = "composio", request_body = ActionSearchQuery, responses(
    (status = 200, body = ComposioActionList), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn find(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    body: Body,
) -> Result<Json<Value>, HttpProblem> {
    let sought: ActionSearchQuery = body::json(body, state.limits).await?;
    search_actions(&state, &principal, &sought).await
}

async fn search_actions(
    state: &AppState,
    principal: &Principal,
    sought: &ActionSearchQuery,
) -> Result<Json<Value>, HttpProblem> {
    let limit = limit(sought.limit, RESULTS_DEFAULT, RESULTS_MAX)?;
    let words = check_query("query", &sought.query)?;
    let (actions, degraded) = state.admin_services()?.connections.search(principal.tenant(), words, limit).await?;
    let mut told = json!({ "actions": actions });
    if let Some(reason) = degraded {
        told["degraded_reason"] = json!(reason);
    }
    Ok(Json(told))
}

/// Whose account, and where the browser goes then.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Connect)]
pub(super) struct ConnectAccountRequest {
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
    request_body = ConnectAccountRequest, responses(
    (status = 200, body = ConnectionStart), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn connect(
    State(app_state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(app): PathParams<String>,
    body: Body,
) -> Result<Json<AuthorizationLink>, HttpProblem> {
    let ConnectAccountRequest { entity_id, redirect_url } = body::json(body, app_state.limits).await?;
    may_act_for(&principal, &entity_id)?;
    if let Some(address) = &redirect_url {
        let is_one = ["https://", "http://"].iter().any(|scheme| address.starts_with(scheme));
        if !is_one || address.chars().count() > ADDRESS_CHARS_MAX || address.chars().any(char::is_control) {
            let detail =
                format!("`redirect_url` is an address of https or http of at most {ADDRESS_CHARS_MAX} characters");
            return Err(HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail));
        }
    }
    let state = new_state_token();
    let wish = ConnectionRequest { app: &app, entity: &entity_id, callback: redirect_url.as_deref(), state: &state };
    Ok(Json(app_state.admin_services()?.connections.connect(principal.tenant(), wish).await?))
}

/// An account that belongs to no customer requires the scope that decides on runs.
fn may_act_for(principal: &Principal, entity: &str) -> Result<(), HttpProblem> {
    let is_shared = entity == COMPANY || ["agent:", "name:"].iter().any(|kind| entity.starts_with(kind));
    if is_shared { principal.require(AccessScope::Operate) } else { Ok(()) }
}

/// An unguessable token with 148 random bits.
fn new_state_token() -> String {
    format!("{}{}", uuid::Uuid::now_v7().simple(), uuid::Uuid::now_v7().simple())
}

/// How connections are looked at.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ConnectionListQuery {
    /// Ask Composio how each stands now; else as it was when it was looked at last.
    #[serde(default)]
    check: bool,
}

/// Lists the accounts that are connected, and how they stand
#[utoipa::path(get, path = "/api/v1/composio/connections", tag = "composio", params(ConnectionListQuery), responses(
    (status = 200, body = ComposioConnectionList), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn connections(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    QueryParams(looked): QueryParams<ConnectionListQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let all = state.admin_services()?.connections.accounts(principal.tenant(), looked.check).await?;
    Ok(Json(json!({ "connections": all })))
}

/// Whose account.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct DisconnectQuery {
    /// As it was connected for; `company` unless told.
    entity_id: Option<String>,
}

/// Revokes an account at Composio and forgets it
#[utoipa::path(delete, path = "/api/v1/composio/connections/{app}", tag = "composio",
    params(("app" = String, Path), DisconnectQuery), responses(
    (status = 200, body = DisconnectionSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn disconnect(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(app): PathParams<String>,
    QueryParams(whose): QueryParams<DisconnectQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let entity = whose.entity_id.unwrap_or_else(company);
    may_act_for(&principal, &entity)?;
    match state.admin_services()?.connections.disconnect(principal.tenant(), &app, &entity).await? {
        Some(connection) => Ok(Json(json!({ "disconnected": connection }))),
        None => {
            let detail = format!("`{entity}` has connected no account of `{app}`");
            let problem = HttpProblem::new(StatusCode::NOT_FOUND, code::CONNECTION_NOT_FOUND, detail);
            Err(problem.with_hint("GET /api/v1/composio/connections lists those there are"))
        }
    }
}

/// Which versions.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Refresh)]
pub(super) struct RefreshActionsRequest {
    /// The newest of those whose version the settings do not pin, which is pinned then.
    #[serde(default)]
    newest: bool,
}

/// Looks up now which actions the apps have
#[utoipa::path(post, path = "/api/v1/composio/refresh", tag = "composio", request_body = RefreshActionsRequest, responses(
    (status = 200, body = ToolkitRefresh), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn refresh(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    body: Body,
) -> Result<Json<Value>, HttpProblem> {
    let RefreshActionsRequest { newest } = body::json(body, state.limits).await?;
    let found = state.admin_services()?.connections.refresh(principal.tenant(), newest).await?;
    Ok(Json(json!({ "toolkits": found })))
}
