//! What a tenant sets for itself while the system runs: shown, set, and left to the files again.

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use baton_engine::settings::{Author, Before, Error, Past, Setting, Topic};
use serde_json::{Map, Value, json};

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
            Error::Loosened { .. } => Self::new(StatusCode::FORBIDDEN, code::RULE_LOOSENED, error.to_string())
                .hint("keep what the higher role set, or ask somebody of that role"),
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
    let (name, set_by) = (name.to_owned(), Some(author(guest)));
    let new = Setting { tenant, topic, name, value, set_by, floor: None, changes: 0 };
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
    door.house()?
        .settings
        .remove(guest.tenant(), of, Some(author(guest)), expected, Vec::new(), door.clock.now())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who set it when, newest first.
pub(super) async fn history(door: &Door, guest: &Guest, topic: Topic, name: &str) -> Result<Json<Value>, Problem> {
    let history = door.house()?.settings.history(guest.tenant(), topic, name).await?;
    let told = |past: Past| {
        json!({
            "at": past.at.to_string(), "value": past.value,
            "by": past.set_by.as_ref().map(|author| &author.name),
            "role": past.set_by.as_ref().map(|author| author.role.word()),
        })
    };
    Ok(Json(json!({ "history": history.into_iter().map(told).collect::<Vec<_>>() })))
}

fn author(guest: &Guest) -> Author {
    Author { name: guest.by().to_owned(), role: guest.role() }
}

fn told(setting: Setting) -> Response {
    let mut response = Json(setting.value).into_response();
    etag::say(&mut response, setting.changes);
    response
}
