//! What a tenant sets for itself while the system runs: shown, set, and left to the files again.

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use baton_engine::settings::{Before, Error, Setting, Topic};
use serde_json::{Map, Value};

use super::etag;
use super::guest::Guest;
use crate::code;
use crate::door::Door;
use crate::problem::Problem;

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(why) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, why),
            Error::Stale { name } => etag::stale(&format!("`{name}`")),
            Error::TooMany => Self::new(StatusCode::CONFLICT, code::LIMIT_REACHED, error.to_string()),
            Error::Records(error) => error.into(),
        }
    }
}

/// What is set; an empty object where nothing is.
pub(super) async fn shown(door: &Door, guest: &Guest, topic: Topic, name: &str) -> Result<Response, Problem> {
    let found = door.house()?.settings.find(guest.tenant(), topic, name).await?;
    Ok(match found {
        Some(setting) => told(setting),
        None => Json(Map::new()).into_response(),
    })
}

pub(super) async fn put(
    door: &Door,
    guest: &Guest,
    headers: &HeaderMap,
    (topic, name): (Topic, &str),
    value: Map<String, Value>,
) -> Result<Response, Problem> {
    let (tenant, value) = (guest.tenant().clone(), Value::Object(value));
    let new = Setting { tenant, topic, name: name.to_owned(), value, changes: 0 };
    let before = Before::of(etag::expected(headers)?);
    let set = door.house()?.settings.put(new, before, Vec::new(), door.clock.now()).await?;
    Ok(told(set))
}

/// It is as the files have it from here on, as it may have been before.
pub(super) async fn remove(
    door: &Door,
    guest: &Guest,
    headers: &HeaderMap,
    of: (Topic, &str),
) -> Result<StatusCode, Problem> {
    let expected = etag::expected(headers)?;
    door.house()?.settings.remove(guest.tenant(), of, expected, Vec::new(), door.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn told(setting: Setting) -> Response {
    let mut response = Json(setting.value).into_response();
    etag::say(&mut response, setting.changes);
    response
}
