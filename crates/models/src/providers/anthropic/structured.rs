//! How a Claude model is held to a schema: by itself where it can, else by a tool it is made to call, else by words.

use baton_core::model::{Message, ToolOffer};
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

/// Whether a tool's calls are held to its parameters.
pub(super) fn is_strict(tool: &ToolOffer, query: &Query<'_>) -> bool {
    tool.strict == Some(true)
        && query.structured == Structured::JsonSchema
        && family::enforces_schemas(query.ask.model)
        && schema::is_narrow(&tool.parameters)
}

/// Whether replies are held to the whole schema, and calls to the parameters of strict tools.
pub(super) fn holds(query: &Query<'_>) -> bool {
    let request = query.ask.request;
    let is_held = request.schema.as_ref().is_none_or(|schema| match format(query) {
        Some(_) => schema::is_narrow(schema),
        // What calls a tool gives it an object.
        None => is_forced(query) && schema::is_any_object(schema),
    });
    let mut strict = request.tools.iter().filter(|tool| tool.strict == Some(true));
    is_held && strict.all(|tool| is_strict(tool, query))
}

/// The tool itself.
pub(super) fn answer_tool(query: &Query<'_>) -> Value {
    json!({
        "name": ANSWER,
        "description": "Gives the answer. Call it once, with the whole answer.",
        "input_schema": query.ask.request.schema,
    })
}
