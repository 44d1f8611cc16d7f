//! How a Claude model is held to a schema: by itself where it can, else by a tool it is made to call, else by words.

use baton_core::model::Message;
use serde_json::{Value, json};

use super::family;
use crate::catalogue::Structured;
use crate::providers::dialect::Query;
use crate::providers::schema;

/// The tool whose arguments are the answer.
pub(super) const ANSWER: &str = "give_answer";

/// The body's `output_config.format`, for a model that enforces it.
pub(super) fn format(query: &Query<'_>) -> Option<Value> {
    let schema = query.ask.request.schema.as_ref().filter(|schema| schema::is_of_object(schema))?;
    let enforces = query.structured == Structured::JsonSchema && family::enforces_schemas(query.ask.model);
    let narrowed = enforces.then(|| schema::narrowed(schema)).flatten()?;
    Some(json!({"type": "json_schema", "schema": narrowed}))
}

/// Whether the answer is made to come as a tool call. Not beside tools that the model may want to call first.
pub(super) fn is_forced(query: &Query<'_>) -> bool {
    let request = query.ask.request;
    let wants = match query.structured {
        Structured::JsonSchema | Structured::JsonObject => true,
        Structured::Prompt | Structured::None => false,
    };
    let calls = |message: &Message| matches!(message, Message::Assistant { tool_calls, .. } if !tool_calls.is_empty());
    wants
        && request.schema.as_ref().is_some_and(schema::is_of_object)
        && format(query).is_none()
        && request.tools.is_empty()
        && !request.messages.iter().any(calls)
        && family::can_be_forced(query.ask.model)
}

/// The tool itself.
pub(super) fn answer_tool(query: &Query<'_>) -> Value {
    json!({
        "name": ANSWER,
        "description": "Gives the answer. Call it once, with the whole answer.",
        "input_schema": query.ask.request.schema,
    })
}
