//! Settings of a CalDAV server.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::Secret;
use crate::vendor::Base;

/// One account on one server.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct CalDav {
    /// The server: `https://dav.example.com`.
    pub url: Base,
    /// By resource, the path of its calendar there: `/clinic/room-1/`.
    pub calendars: BTreeMap<String, String>,
    pub username: String,
    pub password: Secret,
}

/// As it is written: the password is where nobody writes it into a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    url: Base,
    calendars: BTreeMap<String, String>,
    username: String,
    #[serde(default)]
    password: Option<Secret>,
}

impl TryFrom<Written> for CalDav {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let Written { url, calendars, username, password } = written;
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
        let error = serde_json::from_value::<CalDav>(account).unwrap_err().to_string();
        assert!(error.contains("BATON_TOOLS__CALENDAR__CALDAV__PASSWORD"), "{error}");
    }
}
