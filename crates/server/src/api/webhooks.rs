//! Incoming webhooks: which service starts which workflow, and the secret that signs its requests.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Json};
use baton_core::time::Time;
use baton_engine::triggers::signature::{self, SignatureScheme};
use baton_engine::triggers::webhook::{self, OVERLAP_HOURS_MAX, SECRETS, TOLERANCE_S, WebhookTrigger};
use baton_engine::triggers::{self, PAGE_MAX};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::extractors::{self, NamePageQuery, PathParams, QueryParams, check_same_name, require_name};
use super::idempotency;
use super::openapi;
use super::principal::Principal;
use super::schemas::ProblemSchema;
use crate::body;
use crate::problem::HttpProblem;
use crate::state::AppState;

/// A webhook, as it is defined.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookDefined)]
pub(super) struct WebhookRequest {
    /// 1 to 60 letters, digits, `.`, `_` and `-`; the last part of its address.
    #[serde(default)]
    #[schema(pattern = r"^[A-Za-z0-9._-]+$", min_length = 1, max_length = 60)]
    name: Option<String>,
    /// The workflow whose active version is run at each delivery.
    workflow_id: String,
    /// Whose headers sign: `standard`, `github` or `stripe`.
    #[serde(default)]
    #[schema(schema_with = openapi::form)]
    form: SignatureScheme,
    /// Seconds that a request may be old: 1 to 3600, 300 unless told.
    #[serde(default = "tolerance")]
    #[schema(minimum = 1, maximum = 3600)]
    tolerance_s: u32,
    /// What the workflow is given, with templates that may say `body`, `delivery_id`, `hook` and `received_at`; the whole
    /// body where left out.
    #[serde(default = "whole_body")]
    input_data: Value,
    #[serde(default)]
    #[schema(value_type = Object)]
    context: Map<String, Value>,
    #[serde(default = "yes")]
    enabled: bool,
    /// Where the other service chose it; one is made where left out. Of a webhook that is there it is changed by `rotate`.
    #[schema(pattern = "^[!-~]+$", min_length = 16, max_length = 200)]
    secret: Option<String>,
}

fn tolerance() -> u32 {
    TOLERANCE_S
}

fn whole_body() -> Value {
    "{{ body }}".into()
}

fn yes() -> bool {
    true
}

impl WebhookRequest {
    fn hook(self, name: String, principal: &Principal) -> WebhookTrigger {
        let Self { workflow_id, form, tolerance_s, input_data, context, enabled, .. } = self;
        WebhookTrigger {
            name,
            workflow: workflow_id,
            form,
            tolerance_s,
            input: input_data,
            context,
            enabled,
            from_project: false,
            created_at: Time::EPOCH,
            set_by: Some(principal.actor_name().to_owned()),
        }
    }
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "only described, never made")]
#[schema(as = Webhook)]
pub(super) struct WebhookSchema {
    name: String,
    /// Where it is posted to, below the server's address.
    path: String,
    workflow_id: String,
    form: String,
    tolerance_s: u32,
    input_data: Value,
    context: Value,
    enabled: bool,
    /// Defined by the project's folder.
    from_project: bool,
    created_at: String,
    /// Shown when it is made or rotated, and never again.
    secret: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "only described, never made")]
#[schema(as = Webhooks)]
pub(super) struct WebhookListSchema {
    webhooks: Vec<WebhookSchema>,
    /// Give it as `after` for the next page.
    next_after: Option<String>,
}

fn webhook_json(principal: &Principal, hook: &WebhookTrigger) -> Value {
    json!({
        "name": hook.name, "path": format!("/hooks/{}/{}", principal.tenant(), hook.name), "workflow_id": hook.workflow,
        "form": hook.form, "tolerance_s": hook.tolerance_s, "input_data": hook.input, "context": hook.context,
        "enabled": hook.enabled, "from_project": hook.from_project, "created_at": hook.created_at.to_string(),
    })
}

/// A new secret, from the operating system's random source.
pub(super) fn new_secret() -> Result<String, HttpProblem> {
    Ok(signature::secret(&random_bytes()?))
}

pub(super) fn random_bytes() -> Result<[u8; 32], HttpProblem> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| HttpProblem::internal("no random bytes can be had", &error))?;
    Ok(random)
}

/// Lists webhooks by name
#[utoipa::path(get, path = "/api/v1/webhooks", tag = "webhooks",
    params(("after" = Option<String>, Query), ("limit" = Option<usize>, Query, minimum = 1, maximum = 200, description = "1 to 200; 50 unless told")),
    responses((status = 200, body = WebhookListSchema)))]
pub(super) async fn list(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    QueryParams(NamePageQuery { after, limit }): QueryParams<NamePageQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let limit = extractors::limit(limit, 50, PAGE_MAX)?;
    let records = &*state.run_services()?.records;
    let page: Vec<WebhookTrigger> = triggers::list(records, principal.tenant(), after.as_deref(), limit).await?;
    let next_after = page.last().filter(|_| page.len() == limit).map(|last| last.name.clone());
    let webhooks: Vec<Value> = page.iter().map(|hook| webhook_json(&principal, hook)).collect();
    Ok(Json(json!({ "webhooks": webhooks, "next_after": next_after })))
}

