//! Converts a request of the Responses API into the equivalent chat completion.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::error::OpenAiError;
use super::super::request::{self, ChatRequest};
use super::output::EchoedParameters;
use crate::body;

/// Maximum number of input items, including earlier messages.
const ITEMS_MAX: usize = 10_000;
/// Values of `include` that have no effect here, and are accepted because clients send them by default.
const INCLUDED: [&str; 1] = ["reasoning.encrypted_content"];

#[derive(Deserialize)]
struct ResponsesRequestBody {
    model: String,
    input: Value,
    #[serde(default)]
    instructions: Option<String>,
    #[serde(default)]
    tools: Option<Vec<Value>>,
    #[serde(default)]
    tool_choice: Value,
    #[serde(default)]
    text: Option<ResponsesTextOptions>,
    #[serde(default)]
    reasoning: Option<Map<String, Value>>,
    #[serde(default)]
    max_output_tokens: Option<u32>,
    #[serde(default)]
    stream: Option<bool>,
    /// Configures padding of events, which are not padded here.
    #[serde(default)]
    #[expect(dead_code, reason = "nothing follows from it")]
    stream_options: Value,
    #[serde(default)]
    include: Option<Vec<String>>,
    #[serde(default)]
    truncation: Option<String>,
    #[serde(default)]
    background: Option<bool>,
    #[serde(default)]
    previous_response_id: Option<String>,
    #[serde(default)]
    conversation: Value,
    #[serde(default)]
    prompt: Value,
    /// Fields that a chat completion has under the same name.
    #[serde(flatten)]
    more: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResponsesTextOptions {
    #[serde(default)]
    format: Option<Map<String, Value>>,
    #[serde(default)]
    verbosity: Option<Value>,
}

/// Parses a body. Errors name the fields as this path does.
pub(super) fn read(body: &[u8]) -> Result<(ChatRequest, EchoedParameters), OpenAiError> {
    if body::is_list(body) {
        return Err(OpenAiError::invalid("body", "the body is a list, and a request for a response is an object"));
    }
    let wire: ResponsesRequestBody = serde_json::from_slice(body)
        .map_err(|error| OpenAiError::invalid("body", format!("the body is not a request for a response: {error}")))?;
    wire.reject_unsupported()?;
    let echo = wire.echo();
    let chat = wire.into_chat()?;
    let asked = request::read(chat.to_string().as_bytes()).map_err(|error| {
        let error = error.with_param_renamed("messages", "input").with_param_renamed("response_format", "text.format");
        error
            .with_param_renamed("max_completion_tokens", "max_output_tokens")
            .with_param_renamed("reasoning_effort", "reasoning.effort")
    })?;
    Ok((asked, echo))
}

impl ResponsesRequestBody {
    fn reject_unsupported(&self) -> Result<(), OpenAiError> {
        let no = |field: &str, why: &str| Err(OpenAiError::invalid(field, format!("`{field}`: {why}")));
        if self.previous_response_id.is_some() {
            return no("previous_response_id", "nothing is kept of responses: send what was said before as `input`");
        }
        if !self.conversation.is_null() {
            return no("conversation", "nothing is kept of responses: send what was said before as `input`");
        }
        if !self.prompt.is_null() {
            return no("prompt", "no prompts are kept here: write it as `instructions`");
        }
        if self.background == Some(true) {
            return no("background", "it is waited for, or streamed: leave it out");
        }
        if self.truncation.as_deref().is_some_and(|word| word != "disabled") {
            return no("truncation", "nothing is left out of what is sent: leave it out, or write `disabled`");
        }
        let unknown = self.include.iter().flatten().find(|name| !INCLUDED.contains(&name.as_str()));
        if let Some(name) = unknown {
            return Err(OpenAiError::invalid("include", format!("`{name}` is told of no response: leave it out")));
        }
        if self.more.contains_key("messages") {
            return no("messages", "write `input`, or ask POST /v1/chat/completions");
        }
        Ok(())
    }

    fn echo(&self) -> EchoedParameters {
        let more = |name: &str| self.more.get(name).cloned().unwrap_or_default();
        EchoedParameters {
            instructions: self.instructions.clone(),
            tools: self.tools.clone().unwrap_or_default(),
            tool_choice: if self.tool_choice.is_null() { json!("auto") } else { self.tool_choice.clone() },
            format: self.text.as_ref().and_then(|text| text.format.clone()),
            temperature: more("temperature"),
            top_p: more("top_p"),
            metadata: more("metadata"),
            user: more("user"),
            max_output_tokens: self.max_output_tokens,
            parallel_tool_calls: self.more.get("parallel_tool_calls").and_then(Value::as_bool).unwrap_or(true),
        }
    }

