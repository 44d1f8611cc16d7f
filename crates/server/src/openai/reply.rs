//! A reply in the format of OpenAI's chat completions.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use baton_core::model::{FinishReason, ModelReply, ModelToolCall, TokenUsage};
use serde::Serialize;
use serde_json::{Value, json};

use crate::state::AppState;

/// Number of headers of a complete response, for which space is reserved at once.
const HEADERS: usize = 12;
/// Estimated size of a response around its content, in bytes.
const FRAME_BYTES: usize = 512;

/// The fields that every chunk of a response repeats.
#[derive(Clone, Debug)]
pub(super) struct CompletionHead {
    pub id: String,
    /// Seconds since the Unix epoch.
    pub created: i64,
    pub model: String,
}

impl CompletionHead {
    /// The head of a response that starts now; `prefix` is the prefix of its id.
    pub fn new(prefix: &str, state: &AppState, model: &str) -> Self {
        let id = format!("{prefix}-{}", uuid::Uuid::now_v7().simple());
        Self { id, created: state.clock.now().as_ms() / 1_000, model: model.to_owned() }
    }
}

/// A complete response.
#[derive(Serialize)]
pub(super) struct ChatCompletion<'r> {
    id: &'r str,
    object: &'static str,
    created: i64,
    model: &'r str,
    choices: [CompletionChoice<'r>; 1],
    usage: CompletionUsage,
}

#[derive(Serialize)]
struct CompletionChoice<'r> {
    index: u32,
    message: CompletionMessage<'r>,
    /// Always null.
    logprobs: (),
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct CompletionMessage<'r> {
    role: &'static str,
    content: Option<&'r str>,
    refusal: (),
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<CompletionToolCall<'r>>,
}

#[derive(Serialize)]
struct CompletionToolCall<'r> {
    id: &'r str,
    #[serde(rename = "type")]
    kind: &'static str,
    function: CompletionFunction<'r>,
}

#[derive(Serialize)]
struct CompletionFunction<'r> {
    name: &'r str,
    arguments: Cow<'r, str>,
}

/// In this format, the prompt's tokens include cached ones.
#[derive(Serialize)]
struct CompletionUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: CachedTokenDetails,
}

#[derive(Serialize)]
struct CachedTokenDetails {
    cached_tokens: u64,
}

impl<'r> ChatCompletion<'r> {
    pub fn of(frame: &'r CompletionHead, reply: &'r ModelReply) -> Self {
        let tool_calls: Vec<CompletionToolCall<'r>> = reply.tool_calls.iter().map(CompletionToolCall::of).collect();
        let is_silent = reply.content.is_empty() && !tool_calls.is_empty();
        let content = (!is_silent).then_some(reply.content.as_str());
        Self {
            id: &frame.id,
            object: "chat.completion",
            created: frame.created,
            model: &reply.model,
            choices: [CompletionChoice {
                index: 0,
                message: CompletionMessage { role: "assistant", content, refusal: (), tool_calls },
                logprobs: (),
                finish_reason: finish_reason(reply.finish),
            }],
            usage: CompletionUsage::of(&reply.usage),
        }
    }

    pub fn response(&self) -> Response {
        let [CompletionChoice { message, .. }] = &self.choices;
        let mut text = Vec::with_capacity(FRAME_BYTES + message.content.map_or(0, str::len));
        // Strings and numbers always serialise.
        let _ = serde_json::to_writer(&mut text, self);
        let mut headers = HeaderMap::with_capacity(HEADERS);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut response = Response::new(Body::from(text));
        *response.headers_mut() = headers;
        response
    }
}

impl<'r> CompletionToolCall<'r> {
    fn of(call: &'r ModelToolCall) -> Self {
        Self {
            id: &call.id,
            kind: "function",
            function: CompletionFunction { name: &call.name, arguments: arguments(call) },
        }
    }
}

impl CompletionUsage {
    fn of(usage: &TokenUsage) -> Self {
        let prompt_tokens = usage.input_tokens + usage.cached_tokens + usage.cache_write_tokens;
        Self {
            prompt_tokens,
            completion_tokens: usage.output_tokens,
            total_tokens: prompt_tokens + usage.output_tokens,
            prompt_tokens_details: CachedTokenDetails { cached_tokens: usage.cached_tokens },
        }
    }
}

/// One chunk of a streamed response.
pub(super) fn chunk(frame: &CompletionHead, delta: &Value, finished: Option<FinishReason>) -> Value {
    json!({
        "id": frame.id,
        "object": "chat.completion.chunk",
        "created": frame.created,
        "model": frame.model,
        "choices": [{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finished.map(finish_reason) }],
    })
}

/// The last chunk, if the usage was requested. It has no choice.
pub(super) fn usage_chunk(frame: &CompletionHead, used: &TokenUsage) -> Value {
    json!({
        "id": frame.id,
        "object": "chat.completion.chunk",
        "created": frame.created,
        "model": frame.model,
        "choices": [],
        "usage": CompletionUsage::of(used),
    })
}

pub(super) fn finish_reason(finish: FinishReason) -> &'static str {
    match finish {
        FinishReason::Stop => "stop",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::Length => "length",
        FinishReason::Filtered => "content_filter",
    }
}

/// The arguments as JSON text. Arguments that were never valid JSON are returned unchanged.
pub(super) fn arguments(call: &ModelToolCall) -> Cow<'_, str> {
    match &call.arguments {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}
