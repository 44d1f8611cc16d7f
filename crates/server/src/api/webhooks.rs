//! Webhooks of other services: which begin what, and with which secret they sign.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Json};
use baton_core::time::Time;
use baton_engine::triggers::hook::{self, Hook, OVERLAP_HOURS_MAX, SECRETS, TOLERANCE_S};
use baton_engine::triggers::signature::{self, Form};
use baton_engine::triggers::{self, PAGE_MAX};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::document;
use super::guest::Guest;
use super::once;
use super::query::{self, ByName, Path, Query, kept, named};
use super::shapes::Problem as Refusal;
use crate::body;
use crate::door::Door;
use crate::problem::Problem;

/// A webhook, as it is defined.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookDefined)]
pub(super) struct Defined {
    /// 1 to 60 letters, digits, `.`, `_` and `-`; the last part of its address.
    #[serde(default)]
    #[schema(pattern = r"^[A-Za-z0-9._-]+$", min_length = 1, max_length = 60)]
    name: Option<String>,
    /// The workflow whose active version is run at each delivery.
    workflow_id: String,
    /// Whose headers sign: `standard`, `github` or `stripe`.
    #[serde(default)]
    #[schema(schema_with = document::form)]
    form: Form,
    /// Seconds that a request may be old: 1 to 3600, 300 unless told.
    #[serde(default = "tolerance")]
    #[schema(minimum = 1, maximum = 3600)]
    tolerance_s: u32,
    /// What the workflow is given, with templates that may say `body`, `delivery_id`, `hook` and `received_at`; the whole
    /// body where left out.
    #[serde(default = "whole")]
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

fn whole() -> Value {
    "{{ body }}".into()
}

fn yes() -> bool {
    true
}

impl Defined {
    fn hook(self, name: String, guest: &Guest) -> Hook {
        let Self { workflow_id, form, tolerance_s, input_data, context, enabled, .. } = self;
        Hook {
            name,
            workflow: workflow_id,
            form,
            tolerance_s,
            input: input_data,
            context,
            enabled,
            from_project: false,
            created_at: Time::EPOCH,
            set_by: Some(guest.by().to_owned()),
        }
    }
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "only described, never made")]
#[schema(as = Webhook)]
pub(super) struct Shown {
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
pub(super) struct Page {
    webhooks: Vec<Shown>,
    /// Give it as `after` for the next page.
    next_after: Option<String>,
}

fn told(guest: &Guest, hook: &Hook) -> Value {
    json!({
        "name": hook.name, "path": format!("/hooks/{}/{}", guest.tenant(), hook.name), "workflow_id": hook.workflow,
        "form": hook.form, "tolerance_s": hook.tolerance_s, "input_data": hook.input, "context": hook.context,
        "enabled": hook.enabled, "from_project": hook.from_project, "created_at": hook.created_at.to_string(),
    })
}

/// A new secret, of the machine's randomness.
pub(super) fn new_secret() -> Result<String, Problem> {
    Ok(signature::secret(&random()?))
}

pub(super) fn random() -> Result<[u8; 32], Problem> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| Problem::broken("no random bytes can be had", &error))?;
    Ok(random)
}

/// Lists webhooks by name
#[utoipa::path(get, path = "/api/v1/webhooks", tag = "webhooks",
    params(("after" = Option<String>, Query), ("limit" = Option<usize>, Query, minimum = 1, maximum = 200, description = "1 to 200; 50 unless told")),
    responses((status = 200, body = Page)))]
pub(super) async fn list(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Query(ByName { after, limit }): Query<ByName>,
) -> Result<Json<Value>, Problem> {
    let limit = query::limit(limit, 50, PAGE_MAX)?;
    let records = &*door.work()?.records;
    let page: Vec<Hook> = triggers::list(records, guest.tenant(), after.as_deref(), limit).await?;
    let next_after = page.last().filter(|_| page.len() == limit).map(|last| last.name.clone());
    let webhooks: Vec<Value> = page.iter().map(|hook| told(&guest, hook)).collect();
    Ok(Json(json!({ "webhooks": webhooks, "next_after": next_after })))
}