/// Shows a webhook
#[utoipa::path(get, path = "/api/v1/webhooks/{name}", tag = "webhooks", params(("name" = String, Path)),
    responses((status = 200, body = WebhookSchema), (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn show(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
) -> Result<Json<Value>, HttpProblem> {
    let (_, hook) =
        triggers::find::<WebhookTrigger>(&*state.run_services()?.records, principal.tenant(), &name).await?;
    Ok(Json(webhook_json(&principal, &hook)))
}

/// Makes a webhook, and shows its secret this once
#[utoipa::path(post, path = "/api/v1/webhooks", tag = "webhooks", request_body = WebhookRequest, responses(
    (status = 201, body = WebhookSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn create(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    body: Body,
) -> Result<Response, HttpProblem> {
    let mut defined: WebhookRequest = body::json(body, state.limits).await?;
    let name = require_name(defined.name.take())?;
    let secret = secret_or_new(defined.secret.take())?;
    let triggers = state.run_services()?.triggers();
    let hook = defined.hook(name, &principal);
    let hook = triggers.save_webhook(principal.tenant(), None, hook, Some(secret.clone()), state.clock.now()).await?;
    let mut shown = webhook_json(&principal, &hook);
    shown["secret"] = secret.into();
    Ok(idempotency::one_time_response(StatusCode::CREATED, shown, "secret"))
}

/// The caller's secret, or a new one.
pub(super) fn secret_or_new(secret: Option<String>) -> Result<String, HttpProblem> {
    match secret {
        Some(secret) => {
            webhook::check_secret(&secret)?;
            Ok(secret)
        }
        None => new_secret(),
    }
}

/// Puts a webhook in another's place, whole; its secret stays
#[utoipa::path(put, path = "/api/v1/webhooks/{name}", tag = "webhooks", params(("name" = String, Path)),
    request_body = WebhookRequest, responses((status = 200, body = WebhookSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn replace(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
    body: Body,
) -> Result<Json<Value>, HttpProblem> {
    let defined: WebhookRequest = body::json(body, state.limits).await?;
    if defined.secret.is_some() {
        return Err(HttpProblem::invalid_field("secret", "it is changed by POST /api/v1/webhooks/{name}/rotate"));
    }
    check_same_name(&name, defined.name.as_deref())?;
    let triggers = state.run_services()?.triggers();
    let before = triggers::find::<WebhookTrigger>(&*triggers.records, principal.tenant(), &name).await?;
    let hook = defined.hook(name, &principal);
    let hook = triggers.save_webhook(principal.tenant(), Some(before), hook, None, state.clock.now()).await?;
    Ok(Json(webhook_json(&principal, &hook)))
}

/// Takes a webhook out
#[utoipa::path(delete, path = "/api/v1/webhooks/{name}", tag = "webhooks", params(("name" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn remove(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
) -> Result<StatusCode, HttpProblem> {
    let records = &*state.run_services()?.records;
    triggers::delete::<WebhookTrigger>(records, principal.tenant(), &name, &[SECRETS], state.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A change of secrets.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SecretChange)]
pub(super) struct RotateSecretRequest {
    /// Hours that the old secret is still good for: 0 to 720, 24 unless told.
    #[serde(default = "a_day")]
    #[schema(maximum = 720)]
    overlap_hours: u32,
    /// Where the other service chose it; one is made where left out.
    #[schema(pattern = "^[!-~]+$", min_length = 16, max_length = 200)]
    secret: Option<String>,
}

fn a_day() -> u32 {
    24
}

impl RotateSecretRequest {
    /// The new secret, and how long the old one stays valid.
    pub(super) fn into_parts(self) -> Result<(String, Duration), HttpProblem> {
        if self.overlap_hours > OVERLAP_HOURS_MAX {
            return Err(HttpProblem::invalid_field("overlap_hours", format_args!("it is 0 to {OVERLAP_HOURS_MAX}")));
        }
        let overlap = Duration::from_secs(u64::from(self.overlap_hours) * 60 * 60);
        Ok((secret_or_new(self.secret)?, overlap))
    }
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "only described, never made")]
#[schema(as = Secret)]
pub(super) struct RotatedSecretSchema {
    /// Shown this once.
    secret: String,
}

/// Gives a webhook another secret; the old one stays good for a while
#[utoipa::path(post, path = "/api/v1/webhooks/{name}/rotate", tag = "webhooks", params(("name" = String, Path)),
    request_body = RotateSecretRequest, responses((status = 200, body = RotatedSecretSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn rotate(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
    body: Body,
) -> Result<Response, HttpProblem> {
    let (secret, overlap) = body::json::<RotateSecretRequest>(body, state.limits).await?.into_parts()?;
    let triggers = state.run_services()?.triggers();
    triggers.rotate_webhook(principal.tenant(), &name, secret.clone(), overlap, state.clock.now()).await?;
    Ok(idempotency::one_time_response(StatusCode::OK, json!({ "secret": secret }), "secret"))
}
