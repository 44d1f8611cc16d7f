//! Settings of Composio, written in `baton.toml` under `[tools.composio]`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::app::ConfiguredApp;
use crate::config::SecretString;
use crate::rate::CallRate;
use crate::vendor::BaseUrl;

const BASE: BaseUrl = BaseUrl::documented("https://backend.composio.dev/api/v3");
/// Default time-out of an action, in milliseconds.
const TIMEOUT_MS: u64 = 30_000;
/// Default time-out of one request that performs no action, in milliseconds: a page of actions or the status of a
/// connection.
const REQUEST_TIMEOUT_MS: u64 = 10_000;
/// One day.
const REFRESH_SECONDS: u64 = 86_400;
/// Maximum number of toolkits of one project.
const TOOLKITS_MAX: usize = 100;
const SLUG_BYTES_MAX: usize = 64;

/// The settings. Without toolkits, Composio is disabled.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ComposioConfig {
    pub api_key: Option<SecretString>,
    pub base_url: BaseUrl,
    /// The base URL at which browsers reach `baton serve`, such as `https://baton.example.com`. Browsers are
    /// redirected there after an account was connected.
    pub callback_base: Option<BaseUrl>,
    /// By slug: `shopify`, `gmail`.
    pub toolkits: Vec<String>,
    /// Whether Composio's tags of actions are trusted. If not, every action counts as one with side effects.
    pub trusted: bool,
    /// Whose connection an action uses, if its app does not say.
    pub entity_id_source: EntitySource,
    /// How often one tenant may call the actions of one app.
    pub rate: Option<CallRate>,
    /// The time-out of one action, in milliseconds.
    pub timeout_ms: u64,
    /// The time-out of any other request, in milliseconds.
    pub request_timeout_ms: u64,
    /// Maximum age of the list of actions, in seconds; an older one is refreshed at start.
    pub refresh_seconds: u64,
    /// Settings of single toolkits.
    pub app: BTreeMap<String, AppConfig>,
}

/// The settings of one toolkit.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AppConfig {
    /// The pinned version of its tools, such as `20251027_00`. If not set, the latest version at the first discovery
    /// is pinned.
    pub version: Option<String>,
    pub trusted: Option<bool>,
    pub entity_id_source: Option<EntitySource>,
    pub rate: Option<CallRate>,
    /// How accounts are connected; required if the toolkit has several ways.
    pub auth_config_id: Option<String>,
    /// The included actions by name; `*` matches anything. Default: all actions.
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    /// By action: fields of a tool definition, with the same names.
    pub action: BTreeMap<String, Map<String, Value>>,
}

impl Default for ComposioConfig {
    fn default() -> Self {
        Self {
            api_key: None,
            base_url: BASE,
            callback_base: None,
            toolkits: Vec::new(),
            trusted: false,
            entity_id_source: EntitySource::Company,
            rate: None,
            timeout_ms: TIMEOUT_MS,
            request_timeout_ms: REQUEST_TIMEOUT_MS,
            refresh_seconds: REFRESH_SECONDS,
            app: BTreeMap::new(),
        }
    }
}

impl ComposioConfig {
    /// Returns every configured toolkit with its effective settings. The error names the setting that is invalid.
    pub(super) fn apps(&self) -> Result<BTreeMap<String, ConfiguredApp>, String> {
        if self.toolkits.len() > TOOLKITS_MAX {
            return Err(format!("names {} toolkits and may name {TOOLKITS_MAX}", self.toolkits.len()));
        }
        if let Some(unknown) = self.app.keys().find(|name| !self.toolkits.contains(name)) {
            return Err(format!("`app.{unknown}` is not among the `toolkits`"));
        }
        let mut apps = BTreeMap::new();
        for slug in &self.toolkits {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
            if slug.is_empty() || slug.len() > SLUG_BYTES_MAX || !slug.bytes().all(plain) {
                return Err(format!("`{slug}` is no toolkit; write its slug in lower case, such as `shopify`"));
            }
            apps.insert(slug.clone(), ConfiguredApp::new(self, slug)?);
        }
        Ok(apps)
    }

    pub(super) fn refresh_after(&self) -> Duration {
        Duration::from_secs(self.refresh_seconds)
    }

    pub(super) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms.max(1))
    }
}

/// Where the id of a connected account's entity comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntitySource {
    /// The tenant: one connection for everything it does.
    Company,
    /// The user on whose behalf the run acts.
    User,
    Conversation,
    /// The calling agent.
    Agent,
    /// Always this id.
    Named(String),
}

impl EntitySource {
    /// # Errors
    /// The text looks like a source but is not a valid one.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(match text.trim() {
            "company_id" | "tenant_id" | "tenant" => Self::Company,
            "user_id" | "customer_id" => Self::User,
            "conversation_id" => Self::Conversation,
            "agent_id" | "agent_name" => Self::Agent,
            name if name.is_empty() || name.ends_with("_id") => {
                return Err(format!(
                    "`{name}` is no source of an entity; there are `company_id`, `user_id`, `customer_id`, \
                     `conversation_id` and `agent_id`, or a name that ends in none of these"
                ));
            }
            name => Self::Named(name.to_owned()),
        })
    }
}

impl<'de> Deserialize<'de> for EntitySource {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}