    fn into_chat(mut self) -> Result<Value, OpenAiError> {
        let mut messages = Vec::new();
        if let Some(instructions) = &self.instructions {
            messages.push(json!({ "role": "system", "content": instructions }));
        }
        match std::mem::take(&mut self.input) {
            Value::String(text) => messages.push(json!({ "role": "user", "content": text })),
            Value::Array(items) if items.len() <= ITEMS_MAX => {
                for (place, item) in items.into_iter().enumerate() {
                    add(&mut messages, item).map_err(|why| OpenAiError::invalid(&format!("input[{place}]"), why))?;
                }
            }
            Value::Array(items) => {
                let message = format!("there are {} items; at most {ITEMS_MAX} are taken", items.len());
                return Err(OpenAiError::invalid("input", message));
            }
            _ => return Err(OpenAiError::invalid("input", "write a text, or a list of items")),
        }
        let mut chat = self.more;
        let mut put = |name: &str, value: Value| {
            if !value.is_null() {
                chat.insert(name.to_owned(), value);
            }
        };
        put("model", self.model.into());
        put("messages", messages.into());
        put("stream", json!(self.stream));
        put("max_completion_tokens", json!(self.max_output_tokens));
        let tools = self.tools.into_iter().flatten().enumerate().map(|(place, tool)| chat_tool(place, tool));
        let tools: Vec<Value> = tools.collect::<Result<_, _>>()?;
        if !tools.is_empty() {
            put("tools", tools.into());
        }
        put("tool_choice", chat_tool_choice(self.tool_choice)?);
        if let Some(text) = self.text {
            put("response_format", text.format.map(chat_format).unwrap_or_default());
            put("verbosity", text.verbosity.unwrap_or_default());
        }
        for (name, value) in self.reasoning.into_iter().flatten().filter(|(_, value)| !value.is_null()) {
            match name.as_str() {
                "effort" => put("reasoning_effort", value),
                // Reasoning summaries are not produced, so these settings are ignored.
                "summary" | "generate_summary" => {}
                other => {
                    return Err(OpenAiError::invalid(
                        "reasoning",
                        format!("`reasoning.{other}` is not sent on: leave it out"),
                    ));
                }
            }
        }
        Ok(Value::Object(chat))
    }
}

/// Adds an item as a message, or as a part of the previous one.
fn add(messages: &mut Vec<Value>, item: Value) -> Result<(), String> {
    let Value::Object(mut item) = item else { return Err("an item is an object".to_owned()) };
    let kind = item.get("type").and_then(Value::as_str).unwrap_or("message").to_owned();
    let mut text = |name: &str| match item.remove(name) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(format!("a `{kind}` has a text as `{name}`")),
    };
    match kind.as_str() {
        "message" => {
            let role = text("role")?;
            let content = content(item.remove("content").unwrap_or_default())?;
            messages.push(json!({ "role": role, "content": content }));
        }
        "function_call" => {
            let call = json!({
                "id": text("call_id")?, "type": "function",
                "function": { "name": text("name")?, "arguments": text("arguments")? },
            });
            // The calls of one reply and its text form a single message.
            let is_assistants = |message: &Value| message["role"] == "assistant";
            if !messages.last().is_some_and(is_assistants) {
                messages.push(json!({ "role": "assistant", "content": null }));
            }
            if let Some(last) = messages.last_mut() {
                match last["tool_calls"].as_array_mut() {
                    Some(calls) => calls.push(call),
                    None => last["tool_calls"] = json!([call]),
                }
            }
        }
        "function_call_output" => {
            let call = text("call_id")?;
            let output = content(item.remove("output").unwrap_or_default())?;
            messages.push(json!({ "role": "tool", "tool_call_id": call, "content": output }));
        }
        // Reasoning items are specific to their provider, and none are produced here.
        "reasoning" => {}
        "item_reference" => return Err("nothing is kept of responses: send the item itself".to_owned()),
        other => return Err(format!("items of type `{other}` are not taken")),
    }
    Ok(())
}

/// A text, or its parts in the form of a chat completion.
fn content(content: Value) -> Result<Value, String> {
    let Value::Array(parts) = content else { return Ok(content) };
    let part = |mut part: Value| match part["type"].as_str() {
        Some("input_text" | "output_text" | "text") => Ok(json!({ "type": "text", "text": part["text"].take() })),
        Some("refusal") => Ok(json!({ "type": "refusal", "refusal": part["refusal"].take() })),
        Some("input_image") if part["image_url"].is_string() => {
            let mut image = json!({ "url": part["image_url"].take() });
            if let Some(detail) = part["detail"].as_str() {
                image["detail"] = detail.into();
            }
            Ok(json!({ "type": "image_url", "image_url": image }))
        }
        Some("input_image") => Err("an image comes as `image_url`: files are not kept here".to_owned()),
        Some(other) => Err(format!("parts of type `{other}` are not taken")),
        None => Err("a part has a `type`".to_owned()),
    };
    parts.into_iter().map(part).collect::<Result<Vec<_>, _>>().map(Value::from)
}

