//! The API below `/api/v1`: creates and executes workflows, reads runs and acts on them.
//!
//! Every path here is guarded by [`principal::authenticate`], which checks the key and its rate limit, and by the
//! scope that the path requires. The parameters and responses of a path are declared next to its handler and form
//! the document at `/api/v1/openapi.json`.

mod agents;
mod audit;
mod audit_middleware;
mod composio;
mod conversations;
mod costs;
mod cursor;
mod customers;
mod decision_links;
mod etag;
mod event_stream;
mod execute;
mod executions;
mod extractors;
mod human_agents;
pub(crate) mod idempotency;
mod keys;
mod knowledge;
mod kpis;
mod models;
mod openapi;
mod principal;
mod schedules;
mod schemas;
mod sources;
mod start_run;
mod subscriptions;
mod tasks;
mod tenant_catalog;
mod tenant_settings;
mod tenants;
mod tools;
mod wait_preference;
mod webhooks;
mod workflows;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use baton_ports::keys::AccessScope;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::AppState;

use openapi::ApiKeySecurity;

pub(crate) use conversations::entry_lines as lines;
pub(crate) use decision_links::ResolvedLink;
pub(crate) use extractors::PathParams;
pub(crate) use idempotency::digest;
pub(crate) use schedules::accepted;
pub(crate) use start_run::version_for;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Baton",
        description = "Workflows are executed durably, and their runs looked at and acted on. Every request brings a key \
                       as `Authorization: Bearer KEY`; errors are `application/problem+json`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    security(("key" = [])),
    components(schemas(schemas::RoutingEventSchema)),
    modifiers(&ApiKeySecurity)
)]
struct ApiDocument;

/// The routes, including the one that serves the API document.
pub(crate) fn build_router(state: &AppState) -> Router<AppState> {
    let (paths, document) = routes_and_document();
    let document: &'static str = document.leak();
    paths
        .merge(models::short_paths())
        .merge(composio::short_paths())
        .merge(short_paths())
        .layer(from_fn_with_state(state.clone(), principal::authenticate))
        .route("/api/v1/openapi.json", get(async move || serve_document(document)))
}

/// Compatibility paths without the prefix, from the design documents (`docs/reference/seed-names.md`), with the
/// same authentication and scopes.
fn short_paths() -> Router<AppState> {
    let looks = Router::new().route("/conversations/{conversation_id}", get(conversations::show));
    let runs = Router::new().route("/workflows/execute", post(execute::execute));
    require_unlisted(AccessScope::Look, looks).merge(require_unlisted(AccessScope::Run, runs))
}

/// The document at `/api/v1/openapi.json`, as JSON text.
pub fn document() -> String {
    routes_and_document().1
}

