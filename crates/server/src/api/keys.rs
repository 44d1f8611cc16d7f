//! API keys: who comes in. The secret of one is shown once, in the answer that makes it.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use baton_engine::settings::Topic;
use baton_ports::keys::{DAYS_DEFAULT, DAYS_MAX, Key, Need, OVERLAP_HOURS_DEFAULT, OVERLAP_HOURS_MAX, PAGE_MAX, Role};
use baton_ports::read::PAGE_DEFAULT;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::cursor::List;
use super::document;
use super::guest::Guest;
use super::once;
use super::query::{Path, Query, limit};
use super::shapes::Problem as Refusal;
use super::shapes::keys::{ApiKey, ApiKeys, MintedKey};
use crate::body;
use crate::code;
use crate::door::{Door, House, NewKey};
use crate::problem::Problem;

const HOUR: Duration = Duration::from_secs(60 * 60);

pub(super) fn paths() -> OpenApiRouter<Door> {
    let administers =
        OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke)).routes(routes!(rotate));
    super::acting(Need::Administer, administers)
}

/// Which keys.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// 1 to 500; 50 unless told.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// As the page before says.
    cursor: Option<String>,
}

/// Lists the tenant's keys, good or not, newest first
#[utoipa::path(get, path = "/api/v1/keys", tag = "keys", params(Which), responses(
    (status = 200, body = ApiKeys), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Query(which): Query<Which>,
) -> Result<Json<Value>, Problem> {
    let limit = limit(which.limit, PAGE_DEFAULT, PAGE_MAX)?;
    let before = List::Keys.place(guest.tenant(), which.cursor.as_deref())?;
    let keys = door.house()?.keys.list(guest.tenant(), before.as_deref(), limit).await?;
    let next = keys.last().filter(|_| keys.len() == limit).map(|key| List::Keys.cursor(guest.tenant(), &key.id));
    let now = door.clock.now();
    let keys: Vec<Value> = keys.iter().map(|key| key.as_json(now)).collect();
    Ok(Json(json!({ "keys": keys, "next_cursor": next })))
}

/// A key to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyWish {
    /// Whose it is or what for: it is who did something, in journals and in the audit trail.
    #[schema(
        pattern = r"^[^\x00-\x20\x7f-\xa0\u1680\u2000-\u200b\u2028-\u202f\u205f-\u2069\u3000\ufeff]+( +[^\x00-\x20\x7f-\xa0\u1680\u2000-\u200b\u2028-\u202f\u205f-\u2069\u3000\ufeff]+)*$",
        max_length = 100
    )]
    name: String,
    /// `admin`, `builder`, `operator`, `human_agent` or `service`.
    #[schema(schema_with = document::role)]
    role: Role,
    /// 1 to 3,650; 90 unless told.
    #[schema(minimum = 1, maximum = 3650)]
    days: Option<u32>,
    /// What of all that its role may it may: `read`, `run`, `answer`, `build`, `operate`, `administer`; all of it unless
    /// told. Whoever is limited gives nobody more.
    #[schema(schema_with = document::scopes)]
    scopes: Option<BTreeSet<Need>>,
}

/// Makes a key, and shows its secret for the only time
///
/// Repeated under one `Idempotency-Key` it is answered without the secret: what was shown once is shown to nobody again.
#[utoipa::path(post, path = "/api/v1/keys", tag = "keys", request_body = KeyWish, responses(
    (status = 201, body = MintedKey), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn create(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    body: Body,
) -> Result<Response, Problem> {
    let KeyWish { name, role, days, scopes } = body::json(body, door.limits).await?;
    Key::check_name(&name).map_err(|why| Problem::field("name", why))?;
    if scopes.as_ref().is_some_and(BTreeSet::is_empty) {
        return Err(unfit("`scopes` names none, so the key could do nothing: leave it out for all".to_owned()));
    }
    guest.must_have(scopes.as_ref())?;
    let house = door.house()?;
    let mut new =
        minted((house.mint)(guest.tenant(), &name, role, within("days", days, DAYS_DEFAULT, 1..=DAYS_MAX)?, None))?;
    new.key.scopes = scopes;
    house.keys.add(&new.key, &new.hash).await?;
    Ok(with_secret(new.key.as_json(new.key.created_at), &new))
}

