//! A reply, as OpenAI's chat completions write it.

use baton_core::model::{Finish, Reply, ToolCall, Usage};
use serde_json::{Value, json};

/// The parts of an answer that every chunk of it repeats.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub id: String,
    /// Seconds since the Unix epoch.
    pub created: i64,
    pub model: String,
}

pub(super) fn whole(frame: &Frame, reply: &Reply) -> Value {
    let calls: Vec<Value> = reply.tool_calls.iter().map(call).collect();
    let content = if reply.content.is_empty() && !calls.is_empty() { Value::Null } else { json!(reply.content) };
    let mut message = json!({ "role": "assistant", "content": content, "refusal": null });
    if !calls.is_empty() {
        message["tool_calls"] = Value::Array(calls);
    }
    json!({
        "id": frame.id,
        "object": "chat.completion",
        "created": frame.created,
        "model": reply.model,
        "choices": [{ "index": 0, "message": message, "logprobs": null, "finish_reason": finish(reply.finish) }],
        "usage": usage(&reply.usage),
    })
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
        "usage": usage(used),
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

/// Here the prompt's tokens count cached ones as well.
fn usage(usage: &Usage) -> Value {
    let prompt = usage.input_tokens + usage.cached_tokens + usage.cache_write_tokens;
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": usage.output_tokens,
        "total_tokens": prompt + usage.output_tokens,
        "prompt_tokens_details": { "cached_tokens": usage.cached_tokens },
    })
}

fn call(call: &ToolCall) -> Value {
    json!({ "id": call.id, "type": "function", "function": { "name": call.name, "arguments": arguments(call) } })
}

/// Arguments are JSON text; what never was JSON is given back as it came.
pub(super) fn arguments(call: &ToolCall) -> String {
    match &call.arguments {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
