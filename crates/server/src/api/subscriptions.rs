//! Webhook subscriptions: the endpoints that receive events of runs and conversations, and the deliveries.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use baton_core::time::Time;
use baton_engine::triggers::{self, PAGE_MAX};
use baton_engine::webhook_delivery::{DELIVERIES_MAX, DeliveryStatus, SECRETS, WebhookDelivery, WebhookSubscription};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::extractors::{self, PathParams, QueryParams, check_same_name, require_name};
use super::idempotency;
use super::principal::Principal;
use super::schemas::ProblemSchema;
use super::webhooks::{RotateSecretRequest, RotatedSecretSchema, secret_or_new};
use crate::body;
use crate::problem::HttpProblem;
use crate::state::AppState;

/// A subscription, as it is defined.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SubscriptionDefined)]
pub(super) struct SubscriptionRequest {
    /// 1 to 60 letters, digits, `.`, `_` and `-`.
    #[serde(default)]
    #[schema(pattern = r"^[A-Za-z0-9._-]+$", min_length = 1, max_length = 60)]
    name: Option<String>,
    /// Where it is posted to: a public address, or one that the settings allow.
    url: String,
    /// `execution.completed`, `execution.failed`, `execution.cancelled`, `execution.rolled_back`, `execution.waiting`,
    /// `approval.requested`, `conversation.begun`, `conversation.message`, `conversation.handed_over`,
    /// `conversation.assigned`, `conversation.given_back`, `conversation.resolved`, `conversation.finished`,
    /// `conversation.reopened`, `conversation.rated`; `execution.*`, `conversation.*` and `*` stand for several.
    #[schema(min_items = 1)]
    events: BTreeSet<String>,
    #[serde(default = "yes")]
    enabled: bool,
    /// To sign with; one is made where left out. Of a subscription that is there it is changed by `rotate`.
    #[schema(pattern = "^[!-~]+$", min_length = 16, max_length = 200)]
    secret: Option<String>,
}

fn yes() -> bool {
    true
}

impl SubscriptionRequest {
    fn subscription(self, name: String) -> WebhookSubscription {
        let Self { url, events, enabled, .. } = self;
        WebhookSubscription { name, url, events, enabled, from_project: false, created_at: Time::EPOCH, since: 0 }
    }
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "only described, never made")]
#[schema(as = Subscription)]
pub(super) struct SubscriptionSchema {
    name: String,
    url: String,
    events: Vec<String>,
    enabled: bool,
    /// Defined by the project's folder.
    from_project: bool,
    created_at: String,
    /// Shown when it is made or rotated, and never again.
    secret: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "only described, never made")]
#[schema(as = Subscriptions)]
pub(super) struct SubscriptionListSchema {
    subscriptions: Vec<SubscriptionSchema>,
}

/// Something that is to be told, was, or could not be.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described, never made")]
#[schema(as = Delivery)]
pub(super) struct DeliverySchema {
    /// `webhook-id`: the same at every attempt.
    id: String,
    event: String,
    attempts: u32,
    /// What the last attempt came to.
    last: Option<String>,
    last_at: Option<String>,
    /// What is posted: `type`, `timestamp`, `data`.
    body: Value,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "only described, never made")]
#[schema(as = Deliveries)]
pub(super) struct DeliveryListSchema {
    deliveries: Vec<DeliverySchema>,
    /// Give it as `after` for the next page.
    next_after: Option<String>,
}

fn subscription_json(subscription: &WebhookSubscription) -> Value {
    let WebhookSubscription { name, url, events, enabled, from_project, created_at, .. } = subscription;
    json!({
        "name": name, "url": url, "events": events, "enabled": enabled, "from_project": from_project,
        "created_at": created_at.to_string(),
    })
}

fn delivery_json(delivery: &WebhookDelivery) -> Value {
    let WebhookDelivery { id, event, body, attempts, last, last_at, .. } = delivery;
    json!({
        "id": id, "event": event, "attempts": attempts, "last": last,
        "last_at": last_at.map(|at| at.to_string()), "body": body,
    })
}

/// Lists subscriptions by name
#[utoipa::path(get, path = "/api/v1/subscriptions", tag = "webhooks", responses((status = 200, body = SubscriptionListSchema)))]
pub(super) async fn list(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
) -> Result<Json<Value>, HttpProblem> {
    let records = &*state.run_services()?.records;
    let all: Vec<WebhookSubscription> = triggers::list(records, principal.tenant(), None, PAGE_MAX).await?;
    Ok(Json(json!({ "subscriptions": all.iter().map(subscription_json).collect::<Vec<_>>() })))
}

