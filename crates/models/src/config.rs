//! The settings of the models: which provider, with which key, and which model each profile means.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use baton_core::model::Profile;
use baton_core::time::duration_ms;
use serde::{Deserialize, Serialize, Serializer};

use crate::catalogue::{Entry, Structured};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The section `models` of the settings. The app fills in what the environment says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Unless written: `openai` where a key or a base URL is set, else `script`.
    pub provider: Option<Provider>,
    /// Where the API lives, OpenAI's with its version; unless written, the provider's public one. Azure has none.
    pub base_url: Option<String>,
    /// With a dated version Azure's models are deployments in its path; unless written, its API without versions.
    pub azure_api_version: Option<String>,
    /// Servers of one's own may need none.
    pub api_key: Option<ApiKey>,
    /// What each profile means.
    pub models: Tiers,
    /// Further models, or other facts about known ones, by name.
    pub catalogue: BTreeMap<String, Entry>,
    /// How long connecting may take.
    #[serde(rename = "connect_timeout_ms", with = "duration_ms")]
    pub connect_timeout: Duration,
    /// How long a model may take to begin its reply. Set, replies are streamed; unset, only the whole is limited.
    pub first_token_timeout_ms: Option<u64>,
    /// How schemas are enforced, for every model; unless written, as the catalogue says.
    pub structured_output: Option<Structured>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            provider: None,
            base_url: None,
            azure_api_version: None,
            api_key: None,
            models: Tiers::default(),
            catalogue: BTreeMap::new(),
            connect_timeout: CONNECT_TIMEOUT,
            first_token_timeout_ms: None,
            structured_output: None,
        }
    }
}

impl Config {
    /// The provider these settings mean.
    pub fn provider(&self) -> Provider {
        let is_set = self.api_key().is_some() || self.base_url().is_some();
        self.provider.unwrap_or(if is_set { Provider::OpenAi } else { Provider::Script })
    }

    /// The key; a blank one is none, as an empty environment variable is.
    pub(crate) fn api_key(&self) -> Option<&ApiKey> {
        self.api_key.as_ref().filter(|key| !key.secret().trim().is_empty())
    }

    pub(crate) fn base_url(&self) -> Option<&str> {
        self.base_url.as_deref().map(str::trim).filter(|url| !url.is_empty())
    }
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Files of replies.
    Script,
    /// A server that speaks OpenAI's chat completions.
    #[serde(rename = "openai", alias = "open_ai")]
    OpenAi,
    /// The same at Azure; `base_url` is the resource's.
    Azure,
    /// Anthropic's messages.
    Anthropic,
}

/// The model of each profile; the seed's first choice unless written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tiers {
    pub fast: String,
    pub balanced: String,
    pub powerful: String,
}

impl Default for Tiers {
    fn default() -> Self {
        Self { fast: "gpt-3.5-turbo".into(), balanced: "gpt-4-turbo".into(), powerful: "gpt-4".into() }
    }
}

impl Tiers {
    pub(crate) fn of(&self, profile: Profile) -> &str {
        match profile {
            Profile::Fast => &self.fast,
            Profile::Balanced => &self.balanced,
            Profile::Powerful => &self.powerful,
        }
    }

    pub(crate) fn all(&self) -> [&str; 3] {
        [&self.fast, &self.balanced, &self.powerful]
    }
}

/// A secret that is read and sent, and never shown: `Debug` and `Serialize` give asterisks.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ApiKey(String);

impl ApiKey {
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

const HIDDEN: &str = "***";

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for ApiKey {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(settings: serde_json::Value) -> Config {
        serde_json::from_value(settings).expect("settings")
    }

    #[test]
    fn a_key_or_a_base_url_means_a_server_and_nothing_means_the_script() {
        assert_eq!(read(json!({})).provider(), Provider::Script);
        assert_eq!(read(json!({"api_key": ""})).provider(), Provider::Script);
        assert_eq!(read(json!({"api_key": "sk-1"})).provider(), Provider::OpenAi);
        assert_eq!(read(json!({"base_url": "http://localhost:11434/v1"})).provider(), Provider::OpenAi);
        assert_eq!(read(json!({"api_key": "sk-1", "provider": "script"})).provider(), Provider::Script);
    }

    #[test]
    fn a_key_is_never_shown() {
        let config = read(json!({"api_key": "sk-secret"}));
        assert!(!format!("{config:?}").contains("secret"));
        assert!(!serde_json::to_string(&config).expect("writes").contains("secret"));
    }

    #[test]
    fn an_unknown_setting_is_named() {
        let error = serde_json::from_value::<Config>(json!({"api_kye": "x"})).expect_err("a typo");
        assert!(error.to_string().contains("api_kye"), "{error}");
    }
}
