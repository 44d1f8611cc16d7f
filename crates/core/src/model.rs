//! Model requests and replies as all crates see them; providers translate to and from their own wire formats.

pub mod content;
pub mod fields;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::money::Usd;

/// What an agent wants from a model; the router chooses which one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Request")]
pub struct ModelRequest {
    /// Who asks; the `script` provider matches on it.
    pub agent: String,
    pub profile: ModelProfile,
    /// A model asked for by name, past the router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    pub messages: Vec<ModelMessage>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolOffer>,
    /// JSON Schema the reply must satisfy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    #[serde(default)]
    pub temperature: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// Whether it must, may or must not call tools; unless written, it may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice>,
    /// Further fields of OpenAI's chat completions ([`fields::FORWARDED_FIELDS`]), sent on where the provider knows them.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub more: Map<String, Value>,
}

/// Whether a model must call tools.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoice {
    Auto,
    None,
    /// Some tool, whichever.
    Required,
    /// This tool.
    Tool(String),
}

/// Routing profiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Profile")]
pub enum ModelProfile {
    Fast,
    #[default]
    Balanced,
    Powerful,
}

impl ModelProfile {
    /// Returns the name of the profile in definitions.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Balanced => "balanced",
            Self::Powerful => "powerful",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "role", rename_all = "snake_case")]
#[schemars(rename = "Message")]
pub enum ModelMessage {
    System {
        content: String,
        /// Who of several with this role says it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    User {
        content: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        images: Vec<ModelImage>,
        /// Who of several users says it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    Assistant {
        content: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<ModelToolCall>,
        /// As the reply had it, while its tool calls are answered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thinking: Option<ThinkingBlock>,
        /// Which of several assistants said it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
    /// The answer to one tool call, by its id.
    Tool { tool_call_id: String, content: String },
}

impl ModelMessage {
    /// Creates the system message.
    pub fn system(content: impl Into<String>) -> Self {
        Self::System { content: content.into(), name: None }
    }

    /// Creates a user message without images.
    pub fn user(content: impl Into<String>) -> Self {
        Self::User { content: content.into(), images: Vec::new(), name: None }
    }
}

/// An image shown to the model: an `https` address, or a `data:` URL that carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Image")]
pub struct ModelImage {
    pub url: String,
    /// How closely it is looked at: a word of OpenAI's (`low`, `high`, `auto`), for providers that know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl ModelImage {
    /// Creates an image with the default level of detail.
    pub fn from_url(url: impl Into<String>) -> Self {
        Self { url: url.into(), detail: None }
    }
}

/// A tool shown to the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ToolOffer {
    pub name: String,
    pub description: String,
    pub parameters: Value,
    /// Whether the model is held to the parameters, where its provider can hold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

/// A tool call the model asked for. Arguments that were not JSON arrive as a string.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "ToolCall")]
pub struct ModelToolCall {
    pub id: String,
    pub name: String,
    pub arguments: Value,
}

/// What a model thought on its way to a reply, in its provider's own words: often sealed, and shown to nobody. It goes
/// back to the model together with the answers to its tool calls, for some models lose their thread without it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Thinking")]
pub struct ThinkingBlock {
    /// The provider's name of the model that thought it; no other is shown it.
    pub model: String,
    pub parts: Vec<Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Reply")]
pub struct ModelReply {
    pub content: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ModelToolCall>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking: Option<ThinkingBlock>,
    pub finish: FinishReason,
    pub usage: TokenUsage,
    /// The model that answered and who served it; `script` when it came from a file.
    pub model: String,
    pub provider: String,
    pub cost: Usd,
    pub latency_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Finish")]
pub enum FinishReason {
    Stop,
    ToolCalls,
    /// The token limit cut it off.
    Length,
    /// The provider refused the content.
    Filtered,
}

/// Tokens as priced: each is counted in one field only, but for those written for an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
#[schemars(rename = "Usage")]
pub struct TokenUsage {
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// Input read from the provider's prompt cache.
    pub cached_tokens: u64,
    /// Input written to the provider's prompt cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_tokens: u64,
    /// Of `cache_write_tokens`, those that the provider keeps for an hour and not for minutes.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_hour_tokens: u64,
}

impl TokenUsage {
    /// Adds the usage of another call.
    pub fn add(&mut self, other: &Self) {
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(other.cached_tokens);
        self.cache_write_tokens = self.cache_write_tokens.saturating_add(other.cache_write_tokens);
        self.cache_write_hour_tokens = self.cache_write_hour_tokens.saturating_add(other.cache_write_hour_tokens);
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
