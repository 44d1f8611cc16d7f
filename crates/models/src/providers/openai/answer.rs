//! Reading a reply: a chat completion, whole or put together from a stream.

use baton_core::model::{Finish, ToolCall, Usage};
use baton_core::run::ModelFault;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::Cut;
use super::failure;
use crate::fault::{code, transient};

/// A reply in our words; tool names are still the wire's.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    pub content: String,
    pub tool_calls: Vec<ToolCall>,
    pub finish: Finish,
    /// `None` where the provider does not count.
    pub usage: Option<Usage>,
    pub model: Option<String>,
}

/// Why a body is not a reply.
#[derive(Debug)]
pub(super) enum Problem {
    Malformed(String),
    /// The provider reports a failure inside a success.
    Error(Value),
}

impl Problem {
    pub fn malformed(why: impl Into<String>) -> Self {
        Self::Malformed(why.into())
    }

    pub fn fault(&self, model: &str, key: Option<&str>) -> ModelFault {
        match self {
            Self::Malformed(why) => transient(code::MALFORMED_REPLY, format!("model `{model}`: {why}")),
            Self::Error(error) => failure::inside(error, model, key),
        }
    }
}

impl From<Cut> for Problem {
    fn from(cut: Cut) -> Self {
        Self::Malformed(cut.problem())
    }
}

#[derive(Deserialize)]
struct Completion {
    model: Option<String>,
    #[serde(default)]
    choices: Vec<Choice>,
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
    content: Option<Content>,
    refusal: Option<String>,
    tool_calls: Option<Vec<WireCall>>,
}

/// Text, or parts of which some are text.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
pub(super) struct Part {
    text: Option<String>,
}

impl Content {
    pub fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Parts(parts) => parts.into_iter().filter_map(|part| part.text).collect(),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct WireCall {
    /// Only in streams.
    pub index: Option<usize>,
    pub id: Option<String>,
    pub function: Option<WireFunction>,
}

#[derive(Deserialize)]
pub(super) struct WireFunction {
    pub name: Option<String>,
    /// JSON as text; some servers send the object itself.
    pub arguments: Option<Value>,
}

#[derive(Deserialize, Default, Clone, Copy)]
pub(super) struct WireUsage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Deserialize, Default, Clone, Copy)]
struct PromptDetails {
    cached_tokens: Option<u64>,
}

impl WireUsage {
    /// The provider counts cached tokens inside the prompt's; we price them apart.
    pub fn ours(self) -> Usage {
        let cached = self.prompt_tokens_details.and_then(|details| details.cached_tokens).unwrap_or(0);
        let cached_tokens = cached.min(self.prompt_tokens);
        Usage {
            input_tokens: self.prompt_tokens - cached_tokens,
            output_tokens: self.completion_tokens,
            cached_tokens,
            ..Usage::default()
        }
    }
}

/// Reads a whole chat completion.
pub(super) fn read(body: &[u8]) -> Result<Answer, Problem> {
    let completion: Completion =
        serde_json::from_slice(body).map_err(|error| Problem::malformed(failure::unreadable("the reply", &error)))?;
    if let Some(error) = completion.error.filter(|error| !error.is_null()) {
        return Err(Problem::Error(error));
    }
    let choice = completion.choices.into_iter().next();
    let Some((message, finish_reason)) = choice.and_then(|choice| Some((choice.message?, choice.finish_reason))) else {
        return Err(Problem::malformed("the reply has no message"));
    };
    let calls = message.tool_calls.unwrap_or_default().into_iter().enumerate();
    let tool_calls: Vec<ToolCall> = calls.map(|(index, call)| whole_call(index, call)).collect();
    let refusal = message.refusal.filter(|refusal| !refusal.is_empty());
    Ok(Answer {
        finish: finish(finish_reason.as_deref(), refusal.is_some(), !tool_calls.is_empty()),
        content: refusal.unwrap_or_else(|| message.content.map(Content::into_text).unwrap_or_default()),
        tool_calls,
        usage: completion.usage.map(WireUsage::ours),
        model: completion.model,
    })
}

fn whole_call(index: usize, call: WireCall) -> ToolCall {
    let (name, arguments) = call.function.map_or((None, None), |function| (function.name, function.arguments));
    ToolCall {
        id: call.id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{index}")),
        name: name.unwrap_or_default(),
        arguments: match arguments {
            Some(Value::String(text)) => read_arguments(text),
            Some(Value::Null) | None => json!({}),
            Some(other) => other,
        },
    }
}

/// Arguments as JSON; text that is none stays text, for the agent to say so.
pub(super) fn read_arguments(text: String) -> Value {
    if text.trim().is_empty() {
        return json!({});
    }
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

pub(super) fn finish(reason: Option<&str>, refused: bool, calls: bool) -> Finish {
    match reason {
        Some("content_filter") => Finish::Filtered,
        _ if refused => Finish::Filtered,
        Some("length") => Finish::Length,
        _ if calls => Finish::ToolCalls,
        _ => Finish::Stop,
    }
}
