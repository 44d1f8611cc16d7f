//! The settings of this crate, in the section `[memory]` of `baton.toml`.

use std::fmt;

use baton_ports::embed::{DIMENSIONS_MAX, TEXTS_MAX};
use baton_ports::memory::{CONTEXT_TOKENS_DEFAULT, CONTEXT_TOKENS_MAX};
use serde::Deserialize;

use crate::chunk::ChunkPolicy;
use crate::embed::endpoint::PUBLIC;
use crate::prompt::PromptSet;

/// Minimum and maximum tokens of a chunk: smaller chunks split sentences, and embedders lose half of larger ones.
const CHUNK_TOKENS_MIN: usize = 32;
const CHUNK_TOKENS_MAX: usize = 2_000;
/// Maximum timeout of an embedder, in milliseconds.
const TIMEOUT_MS_MAX: u64 = 600_000;

/// Every setting has a default: an empty table uses the built-in embedder and calls no server.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemoryConfig {
    pub embedder: EmbedderProvider,
    /// The base URL of the endpoint, including its version. Default: `https://api.openai.com/v1`.
    pub base_url: Option<String>,
    /// Sent as a bearer token. Self-hosted servers may need none.
    pub api_key: Option<EmbedderKey>,
    /// The endpoint's model.
    pub model: String,
    /// Dimensions of its vectors. Default: those of a known model.
    pub dimensions: Option<usize>,
    /// Prepended to a query or a passage, for models that were trained with a prefix.
    pub query_prefix: String,
    pub passage_prefix: String,
    /// Maximum number of texts in one request.
    pub batch: usize,
    /// Timeout of one request.
    pub timeout_ms: u64,
    /// Maximum tokens of a chunk.
    pub chunk_tokens: usize,
    /// Maximum tokens that it shares with the chunk before it.
    pub chunk_overlap: usize,
    /// Tokens of a context if the request states no other number.
    pub context_tokens: usize,
    /// Ended conversations are indexed automatically.
    pub closed_conversations: bool,
    /// The project's own prompts.
    #[serde(skip)]
    pub prompts: PromptSet,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self {
            embedder: EmbedderProvider::Builtin,
            base_url: None,
            api_key: None,
            model: "text-embedding-3-small".to_owned(),
            dimensions: None,
            query_prefix: String::new(),
            passage_prefix: String::new(),
            batch: 64,
            timeout_ms: 10_000,
            chunk_tokens: 240,
            chunk_overlap: 40,
            context_tokens: CONTEXT_TOKENS_DEFAULT,
            closed_conversations: true,
            prompts: PromptSet::default(),
        }
    }
}

/// The source of embeddings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmbedderProvider {
    /// Built in; knows only spelling.
    #[default]
    Builtin,
    /// A server that speaks OpenAI's embeddings.
    #[serde(rename = "openai", alias = "open_ai")]
    OpenAi,
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`: {reason}")]
pub struct MemoryConfigError {
    pub key: &'static str,
    pub reason: String,
}

impl MemoryConfigError {
    pub(crate) fn new(key: &'static str, reason: impl Into<String>) -> Self {
        Self { key, reason: reason.into() }
    }
}

impl MemoryConfig {
    pub(crate) fn check(&self) -> Result<(), MemoryConfigError> {
        let within = |key, value: u64, low: u64, high: u64| {
            if (low..=high).contains(&value) {
                return Ok(());
            }
            Err(MemoryConfigError::new(key, format!("{value} is not within {low} to {high}")))
        };
        within("chunk_tokens", self.chunk_tokens as u64, CHUNK_TOKENS_MIN as u64, CHUNK_TOKENS_MAX as u64)?;
        within("chunk_overlap", self.chunk_overlap as u64, 0, self.chunk_tokens as u64 / 2)?;
        within("context_tokens", self.context_tokens as u64, 1, CONTEXT_TOKENS_MAX as u64)?;
        within("batch", self.batch as u64, 1, TEXTS_MAX as u64)?;
        within("timeout_ms", self.timeout_ms, 1, TIMEOUT_MS_MAX)?;
        within("dimensions", self.dimensions.unwrap_or(1) as u64, 1, DIMENSIONS_MAX as u64)
    }

    pub(crate) fn chunking(&self) -> ChunkPolicy {
        ChunkPolicy { tokens: self.chunk_tokens, overlap: self.chunk_overlap }
    }

    /// Resolves a reference to the API key. `find` gets the setting, its text, and the address the key is for, and
    /// returns the key if the text is a reference. Not called without an endpoint.
    ///
    /// # Errors
    /// Those of `find`.
    pub fn resolve_key<E>(
        &mut self,
        find: impl FnOnce(&str, &str, &str) -> Result<Option<String>, E>,
    ) -> Result<(), E> {
        let to = self.base_url.as_deref().map(str::trim).filter(|url| !url.is_empty()).unwrap_or(PUBLIC);
        if let Some(EmbedderKey(text)) = self.api_key.as_mut().filter(|_| self.embedder == EmbedderProvider::OpenAi)
            && let Some(found) = find("memory.api_key", text, to)?
        {
            *text = found;
        }
        Ok(())
    }

    /// The API key; a blank one counts as missing, as an empty environment variable does.
    pub(crate) fn api_key(&self) -> Option<&str> {
        self.api_key.as_ref().map(|key| key.0.trim()).filter(|key| !key.is_empty())
    }
}

/// A secret that is sent and never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct EmbedderKey(String);

impl EmbedderKey {
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// Returns the text with every occurrence of the key removed.
    pub(crate) fn redact_from(&self, text: String) -> String {
        match self.0.trim() {
            "" => text,
            key => text.replace(key, "(hidden)"),
        }
    }
}

impl fmt::Debug for EmbedderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn wrong(given: Value) -> String {
        match serde_json::from_value::<MemoryConfig>(given) {
            Ok(config) => config.check().unwrap_err().to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_cannot_be_used_is_named_with_its_limits() {
        assert_eq!(MemoryConfig::default().check(), Ok(()));
        assert_eq!(wrong(json!({"chunk_tokens": 5})), "`chunk_tokens`: 5 is not within 32 to 2000");
        assert_eq!(wrong(json!({"chunk_overlap": 200})), "`chunk_overlap`: 200 is not within 0 to 120");
        assert_eq!(wrong(json!({"batch": 0})), "`batch`: 0 is not within 1 to 256");
        assert!(wrong(json!({"embeder": "builtin"})).contains("embeder"));
        assert!(wrong(json!({"embedder": "magic"})).contains("magic"));
    }

    #[test]
    fn a_key_is_never_shown() {
        let config: MemoryConfig = serde_json::from_value(json!({"api_key": "sk-secret"})).unwrap();
        assert!(!format!("{config:?}").contains("secret"));
    }
}