fn chat_tool(place: usize, tool: Value) -> Result<Value, OpenAiError> {
    let Value::Object(mut tool) = tool else {
        return Err(OpenAiError::invalid(&format!("tools[{place}]"), "a tool is an object"));
    };
    if tool.remove("type") != Some(json!("function")) || !tool.get("name").is_some_and(Value::is_string) {
        let message = "only tools of type `function`, with a `name`, are taken";
        return Err(OpenAiError::invalid(&format!("tools[{place}]"), message));
    }
    tool.retain(|_, value| !value.is_null());
    Ok(json!({ "type": "function", "function": tool }))
}

fn chat_tool_choice(choice: Value) -> Result<Value, OpenAiError> {
    match &choice {
        Value::Null | Value::String(_) => Ok(choice),
        Value::Object(one) if one.get("type") == Some(&json!("function")) => {
            Ok(json!({ "type": "function", "function": { "name": one.get("name") } }))
        }
        _ => Err(OpenAiError::invalid("tool_choice", "write `auto`, `none`, `required`, or the function to call")),
    }
}

/// In this API, a schema stands next to its type.
fn chat_format(mut format: Map<String, Value>) -> Value {
    match format.remove("type") {
        Some(kind) if kind == "json_schema" => json!({ "type": kind, "json_schema": format }),
        kind => json!({ "type": kind }),
    }
}

#[cfg(test)]
mod tests {
    use baton_core::model::ModelMessage;

    use super::*;

    fn asked(body: &Value) -> ChatRequest {
        read(body.to_string().as_bytes()).expect("is read").0
    }

    #[test]
    fn items_of_input_are_the_messages_of_a_chat() {
        let body = json!({
            "model": "fast", "instructions": "Be brief.", "max_output_tokens": 7,
            "input": [
                { "role": "user", "content": [{ "type": "input_text", "text": "Weather?" }] },
                { "type": "reasoning", "id": "rs_1", "summary": [] },
                { "type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
                  "content": [{ "type": "output_text", "text": "I look.", "annotations": [] }] },
                { "type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look", "arguments": "{\"a\": 1}" },
                { "type": "function_call", "call_id": "c2", "name": "look", "arguments": "{}" },
                { "type": "function_call_output", "call_id": "c1", "output": "sunny" },
            ],
            "tools": [{ "type": "function", "name": "look", "description": null, "parameters": { "type": "object" }, "strict": false }],
            "tool_choice": { "type": "function", "name": "look" },
            "text": { "format": { "type": "json_schema", "name": "w", "schema": { "type": "object" } } },
        });
        let asked = asked(&body);
        let roles: Vec<&str> = asked
            .request
            .messages
            .iter()
            .map(|message| match message {
                ModelMessage::System { .. } => "system",
                ModelMessage::User { .. } => "user",
                ModelMessage::Assistant { tool_calls, .. } => {
                    assert_eq!(tool_calls.iter().map(|call| &*call.id).collect::<Vec<_>>(), ["c1", "c2"]);
                    "assistant"
                }
                ModelMessage::Tool { .. } => "tool",
            })
            .collect();
        assert_eq!(roles, ["system", "user", "assistant", "tool"]);
        assert_eq!((asked.request.max_tokens, asked.request.tools.len()), (Some(7), 1));
        assert!(asked.request.tool_choice.is_some() && asked.request.schema.is_some());
    }

    #[test]
    fn what_is_not_done_is_refused_by_its_name() {
        let cases = [
            (json!({ "previous_response_id": "resp_1" }), "previous_response_id"),
            (json!({ "conversation": "conv_1" }), "conversation"),
            (json!({ "background": true }), "background"),
            (json!({ "store": true }), "store"),
            (json!({ "include": ["message.output_text.logprobs"] }), "include"),
            (json!({ "input": [{ "type": "item_reference", "id": "msg_1" }] }), "input[0]"),
            (json!({ "input": [{ "role": "narrator", "content": "x" }] }), "input"),
            (json!({ "input": [] }), "input"),
            (json!({ "tools": [{ "type": "web_search" }] }), "tools[0]"),
            (json!({ "reasoning": { "mode": "x" } }), "reasoning"),
            (json!({ "text": { "format": { "type": "xml" } } }), "text.format"),
        ];
        for (more, field) in cases {
            let mut body = json!({ "model": "fast", "input": "Hi" });
            if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
                body.extend(more);
            }
            let error = read(body.to_string().as_bytes()).expect_err(field);
            assert_eq!(error.body()["error"]["param"], field, "{}", error.message());
        }
    }
}
