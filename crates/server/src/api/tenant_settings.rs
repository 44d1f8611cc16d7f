//! Settings that a tenant changes while the server runs: read, set, and reset to the files' values.

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use baton_engine::settings::{
    SettingAuthor, SettingChange, SettingError, SettingPrecondition, SettingTopic, TenantSetting,
};
use serde_json::{Map, Value, json};

use super::etag;
use super::principal::Principal;
use crate::code;
use crate::problem::HttpProblem;
use crate::state::AppState;

impl From<SettingError> for HttpProblem {
    fn from(error: SettingError) -> Self {
        match error {
            SettingError::Refused(why) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, why),
            SettingError::Stale { name } => etag::precondition_failed(&format!("`{name}`")),
            SettingError::Loosened { .. } => Self::new(StatusCode::FORBIDDEN, code::RULE_LOOSENED, error.to_string())
                .with_hint("keep what the higher role set, or ask somebody of that role"),
            SettingError::TooMany => Self::new(StatusCode::CONFLICT, code::LIMIT_REACHED, error.to_string()),
            SettingError::Records(error) => error.into(),
        }
    }
}

/// The setting; an empty object if it is not set.
pub(super) async fn show_setting(
    state: &AppState,
    principal: &Principal,
    topic: SettingTopic,
    name: &str,
) -> Result<Response, HttpProblem> {
    let found = state.admin_services()?.settings.find(principal.tenant(), topic, name).await?;
    Ok(match found {
        Some(setting) => setting_response(setting),
        None => Json(Map::new()).into_response(),
    })
}

pub(super) async fn put(
    state: &AppState,
    principal: &Principal,
    headers: &HeaderMap,
    (topic, name): (SettingTopic, &str),
    value: Map<String, Value>,
) -> Result<Response, HttpProblem> {
    let (tenant, value) = (principal.tenant().clone(), Value::Object(value));
    let (name, set_by) = (name.to_owned(), Some(author(principal)));
    let new = TenantSetting { tenant, topic, name, value, set_by, floor: None, changes: 0 };
    let before = SettingPrecondition::of(etag::if_match(headers)?);
    let set = state.admin_services()?.settings.put(new, before, Vec::new(), state.clock.now()).await?;
    Ok(setting_response(set))
}

/// Removes the setting, so that the value of the files applies again.
pub(super) async fn remove(
    state: &AppState,
    principal: &Principal,
    headers: &HeaderMap,
    of: (SettingTopic, &str),
) -> Result<StatusCode, HttpProblem> {
    let expected = etag::if_match(headers)?;
    state
        .admin_services()?
        .settings
        .remove(principal.tenant(), of, Some(author(principal)), expected, Vec::new(), state.clock.now())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The changes of a setting, newest first.
pub(super) async fn history(
    state: &AppState,
    principal: &Principal,
    topic: SettingTopic,
    name: &str,
) -> Result<Json<Value>, HttpProblem> {
    let history = state.admin_services()?.settings.history(principal.tenant(), topic, name).await?;
    let told = |past: SettingChange| {
        json!({
            "at": past.at.to_string(), "value": past.value,
            "by": past.set_by.as_ref().map(|author| &author.name),
            "role": past.set_by.as_ref().map(|author| author.role.word()),
        })
    };
    Ok(Json(json!({ "history": history.into_iter().map(told).collect::<Vec<_>>() })))
}

fn author(principal: &Principal) -> SettingAuthor {
    SettingAuthor { name: principal.actor_name().to_owned(), role: principal.role() }
}

fn setting_response(setting: TenantSetting) -> Response {
    let mut response = Json(setting.value).into_response();
    etag::set_etag(&mut response, setting.changes);
    response
}
