//! Settings of a CalDAV server.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::SecretString;
use crate::vendor::BaseUrl;

/// One account on one server.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "CalDavFields")]
pub struct CalDavConfig {
    /// The server: `https://dav.example.com`.
    pub url: BaseUrl,
    /// By resource, the path of its calendar there: `/clinic/room-1/`.
    pub calendars: BTreeMap<String, String>,
    pub username: String,
    pub password: SecretString,
}

/// The settings as written: the password may be missing, because it comes from an environment variable.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CalDavFields {
    url: BaseUrl,
    calendars: BTreeMap<String, String>,
    username: String,
    #[serde(default)]
    password: Option<SecretString>,
}

impl TryFrom<CalDavFields> for CalDavConfig {
    type Error = &'static str;

    fn try_from(written: CalDavFields) -> Result<Self, Self::Error> {
        let CalDavFields { url, calendars, username, password } = written;
        let password = password.ok_or(
            "the password of the CalDAV account is not set; its variable is BATON_TOOLS__CALENDAR__CALDAV__PASSWORD",
        )?;
        Ok(Self { url, calendars, username, password })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_missing_password_is_asked_for_by_its_variable() {
        let account = json!({"url": "https://dav.example.com", "calendars": {"main": "/c/"}, "username": "clinic"});
        let error = serde_json::from_value::<CalDavConfig>(account).unwrap_err().to_string();
        assert!(error.contains("BATON_TOOLS__CALENDAR__CALDAV__PASSWORD"), "{error}");
    }
}
