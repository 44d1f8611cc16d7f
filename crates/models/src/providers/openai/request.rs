//! Converts a request to OpenAI's format.

use baton_core::model::fields::FORWARDED_FIELDS;
use baton_core::model::{ModelImage, ModelMessage, ModelToolCall, ToolChoice, ToolOffer};
use serde_json::{Map, Value, json};

use super::answer::{EXTRA_CONTENT, REASONING_CONTENT};
use super::family;
use crate::catalogue::StructuredOutput;
use crate::providers::dialect::{WireRequest, arguments_text};
use crate::providers::schema;

/// Fields that reasoning models refuse.
const UNSUPPORTED_BY_REASONING: [&str; 6] =
    ["top_p", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs"];

/// Builds the JSON body. The same query always gives the same bytes.
pub(super) fn body(query: &WireRequest<'_>) -> Value {
    let request = query.ask.request;
    let thinks = query.takes_temperature().map_or_else(|| family::is_reasoning_model(query.ask.model), |takes| !takes);
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    let format = request.schema.as_ref().and_then(|schema| response_format(schema, query.structured));
    let is_enforced = format.as_ref().is_some_and(|format| format["type"] == "json_schema");
    put("model", json!(query.ask.model));
    put("messages", messages(query, is_enforced));
    if !thinks {
        put("temperature", json!(request.temperature));
    }
    if let Some(tokens) = request.max_tokens {
        put(if thinks { "max_completion_tokens" } else { "max_tokens" }, json!(tokens));
    }
    if !request.tools.is_empty() {
        put("tools", request.tools.iter().map(|tool| offer(tool, query)).collect());
        if let Some(choice) = &request.tool_choice {
            put("tool_choice", tool_choice(choice, query));
        }
    }
    if let Some(format) = format {
        put("response_format", format);
    }
    if query.stream {
        put("stream", json!(true));
        put("stream_options", json!({"include_usage": true}));
    }
    for (name, value) in &request.more {
        let is_refused = !FORWARDED_FIELDS.contains(&name.as_str())
            || thinks && UNSUPPORTED_BY_REASONING.contains(&name.as_str())
            || request.tools.is_empty() && name == "parallel_tool_calls";
        if !is_refused && !body.contains_key(name) {
            body.insert(name.clone(), value.clone());
        }
    }
    Value::Object(body)
}

/// A schema that is not enforced is added to the system message, because some servers accept only one of these.
fn messages(query: &WireRequest<'_>, is_enforced: bool) -> Value {
    let request = query.ask.request;
    let mut messages: Vec<Value> = request.messages.iter().map(|message| wire_message(message, query)).collect();
    if let Some(instruction) = schema::instruction(request).filter(|_| !is_enforced) {
        match request.messages.first() {
            Some(ModelMessage::System { content, .. }) => {
                messages[0]["content"] = json!(format!("{content}\n\n{instruction}"))
            }
            _ => messages.insert(0, json!({"role": "system", "content": instruction})),
        }
    }
    Value::Array(messages)
}

fn wire_message(message: &ModelMessage, query: &WireRequest<'_>) -> Value {
    let mut said = message_body(message, query);
    let (ModelMessage::System { name, .. } | ModelMessage::User { name, .. } | ModelMessage::Assistant { name, .. }) =
        message
    else {
        return said;
    };
    if let Some(name) = name {
        said["name"] = json!(name);
    }
    said
}

fn message_body(message: &ModelMessage, query: &WireRequest<'_>) -> Value {
    match message {
        ModelMessage::System { content, .. } => json!({"role": "system", "content": content}),
        ModelMessage::User { content, images, .. } if images.is_empty() => json!({"role": "user", "content": content}),
        ModelMessage::User { content, images, .. } => json!({"role": "user", "content": parts(content, images)}),
        ModelMessage::Tool { tool_call_id, content } => {
            json!({"role": "tool", "tool_call_id": tool_call_id, "content": content})
        }
        ModelMessage::Assistant { content, tool_calls, .. } if tool_calls.is_empty() => {
            json!({"role": "assistant", "content": content})
        }
        ModelMessage::Assistant { content, tool_calls, thinking, .. } => {
            let content = if content.is_empty() { Value::Null } else { json!(content) };
            let mut calls: Vec<Value> = tool_calls.iter().map(|call| written_call(call, query)).collect();
            let mut message = json!({"role": "assistant", "content": content});
            for part in query.thought(thinking.as_ref()) {
                if let Some(thought) = part.get(REASONING_CONTENT) {
                    message[REASONING_CONTENT] = thought.clone();
                }
                let of_call = calls.iter_mut().find(|call| call["id"] == part["id"]);
                if let (Some(call), Some(extra)) = (of_call, part.get(EXTRA_CONTENT)) {
                    call[EXTRA_CONTENT] = extra.clone();
                }
            }
            message["tool_calls"] = Value::Array(calls);
            message
        }
    }
}

fn parts(content: &str, images: &[ModelImage]) -> Value {
    let text = (!content.is_empty()).then(|| json!({"type": "text", "text": content}));
    let image = |image: &ModelImage| {
        let mut shown = json!({"url": image.url});
        if let Some(detail) = &image.detail {
            shown["detail"] = json!(detail);
        }
        json!({"type": "image_url", "image_url": shown})
    };
    text.into_iter().chain(images.iter().map(image)).collect()
}

fn written_call(call: &ModelToolCall, query: &WireRequest<'_>) -> Value {
    json!({
        "id": call.id,
        "type": "function",
        "function": {"name": query.names.wire_name(&call.name), "arguments": arguments_text(&call.arguments)},
    })
}

fn offer(tool: &ToolOffer, query: &WireRequest<'_>) -> Value {
    let mut function = json!({
        "name": query.names.wire_name(&tool.name),
        "description": tool.description,
        "parameters": schema::parameters(&tool.parameters),
    });
    // Strict mode refuses schemas that it does not support; the caller then validates the call.
    match tool.strict {
        Some(true) if !schema::is_strict(&tool.parameters) => {}
        Some(strict) => function["strict"] = json!(strict),
        None => {}
    }
    json!({"type": "function", "function": function})
}

/// Whether replies are constrained to the request's schema, and calls to the parameters of its strict tools.
pub(super) fn enforces_schema(query: &WireRequest<'_>) -> bool {
    let request = query.ask.request;
    let enforces = query.structured == StructuredOutput::JsonSchema;
    let format = request.schema.as_ref().map(|schema| response_format(schema, query.structured));
    let is_held = match format {
        None => true,
        Some(None) => false,
        // The request asks only for an object of any kind.
        Some(Some(format)) if format["type"] == "json_object" => {
            request.schema.as_ref().is_some_and(schema::is_any_object)
        }
        Some(Some(format)) => format["json_schema"]["strict"] == true,
    };
    let mut strict = request.tools.iter().filter(|tool| tool.strict == Some(true));
    is_held && strict.all(|tool| enforces && schema::is_strict(&tool.parameters))
}

fn tool_choice(choice: &ToolChoice, query: &WireRequest<'_>) -> Value {
    match choice {
        ToolChoice::Auto => json!("auto"),
        ToolChoice::None => json!("none"),
        ToolChoice::Required => json!("required"),
        ToolChoice::Tool(name) => json!({"type": "function", "function": {"name": query.names.wire_name(name)}}),
    }
}

/// Providers enforce only object schemas.
fn response_format(schema: &Value, structured: StructuredOutput) -> Option<Value> {
    if !schema::is_of_object(schema) {
        return None;
    }
    match structured {
        StructuredOutput::JsonSchema | StructuredOutput::JsonObject if schema::is_any_object(schema) => {
            Some(json!({"type": "json_object"}))
        }
        StructuredOutput::JsonSchema => Some(json!({
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema, "strict": schema::is_strict(schema)}
        })),
        StructuredOutput::JsonObject => Some(json!({"type": "json_object"})),
        StructuredOutput::Prompt | StructuredOutput::None => None,
    }
}

#[cfg(test)]
mod tests;
