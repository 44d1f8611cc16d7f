//! How a Claude model is constrained to a schema: natively if it can, else by a forced tool, else by the prompt.

use baton_core::model::{ModelMessage, ToolOffer};
use serde_json::{Value, json};

use super::family;
use crate::catalogue::StructuredOutput;
use crate::providers::dialect::WireRequest;
use crate::providers::schema;

/// The tool whose arguments are the answer.
pub(super) const ANSWER_TOOL_NAME: &str = "give_answer";

/// The body's `output_config.format`, for a model that enforces it.
pub(super) fn format(query: &WireRequest<'_>) -> Option<Value> {
    let schema = query.ask.request.schema.as_ref().filter(|schema| schema::is_of_object(schema))?;
    let enforces = query.structured == StructuredOutput::JsonSchema && family::enforces_schemas(query.ask.model);
    let narrowed = enforces.then(|| schema::to_anthropic_schema(schema)).flatten()?;
    Some(json!({"type": "json_schema", "schema": narrowed}))
}

/// Whether the answer is forced into a tool call. Not if there are other tools, which the model may want to call first.
pub(super) fn is_forced(query: &WireRequest<'_>) -> bool {
    let request = query.ask.request;
    let wants = match query.structured {
        StructuredOutput::JsonSchema | StructuredOutput::JsonObject => true,
        StructuredOutput::Prompt | StructuredOutput::None => false,
    };
    let calls = |message: &ModelMessage| matches!(message, ModelMessage::Assistant { tool_calls, .. } if !tool_calls.is_empty());
    wants
        && request.schema.as_ref().is_some_and(schema::is_of_object)
        && format(query).is_none()
        && request.tools.is_empty()
        && !request.messages.iter().any(calls)
        && family::can_be_forced(query.ask.model)
}

/// Whether the calls of a tool are constrained to its parameters.
pub(super) fn is_strict(tool: &ToolOffer, query: &WireRequest<'_>) -> bool {
    tool.strict == Some(true)
        && query.structured == StructuredOutput::JsonSchema
        && family::enforces_schemas(query.ask.model)
        && schema::is_anthropic_strict(&tool.parameters)
}

/// Whether replies are constrained to the whole schema, and calls to the parameters of strict tools.
pub(super) fn enforces_schema(query: &WireRequest<'_>) -> bool {
    let request = query.ask.request;
    let is_held = request.schema.as_ref().is_none_or(|schema| match format(query) {
        Some(_) => schema::is_anthropic_strict(schema),
        // A tool call always passes an object.
        None => is_forced(query) && schema::is_any_object(schema),
    });
    let mut strict = request.tools.iter().filter(|tool| tool.strict == Some(true));
    is_held && strict.all(|tool| is_strict(tool, query))
}

/// The answer tool itself.
pub(super) fn answer_tool(query: &WireRequest<'_>) -> Value {
    json!({
        "name": ANSWER_TOOL_NAME,
        "description": "Gives the answer. Call it once, with the whole answer.",
        "input_schema": query.ask.request.schema,
    })
}
