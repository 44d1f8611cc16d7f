//! Tool results in the form that the model sees.

use baton_core::structured::extract;
use baton_core::tool::ToolEnvelope;
use serde_json::{Value, json};

/// Maximum number of characters of one result shown to the model.
const RESULT_CHARS_MAX: usize = 20_000;

/// A result in the form that the model sees, without the parts meant for people and programs.
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

/// The answer as text, truncated if it is too long.
pub(crate) fn answer_text(answer: &Value) -> String {
    let text = match answer {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    extract::clip(&text, RESULT_CHARS_MAX)
}
