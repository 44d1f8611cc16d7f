//! Settings of a CalDAV server.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::Secret;
use crate::vendor::Base;

/// One account on one server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalDav {
    /// The server: `https://dav.example.com`.
    pub url: Base,
    /// By resource, the path of its calendar there: `/clinic/room-1/`.
    pub calendars: BTreeMap<String, String>,
    pub username: String,
    pub password: Secret,
}
