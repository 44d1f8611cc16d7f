//! The settings of the models: which providers, with which keys, and what lies over the catalogue.

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

/// The section `models` of the settings. The app fills in what the environment says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelsConfig {
    /// Who is asked where a model does not say: a name of `providers`, or `script`. Unless written: `openai` where it is
    /// set up, else another that is, else `script`.
    pub provider: Option<String>,
    /// In short, for that one provider: where its API lives.
    pub base_url: Option<String>,
    /// In short, for that one provider. Servers of one's own may need none.
    pub api_key: Option<ProviderApiKey>,
    /// Whose keys calls go out under.
    pub keys: KeyPolicy,
    /// Who serves models, by name.
    pub providers: BTreeMap<String, ProviderSettings>,
    /// The models of a profile, where they are not the catalogue's.
    pub models: BTreeMap<ModelProfile, ModelGroups>,
    /// Further models, or other facts about known ones, by name.
    pub catalogue: BTreeMap<String, CatalogueEntry>,
    /// The project's `models.yaml`, read. Below `models` and `catalogue`.
    #[serde(skip)]
    pub file: CatalogueFile,
    /// How long connecting may take.
    #[serde(rename = "connect_timeout_ms", with = "duration_ms")]
    pub connect_timeout: Duration,
    /// How long a model may take to begin its reply. Set, replies are streamed; unset, only the whole is limited.
    pub first_token_timeout_ms: Option<u64>,
    /// How schemas are enforced, for every model; unless written, as the catalogue says.
    pub structured_output: Option<StructuredOutput>,
    /// Replies to requests that were asked before.
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
    /// The API it speaks. Unless written: what its name says, else `openai` where there is a base URL.
    #[serde(rename = "provider")]
    pub kind: Option<ProviderKind>,
    /// Where the API lives, OpenAI's with its version; unless written, the provider's public one. Azure has none.
    pub base_url: Option<String>,
    pub api_key: Option<ProviderApiKey>,
    /// The variable of the environment that holds its key, where `api_key` is not written.
    pub api_key_env: Option<String>,
    /// With a dated version Azure's models are deployments in its path; unless written, its API without versions.
    pub azure_api_version: Option<String>,
    /// How schemas are enforced there; unless written, as for all.
    pub structured_output: Option<StructuredOutput>,
}

/// The API a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// Files of replies.
    Script,
    /// OpenAI's chat completions: OpenAI itself, Ollama, vLLM, and most others.
    #[serde(rename = "openai", alias = "open_ai")]
    OpenAi,
    /// The same as Azure serves them; `base_url` is the resource's.
    Azure,
    /// Anthropic's messages.
    Anthropic,
}

impl ProviderKind {
    pub const ALL: [Self; 4] = [Self::Script, Self::OpenAi, Self::Anthropic, Self::Azure];

    /// As settings write it.
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

/// A secret that is read and sent, and never shown: `Debug` and `Serialize` give asterisks.
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

    /// A blank one is none, as an empty environment variable is.
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
