//! What comes back from a tool, as the model sees it.

use baton_core::structured::extract;
use baton_core::tool::ToolEnvelope;
use serde_json::{Value, json};

/// Characters of one result that the model is shown.
const RESULT_CHARS_MAX: usize = 20_000;

/// A result as the model sees it: without what is for people and programs.
pub(crate) fn tool_observation(envelope: &ToolEnvelope) -> Value {
    if envelope.success {
        return json!({"success": true, "data": envelope.data});
    }
    let mut told = json!({"success": false, "data": envelope.data});
    let parts = [
        ("error_code", &envelope.error_code),
        ("error", &envelope.error),
        ("error_details", &envelope.error_details),
        ("suggested_action", &envelope.suggested_action),
    ];
    for (name, part) in parts {
        if let Some(part) = part {
            told[name] = Value::String(part.clone());
        }
    }
    told
}

/// It as text, cut where it is too long.
pub(crate) fn answer_text(answer: &Value) -> String {
    let text = match answer {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    extract::clip(&text, RESULT_CHARS_MAX)
}
