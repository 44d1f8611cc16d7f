//! Our request in the provider's words.

use baton_core::model::{Message, Request, ToolCall};
use serde_json::{Map, Value, json};

use super::names::Names;
use crate::catalogue::Structured;

/// Models of these families refuse a temperature, and count their thinking under another name for `max_tokens`.
const THINKING_MODELS: [&str; 4] = ["o1", "o3", "o4", "gpt-5"];

/// The JSON body. The same request always gives the same bytes.
pub(super) fn body(request: &Request, model: &str, names: &Names, structured: Structured, stream: bool) -> Vec<u8> {
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    put("model", json!(model));
    put("messages", request.messages.iter().map(|message| written(message, names)).collect());
    let thinks = THINKING_MODELS.iter().any(|family| model.starts_with(family));
    if !thinks {
        put("temperature", json!(request.temperature));
    }
    if let Some(tokens) = request.max_tokens {
        put(if thinks { "max_completion_tokens" } else { "max_tokens" }, json!(tokens));
    }
    if !request.tools.is_empty() {
        let tool = |tool: &baton_core::model::ToolOffer| {
            json!({"type": "function", "function": {
                "name": names.wire(&tool.name),
                "description": tool.description,
                "parameters": parameters(&tool.parameters),
            }})
        };
        put("tools", request.tools.iter().map(tool).collect());
    }
    if let Some(format) = request.schema.as_ref().and_then(|schema| response_format(schema, structured)) {
        put("response_format", format);
    }
    if stream {
        put("stream", json!(true));
        put("stream_options", json!({"include_usage": true}));
    }
    Value::Object(body).to_string().into_bytes()
}

fn written(message: &Message, names: &Names) -> Value {
    match message {
        Message::System { content } => json!({"role": "system", "content": content}),
        Message::User { content, .. } => json!({"role": "user", "content": content}),
        Message::Tool { tool_call_id, content } => {
            json!({"role": "tool", "tool_call_id": tool_call_id, "content": content})
        }
        Message::Assistant { content, tool_calls, .. } if tool_calls.is_empty() => {
            json!({"role": "assistant", "content": content})
        }
        Message::Assistant { content, tool_calls, .. } => {
            let content = if content.is_empty() { Value::Null } else { json!(content) };
            let calls: Vec<Value> = tool_calls.iter().map(|call| written_call(call, names)).collect();
            json!({"role": "assistant", "content": content, "tool_calls": calls})
        }
    }
}

fn written_call(call: &ToolCall, names: &Names) -> Value {
    let arguments = match &call.arguments {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    json!({"id": call.id, "type": "function", "function": {"name": names.wire(&call.name), "arguments": arguments}})
}

fn parameters(schema: &Value) -> Value {
    if schema.is_object() { schema.clone() } else { json!({"type": "object", "properties": {}}) }
}

/// Providers enforce only schemas of an object; the prompt asks for any other.
fn response_format(schema: &Value, structured: Structured) -> Option<Value> {
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        return None;
    }
    match structured {
        Structured::JsonSchema => Some(json!({
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema, "strict": is_strict(schema)}
        })),
        Structured::JsonObject => Some(json!({"type": "json_object"})),
        Structured::Prompt | Structured::None => None,
    }
}

/// Whether a schema is one that OpenAI's strict mode takes: every object closed, every property required.
fn is_strict(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => closed(fields) && fields.values().all(is_strict),
        Value::Array(items) => items.iter().all(is_strict),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

fn closed(fields: &Map<String, Value>) -> bool {
    if fields.get("type").and_then(Value::as_str) != Some("object") {
        return true;
    }
    let required: Vec<&str> =
        fields.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = fields.get("properties").and_then(Value::as_object);
    fields.get("additionalProperties") == Some(&Value::Bool(false))
        && properties.is_some_and(|all| all.keys().all(|name| required.contains(&name.as_str())))
}
