//! `/api/v1`: workflows are made and executed, and runs looked at and acted on.
//!
//! Every path here is let in by [`guest::enter`]: a key, its turn, and a role that may do it. What a path
//! takes and answers stands beside it and becomes the document at `/api/v1/openapi.json`.

mod acts;
mod agents;
mod audit;
mod begin;
mod composio;
mod conversations;
mod costs;
mod cursor;
mod customers;
mod desk;
mod document;
mod etag;
mod execute;
mod executions;
mod guest;
mod keys;
mod knowledge;
mod known;
mod kpis;
mod links;
mod live;
mod models;
pub(crate) mod once;
mod own;
mod patience;
mod people;
mod query;
mod schedules;
mod shapes;
mod sources;
mod subscriptions;
mod tenants;
mod tools;
mod webhooks;
mod workflows;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use baton_ports::keys::Need;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::door::Door;

use document::Keys;

pub(crate) use begin::version_for;
pub(crate) use conversations::lines_of as lines;
pub(crate) use links::Found;
pub(crate) use once::digest;
pub(crate) use query::Path;
pub(crate) use schedules::accepted;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Baton",
        description = "Workflows are executed durably, and their runs looked at and acted on. Every request brings a key \
                       as `Authorization: Bearer KEY`; errors are `application/problem+json`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    security(("key" = [])),
    components(schemas(shapes::DeskEvent)),
    modifiers(&Keys)
)]
struct Document;

/// The paths, and the document that describes them.
pub(crate) fn all(door: &Door) -> Router<Door> {
    let (paths, document) = described();
    let document: &'static str = document.leak();
    paths
        .merge(models::short_paths())
        .merge(composio::short_paths())
        .merge(short_paths())
        .layer(from_fn_with_state(door.clone(), guest::enter))
        .route("/api/v1/openapi.json", get(async move || served(document)))
}

/// What the seeds ask without the prefix, let in by the same keys and roles.
fn short_paths() -> Router<Door> {
    let looks = Router::new().route("/conversations/{conversation_id}", get(conversations::show));
    let runs = Router::new().route("/workflows/execute", post(execute::execute));
    needing_too(Need::Look, looks).merge(needing_too(Need::Run, runs))
}

/// The document at `/api/v1/openapi.json`, as text of JSON.
pub fn document() -> String {
    described().1
}

fn described() -> (Router<Door>, String) {
    let looks = OpenApiRouter::new()
        .routes(routes!(workflows::list))
        .routes(routes!(workflows::show))
        .routes(routes!(workflows::versions))
        .routes(routes!(workflows::diff))
        .routes(routes!(workflows::export))
        .routes(routes!(workflows::templates))
        .routes(routes!(workflows::template))
        .routes(routes!(workflows::stand::traffic))
        .routes(routes!(agents::list))
        .routes(routes!(agents::show))
        .routes(routes!(conversations::list))
        .routes(routes!(conversations::show))
        .routes(routes!(conversations::messages))
        .routes(routes!(conversations::live::events))
        .routes(routes!(desk::list))
        .routes(routes!(desk::live::events))
        .routes(routes!(people::settings::show))
        .routes(routes!(people::list))
        .routes(routes!(people::show))
        .routes(routes!(people::queue))
        .routes(routes!(desk::approvals))
        .routes(routes!(desk::show))
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
        .routes(routes!(executions::act::signal));
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
        .routes(routes!(links::create))
        .routes(routes!(subscriptions::create))
        .routes(routes!(subscriptions::replace))
        .routes(routes!(subscriptions::remove))
        .routes(routes!(subscriptions::rotate))
        .routes(routes!(subscriptions::replay))
        .routes(routes!(workflows::stand::activate))
        .routes(routes!(workflows::stand::rollback))
        .routes(routes!(workflows::stand::split));
    let runs_on = OpenApiRouter::new()
        .routes(routes!(schedules::run))
        .routes(routes!(executions::act::pause))
        .routes(routes!(executions::act::resume))
        .routes(routes!(executions::act::cancel))
        .routes(routes!(executions::act::compensate))
        .routes(routes!(executions::act::retry))
        .routes(routes!(executions::fork::fork))
        .routes(routes!(executions::act::resolve));
    let answers = OpenApiRouter::new()
        .routes(routes!(desk::approve))
        .routes(routes!(desk::reject))
        .routes(routes!(executions::act::answer))
        .routes(routes!(people::presence))
        .routes(routes!(people::transfer))
        .routes(routes!(conversations::post))
        .routes(routes!(conversations::note))
        .routes(routes!(conversations::service_level))
        .routes(routes!(conversations::take_over))
        .routes(routes!(conversations::give_back))
        .routes(routes!(conversations::resolve))
        .routes(routes!(conversations::reopen));
    let administers = OpenApiRouter::new()
        .routes(routes!(people::put))
        .routes(routes!(people::remove))
        .routes(routes!(people::settings::put));
    let (paths, mut document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(guest::me))
        .merge(needing(Need::Look, looks))
        .merge(needing(Need::Run, runs))
        .merge(acting(Need::Build, builds))
        .merge(acting(Need::Operate, operates))
        .merge(needing(Need::Operate, runs_on))
        .merge(needing(Need::Answer, answers))
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
        .merge(acting(Need::Administer, administers))
        .split_for_parts();
    document::complete(&mut document);
    (paths, document.to_pretty_json().unwrap_or_default())
}

/// Lets in who may do this.
fn needing(need: Need, paths: OpenApiRouter<Door>) -> OpenApiRouter<Door> {
    paths.layer(from_fn(move |guest, request, next| guest::may(need, guest, request, next)))
}

/// The same, for paths that the document names by another.
fn needing_too(need: Need, paths: Router<Door>) -> Router<Door> {
    paths.layer(from_fn(move |guest, request, next| guest::may(need, guest, request, next)))
}

/// The same, where what acts begins no run: it is told in the audit trail, and done once under one `Idempotency-Key`.
fn acting(need: Need, paths: OpenApiRouter<Door>) -> OpenApiRouter<Door> {
    let told = paths.layer(from_fn(acts::told)).layer(from_fn(once::answered_once));
    needing(need, told.layer(from_fn(once::to_its_end)))
}

/// The same, for paths that the document names by another.
fn acting_too(need: Need, paths: Router<Door>) -> Router<Door> {
    let told = paths.layer(from_fn(acts::told)).layer(from_fn(once::answered_once)).layer(from_fn(once::to_its_end));
    told.layer(from_fn(move |guest, request, next| guest::may(need, guest, request, next)))
}

fn served(document: &'static str) -> Response {
    ([(CONTENT_TYPE, "application/json")], document).into_response()
}
