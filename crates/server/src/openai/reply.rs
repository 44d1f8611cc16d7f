//! A reply, as OpenAI's chat completions write it.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use baton_core::model::{Finish, Reply, ToolCall, Usage};
use serde::Serialize;
use serde_json::{Value, json};

use crate::door::Door;

/// Headers that an answer has in the end: as many are made room for at once.
const HEADERS: usize = 12;
/// What an answer takes around what was said.
const FRAME_BYTES: usize = 512;

/// The parts of an answer that every chunk of it repeats.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub id: String,
    /// Seconds since the Unix epoch.
    pub created: i64,
    pub model: String,
}

impl Frame {
    /// Of an answer that begins now; its id begins so.
    pub fn new(prefix: &str, door: &Door, model: &str) -> Self {
        let id = format!("{prefix}-{}", uuid::Uuid::now_v7().simple());
        Self { id, created: door.clock.now().as_ms() / 1_000, model: model.to_owned() }
    }
}

/// A whole answer.
#[derive(Serialize)]
pub(super) struct Whole<'r> {
    id: &'r str,
    object: &'static str,
    created: i64,
    model: &'r str,
    choices: [Choice<'r>; 1],
    usage: Used,
}

#[derive(Serialize)]
struct Choice<'r> {
    index: u32,
    message: Said<'r>,
    /// Never told.
    logprobs: (),
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Said<'r> {
    role: &'static str,
    content: Option<&'r str>,
    refusal: (),
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'r>>,
}

#[derive(Serialize)]
struct Call<'r> {
    id: &'r str,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Called<'r>,
}

#[derive(Serialize)]
struct Called<'r> {
    name: &'r str,
    arguments: Cow<'r, str>,
}

/// Here the prompt's tokens count cached ones as well.
#[derive(Serialize)]
struct Used {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: Details,
}

#[derive(Serialize)]
struct Details {
    cached_tokens: u64,
}

impl<'r> Whole<'r> {
    pub fn of(frame: &'r Frame, reply: &'r Reply) -> Self {
        let tool_calls: Vec<Call<'r>> = reply.tool_calls.iter().map(Call::of).collect();
        let is_silent = reply.content.is_empty() && !tool_calls.is_empty();
        let content = (!is_silent).then_some(reply.content.as_str());
        Self {
            id: &frame.id,
            object: "chat.completion",
            created: frame.created,
            model: &reply.model,
            choices: [Choice {
                index: 0,
                message: Said { role: "assistant", content, refusal: (), tool_calls },
                logprobs: (),
                finish_reason: finish(reply.finish),
            }],
            usage: Used::of(&reply.usage),
        }
    }

    pub fn response(&self) -> Response {
        let [Choice { message, .. }] = &self.choices;
        let mut text = Vec::with_capacity(FRAME_BYTES + message.content.map_or(0, str::len));
        // Strings and numbers can always be written.
        let _ = serde_json::to_writer(&mut text, self);
        let mut headers = HeaderMap::with_capacity(HEADERS);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut response = Response::new(Body::from(text));
        *response.headers_mut() = headers;
        response
    }
}

impl<'r> Call<'r> {
    fn of(call: &'r ToolCall) -> Self {
        Self { id: &call.id, kind: "function", function: Called { name: &call.name, arguments: arguments(call) } }
    }
}

impl Used {
    fn of(usage: &Usage) -> Self {
        let prompt_tokens = usage.input_tokens + usage.cached_tokens + usage.cache_write_tokens;
        Self {
            prompt_tokens,
            completion_tokens: usage.output_tokens,
            total_tokens: prompt_tokens + usage.output_tokens,
            prompt_tokens_details: Details { cached_tokens: usage.cached_tokens },
        }
    }
}

/// One chunk of a streamed answer.
pub(super) fn chunk(frame: &Frame, delta: &Value, finished: Option<Finish>) -> Value {
    json!({
        "id": frame.id,
        "object": "chat.completion.chunk",
        "created": frame.created,
        "model": frame.model,
        "choices": [{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finished.map(finish) }],
    })
}

/// The last chunk, where the usage is wanted: it has no choice.
pub(super) fn usage_chunk(frame: &Frame, used: &Usage) -> Value {
    json!({
        "id": frame.id,
        "object": "chat.completion.chunk",
        "created": frame.created,
        "model": frame.model,
        "choices": [],
        "usage": Used::of(used),
    })
}

pub(super) fn finish(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::ToolCalls => "tool_calls",
        Finish::Length => "length",
        Finish::Filtered => "content_filter",
    }
}

/// Arguments are JSON text; what never was JSON is given back as it came.
pub(super) fn arguments(call: &ToolCall) -> Cow<'_, str> {
    match &call.arguments {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}
