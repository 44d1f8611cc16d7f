//! Reading a chat completion that came whole.

use std::collections::BTreeSet;

use baton_core::model::content::Content;
use baton_core::model::{Finish, ToolCall, Usage};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::providers::dialect::{Answer, Problem};
use crate::providers::draft::{distinct, named, read_arguments};

/// What some models thought before they called tools, and what they sealed beside a call: both must come back to them.
pub(super) const REASONING_CONTENT: &str = "reasoning_content";
pub(super) const EXTRA_CONTENT: &str = "extra_content";

#[derive(Deserialize)]
struct Completion {
    model: Option<String>,
    choices: Option<Vec<Choice>>,
    usage: Option<WireUsage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    message: Option<WireMessage>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct WireMessage {
    #[serde(default)]
    content: Content<Part>,
    refusal: Option<String>,
    reasoning_content: Option<String>,
    tool_calls: Option<Vec<WireCall>>,
}

#[derive(Deserialize)]
pub(super) struct Part {
    text: Option<String>,
}

/// Of parts, those that are text.
pub(super) fn text(content: Content<Part>) -> String {
    match content {
        Content::Text(text) => text,
        Content::Parts(parts) => parts.into_iter().filter_map(|part| part.text).collect(),
        Content::Nothing => String::new(),
    }
}

#[derive(Deserialize)]
pub(super) struct WireCall {
    /// Only in streams.
    pub index: Option<usize>,
    pub id: Option<String>,
    pub function: Option<WireFunction>,
    pub extra_content: Option<Value>,
}

#[derive(Deserialize)]
pub(super) struct WireFunction {
    pub name: Option<String>,
    /// JSON as text; some servers send the object itself.
    pub arguments: Option<Value>,
}

#[derive(Deserialize, Default, Clone, Copy)]
pub(super) struct WireUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    /// DeepSeek's place for what was cached.
    prompt_cache_hit_tokens: Option<u64>,
}

#[derive(Deserialize, Default, Clone, Copy)]
struct PromptDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

impl WireUsage {
    /// The provider counts cached tokens, read and written, inside the prompt's; we price them apart. Nothing where it has
    /// not counted both the prompt and the reply.
    pub fn ours(self) -> Option<Usage> {
        let (prompt, output_tokens) = (self.prompt_tokens?, self.completion_tokens?);
        let details = self.prompt_tokens_details.unwrap_or_default();
        let cached_tokens = details.cached_tokens.or(self.prompt_cache_hit_tokens).unwrap_or(0).min(prompt);
        let cache_write_tokens = details.cache_write_tokens.unwrap_or(0).min(prompt - cached_tokens);
        Some(Usage {
            input_tokens: prompt - cached_tokens - cache_write_tokens,
            output_tokens,
            cached_tokens,
            cache_write_tokens,
            ..Usage::default()
        })
    }
}

/// Reads a whole chat completion.
pub(super) fn read(body: &[u8]) -> Result<Answer, Problem> {
    let completion: Completion =
        serde_json::from_slice(body).map_err(|error| Problem::unreadable("the reply", &error))?;
    if let Some(error) = completion.error.filter(|error| !error.is_null()) {
        return Err(Problem::Error(error));
    }
    let choice = completion.choices.unwrap_or_default().into_iter().next();
    let Some((message, finish_reason)) = choice.and_then(|choice| Some((choice.message?, choice.finish_reason))) else {
        return Err(Problem::malformed("the reply has no message"));
    };
    let mut thinking = thought(message.reasoning_content.unwrap_or_default());
    let tool_calls = calls(message.tool_calls.unwrap_or_default(), &mut thinking)?;
    let refusal = message.refusal.unwrap_or_default();
    Ok(Answer {
        finish: finish(finish_reason.as_deref(), !refusal.is_empty(), !tool_calls.is_empty())?,
        content: text(message.content) + &refusal,
        tool_calls,
        usage: completion.usage.and_then(WireUsage::ours),
        model: completion.model,
        thinking,
    })
}

pub(super) fn thought(reasoning: String) -> Vec<Value> {
    if reasoning.is_empty() { Vec::new() } else { vec![json!({REASONING_CONTENT: reasoning})] }
}

/// What stands sealed beside a call.
pub(super) fn sealed(id: &str, extra: Value) -> Value {
    json!({"id": id, EXTRA_CONTENT: extra})
}

fn calls(wire: Vec<WireCall>, thinking: &mut Vec<Value>) -> Result<Vec<ToolCall>, Problem> {
    let mut ids = BTreeSet::new();
    let mut call = |(place, call): (usize, WireCall)| {
        let id = distinct(&call.id.unwrap_or_default(), place, ids.iter().map(String::as_str));
        ids.insert(id.clone());
        thinking.extend(call.extra_content.filter(|extra| !extra.is_null()).map(|extra| sealed(&id, extra)));
        let (name, arguments) = call.function.map_or((None, None), |function| (function.name, function.arguments));
        let arguments = match arguments {
            Some(Value::String(text)) => read_arguments(text),
            Some(Value::Null) | None => json!({}),
            Some(other) => other,
        };
        ToolCall { id, name: name.unwrap_or_default(), arguments }
    };
    named(wire.into_iter().enumerate().map(&mut call))
}

pub(super) fn finish(reason: Option<&str>, refused: bool, calls: bool) -> Result<Finish, Problem> {
    Ok(match reason {
        // OpenRouter's word for a model that failed in the middle.
        Some("error") => return Err(Problem::malformed("the model failed before the reply was whole")),
        Some("content_filter") => Finish::Filtered,
        _ if refused => Finish::Filtered,
        Some("length") => Finish::Length,
        _ if calls => Finish::ToolCalls,
        _ => Finish::Stop,
    })
}

#[cfg(test)]
mod tests;
