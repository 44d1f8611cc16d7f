//! An estimate of tokens, for servers that do not count and for replies that broke off: a wrong number is better than a
//! free call.

use baton_core::model::{Message, Request, ToolCall, Usage};

/// Bytes of a token, for English and Spanish prose.
const BYTES_PER_TOKEN: usize = 4;
/// What an image takes: a large one, by the providers' own formulas.
const TOKENS_PER_IMAGE: u64 = 1_500;

/// The input alone.
pub(super) fn of_input(request: &Request) -> Usage {
    let offers =
        request.tools.iter().map(|tool| tool.name.len() + tool.description.len() + json_bytes(&tool.parameters));
    let schema = request.schema.as_ref().map_or(0, json_bytes);
    let bytes = request.messages.iter().map(message).sum::<usize>() + offers.sum::<usize>() + schema;
    let images: usize = request.messages.iter().map(images).sum();
    let images = u64::try_from(images).unwrap_or(u64::MAX).saturating_mul(TOKENS_PER_IMAGE);
    Usage { input_tokens: of_bytes(bytes).saturating_add(images), ..Usage::default() }
}

pub(super) fn of_output(content: &str, tool_calls: &[ToolCall]) -> u64 {
    of_bytes(content.len() + calls(tool_calls))
}

pub(super) fn of_bytes(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(BYTES_PER_TOKEN)).unwrap_or(u64::MAX)
}

fn message(message: &Message) -> usize {
    match message {
        Message::System { content, .. } | Message::User { content, .. } | Message::Tool { content, .. } => {
            content.len()
        }
        Message::Assistant { content, tool_calls, .. } => content.len() + calls(tool_calls),
    }
}

fn images(message: &Message) -> usize {
    match message {
        Message::User { images, .. } => images.len(),
        Message::System { .. } | Message::Assistant { .. } | Message::Tool { .. } => 0,
    }
}

fn calls(calls: &[ToolCall]) -> usize {
    calls.iter().map(|call| call.name.len() + json_bytes(&call.arguments)).sum()
}

fn json_bytes(value: &serde_json::Value) -> usize {
    value.to_string().len()
}
