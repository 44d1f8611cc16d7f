//! How large a value is, without writing it.

use serde_json::Value;

/// About how many bytes of JSON a value is.
pub(crate) fn extent(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| extent(item) + 1).sum::<usize>() + 2,
        Value::Object(fields) => fields.iter().map(|(key, value)| key.len() + extent(value) + 4).sum::<usize>() + 2,
    }
}
