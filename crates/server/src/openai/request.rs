//! Converts the body of an OpenAI chat completion into a model request.

use baton_core::model::content::MessageContent;
use baton_core::model::fields;
use baton_core::model::{ModelImage, ModelMessage, ModelProfile, ModelRequest, ModelToolCall, ToolChoice, ToolOffer};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::OpenAiError;
use super::reply_format::ReplyFormat;
use crate::body;

/// Maximum number of messages in one request.
const MESSAGES_MAX: usize = 10_000;
/// Maximum number of tools in one request, as in OpenAI's API.
const TOOLS_MAX: usize = 128;
/// The agent name of requests to this endpoint.
const AGENT: &str = "gateway";

/// A parsed request.
#[derive(Debug)]
pub(super) struct ChatRequest {
    pub request: ModelRequest,
    /// The requested name, repeated in errors.
    pub model: String,
    pub stream: bool,
    /// A last chunk with the usage was requested.
    pub with_usage: bool,
    /// The required format of the reply.
    pub form: ReplyFormat,
    /// The fields that identify the end user: `user`, `safety_identifier`, `metadata`.
    pub more: Map<String, Value>,
}

#[derive(Deserialize)]
struct ChatRequestBody {
    model: String,
    messages: Vec<ChatMessageBody>,
    #[serde(default)]
    tools: Vec<ChatTool>,
    #[serde(default)]
    tool_choice: Value,
    #[serde(default)]
    response_format: Option<ResponseFormat>,
    temperature: Option<f64>,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    /// The remaining fields; [`fields`] decides which of them are passed on.
    #[serde(flatten)]
    more: Map<String, Value>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Deserialize)]
