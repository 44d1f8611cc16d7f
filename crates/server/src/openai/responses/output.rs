//! The JSON form of a response.

use baton_core::model::{FinishReason, ModelReply, TokenUsage};
use serde_json::{Map, Value, json};

use super::super::reply::{self, CompletionHead};

/// The request parameters that a response repeats.
#[derive(Clone, Debug)]
pub(super) struct EchoedParameters {
    pub instructions: Option<String>,
    pub tools: Vec<Value>,
    pub tool_choice: Value,
    pub format: Option<Map<String, Value>>,
    pub temperature: Value,
    pub top_p: Value,
    pub metadata: Value,
    pub user: Value,
    pub max_output_tokens: Option<u32>,
    pub parallel_tool_calls: bool,
}

/// A response without its output.
#[derive(Clone, Debug)]
pub(super) struct ResponseEnvelope {
    frame: CompletionHead,
    echo: EchoedParameters,
}

impl ResponseEnvelope {
    pub fn new(frame: CompletionHead, echo: EchoedParameters) -> Self {
        Self { frame, echo }
    }

    /// The response when it starts.
    pub fn in_progress(&self) -> Value {
        self.to_json(&self.frame.model, "in_progress", &[], None)
    }

    /// A complete response.
    pub fn completed(&self, reply: &ModelReply) -> Value {
        self.finished(reply, &self.items(reply))
    }

    /// The response at its end, with these items.
    pub fn finished(&self, reply: &ModelReply, items: &[Value]) -> Value {
        let (status, reason) = match reply.finish {
            FinishReason::Stop | FinishReason::ToolCalls => ("completed", None),
            FinishReason::Length => ("incomplete", Some("max_output_tokens")),
            FinishReason::Filtered => ("incomplete", Some("content_filter")),
        };
        let mut response = self.to_json(&reply.model, status, items, Some(&reply.usage));
        if let Some(reason) = reason {
            response["incomplete_details"] = json!({ "reason": reason });
        }
        response
    }

    /// The response if it failed after it had started.
    pub fn failed(&self, items: &[Value], code: &str, message: &str) -> Value {
        let mut response = self.to_json(&self.frame.model, "failed", items, None);
        response["error"] = json!({ "code": code, "message": message });
        response
    }

    /// The items of a reply: its message, then its calls.
    pub fn items(&self, reply: &ModelReply) -> Vec<Value> {
        let mut items = Vec::new();
        if !reply.content.is_empty() || reply.tool_calls.is_empty() {
            items.push(message(&self.id_of("msg", 0), message_status(reply.finish), Some(&reply.content)));
        }
        for call in &reply.tool_calls {
            let id = self.id_of("fc", items.len());
            items.push(function_call(&id, "completed", &call.id, &call.name, &reply::arguments(call)));
        }
        items
    }

    /// The id of the item at this index. A replayed response has the same ids.
    pub fn id_of(&self, prefix: &str, place: usize) -> String {
        let own = self.frame.id.split_once('-').map_or(self.frame.id.as_str(), |(_, own)| own);
        format!("{prefix}_{own}{place:02}")
    }

    fn to_json(&self, model: &str, status: &str, items: &[Value], usage: Option<&TokenUsage>) -> Value {
        let EchoedParameters { instructions, tools, tool_choice, .. } = &self.echo;
        let format = self.echo.format.clone().map_or_else(|| json!({ "type": "text" }), Value::Object);
        json!({
            "id": self.frame.id,
            "object": "response",
            "created_at": self.frame.created,
            "status": status,
            "error": null,
            "incomplete_details": null,
            "model": model,
            "output": items,
            "usage": usage.map(usage_json),
            "instructions": instructions,
            "tools": tools,
            "tool_choice": tool_choice,
            "parallel_tool_calls": self.echo.parallel_tool_calls,
            "text": { "format": format },
            "temperature": self.echo.temperature,
            "top_p": self.echo.top_p,
            "max_output_tokens": self.echo.max_output_tokens,
            "metadata": self.echo.metadata,
            "user": self.echo.user,
            "previous_response_id": null,
            "reasoning": { "effort": null, "summary": null },
            "background": false,
            "store": false,
            "truncation": "disabled",
        })
    }
}

/// The final status of a message: a reply that was cut off is incomplete.
pub(super) fn message_status(finish: FinishReason) -> &'static str {
    match finish {
        FinishReason::Length => "incomplete",
        FinishReason::Stop | FinishReason::ToolCalls | FinishReason::Filtered => "completed",
    }
}

/// A message item; without content if there is no text yet.
pub(super) fn message(id: &str, status: &str, said: Option<&str>) -> Value {
    let content: Vec<Value> = said.map(text).into_iter().collect();
    json!({ "id": id, "type": "message", "role": "assistant", "status": status, "content": content })
}

pub(super) fn text(said: &str) -> Value {
    json!({ "type": "output_text", "text": said, "annotations": [], "logprobs": [] })
}

pub(super) fn function_call(id: &str, status: &str, call: &str, name: &str, arguments: &str) -> Value {
    json!({ "id": id, "type": "function_call", "status": status, "call_id": call, "name": name, "arguments": arguments })
}

fn usage_json(usage: &TokenUsage) -> Value {
    let input = usage.input_tokens + usage.cached_tokens + usage.cache_write_tokens;
    json!({
        "input_tokens": input,
        "input_tokens_details": { "cached_tokens": usage.cached_tokens, "cache_write_tokens": usage.cache_write_tokens },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": input + usage.output_tokens,
    })
}
