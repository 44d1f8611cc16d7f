//! The settings of the models: providers, API keys, and overrides of the catalogue.

mod keys;
mod plan;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use baton_core::model::ModelProfile;
use baton_core::time::duration_ms;
use serde::{Deserialize, Serialize, Serializer};

use crate::cache;
use crate::catalogue::{CatalogueEntry, CatalogueFile, StructuredOutput};
use crate::profile::ModelGroups;

pub use keys::KeyPolicy;
pub(crate) use plan::{DEFAULT, ProviderPlan};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The section `models` of the settings. The app fills in values from the environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelsConfig {
    /// The default provider: a name of `providers`, or `script`. Default: `openai` if it is configured, else another
    /// configured provider, else `script`.
    pub provider: Option<String>,
    /// Short form for the default provider: the base URL of its API.
    pub base_url: Option<String>,
    /// Short form for the default provider. Self-hosted servers may need none.
    pub api_key: Option<ProviderApiKey>,
    /// Whose API keys are used for calls.
    pub keys: KeyPolicy,
    /// The providers of models, by name.
    pub providers: BTreeMap<String, ProviderSettings>,
    /// The models of a profile, if they differ from the catalogue's.
    pub models: BTreeMap<ModelProfile, ModelGroups>,
    /// Additional models, or overrides of known ones, by name.
    pub catalogue: BTreeMap<String, CatalogueEntry>,
    /// The parsed `models.yaml` of the project. `models` and `catalogue` override it.
    #[serde(skip)]
    pub file: CatalogueFile,
    /// Timeout for connecting.
    #[serde(rename = "connect_timeout_ms", with = "duration_ms")]
    pub connect_timeout: Duration,
    /// Timeout until a model begins its reply. If set, replies are streamed; if not, only the whole call is limited.
    pub first_token_timeout_ms: Option<u64>,
    /// How schemas are enforced, for every model. Default: as in the catalogue.
    pub structured_output: Option<StructuredOutput>,
    /// The cache of replies.
    pub cache: cache::CacheSettings,
}

impl Default for ModelsConfig {
    fn default() -> Self {
        Self {
            provider: None,
            base_url: None,
            api_key: None,
            keys: KeyPolicy::default(),
            providers: BTreeMap::new(),
            models: BTreeMap::new(),
            catalogue: BTreeMap::new(),
            file: CatalogueFile::default(),
            connect_timeout: CONNECT_TIMEOUT,
            first_token_timeout_ms: None,
            structured_output: None,
            cache: cache::CacheSettings::default(),
        }
    }
}

/// One provider.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderSettings {
    /// The API it speaks. Default: by its name, else `openai` if there is a base URL.
    #[serde(rename = "provider")]
    pub kind: Option<ProviderKind>,
    /// The base URL of the API; for OpenAI it includes the version. Default: the provider's public URL. Azure has none.
    pub base_url: Option<String>,
    pub api_key: Option<ProviderApiKey>,
    /// The environment variable that contains its API key, if `api_key` is not set.
    pub api_key_env: Option<String>,
    /// With a dated version, Azure addresses models as deployments in the path. Default: Azure's API without versions.
    pub azure_api_version: Option<String>,
    /// How schemas are enforced at this provider. Default: as for all.
    pub structured_output: Option<StructuredOutput>,
}

/// The API of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// Files of scripted replies.
    Script,
    /// OpenAI's chat completions: OpenAI itself, Ollama, vLLM, and most other servers.
    #[serde(rename = "openai", alias = "open_ai")]
    OpenAi,
    /// Chat completions as Azure serves them; `base_url` is the resource's.
    Azure,
    /// Anthropic's messages API.
    Anthropic,
}

impl ProviderKind {
    pub const ALL: [Self; 4] = [Self::Script, Self::OpenAi, Self::Anthropic, Self::Azure];

    /// The name in the settings.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Script => "script",
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Azure => "azure",
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// A secret that is read and sent but never shown: `Debug` and `Serialize` print asterisks.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ProviderApiKey(String);

impl ProviderApiKey {
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    pub(crate) fn secret(&self) -> &str {
        &self.0
    }

    /// A blank key counts as missing, as an empty environment variable does.
    fn is_blank(&self) -> bool {
        self.0.trim().is_empty()
    }
}

const REDACTED: &str = "***";

impl fmt::Debug for ProviderApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for ProviderApiKey {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_never_shown() {
        for settings in [json!({"api_key": "sk-secret"}), json!({"providers": {"a": {"api_key": "sk-secret"}}})] {
            let config: ModelsConfig = serde_json::from_value(settings).expect("settings");
            assert!(!format!("{config:?}").contains("secret"));
            assert!(!serde_json::to_string(&config).expect("writes").contains("secret"));
        }
    }

    #[test]
    fn an_unknown_setting_is_named() {
        for settings in [
            json!({"api_kye": "x"}),
            json!({"providers": {"a": {"api_kye": "x"}}}),
            json!({"catalogue": {"a": {"api_kye": "x"}}}),
            json!({"cache": {"api_kye": 1}}),
            json!({"models": {"api_kye": "gpt-4"}}),
        ] {
            let error = serde_json::from_value::<ModelsConfig>(settings).expect_err("a typo");
            assert!(error.to_string().contains("api_kye"), "{error}");
        }
    }
}
