//! Blocks of a turn, in both directions. Thinking is stored with the whole turn that contains it, because the API
//! accepts thinking blocks only unchanged and in their original position.

use std::borrow::Cow;

use baton_core::model::ModelToolCall;
use serde_json::Value;

/// The turn as the model produced it, if it is unchanged: the same text and the same calls.
pub(super) fn unchanged_thinking<'t>(
    thought: &'t [Value],
    content: &str,
    tool_calls: &[ModelToolCall],
) -> Option<&'t [Value]> {
    let of = |kind: &'static str| thought.iter().filter(move |block| block["type"] == kind);
    let text: String = of("text").filter_map(|block| block["text"].as_str()).collect();
    let ids = of("tool_use").map(|block| block["id"].as_str());
    let is_same = text == content && ids.eq(tool_calls.iter().map(|call| Some(call.id.as_str())));
    (!thought.is_empty() && is_same).then_some(thought)
}

/// Whether a turn contains blocks that must be sent back with it.
pub(super) fn has_thinking(blocks: &[Value]) -> bool {
    blocks.iter().any(|block| matches!(block["type"].as_str(), Some("thinking" | "redacted_thinking")))
}

/// An id in the characters that the API allows; another provider's id may contain others.
pub(super) fn safe_id(id: &str) -> Cow<'_, str> {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !id.is_empty() && id.chars().all(is_safe) {
        return Cow::Borrowed(id);
    }
    let safe: String = id.chars().map(|c| if is_safe(c) { c } else { '_' }).collect();
    Cow::Owned(if safe.is_empty() { "_".to_owned() } else { safe })
}
