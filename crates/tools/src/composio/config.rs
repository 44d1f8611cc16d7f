//! Settings of Composio, as `baton.toml` writes them under `[tools.composio]`.

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
/// The time-out of an action that says nothing of it.
const TIMEOUT_MS: u64 = 30_000;
/// How long one request may take that performs no action: a page of actions, a look at a connection.
const REQUEST_TIMEOUT_MS: u64 = 10_000;
/// A day.
const REFRESH_SECONDS: u64 = 86_400;
/// Toolkits of one project.
const TOOLKITS_MAX: usize = 100;
const SLUG_BYTES_MAX: usize = 64;

/// Without toolkits there is nothing of Composio.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ComposioConfig {
    pub api_key: Option<SecretString>,
    pub base_url: BaseUrl,
    /// Where browsers reach `baton serve`, as `https://baton.example.com`: people who connected an account come back there.
    pub callback_base: Option<BaseUrl>,
    /// By slug: `shopify`, `gmail`.
    pub toolkits: Vec<String>,
    /// Whether somebody vouches for how Composio tags its actions. Otherwise every action counts as one that acts.
    pub trusted: bool,
    /// Whose connection an action uses, where its app does not say.
    pub entity_id_source: EntitySource,
    /// How often one tenant may call the actions of one app.
    pub rate: Option<CallRate>,
    /// The time-out of one action, in milliseconds.
    pub timeout_ms: u64,
    /// The time-out of any other request, in milliseconds.
    pub request_timeout_ms: u64,
    /// How old the list of actions may be before a start looks for a newer one.
    pub refresh_seconds: u64,
    /// What is different for one toolkit.
    pub app: BTreeMap<String, AppConfig>,
}

/// What may be said of one toolkit.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AppConfig {
    /// The pinned version of its tools, such as `20251027_00`. Unsaid, the newest at the first discovery is pinned.
    pub version: Option<String>,
    pub trusted: Option<bool>,
    pub entity_id_source: Option<EntitySource>,
    pub rate: Option<CallRate>,
    /// How accounts are connected; needed where the toolkit has several ways.
    pub auth_config_id: Option<String>,
    /// Actions by name, `*` standing for anything; all of them unless told.
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    /// By action: what a tool's definition may say, in its words.
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
    /// Every chosen toolkit with what holds for it; the error says what cannot be kept.
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

/// Where the id comes from under which an account was connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntitySource {
    /// The tenant's own: one connection for all it does.
    Company,
    /// The user on whose behalf the run acts.
    User,
    Conversation,
    /// The agent that asks.
    Agent,
    /// Always this one.
    Named(String),
}

impl EntitySource {
    /// # Errors
    /// What looks like a source and is none.
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
