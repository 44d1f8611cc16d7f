//! Settings of Google Calendar.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::SecretString;
use crate::vendor::BaseUrl;

/// The documented address of the API.
const API: BaseUrl = BaseUrl::documented("https://www.googleapis.com/calendar/v3");
/// The token endpoint (RFC 6749, RFC 7523).
const TOKENS: BaseUrl = BaseUrl::documented("https://oauth2.googleapis.com/token");

/// One account, given by `credentials` or by the three fields of a refresh token.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GoogleCalendarConfig {
    /// By resource, the id of its calendar: `…@group.calendar.google.com`, an address, or `primary`. With one
    /// resource and none listed here, it is `primary`.
    pub calendars: BTreeMap<String, String>,
    /// The content of the file that Google provides: a service account's key, or an authorised user's.
    pub credentials: Option<SecretString>,
    pub client_id: Option<String>,
    pub client_secret: Option<SecretString>,
    pub refresh_token: Option<SecretString>,
    /// The user that a service account impersonates, if the domain allows it.
    pub subject: Option<String>,
    pub base_url: BaseUrl,
    pub token_url: BaseUrl,
}

impl Default for GoogleCalendarConfig {
    fn default() -> Self {
        Self {
            calendars: BTreeMap::new(),
            credentials: None,
            client_id: None,
            client_secret: None,
            refresh_token: None,
            subject: None,
            base_url: API,
            token_url: TOKENS,
        }
    }
}
