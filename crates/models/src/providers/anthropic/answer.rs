//! Reading a message that came whole, and what streams share with it.

use baton_core::model::{Finish, ToolCall, Usage};
use serde::Deserialize;
use serde_json::{Value, json};

use super::blocks;
use super::structured::ANSWER;
use crate::providers::dialect::{Answer, Problem};
use crate::providers::draft::{distinct, named};

#[derive(Deserialize)]
struct Message {
    model: Option<String>,
    content: Option<Vec<Value>>,
    stop_reason: Option<String>,
    usage: Option<WireUsage>,
    error: Option<Value>,
}

/// Counts as far as an event has them.
#[derive(Deserialize, Default, Clone, Copy)]
pub(super) struct WireUsage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<CacheCreation>,
    cache_read_input_tokens: Option<u64>,
}

/// What was written to the cache, by how long it is kept.
#[derive(Deserialize, Default, Clone, Copy)]
struct CacheCreation {
    ephemeral_1h_input_tokens: Option<u64>,
}

impl WireUsage {
    /// Of a whole message: nothing where it has not counted both the input and the reply.
    fn whole(self) -> Option<Usage> {
        self.input_tokens.and(self.output_tokens).map(|_| self.over(Usage::default()))
    }

    /// Whether it says how long the reply is.
    pub fn counts_reply(&self) -> bool {
        self.output_tokens.is_some()
    }

    /// These counts over earlier ones: they only grow, and some events leave out or zero what does not change.
    pub fn over(self, earlier: Usage) -> Usage {
        let later = |now: Option<u64>, before: u64| now.unwrap_or(0).max(before);
        Usage {
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

/// Reads a whole message. `forced`: the answer was to come as a call of the answer tool.
pub(super) fn read(body: &[u8], forced: bool) -> Result<Answer, Problem> {
    let message: Message = serde_json::from_slice(body).map_err(|error| Problem::unreadable("the reply", &error))?;
    if let Some(error) = message.error.filter(|error| !error.is_null()) {
        return Err(Problem::Error(error));
    }
    let (Some(content), Some(reason)) = (message.content, message.stop_reason) else {
        return Err(Problem::malformed("the reply has no content, or does not say why it stopped"));
    };
    let mut text = String::new();
    let mut tool_calls: Vec<ToolCall> = Vec::new();
    for block in &content {
        let field = |name: &str| block[name].as_str().unwrap_or_default();
        match field("type") {
            "text" => text.push_str(field("text")),
            "tool_use" if forced && field("name") == ANSWER => text.push_str(&block["input"].to_string()),
            "tool_use" => {
                let id = distinct(field("id"), tool_calls.len(), tool_calls.iter().map(|call| call.id.as_str()));
                let arguments = if block["input"].is_null() { json!({}) } else { block["input"].clone() };
                tool_calls.push(ToolCall { id, name: field("name").to_owned(), arguments });
            }
            // Thoughts are not said, and what is new is not ours to read.
            _ => {}
        }
    }
    Ok(Answer {
        finish: finish(&reason, !tool_calls.is_empty()),
        content: text,
        tool_calls: named(tool_calls.into_iter())?,
        usage: message.usage.and_then(WireUsage::whole),
        model: message.model,
        thinking: if blocks::is_thoughtful(&content) { content } else { Vec::new() },
    })
}

/// Why it stopped. A turn that was paused or ended by a stop sequence is an answer like any other.
pub(super) fn finish(reason: &str, calls: bool) -> Finish {
    match reason {
        "refusal" => Finish::Filtered,
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        _ if calls => Finish::ToolCalls,
        _ => Finish::Stop,
    }
}

#[cfg(test)]
mod tests;
