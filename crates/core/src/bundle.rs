//! What a version pins: the content-addressed documents that a run keeps for its whole life.

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
    /// Returns the hash of any bytes: bundles, blobs, definitions.
    pub fn of(bytes: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = String::with_capacity(64);
        for byte in Sha256::digest(bytes) {
            hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
            hex.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        Self(hex.into())
    }

    /// Parses 64 lower-case hexadecimal digits. Returns `None` for anything else.
    pub fn parse(hex: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (hex.len() == 64 && hex.bytes().all(is_digit)).then(|| Self(hex.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns a short prefix for people.
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

/// Everything that decides how a run of this version proceeds. Permissions are always read live.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The format version of this document: 1.
    pub format: u32,
    pub name: String,
    /// The definition as JSON, without spans or comments.
    pub definition: Value,
    /// The agents that the definition names, including their prompts.
    pub agents: BTreeMap<String, AgentDefinition>,
    /// Contracts of the tools that the definition names.
    pub tools: BTreeMap<String, ToolContract>,
    /// The bundles of its subworkflows, by workflow name.
    pub subworkflows: BTreeMap<String, ContentHash>,
}

impl Bundle {
    /// Returns the bundle's canonical text (keys sorted) and the hash of that text.
    pub fn seal(&self) -> Result<(Vec<u8>, ContentHash), serde_json::Error> {
        let text = serde_json::to_vec(&serde_json::to_value(self)?)?;
        let hash = ContentHash::of(&text);
        Ok((text, hash))
    }
}