/// Shows a webhook
#[utoipa::path(get, path = "/api/v1/webhooks/{name}", tag = "webhooks", params(("name" = String, Path)),
    responses((status = 200, body = Shown), (status = 404, body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn show(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    let (_, hook) = triggers::find::<Hook>(&*door.work()?.records, guest.tenant(), &name).await?;
    Ok(Json(told(&guest, &hook)))
}

/// Makes a webhook, and shows its secret this once
#[utoipa::path(post, path = "/api/v1/webhooks", tag = "webhooks", request_body = Defined, responses(
    (status = 201, body = Shown), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn create(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    body: Body,
) -> Result<Response, Problem> {
    let mut defined: Defined = body::json(body, door.limits).await?;
    let name = named(defined.name.take())?;
    let secret = chosen(defined.secret.take())?;
    let triggers = door.work()?.triggers();
    let hook = defined.hook(name, &guest);
    let hook = triggers.save_hook(guest.tenant(), None, hook, Some(secret.clone()), door.clock.now()).await?;
    let mut shown = told(&guest, &hook);
    shown["secret"] = secret.into();
    Ok(once::shown_once(StatusCode::CREATED, shown, "secret"))
}

/// A secret that somebody brings, or a new one.
pub(super) fn chosen(secret: Option<String>) -> Result<String, Problem> {
    match secret {
        Some(secret) => {
            hook::check_secret(&secret)?;
            Ok(secret)
        }
        None => new_secret(),
    }
}

/// Puts a webhook in another's place, whole; its secret stays
#[utoipa::path(put, path = "/api/v1/webhooks/{name}", tag = "webhooks", params(("name" = String, Path)),
    request_body = Defined, responses((status = 200, body = Shown),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn replace(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(name): Path<String>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let defined: Defined = body::json(body, door.limits).await?;
    if defined.secret.is_some() {
        return Err(Problem::field("secret", "it is changed by POST /api/v1/webhooks/{name}/rotate"));
    }
    kept(&name, defined.name.as_deref())?;
    let triggers = door.work()?.triggers();
    let before = triggers::find::<Hook>(&*triggers.records, guest.tenant(), &name).await?;
    let hook = defined.hook(name, &guest);
    let hook = triggers.save_hook(guest.tenant(), Some(before), hook, None, door.clock.now()).await?;
    Ok(Json(told(&guest, &hook)))
}

/// Takes a webhook out
#[utoipa::path(delete, path = "/api/v1/webhooks/{name}", tag = "webhooks", params(("name" = String, Path)),
    responses((status = 204), (status = 404, body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn remove(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let records = &*door.work()?.records;
    triggers::delete::<Hook>(records, guest.tenant(), &name, &[SECRETS], door.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A change of secrets.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SecretChange)]
pub(super) struct Rotate {
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

impl Rotate {
    /// The new secret, and how long the old one is good beside it.
    pub(super) fn into_parts(self) -> Result<(String, Duration), Problem> {
        if self.overlap_hours > OVERLAP_HOURS_MAX {
            return Err(Problem::field("overlap_hours", format_args!("it is 0 to {OVERLAP_HOURS_MAX}")));
        }
        let overlap = Duration::from_secs(u64::from(self.overlap_hours) * 60 * 60);
        Ok((chosen(self.secret)?, overlap))
    }
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "only described, never made")]
#[schema(as = Secret)]
pub(super) struct Rotated {
    /// Shown this once.
    secret: String,
}

/// Gives a webhook another secret; the old one stays good for a while
#[utoipa::path(post, path = "/api/v1/webhooks/{name}/rotate", tag = "webhooks", params(("name" = String, Path)),
    request_body = Rotate, responses((status = 200, body = Rotated),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn rotate(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let (secret, overlap) = body::json::<Rotate>(body, door.limits).await?.into_parts()?;
    let triggers = door.work()?.triggers();
    triggers.rotate_hook(guest.tenant(), &name, secret.clone(), overlap, door.clock.now()).await?;
    Ok(once::shown_once(StatusCode::OK, json!({ "secret": secret }), "secret"))
}
