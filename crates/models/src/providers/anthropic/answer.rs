//! Parses a complete message; some parts are shared with streaming.

use baton_core::model::{FinishReason, ModelToolCall, TokenUsage};
use serde::Deserialize;
use serde_json::{Value, json};

use super::blocks;
use super::structured::ANSWER_TOOL_NAME;
use crate::providers::dialect::{WireError, WireReply};
use crate::providers::draft::{require_names, unique_call_id};

#[derive(Deserialize)]
struct AnthropicMessage {
    model: Option<String>,
    content: Option<Vec<Value>>,
    stop_reason: Option<String>,
    usage: Option<AnthropicUsage>,
    error: Option<Value>,
}

/// Token counts, as far as an event contains them.
#[derive(Deserialize, Default, Clone, Copy)]
pub(super) struct AnthropicUsage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<CacheCreation>,
    cache_read_input_tokens: Option<u64>,
}

/// Tokens written to the cache, by how long they are cached.
#[derive(Deserialize, Default, Clone, Copy)]
struct CacheCreation {
    ephemeral_1h_input_tokens: Option<u64>,
}

impl AnthropicUsage {
    /// The usage of a complete message: `None` unless both the input and the reply are counted.
    fn whole(self) -> Option<TokenUsage> {
        self.input_tokens.and(self.output_tokens).map(|_| self.merged_over(TokenUsage::default()))
    }

    /// Whether it counts the reply.
    pub fn counts_reply(&self) -> bool {
        self.output_tokens.is_some()
    }

    /// Merges these counts over earlier ones: counts only grow, and some events omit or zero those that do not change.
    pub fn merged_over(self, earlier: TokenUsage) -> TokenUsage {
        let later = |now: Option<u64>, before: u64| now.unwrap_or(0).max(before);
        TokenUsage {
            input_tokens: later(self.input_tokens, earlier.input_tokens),
            output_tokens: later(self.output_tokens, earlier.output_tokens),
            cached_tokens: later(self.cache_read_input_tokens, earlier.cached_tokens),
            cache_write_tokens: later(self.cache_creation_input_tokens, earlier.cache_write_tokens),
            cache_write_hour_tokens: later(
                self.cache_creation.and_then(|created| created.ephemeral_1h_input_tokens),
                earlier.cache_write_hour_tokens,
            ),
        }
    }
}

/// Parses a complete message. `forced`: the answer is expected as a call of the answer tool.
pub(super) fn read(body: &[u8], forced: bool) -> Result<WireReply, WireError> {
    let message: AnthropicMessage =
        serde_json::from_slice(body).map_err(|error| WireError::invalid_json("the reply", &error))?;
    if let Some(error) = message.error.filter(|error| !error.is_null()) {
        return Err(WireError::Error(error));
    }
    let (Some(content), Some(reason)) = (message.content, message.stop_reason) else {
        return Err(WireError::malformed("the reply has no content, or does not say why it stopped"));
    };
    let mut text = String::new();
    let mut tool_calls: Vec<ModelToolCall> = Vec::new();
    for block in &content {
        let field = |name: &str| block[name].as_str().unwrap_or_default();
        match field("type") {
            "text" => text.push_str(field("text")),
            "tool_use" if forced && field("name") == ANSWER_TOOL_NAME => text.push_str(&block["input"].to_string()),
            "tool_use" => {
                let id = unique_call_id(field("id"), tool_calls.len(), tool_calls.iter().map(|call| call.id.as_str()));
                let arguments = if block["input"].is_null() { json!({}) } else { block["input"].clone() };
                tool_calls.push(ModelToolCall { id, name: field("name").to_owned(), arguments });
            }
            // Thinking is not part of the answer, and unknown block types are ignored.
            _ => {}
        }
    }
    Ok(WireReply {
        finish: finish(&reason, !tool_calls.is_empty()),
        content: text,
        tool_calls: require_names(tool_calls.into_iter())?,
        usage: message.usage.and_then(AnthropicUsage::whole),
        model: message.model,
        thinking: if blocks::has_thinking(&content) { content } else { Vec::new() },
    })
}

/// The finish reason. A turn that was paused or ended by a stop sequence is a normal answer.
pub(super) fn finish(reason: &str, calls: bool) -> FinishReason {
    match reason {
        "refusal" => FinishReason::Filtered,
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        _ if calls => FinishReason::ToolCalls,
        _ => FinishReason::Stop,
    }
}

#[cfg(test)]
mod tests;
