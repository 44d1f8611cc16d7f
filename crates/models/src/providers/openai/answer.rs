//! Parses a complete chat completion.

use std::collections::BTreeSet;

use baton_core::model::content::MessageContent;
use baton_core::model::{FinishReason, ModelToolCall, TokenUsage};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::providers::dialect::{WireError, WireReply};
use crate::providers::draft::{read_arguments, require_names, unique_call_id};

/// The thinking of some models before tool calls, and the data they attach to a call: both must be sent back to them.
pub(super) const REASONING_CONTENT: &str = "reasoning_content";
pub(super) const EXTRA_CONTENT: &str = "extra_content";

#[derive(Deserialize)]
struct OpenAiCompletion {
    model: Option<String>,
    choices: Option<Vec<OpenAiChoice>>,
    usage: Option<OpenAiUsage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct OpenAiChoice {
    message: Option<OpenAiMessage>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct OpenAiMessage {
    #[serde(default)]
    content: MessageContent<OpenAiContentPart>,
    refusal: Option<String>,
    reasoning_content: Option<String>,
    tool_calls: Option<Vec<OpenAiToolCall>>,
}

#[derive(Deserialize)]
pub(super) struct OpenAiContentPart {
    text: Option<String>,
}

/// The text of the text parts.
pub(super) fn text(content: MessageContent<OpenAiContentPart>) -> String {
    match content {
        MessageContent::Text(text) => text,
        MessageContent::Parts(parts) => parts.into_iter().filter_map(|part| part.text).collect(),
        MessageContent::Nothing => String::new(),
    }
}

#[derive(Deserialize)]
pub(super) struct OpenAiToolCall {
    /// Only in streams.
    pub index: Option<usize>,
    pub id: Option<String>,
    pub function: Option<OpenAiFunction>,
    pub extra_content: Option<Value>,
}

#[derive(Deserialize)]
pub(super) struct OpenAiFunction {
    pub name: Option<String>,
    /// JSON as text; some servers send the object itself.
    pub arguments: Option<Value>,
}

#[derive(Deserialize, Default, Clone, Copy)]
pub(super) struct OpenAiUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<OpenAiPromptDetails>,
    /// DeepSeek's field for cached tokens.
    prompt_cache_hit_tokens: Option<u64>,
}

#[derive(Deserialize, Default, Clone, Copy)]
struct OpenAiPromptDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

impl OpenAiUsage {
    /// The provider includes cached tokens, read and written, in the prompt's count; they are priced separately here.
    /// `None` unless both the prompt and the reply are counted.
    pub fn to_usage(self) -> Option<TokenUsage> {
        let (prompt, output_tokens) = (self.prompt_tokens?, self.completion_tokens?);
        let details = self.prompt_tokens_details.unwrap_or_default();
        let cached_tokens = details.cached_tokens.or(self.prompt_cache_hit_tokens).unwrap_or(0).min(prompt);
        let cache_write_tokens = details.cache_write_tokens.unwrap_or(0).min(prompt - cached_tokens);
        Some(TokenUsage {
            input_tokens: prompt - cached_tokens - cache_write_tokens,
            output_tokens,
            cached_tokens,
            cache_write_tokens,
            ..TokenUsage::default()
        })
    }
}

/// Parses a complete chat completion.
pub(super) fn read(body: &[u8]) -> Result<WireReply, WireError> {
    let completion: OpenAiCompletion =
        serde_json::from_slice(body).map_err(|error| WireError::invalid_json("the reply", &error))?;
    if let Some(error) = completion.error.filter(|error| !error.is_null()) {
        return Err(WireError::Error(error));
    }
    let choice = completion.choices.unwrap_or_default().into_iter().next();
    let Some((message, finish_reason)) = choice.and_then(|choice| Some((choice.message?, choice.finish_reason))) else {
        return Err(WireError::malformed("the reply has no message"));
    };
    let mut thinking = reasoning_block(message.reasoning_content.unwrap_or_default());
    let tool_calls = calls(message.tool_calls.unwrap_or_default(), &mut thinking)?;
    let refusal = message.refusal.unwrap_or_default();
    Ok(WireReply {
        finish: finish(finish_reason.as_deref(), !refusal.is_empty(), !tool_calls.is_empty())?,
        content: text(message.content) + &refusal,
        tool_calls,
        usage: completion.usage.and_then(OpenAiUsage::to_usage),
        model: completion.model,
        thinking,
    })
}

pub(super) fn reasoning_block(reasoning: String) -> Vec<Value> {
    if reasoning.is_empty() { Vec::new() } else { vec![json!({REASONING_CONTENT: reasoning})] }
}

/// Opaque data that belongs to a call.
pub(super) fn sealed_extra(id: &str, extra: Value) -> Value {
    json!({"id": id, EXTRA_CONTENT: extra})
}

fn calls(wire: Vec<OpenAiToolCall>, thinking: &mut Vec<Value>) -> Result<Vec<ModelToolCall>, WireError> {
    let mut ids = BTreeSet::new();
    let mut call = |(place, call): (usize, OpenAiToolCall)| {
        let id = unique_call_id(&call.id.unwrap_or_default(), place, ids.iter().map(String::as_str));
        ids.insert(id.clone());
        thinking.extend(call.extra_content.filter(|extra| !extra.is_null()).map(|extra| sealed_extra(&id, extra)));
        let (name, arguments) = call.function.map_or((None, None), |function| (function.name, function.arguments));
        let arguments = match arguments {
            Some(Value::String(text)) => read_arguments(text),
            Some(Value::Null) | None => json!({}),
            Some(other) => other,
        };
        ModelToolCall { id, name: name.unwrap_or_default(), arguments }
    };
    require_names(wire.into_iter().enumerate().map(&mut call))
}

pub(super) fn finish(reason: Option<&str>, refused: bool, calls: bool) -> Result<FinishReason, WireError> {
    Ok(match reason {
        // OpenRouter's value for a model that failed before the end.
        Some("error") => return Err(WireError::malformed("the model failed before the reply was whole")),
        Some("content_filter") => FinishReason::Filtered,
        _ if refused => FinishReason::Filtered,
        Some("length") => FinishReason::Length,
        _ if calls => FinishReason::ToolCalls,
        _ => FinishReason::Stop,
    })
}

#[cfg(test)]
mod tests;
