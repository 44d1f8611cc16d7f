//! What a version pins: the content-addressed text a run keeps for life.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::agent::AgentDefinition;
use crate::tool::ToolContract;

/// SHA-256 of a bundle's canonical JSON, in lower-case hexadecimal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
#[schemars(rename = "Hash")]
pub struct ContentHash(Arc<str>);

impl ContentHash {
    /// Of any bytes: bundles, blobs, definitions.
    pub fn of(bytes: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = String::with_capacity(64);
        for byte in Sha256::digest(bytes) {
            hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
            hex.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        Self(hex.into())
    }

    /// A hash as it was written: 64 lower-case hexadecimal digits, or nothing.
    pub fn parse(hex: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (hex.len() == 64 && hex.bytes().all(is_digit)).then(|| Self(hex.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Enough of it for people.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}

/// Everything that decides how a run of this version moves. What is *permitted* is always read live.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The layout of this document; 1.
    pub format: u32,
    pub name: String,
    /// The definition as JSON, without spans or comments.
    pub definition: Value,
    /// The agents it names, prompts inside.
    pub agents: BTreeMap<String, AgentDefinition>,
    /// Static facts of the tools it names.
    pub tools: BTreeMap<String, ToolContract>,
    /// The bundles of its subworkflows, by workflow name.
    pub subworkflows: BTreeMap<String, ContentHash>,
}

impl Bundle {
    /// Its canonical text (keys sorted) and that text's hash.
    pub fn seal(&self) -> Result<(Vec<u8>, ContentHash), serde_json::Error> {
        let text = serde_json::to_vec(&serde_json::to_value(self)?)?;
        let hash = ContentHash::of(&text);
        Ok((text, hash))
    }
}