struct ChatMessageBody {
    role: String,
    #[serde(default)]
    content: MessageContent<ChatContentPart>,
    #[serde(default)]
    tool_calls: Option<Vec<ChatToolCall>>,
    #[serde(default)]
    tool_call_id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    /// A refusal, which OpenAI's replies carry instead of content.
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    audio: Option<Value>,
    #[serde(default)]
    function_call: Option<Value>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ChatContentPart {
    Text { text: String },
    ImageUrl { image_url: ModelImage },
    Refusal { refusal: String },
}

#[derive(Deserialize)]
struct ChatTool {
    #[serde(rename = "type")]
    kind: String,
    function: Option<ChatFunction>,
}

#[derive(Deserialize)]
struct ChatFunction {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    parameters: Value,
    #[serde(default)]
    strict: Option<bool>,
}

#[derive(Deserialize)]
struct ChatToolCall {
    id: String,
    function: CalledFunction,
}

#[derive(Deserialize)]
struct CalledFunction {
    name: String,
    arguments: String,
}

#[derive(Deserialize)]
struct ResponseFormat {
    #[serde(rename = "type")]
    kind: String,
    json_schema: Option<JsonSchema>,
}

#[derive(Deserialize)]
struct JsonSchema {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    description: Option<String>,
    schema: Option<Map<String, Value>>,
    // `strict` is not read here, because every reply is checked against its schema.
}

/// Parses a body. Errors name the field.
pub(super) fn read(body: &[u8]) -> Result<ChatRequest, OpenAiError> {
    if body::is_list(body) {
        return Err(OpenAiError::invalid(
            "body",
            "the body is a list, and a chat completion request is an object".to_owned(),
        ));
    }
    let wire: ChatRequestBody = serde_json::from_slice(body)
        .map_err(|error| OpenAiError::invalid("body", format!("the body is not a chat completion request: {error}")))?;
    if wire.messages.is_empty() || wire.messages.len() > MESSAGES_MAX {
        let message = format!("there are {} messages; 1 to {MESSAGES_MAX} are taken", wire.messages.len());
        return Err(OpenAiError::invalid("messages", message));
    }
    if wire.tools.len() > TOOLS_MAX {
        let message = format!("there are {} tools; at most {TOOLS_MAX} are taken", wire.tools.len());
        return Err(OpenAiError::invalid("tools", message));
    }
    let (profile, model) = parse_model(&wire.model);
    let whose = ["user", "safety_identifier", "metadata"].into_iter();
    let whose = whose.filter_map(|name| Some((name.to_owned(), wire.more.get(name)?.clone()))).collect();
    let more = fields::forwarded_fields(wire.more)
        .map_err(|unsent| OpenAiError::invalid(&unsent.field, format!("`{}`: {}", unsent.field, unsent.remedy)))?;
    let messages = wire.messages.into_iter().enumerate().map(|(place, message)| message.into_message(place));
    let request = ModelRequest {
        agent: AGENT.to_owned(),
        profile,
        model,
        messages: messages.collect::<Result<_, _>>()?,
        tools: wire
            .tools
            .into_iter()
            .enumerate()
            .map(|(place, tool)| tool.into_tool_offer(place))
            .collect::<Result<_, _>>()?,
        tool_choice: tool_choice(&wire.tool_choice)?,
        schema: schema(wire.response_format)?,
        temperature: wire.temperature.unwrap_or(1.0),
        max_tokens: wire.max_completion_tokens.or(wire.max_tokens),
        more,
    };
    Ok(ChatRequest {
        form: ReplyFormat::of(&request)?,
        request,
        more: whose,
        model: wire.model,
        stream: wire.stream.unwrap_or(false),
        with_usage: wire.stream_options.is_some_and(|options| options.include_usage),
    })
}

/// The name of a profile leaves the choice to the router. Any other name is a model.
fn parse_model(name: &str) -> (ModelProfile, Option<String>) {
    match name {
        "fast" => (ModelProfile::Fast, None),
        "balanced" => (ModelProfile::Balanced, None),
        "powerful" => (ModelProfile::Powerful, None),
        model => (ModelProfile::Balanced, Some(model.to_owned())),
    }
}

impl ChatMessageBody {
    fn into_message(self, place: usize) -> Result<ModelMessage, OpenAiError> {
        let field = || format!("messages[{place}]");
        let unread = [
            (&self.audio, "audio", "what was said as `content`"),
            (&self.function_call, "function_call", "`tool_calls`"),
        ];
        for (value, name, instead) in unread {
            if value.is_some() {
                let message = format!("`{name}` is not taken; write {instead}");
                return Err(OpenAiError::invalid(&format!("messages[{place}].{name}"), message));
            }
        }
        let (mut content, images) = split(self.content);
        if !images.is_empty() && self.role != "user" {
            return Err(OpenAiError::invalid(&field(), "only a user's message may carry images"));
        }
        match self.role.as_str() {
            "system" | "developer" => Ok(ModelMessage::System { content, name: self.name }),
            "user" => Ok(ModelMessage::User { content, images, name: self.name }),
            "assistant" => {
                let tool_calls =
                    self.tool_calls.unwrap_or_default().into_iter().map(ChatToolCall::into_tool_call).collect();
                content.push_str(&self.refusal.unwrap_or_default());
                Ok(ModelMessage::Assistant { content, tool_calls, thinking: None, name: self.name })
            }
            // The id identifies the call, so the name adds nothing.
            "tool" => match self.tool_call_id {
                Some(tool_call_id) => Ok(ModelMessage::Tool { tool_call_id, content }),
                None => Err(OpenAiError::invalid(&field(), "a message of role `tool` needs `tool_call_id`")),
            },
            role => {
                let message = format!("`{role}` is no role; use system, developer, user, assistant or tool");
                Err(OpenAiError::invalid(&field(), message))
            }
        }
    }
}

/// The text and the images of a message.
fn split(content: MessageContent<ChatContentPart>) -> (String, Vec<ModelImage>) {
    match content {
        MessageContent::Nothing => (String::new(), Vec::new()),
        MessageContent::Text(text) => (text, Vec::new()),
        MessageContent::Parts(parts) => {
            let (mut texts, mut images) = (Vec::new(), Vec::new());
            for part in parts {
                match part {
                    ChatContentPart::Text { text } | ChatContentPart::Refusal { refusal: text } => texts.push(text),
                    ChatContentPart::ImageUrl { image_url } => images.push(image_url),
                }
            }
            (texts.join("\n"), images)
        }
    }
}

impl ChatTool {
    fn into_tool_offer(self, place: usize) -> Result<ToolOffer, OpenAiError> {
        let field = format!("tools[{place}]");
        match self.function {
            Some(function) if self.kind == "function" => Ok(ToolOffer {
                name: function.name,
                description: function.description,
                parameters: function.parameters,
                strict: function.strict,
            }),
            _ => Err(OpenAiError::invalid(&field, "only tools of type `function`, with a `function`, are taken")),
        }
    }
}

impl ChatToolCall {
    fn into_tool_call(self) -> ModelToolCall {
        let text = self.function.arguments;
        let arguments = serde_json::from_str(&text).unwrap_or(Value::String(text));
        ModelToolCall { id: self.id, name: self.function.name, arguments }
    }
}

fn tool_choice(written: &Value) -> Result<Option<ToolChoice>, OpenAiError> {
    let wrong = || OpenAiError::invalid("tool_choice", "write `auto`, `none`, `required`, or the function to call");
    match written {
        Value::Null => Ok(None),
        Value::String(word) => match word.as_str() {
            "auto" => Ok(Some(ToolChoice::Auto)),
            "none" => Ok(Some(ToolChoice::None)),
            "required" => Ok(Some(ToolChoice::Required)),
            _ => Err(wrong()),
        },
        other => {
            let name = other.pointer("/function/name").and_then(Value::as_str);
            name.map(|name| Some(ToolChoice::Tool(name.to_owned()))).ok_or_else(wrong)
        }
    }
}

fn schema(format: Option<ResponseFormat>) -> Result<Option<Value>, OpenAiError> {
    let Some(format) = format else { return Ok(None) };
    match (format.kind.as_str(), format.json_schema) {
        ("text", _) => Ok(None),
        ("json_object", _) => Ok(Some(serde_json::json!({ "type": "object" }))),
        ("json_schema", Some(JsonSchema { name, description, schema: Some(mut schema) })) => {
            // Providers expect a schema's name in different places. In the schema itself, every model sees it.
            for (word, said) in [("title", name), ("description", description)] {
                if let Some(said) = said {
                    schema.entry(word).or_insert(Value::String(said));
                }
            }
            Ok(Some(Value::Object(schema)))
        }
        _ => Err(OpenAiError::invalid(
            "response_format",
            "write `text`, `json_object`, or `json_schema` with its schema",
        )),
    }
}

#[cfg(test)]
mod tests;