fn unfit(detail: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail)
}

fn within(name: &str, asked: Option<u32>, default: u32, range: std::ops::RangeInclusive<u32>) -> Result<u32, Problem> {
    let number = asked.unwrap_or(default);
    match range.contains(&number) {
        true => Ok(number),
        false => Err(unfit(format!("`{name}` is {} to {}, not {number}", range.start(), range.end()))),
    }
}

pub(super) fn minted(new: Result<NewKey, Box<dyn std::error::Error + Send + Sync>>) -> Result<NewKey, Problem> {
    new.map_err(|error| Problem::broken("a key", &error))
}

/// What was made, with a key's secret.
pub(super) fn with_secret(mut shown: Value, new: &NewKey) -> Response {
    shown["key"] = json!(new.secret);
    once::shown_once(StatusCode::CREATED, shown, "key")
}

async fn find(house: &House, guest: &Guest, id: &str) -> Result<Key, Problem> {
    let all = house.keys.all(guest.tenant()).await?;
    all.into_iter().find(|key| key.id == id).ok_or_else(|| {
        let detail = format!("the tenant has no key `{id}`");
        Problem::new(StatusCode::NOT_FOUND, code::KEY_NOT_FOUND, detail).hint("GET /api/v1/keys lists those there are")
    })
}

/// A key to rotate.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
    /// Hours the old one is still good for; 24 unless told, 0 ends it at once, 720 at the most.
    #[schema(maximum = 720)]
    overlap_hours: Option<u32>,
    /// Days the new one is good for; 90 unless told.
    #[schema(minimum = 1, maximum = 3650)]
    days: Option<u32>,
}

/// Makes a key of the same name and role in place of another, and shows its secret for the only time
///
/// Its scopes, its rate and its budget are the old one's. What the old one has spent is not counted again.
#[utoipa::path(post, path = "/api/v1/keys/{key_id}/rotate", tag = "keys", params(("key_id" = String, Path)),
    request_body = Rotation, responses(
    (status = 201, body = MintedKey), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn rotate(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let Rotation { overlap_hours, days } = body::json(body, door.limits).await?;
    let overlap = within("overlap_hours", overlap_hours, OVERLAP_HOURS_DEFAULT, 0..=OVERLAP_HOURS_MAX)?;
    let days = within("days", days, DAYS_DEFAULT, 1..=DAYS_MAX)?;
    let house = door.house()?;
    let old = find(house, &guest, &id).await?;
    guest.must_have(old.scopes.as_ref())?;
    let new = minted((house.mint)(guest.tenant(), &old.name, old.role, days, Some(&old)))?;
    let (now, ids) = (door.clock.now(), (old.id.as_str(), new.key.id.as_str()));
    let until = now + HOUR * overlap;
    // First, so that the new one never spends without a limit that the old one has, set in another process though it be.
    house.settings.take_in().await?;
    let inherits = house.settings.inherit_budget(&*house.allowed, guest.tenant(), ids, now).await?;
    if !house.keys.rotate(&old.id, until, &new.key, &new.hash).await? {
        if inherits {
            house.settings.remove(guest.tenant(), (Topic::Budget, &new.key.id), None, None, Vec::new(), now).await?;
        }
        let detail = format!("`{id}` is not good any more, so it is not rotated");
        return Err(
            Problem::new(StatusCode::CONFLICT, code::KEY_ENDED, detail).hint("POST /api/v1/keys makes one anew")
        );
    }
    Ok(with_secret(new.key.as_json(new.key.created_at), &new))
}

/// Revokes a key: it opens no door any more, five seconds from then at the latest
///
/// Revoked again it is as it was.
#[utoipa::path(delete, path = "/api/v1/keys/{key_id}", tag = "keys", params(("key_id" = String, Path)), responses(
    (status = 200, body = ApiKey), (status = 404, body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn revoke(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let (house, now) = (door.house()?, door.clock.now());
    let key = find(house, &guest, &id).await?;
    house.keys.revoke(guest.tenant(), &key.id, now).await?;
    Ok(Json(Key { revoked_at: key.revoked_at.or(Some(now)), ..key }.as_json(now)))
}
