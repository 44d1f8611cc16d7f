//! Estimates tokens, for servers that do not count and for replies that broke off: an inaccurate count is better than a
//! free call.

use baton_core::model::{ModelMessage, ModelRequest, ModelToolCall, TokenUsage};

/// Bytes per token, for English and Spanish prose.
const BYTES_PER_TOKEN: usize = 4;
/// Tokens of a large image, by the providers' own formulas.
const TOKENS_PER_IMAGE: u64 = 1_500;

/// The input alone.
pub(super) fn estimate_input(request: &ModelRequest) -> TokenUsage {
    let offers =
        request.tools.iter().map(|tool| tool.name.len() + tool.description.len() + json_bytes(&tool.parameters));
    let schema = request.schema.as_ref().map_or(0, json_bytes);
    let bytes = request.messages.iter().map(message).sum::<usize>() + offers.sum::<usize>() + schema;
    let images: usize = request.messages.iter().map(images).sum();
    let images = u64::try_from(images).unwrap_or(u64::MAX).saturating_mul(TOKENS_PER_IMAGE);
    TokenUsage { input_tokens: estimate_bytes(bytes).saturating_add(images), ..TokenUsage::default() }
}

pub(super) fn estimate_output(content: &str, tool_calls: &[ModelToolCall]) -> u64 {
    estimate_bytes(content.len() + calls(tool_calls))
}

pub(super) fn estimate_bytes(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(BYTES_PER_TOKEN)).unwrap_or(u64::MAX)
}

fn message(message: &ModelMessage) -> usize {
    match message {
        ModelMessage::System { content, .. }
        | ModelMessage::User { content, .. }
        | ModelMessage::Tool { content, .. } => content.len(),
        ModelMessage::Assistant { content, tool_calls, .. } => content.len() + calls(tool_calls),
    }
}

fn images(message: &ModelMessage) -> usize {
    match message {
        ModelMessage::User { images, .. } => images.len(),
        ModelMessage::System { .. } | ModelMessage::Assistant { .. } | ModelMessage::Tool { .. } => 0,
    }
}

fn calls(calls: &[ModelToolCall]) -> usize {
    calls.iter().map(|call| call.name.len() + json_bytes(&call.arguments)).sum()
}

fn json_bytes(value: &serde_json::Value) -> usize {
    value.to_string().len()
}
