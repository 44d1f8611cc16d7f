//! Settings of this room, as `baton.toml` writes them under `[memory]`.

use std::fmt;

use baton_ports::embed::{DIMENSIONS_MAX, TEXTS_MAX};
use baton_ports::memory::{CONTEXT_TOKENS_DEFAULT, CONTEXT_TOKENS_MAX};
use serde::Deserialize;

use crate::chunk::ChunkPolicy;
use crate::embed::endpoint::PUBLIC;
use crate::prompt::PromptSet;

/// Tokens a piece may have: with fewer a sentence is torn, with more an embedder forgets half of it.
const CHUNK_TOKENS_MIN: usize = 32;
const CHUNK_TOKENS_MAX: usize = 2_000;
/// Milliseconds an embedder may be given.
const TIMEOUT_MS_MAX: u64 = 600_000;

/// Everything has a default: an empty table searches with the built-in embedder, and asks nobody.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemoryConfig {
    pub embedder: EmbedderProvider,
    /// Where the endpoint lives, its version included; `https://api.openai.com/v1` unless written.
    pub base_url: Option<String>,
    /// Sent as a bearer token. Servers of one's own may need none.
    pub api_key: Option<EmbedderKey>,
    /// The endpoint's model.
    pub model: String,
    /// Numbers of its vectors; unless written, those of a model that is known.
    pub dimensions: Option<usize>,
    /// Put before a query or a passage, for models that were taught with one.
    pub query_prefix: String,
    pub passage_prefix: String,
    /// Texts of one request.
    pub batch: usize,
    /// How long one request may take.
    pub timeout_ms: u64,
    /// The most tokens of a piece.
    pub chunk_tokens: usize,
    /// The most tokens it shares with the piece before it.
    pub chunk_overlap: usize,
    /// Tokens of a context that asks for no other number.
    pub context_tokens: usize,
    /// Conversations that are over become findable by themselves.
    pub closed_conversations: bool,
    /// What models are told, where the project has its own words for it.
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

/// Who turns texts into vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmbedderProvider {
    /// This program, by spelling alone.
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

    /// Lets the key be said by something that stands for it: `find` is told the setting, its text, and the address the key is
    /// for, and gives the key where the text is none itself. Nothing is asked where no endpoint is.
    ///
    /// # Errors
    /// What `find` gives.
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

    /// The key; a blank one is none, as an empty environment variable is.
    pub(crate) fn api_key(&self) -> Option<&str> {
        self.api_key.as_ref().map(|key| key.0.trim()).filter(|key| !key.is_empty())
    }
}

/// A secret that is sent, and never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct EmbedderKey(String);

impl EmbedderKey {
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The text without the key, wherever it stands in it.
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