fn routes_and_document() -> (Router<AppState>, String) {
    let looks = OpenApiRouter::new()
        .routes(routes!(workflows::list))
        .routes(routes!(workflows::show))
        .routes(routes!(workflows::versions))
        .routes(routes!(workflows::diff))
        .routes(routes!(workflows::export))
        .routes(routes!(workflows::templates))
        .routes(routes!(workflows::template))
        .routes(routes!(workflows::activation::traffic))
        .routes(routes!(agents::list))
        .routes(routes!(agents::show))
        .routes(routes!(conversations::list))
        .routes(routes!(conversations::show))
        .routes(routes!(conversations::messages))
        .routes(routes!(conversations::live::events))
        .routes(routes!(tasks::list))
        .routes(routes!(tasks::live::events))
        .routes(routes!(human_agents::settings::show))
        .routes(routes!(human_agents::list))
        .routes(routes!(human_agents::show))
        .routes(routes!(human_agents::queue))
        .routes(routes!(tasks::approvals))
        .routes(routes!(tasks::show))
        .routes(routes!(kpis::show))
        .routes(routes!(schedules::list))
        .routes(routes!(schedules::show))
        .routes(routes!(webhooks::list))
        .routes(routes!(webhooks::show))
        .routes(routes!(subscriptions::list))
        .routes(routes!(subscriptions::show))
        .routes(routes!(subscriptions::deliveries))
        .routes(routes!(executions::list))
        .routes(routes!(executions::show))
        .routes(routes!(executions::timeline))
        .routes(routes!(executions::summary))
        .routes(routes!(executions::costs))
        .routes(routes!(executions::journal))
        .routes(routes!(executions::graph))
        .routes(routes!(executions::live::events));
    let runs = OpenApiRouter::new()
        .routes(routes!(execute::execute))
        .routes(routes!(agents::execute))
        .routes(routes!(conversations::begin))
        .routes(routes!(conversations::message))
        .routes(routes!(conversations::rate))
        .routes(routes!(executions::commands::signal));
    let builds = OpenApiRouter::new()
        .routes(routes!(workflows::edit::create))
        .routes(routes!(workflows::edit::replace))
        .routes(routes!(workflows::edit::archive))
        .routes(routes!(workflows::edit::validate))
        .routes(routes!(workflows::edit::import))
        .routes(routes!(workflows::generate::generate))
        .routes(routes!(agents::create))
        .routes(routes!(agents::replace))
        .routes(routes!(agents::remove));
    let operates = OpenApiRouter::new()
        .routes(routes!(schedules::create))
        .routes(routes!(schedules::replace))
        .routes(routes!(schedules::remove))
        .routes(routes!(schedules::pause))
        .routes(routes!(schedules::resume))
        .routes(routes!(webhooks::create))
        .routes(routes!(webhooks::replace))
        .routes(routes!(webhooks::remove))
        .routes(routes!(webhooks::rotate))
        .routes(routes!(decision_links::create))
        .routes(routes!(subscriptions::create))
        .routes(routes!(subscriptions::replace))
        .routes(routes!(subscriptions::remove))
        .routes(routes!(subscriptions::rotate))
        .routes(routes!(subscriptions::replay))
        .routes(routes!(workflows::activation::activate))
        .routes(routes!(workflows::activation::rollback))
        .routes(routes!(workflows::activation::split));
    let runs_on = OpenApiRouter::new()
        .routes(routes!(schedules::run))
        .routes(routes!(executions::commands::pause))
        .routes(routes!(executions::commands::resume))
        .routes(routes!(executions::commands::cancel))
        .routes(routes!(executions::commands::compensate))
        .routes(routes!(executions::commands::retry))
        .routes(routes!(executions::fork::fork))
        .routes(routes!(executions::commands::resolve));
    let answers = OpenApiRouter::new()
        .routes(routes!(tasks::approve))
        .routes(routes!(tasks::reject))
        .routes(routes!(executions::commands::answer))
        .routes(routes!(human_agents::presence))
        .routes(routes!(human_agents::transfer))
        .routes(routes!(conversations::post))
        .routes(routes!(conversations::note))
        .routes(routes!(conversations::service_level))
        .routes(routes!(conversations::take_over))
        .routes(routes!(conversations::give_back))
        .routes(routes!(conversations::resolve))
        .routes(routes!(conversations::reopen));
    let administers = OpenApiRouter::new()
        .routes(routes!(human_agents::put))
        .routes(routes!(human_agents::remove))
        .routes(routes!(human_agents::settings::put));
    let (paths, mut document) = OpenApiRouter::with_openapi(ApiDocument::openapi())
        .routes(routes!(principal::me))
        .merge(require(AccessScope::Look, looks))
        .merge(require(AccessScope::Run, runs))
        .merge(audited(AccessScope::Build, builds))
        .merge(audited(AccessScope::Operate, operates))
        .merge(require(AccessScope::Operate, runs_on))
        .merge(require(AccessScope::Answer, answers))
        .merge(tools::paths())
        .merge(sources::paths())
        .merge(composio::paths())
        .merge(costs::paths())
        .merge(knowledge::paths())
        .merge(customers::paths())
        .merge(models::paths())
        .merge(audit::paths())
        .merge(keys::paths())
        .merge(tenants::paths())
        .merge(audited(AccessScope::Administer, administers))
        .split_for_parts();
    openapi::complete(&mut document);
    (paths, document.to_pretty_json().unwrap_or_default())
}

/// Requires this scope for the paths.
fn require(need: AccessScope, paths: OpenApiRouter<AppState>) -> OpenApiRouter<AppState> {
    paths.layer(from_fn(move |caller, request, next| principal::authorize(need, caller, request, next)))
}

/// Like [`require`], for paths that the document lists under another address.
fn require_unlisted(need: AccessScope, paths: Router<AppState>) -> Router<AppState> {
    paths.layer(from_fn(move |caller, request, next| principal::authorize(need, caller, request, next)))
}

/// Like [`require`], for actions that start no run: they are written to the audit trail, and performed once per
/// `Idempotency-Key`.
fn audited(need: AccessScope, paths: OpenApiRouter<AppState>) -> OpenApiRouter<AppState> {
    let told =
        paths.layer(from_fn(audit_middleware::audit_middleware)).layer(from_fn(idempotency::idempotency_middleware));
    require(need, told.layer(from_fn(idempotency::run_to_completion)))
}

/// Like [`audited`], for paths that the document lists under another address.
fn audited_unlisted(need: AccessScope, paths: Router<AppState>) -> Router<AppState> {
    let told = paths
        .layer(from_fn(audit_middleware::audit_middleware))
        .layer(from_fn(idempotency::idempotency_middleware))
        .layer(from_fn(idempotency::run_to_completion));
    told.layer(from_fn(move |caller, request, next| principal::authorize(need, caller, request, next)))
}

fn serve_document(document: &'static str) -> Response {
    ([(CONTENT_TYPE, "application/json")], document).into_response()
}
