//! Converts a request to Anthropic's format.

use baton_core::model::{ModelMessage, ToolChoice, ToolOffer};
use serde_json::{Map, Value, json};

use super::{family, structured, turns};
use crate::catalogue::ModelSpec;
use crate::providers::dialect::WireRequest;
use crate::providers::schema;

/// The highest temperature; OpenAI's scale goes to 2.
const TEMPERATURE_MAX: f64 = 1.0;

/// Builds the JSON body. The same query always gives the same bytes.
pub(super) fn body(query: &WireRequest<'_>) -> Result<Value, String> {
    let request = query.ask.request;
    let (mut system, turns) = turns::of(query)?;
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    put("model", json!(query.ask.model));
    put("max_tokens", json!(max_tokens(query)));
    put("messages", Value::Array(turns));
    let mut output = Map::new();
    match structured::format(query) {
        Some(format) => drop(output.insert("format".to_owned(), format)),
        None if structured::is_forced(query) => {
            put("tools", json!([structured::answer_tool(query)]));
            put("tool_choice", json!({"type": "tool", "name": structured::ANSWER_TOOL_NAME}));
        }
        None => add(&mut system, schema::instruction(request)),
    }
    if let Some(effort) = effort(query) {
        output.insert("effort".to_owned(), effort);
    }
    if !output.is_empty() {
        put("output_config", Value::Object(output));
    }
    let offers = offers(query);
    if !offers.is_empty() {
        put("tools", Value::Array(offers));
        add(&mut system, tool_choice_instruction(query));
        if let Some(choice) = tool_choice(query) {
            put("tool_choice", choice);
        }
    }
    if !system.is_empty() {
        put("system", json!(system));
    }
    if query.stream {
        put("stream", json!(true));
    }
    sampling(query, &mut body);
    extra_fields(query, &mut body);
    Ok(Value::Object(body))
}

fn add(system: &mut String, more: Option<String>) {
    if let Some(more) = more {
        if !system.is_empty() {
            system.push_str("\n\n");
        }
        system.push_str(&more);
    }
}

/// The request's limit, else the one of the catalogue or of the model's name.
fn max_tokens(query: &WireRequest<'_>) -> u64 {
    let asked = query.ask.request.max_tokens.map(u64::from);
    asked.unwrap_or_else(|| reply_max(query.ask.model, query.ask.spec))
}

/// The limit that is sent if the request sets none.
pub(super) fn reply_max(model: &str, spec: Option<&ModelSpec>) -> u64 {
    let usual = family::max_tokens(model);
    spec.and_then(|spec| spec.output_tokens).map_or(usual, |most| most.min(usual))
}

/// A temperature or `top_p`: newer models accept only one of the two.
fn sampling(query: &WireRequest<'_>, body: &mut Map<String, Value>) {
    if !query.takes_temperature().unwrap_or_else(|| family::takes_temperature(query.ask.model)) {
        return;
    }
    let request = query.ask.request;
    match request.more.get("top_p") {
        Some(top_p) => body.insert("top_p".to_owned(), top_p.clone()),
        None => body.insert("temperature".to_owned(), json!(request.temperature.min(TEMPERATURE_MAX))),
    };
    if let Some(top_k) = request.more.get("top_k") {
        body.insert("top_k".to_owned(), top_k.clone());
    }
}

/// OpenAI fields that have a counterpart here, and Anthropic's own marker for its prompt cache.
fn extra_fields(query: &WireRequest<'_>, body: &mut Map<String, Value>) {
    let more = &query.ask.request.more;
    let stops: Vec<&Value> = match more.get("stop") {
        Some(Value::Array(stops)) => stops.iter().collect(),
        Some(stop) => vec![stop],
        None => Vec::new(),
    };
    // The API refuses blank stop sequences.
    let stops: Vec<&Value> =
        stops.into_iter().filter(|stop| stop.as_str().is_some_and(|stop| !stop.trim().is_empty())).collect();
    if !stops.is_empty() {
        body.insert("stop_sequences".to_owned(), json!(stops));
    }
    if let Some(user) = more.get("safety_identifier").or(more.get("user")).filter(|user| user.is_string()) {
        body.insert("metadata".to_owned(), json!({"user_id": user}));
    }
    if let Some(mark) = more.get("cache_control") {
        body.insert("cache_control".to_owned(), mark.clone());
    }
}

/// OpenAI's `reasoning_effort`, on this scale.
fn effort(query: &WireRequest<'_>) -> Option<Value> {
    let effort = query.ask.request.more.get("reasoning_effort")?.as_str()?;
    let known = match effort {
        "none" | "minimal" | "low" => "low",
        "medium" | "high" | "xhigh" | "max" => effort,
        _ => return None,
    };
    family::takes_effort(query.ask.model).then(|| json!(known))
}

/// The tools offered. If there are none and the messages contain calls, the tools of these calls, because the API
/// requires their definitions.
fn offers(query: &WireRequest<'_>) -> Vec<Value> {
    let request = query.ask.request;
    let offer = |tool: &ToolOffer| {
        let mut offer = json!({
            "name": query.names.wire_name(&tool.name),
            "description": tool.description,
            "input_schema": schema::parameters(&tool.parameters),
        });
        if structured::is_strict(tool, query) {
            offer["strict"] = json!(true);
        }
        offer
    };
    if !request.tools.is_empty() {
        return request.tools.iter().map(offer).collect();
    }
    let called = request.messages.iter().flat_map(|message| match message {
        ModelMessage::Assistant { tool_calls, .. } => tool_calls.as_slice(),
        ModelMessage::System { .. } | ModelMessage::User { .. } | ModelMessage::Tool { .. } => &[],
    });
    let names: std::collections::BTreeSet<String> = called.map(|call| query.names.wire_name(&call.name)).collect();
    names.into_iter().map(|name| json!({"name": name, "input_schema": {"type": "object"}})).collect()
}

fn tool_choice(query: &WireRequest<'_>) -> Option<Value> {
    let request = query.ask.request;
    if request.tools.is_empty() {
        return Some(json!({"type": "none"}));
    }
    let one_at_a_time = request.more.get("parallel_tool_calls") == Some(&json!(false));
    let mut choice = match &request.tool_choice {
        Some(ToolChoice::None) => return Some(json!({"type": "none"})),
        Some(ToolChoice::Required) if family::can_be_forced(query.ask.model) => json!({"type": "any"}),
        Some(ToolChoice::Tool(name)) if family::can_be_forced(query.ask.model) => {
            json!({"type": "tool", "name": query.names.wire_name(name)})
        }
        None if !one_at_a_time => return None,
        Some(ToolChoice::Auto | ToolChoice::Required | ToolChoice::Tool(_)) | None => json!({"type": "auto"}),
    };
    if one_at_a_time {
        choice["disable_parallel_tool_use"] = json!(true);
    }
    Some(choice)
}

/// An instruction for a model that cannot be forced to call a tool.
fn tool_choice_instruction(query: &WireRequest<'_>) -> Option<String> {
    let request = query.ask.request;
    if request.tools.is_empty() || family::can_be_forced(query.ask.model) {
        return None;
    }
    match request.tool_choice.as_ref()? {
        ToolChoice::Required => Some("Your next reply must call at least one of the tools.".to_owned()),
        ToolChoice::Tool(name) => {
            Some(format!("Your next reply must call the tool `{}`.", query.names.wire_name(name)))
        }
        ToolChoice::Auto | ToolChoice::None => None,
    }
}

#[cfg(test)]
mod tests;