/// Shows a subscription
#[utoipa::path(get, path = "/api/v1/subscriptions/{name}", tag = "webhooks", params(("name" = String, Path)),
    responses((status = 200, body = SubscriptionSchema), (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn show(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
) -> Result<Json<Value>, HttpProblem> {
    let (_, found) =
        triggers::find::<WebhookSubscription>(&*state.run_services()?.records, principal.tenant(), &name).await?;
    Ok(Json(subscription_json(&found)))
}

/// Makes a subscription, and shows its secret this once
///
/// It is told what happens from now on.
#[utoipa::path(post, path = "/api/v1/subscriptions", tag = "webhooks", request_body = SubscriptionRequest, responses(
    (status = 201, body = SubscriptionSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn create(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    body: Body,
) -> Result<Response, HttpProblem> {
    let mut defined: SubscriptionRequest = body::json(body, state.limits).await?;
    let name = require_name(defined.name.take())?;
    let secret = secret_or_new(defined.secret.take())?;
    let subscription = defined.subscription(name);
    let kept = state
        .run_services()?
        .webhook_delivery
        .save(principal.tenant(), None, subscription, Some(secret.clone()))
        .await?;
    state.triggers_changed.send_replace(());
    let mut shown = subscription_json(&kept);
    shown["secret"] = secret.into();
    Ok(idempotency::one_time_response(StatusCode::CREATED, shown, "secret"))
}

/// Puts a subscription in another's place, whole; its secret stays
#[utoipa::path(put, path = "/api/v1/subscriptions/{name}", tag = "webhooks", params(("name" = String, Path)),
    request_body = SubscriptionRequest, responses((status = 200, body = SubscriptionSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn replace(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
    body: Body,
) -> Result<Json<Value>, HttpProblem> {
    let defined: SubscriptionRequest = body::json(body, state.limits).await?;
    if defined.secret.is_some() {
        return Err(HttpProblem::invalid_field("secret", "it is changed by POST /api/v1/subscriptions/{name}/rotate"));
    }
    check_same_name(&name, defined.name.as_deref())?;
    let outgoing = &state.run_services()?.webhook_delivery;
    let before = triggers::find::<WebhookSubscription>(&*outgoing.records, principal.tenant(), &name).await?;
    let kept = outgoing.save(principal.tenant(), Some(before), defined.subscription(name), None).await?;
    Ok(Json(subscription_json(&kept)))
}

/// Takes a subscription out; what was not told yet is given up
#[utoipa::path(delete, path = "/api/v1/subscriptions/{name}", tag = "webhooks", params(("name" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn remove(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
) -> Result<StatusCode, HttpProblem> {
    let records = &*state.run_services()?.records;
    triggers::delete::<WebhookSubscription>(records, principal.tenant(), &name, &[SECRETS], state.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a subscription another secret; for a while deliveries are signed with both
#[utoipa::path(post, path = "/api/v1/subscriptions/{name}/rotate", tag = "webhooks", params(("name" = String, Path)),
    request_body = RotateSecretRequest, responses((status = 200, body = RotatedSecretSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn rotate(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
    body: Body,
) -> Result<Response, HttpProblem> {
    let (secret, overlap) = body::json::<RotateSecretRequest>(body, state.limits).await?.into_parts()?;
    state.run_services()?.webhook_delivery.rotate(principal.tenant(), &name, secret.clone(), overlap).await?;
    Ok(idempotency::one_time_response(StatusCode::OK, json!({ "secret": secret }), "secret"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeliveryListQuery {
    state: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

/// Lists deliveries of a subscription, oldest first: what is pending, was sent, or is dead
#[utoipa::path(get, path = "/api/v1/subscriptions/{name}/deliveries", tag = "webhooks",
    params(("name" = String, Path),
        ("state" = Option<String>, Query, pattern = "^(pending|sent|dead)$", description = "`pending`, `sent` or `dead`; `dead` unless told"),
        ("after" = Option<String>, Query), ("limit" = Option<usize>, Query, minimum = 1, maximum = 200, description = "1 to 200; 50 unless told")),
    responses((status = 200, body = DeliveryListSchema), (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn deliveries(
    State(app_state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
    QueryParams(DeliveryListQuery { state, after, limit }): QueryParams<DeliveryListQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let limit = extractors::limit(limit, 50, DELIVERIES_MAX)?;
    let stands = match state.as_deref() {
        None | Some("dead") => DeliveryStatus::Dead,
        Some("sent") => DeliveryStatus::Sent,
        Some("pending") => DeliveryStatus::Pending,
        Some(_) => return Err(HttpProblem::invalid_parameter("state", "it is `pending`, `sent` or `dead`")),
    };
    let page = app_state
        .run_services()?
        .webhook_delivery
        .deliveries(principal.tenant(), &name, stands, after.as_deref(), limit)
        .await?;
    let next_after = page.last().filter(|_| page.len() == limit).map(|last| last.id.clone());
    Ok(Json(json!({ "deliveries": page.iter().map(delivery_json).collect::<Vec<_>>(), "next_after": next_after })))
}

/// Posts a delivery again that was sent, or given up, under the same `webhook-id`
#[utoipa::path(post, path = "/api/v1/subscriptions/{name}/deliveries/{delivery_id}/replay", tag = "webhooks",
    params(("name" = String, Path), ("delivery_id" = String, Path)), responses((status = 202, body = DeliverySchema),
    (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn replay(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams((name, id)): PathParams<(String, String)>,
) -> Result<Response, HttpProblem> {
    let again = state.run_services()?.webhook_delivery.replay(principal.tenant(), &name, &id).await?;
    state.triggers_changed.send_replace(());
    Ok((StatusCode::ACCEPTED, Json(delivery_json(&again))).into_response())
}
