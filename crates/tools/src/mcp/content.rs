//! Converts the result of a server's tool to a tool outcome.

use baton_core::fault::Fault;
use baton_core::tool::{EffectClass, ToolQuestion};
use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock, ErrorCode, ResourceContents};
use rmcp::service::ServiceError;
use serde_json::{Map, Value, json};

use super::elicitation::{self, QuestionPolicy};
use super::session::McpCallOutcome;
use crate::code;
use crate::tool_error::ToolError;

/// Maximum size of one image, sound or embedded file that is kept, in bytes of base64.
const BINARY_BYTES_MAX: usize = 1 << 20;
/// Maximum size of a server's error text, in bytes.
pub(super) const ERROR_BYTES_MAX: usize = 2_000;

/// Returns the tool's result: its text, and other content.
pub(super) fn answer(
    name: &str,
    called: McpCallOutcome,
    class: EffectClass,
    asking: QuestionPolicy,
) -> Result<Value, ToolError> {
    match called {
        McpCallOutcome::InputNeeded(question) if asking.resumable => Err(input_needed(name, question, asking)),
        // The server asked during the call: what it did before, and after the question was refused, is unknown.
        McpCallOutcome::InputNeeded(question) => {
            Err(ToolError::indeterminate(class, input_required(name, &question.message)))
        }
        // The call may be continued later, and no person needs to answer.
        McpCallOutcome::Answered(CallToolResponse::InputRequired(asked)) if elicitation::has_no_requests(&asked) => {
            Err(ToolError::transient(
                code::SERVICE_UNAVAILABLE,
                format!("`{name}` is busy, and wants to be called again"),
            ))
        }
        // The server asked instead of acting: the protocol repeats the call with the answers.
        McpCallOutcome::Answered(CallToolResponse::InputRequired(asked)) => Err(match elicitation::questions(asked) {
            Ok(question) => input_needed(name, question, asking),
            Err(reason) => permanent(input_required(name, &reason)),
        }),
        McpCallOutcome::Answered(CallToolResponse::Complete(result)) if result.is_error == Some(true) => {
            let mut says = text(&result);
            says.truncate(says.floor_char_boundary(ERROR_BYTES_MAX));
            Err(ToolError::from_message(class, &says, code::SERVICE_REJECTED, format!("`{name}` failed: {says}")))
        }
        McpCallOutcome::Answered(CallToolResponse::Complete(result)) => Ok(output(result)),
        McpCallOutcome::Answered(_) => {
            let message = format!("`{name}` answers in a way that is not understood here");
            Err(ToolError::indeterminate(class, Fault::new(code::SERVICE_UNAVAILABLE, message)))
        }
    }
}

/// Maps a missing result to an error. `told` is the error in words.
pub(super) fn failure(name: &str, error: &ServiceError, told: &str, class: EffectClass) -> ToolError {
    let message = format!("`{name}`: {told}");
    match error {
        ServiceError::McpError(error) if error.code == ErrorCode::INVALID_PARAMS => {
            ToolError::permanent(code::INVALID_PARAMETERS, message)
        }
        ServiceError::McpError(error) if error.code == ErrorCode::METHOD_NOT_FOUND => {
            ToolError::permanent(code::TOOL_NOT_FOUND, message)
        }
        _ => ToolError::indeterminate(class, Fault::new(code::SERVICE_UNAVAILABLE, message)),
    }
}

fn input_needed(name: &str, question: ToolQuestion, asking: QuestionPolicy) -> ToolError {
    ToolError::NeedsInput {
        fault: input_required(name, &question.message),
        question: Box::new(question),
        within: asking.time_limit,
    }
}

fn input_required(name: &str, asked: &str) -> Fault {
    let mut asked = asked.to_owned();
    asked.truncate(asked.floor_char_boundary(ERROR_BYTES_MAX));
    Fault::new(code::INPUT_REQUIRED, format!("`{name}` asks for what only a person knows: {asked}"))
}

fn permanent(fault: Fault) -> ToolError {
    ToolError::NotDone { fault, retryable: false, retry_after: None }
}

fn text(result: &CallToolResult) -> String {
    let texts = result.content.iter().filter_map(|block| match block {
        ContentBlock::Text(text) => Some(text.text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// Builds the output: `text` joins all text; `structured` is present if the tool returns data; other fields only if
/// they are not empty.
fn output(result: CallToolResult) -> Value {
    let mut output = Map::new();
    output.insert("text".to_owned(), text(&result).into());
    if let Some(structured) = result.structured_content {
        output.insert("structured".to_owned(), structured);
    }
    let mut put = |name: &str, item: Value| {
        if let Value::Array(items) = output.entry(name).or_insert_with(|| json!([])) {
            items.push(item);
        }
    };
    for block in result.content {
        match block {
            ContentBlock::Text(_) => {}
            ContentBlock::Image(image) => put("images", binary(&image.mime_type, image.data)),
            ContentBlock::Audio(audio) => put("sounds", binary(&audio.mime_type, audio.data)),
            ContentBlock::ResourceLink(link) => put(
                "links",
                json!({"uri": link.uri, "name": link.name, "mime_type": link.mime_type, "description": link.description}),
            ),
            ContentBlock::Resource(embedded) => match embedded.resource {
                ResourceContents::TextResourceContents { uri, mime_type, text, .. } => {
                    put("resources", json!({"uri": uri, "mime_type": mime_type, "text": text}));
                }
                ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => {
                    let mut item = binary(mime_type.as_deref().unwrap_or_default(), blob);
                    item["uri"] = json!(uri);
                    put("resources", item);
                }
                _ => {}
            },
            _ => {}
        }
    }
    Value::Object(output)
}

/// Base64 data as the protocol has it; if too large, only its size is kept.
fn binary(mime_type: &str, data: String) -> Value {
    if data.len() > BINARY_BYTES_MAX {
        return json!({"mime_type": mime_type, "left_out_bytes": data.len()});
    }
    json!({"mime_type": mime_type, "data": data})
}
