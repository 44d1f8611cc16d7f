//! An estimate of tokens, for servers that do not count: a wrong number is better than a free call.

use baton_core::model::{Message, Request, ToolCall, Usage};

use super::answer::Answer;

/// Bytes of a token, for English and Spanish prose.
const BYTES_PER_TOKEN: usize = 4;

pub(super) fn estimate(request: &Request, answer: &Answer) -> Usage {
    let calls =
        |calls: &[ToolCall]| calls.iter().map(|call| call.name.len() + call.arguments.to_string().len()).sum::<usize>();
    let message = |message: &Message| match message {
        Message::System { content } | Message::User { content, .. } | Message::Tool { content, .. } => content.len(),
        Message::Assistant { content, tool_calls, .. } => content.len() + calls(tool_calls),
    };
    let offers: usize =
        request.tools.iter().map(|tool| tool.description.len() + tool.parameters.to_string().len()).sum();
    Usage {
        input_tokens: tokens(request.messages.iter().map(message).sum::<usize>() + offers),
        output_tokens: tokens(answer.content.len() + calls(&answer.tool_calls)),
        cached_tokens: 0,
        ..Usage::default()
    }
}

fn tokens(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(BYTES_PER_TOKEN)).unwrap_or(u64::MAX)
}
