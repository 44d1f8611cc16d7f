//! The model's assessment of an executed plan.

use baton_core::model::ModelReply;
use baton_core::structured::{ReplySchema, extract};
use serde_json::Value;

use crate::fault::{ReplyError, code};
use crate::one_shot;

/// Maximum number of suggestions kept from one reflection.
const SUGGESTIONS_MAX: usize = 20;
/// Maximum number of characters kept of a reason or a suggestion.
const TEXT_CHARS_MAX: usize = 2_000;

#[derive(Debug)]
pub(super) enum PlanReflection {
    Achieved { output: Value },
    Failed { reason: String, suggestions: Vec<String> },
}

impl PlanReflection {
    /// Reads the first object in the reply that says whether the goal was achieved. The result of an achieved goal
    /// satisfies the schema.
    pub fn read(reply: &ModelReply, schema: Option<&ReplySchema>) -> Result<Self, ReplyError> {
        one_shot::check(reply)?;
        let found = extract::json_candidates(&reply.content);
        let Some(object) = found.iter().find(|value| value.get("goal_achieved").is_some_and(Value::is_boolean)) else {
            return Err(match found.is_empty() {
                true => ReplyError::new(code::REPLY_NOT_JSON, "the reply holds no complete JSON"),
                false => ReplyError::new(code::REPLY_INVALID, "the reply has no `goal_achieved` that is true or false"),
            });
        };
        if object["goal_achieved"] == Value::Bool(true) {
            let output = object.get("final_output").cloned().unwrap_or_default();
            if let Some(schema) = schema {
                schema.check("`final_output`", &output)?;
            }
            return Ok(Self::Achieved { output });
        }
        let text = |value: &Value| value.as_str().map(|text| extract::clip(text.trim(), TEXT_CHARS_MAX));
        let reason = object.get("failure_reason").and_then(text).filter(|reason| !reason.is_empty());
        let suggestions = object.get("suggestions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Ok(Self::Failed {
            reason: reason.unwrap_or_else(|| "the model did not say why".to_owned()),
            suggestions: suggestions.iter().filter_map(text).take(SUGGESTIONS_MAX).collect(),
        })
    }
}
