//! `mode: select`: an agent chooses the tools for a message, or none, and gives a reason.

use std::collections::BTreeSet;

use baton_core::agent::{AgentObservation, AgentStep, AgentTask};
use baton_core::fault::Fault;
use baton_core::model::{ModelReply, ToolOffer};
use baton_core::structured::extract;
use serde_json::{Map, Value, json};

use crate::fault::{ReplyError, code};
use crate::one_shot::OneShot;
use crate::prompt::{self, PromptName};
use crate::transcript::CorrectionKind;

/// Maximum number of calls in one selection.
const REQUESTS_MAX: usize = 32;

/// The output is `{"tools": [name], "reasoning": text, "tool_requests": [{"tool_name", "parameters"}]}`.
pub(crate) fn step(task: &AgentTask, seen: &[AgentObservation]) -> AgentStep {
    let system = match instructions(task) {
        Ok(words) => prompt::join(&task.system, &words),
        Err(fault) => return AgentStep::GiveUp(fault),
    };
    OneShot {
        system,
        schema: Some(schema()),
        correction: CorrectionKind::Json,
        read: &|reply: &ModelReply| read(reply, &task.tools),
    }
    .step(task, seen)
}

fn instructions(task: &AgentTask) -> Result<String, Fault> {
    let values = json!({"tools": prompt::tools(&task.tools), "rules": rules(task)});
    let choose = prompt::render(task, PromptName::Select, &values)?;
    let by_schema = prompt::render(task, PromptName::Schema, &json!({"schema": schema(), "tools": false}))?;
    Ok(prompt::join(&choose, &by_schema))
}

/// The tenant's rules for using the tools: `metadata.rules`, a list of texts, or texts by tool.
fn rules(task: &AgentTask) -> Vec<String> {
    let texts = |value: &Value| -> Vec<String> {
        match value {
            Value::String(text) => vec![text.clone()],
            Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    };
    match task.agent.metadata.get("rules") {
        Some(Value::Object(by_tool)) => by_tool
            .iter()
            .flat_map(|(tool, rules)| texts(rules).into_iter().map(move |rule| format!("{tool}: {rule}")))
            .collect(),
        Some(all) => texts(all),
        None => Vec::new(),
    }
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "tools": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"tool_name": {"type": "string"}, "parameters": {"type": "object"}},
                    "required": ["tool_name", "parameters"]
                }
            },
            "reasoning": {"type": "string"}
        },
        "required": ["tools", "reasoning"]
    })
}

/// Parses a selection in any of the shapes that models write: by schema, as bare names, under `tool_requests`, or
/// as native tool calls.
fn read(reply: &ModelReply, offered: &[ToolOffer]) -> Result<Value, ReplyError> {
    if !reply.tool_calls.is_empty() {
        let asked = reply.tool_calls.iter().map(|call| (call.name.clone(), call.arguments.clone())).collect();
        return selection(asked, reply.content.trim(), offered);
    }
    let found = extract::json_candidates(&reply.content);
    let Some(object) = found.iter().filter_map(Value::as_object).find(|object| is_answer(object)) else {
        return Err(match found.is_empty() {
            true => ReplyError::new(code::REPLY_NOT_JSON, "the reply holds no complete JSON"),
            false => ReplyError::new(code::REPLY_INVALID, "the reply has no list `tools`"),
        });
    };
    let reasoning = object.get("reasoning").and_then(Value::as_str).unwrap_or_default();
    selection(requested_tools(object)?, reasoning, offered)
}

fn is_answer(object: &Map<String, Value>) -> bool {
    ["tools", "tool_requests"].iter().any(|key| object.get(*key).is_some_and(Value::is_array))
}

/// The tools that an object requests. `tool_requests` takes precedence over `tools`, as it carries more detail.
fn requested_tools(object: &Map<String, Value>) -> Result<Vec<(String, Value)>, ReplyError> {
    let list = ["tool_requests", "tools"].iter().filter_map(|key| object.get(*key)?.as_array());
    let list = list.max_by_key(|list| list.iter().filter(|item| item.is_object()).count());
    list.into_iter().flatten().map(one).collect()
}

fn one(item: &Value) -> Result<(String, Value), ReplyError> {
    let field = |names: &[&str]| names.iter().find_map(|name| item.get(*name)).cloned();
    let name = match item {
        Value::String(name) => Some(name.clone()),
        item => ["tool_name", "name", "tool"].iter().find_map(|key| item.get(*key)?.as_str()).map(str::to_owned),
    };
    let Some(name) = name else {
        return Err(ReplyError::new(code::REPLY_INVALID, "each of `tools` needs a `tool_name`"));
    };
    Ok((name, field(&["parameters", "arguments", "input"]).unwrap_or(Value::Null)))
}

fn selection(asked: Vec<(String, Value)>, reasoning: &str, offered: &[ToolOffer]) -> Result<Value, ReplyError> {
    if asked.len() > REQUESTS_MAX {
        let problem = format!("the reply asks for {} tools; at most {REQUESTS_MAX} can be chosen", asked.len());
        return Err(ReplyError::new(code::REPLY_INVALID, problem));
    }
    let mut names = BTreeSet::new();
    let mut tools = Vec::new();
    let mut requests = Vec::new();
    for (name, parameters) in asked {
        if !offered.iter().any(|tool| tool.name == name) {
            return Err(ReplyError::unknown_tool(&name, offered));
        }
        let parameters = match parameters {
            Value::Null => json!({}),
            Value::Object(_) => parameters,
            _ => {
                let problem = format!("the parameters of `{name}` are not an object");
                return Err(ReplyError::new(code::INVALID_ARGUMENTS, problem));
            }
        };
        requests.push(json!({"tool_name": name, "parameters": parameters}));
        if names.insert(name.clone()) {
            tools.push(name);
        }
    }
    Ok(json!({"tools": tools, "reasoning": reasoning, "tool_requests": requests}))
}

#[cfg(test)]
mod tests;
