//! `mode: select`: an agent chooses the tools a message needs, or none, and says why.

use std::collections::BTreeSet;

use baton_core::agent::{Seen, Step, Task};
use baton_core::fault::Fault;
use baton_core::model::{Reply, ToolOffer};
use baton_core::structured::extract;
use serde_json::{Map, Value, json};

use crate::fault::{Unusable, code};
use crate::one_shot::OneShot;
use crate::prompt::{self, Name};
use crate::transcript::Wants;

/// Calls one selection may ask for.
const REQUESTS_MAX: usize = 32;

/// The output is `{"tools": [name], "reasoning": text, "tool_requests": [{"tool_name", "parameters"}]}`.
pub(crate) fn step(task: &Task, seen: &[Seen]) -> Step {
    let system = match instructions(task) {
        Ok(words) => prompt::join(&task.system, &words),
        Err(fault) => return Step::GiveUp(fault),
    };
    OneShot { system, schema: Some(schema()), again: Wants::Json, read: &|reply: &Reply| read(reply, &task.tools) }
        .step(task, seen)
}

fn instructions(task: &Task) -> Result<String, Fault> {
    let values = json!({"tools": prompt::tools(&task.tools), "rules": rules(task)});
    let choose = prompt::render(task, Name::Select, &values)?;
    let by_schema = prompt::render(task, Name::Schema, &json!({"schema": schema(), "tools": false}))?;
    Ok(prompt::join(&choose, &by_schema))
}

/// When which tool is used, in the tenant's words: `metadata.rules`, a list of texts, or texts by tool.
fn rules(task: &Task) -> Vec<String> {
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

/// Reads a selection in any of the shapes models write it: by schema, as bare names, under `tool_requests`, or as
/// native tool calls.
fn read(reply: &Reply, offered: &[ToolOffer]) -> Result<Value, Unusable> {
    if !reply.tool_calls.is_empty() {
        let asked = reply.tool_calls.iter().map(|call| (call.name.clone(), call.arguments.clone())).collect();
        return selection(asked, reply.content.trim(), offered);
    }
    let found = extract::candidates(&reply.content);
    let Some(object) = found.iter().filter_map(Value::as_object).find(|object| is_answer(object)) else {
        return Err(match found.is_empty() {
            true => Unusable::new(code::REPLY_NOT_JSON, "the reply holds no complete JSON"),
            false => Unusable::new(code::REPLY_INVALID, "the reply has no list `tools`"),
        });
    };
    let reasoning = object.get("reasoning").and_then(Value::as_str).unwrap_or_default();
    selection(asked(object)?, reasoning, offered)
}

fn is_answer(object: &Map<String, Value>) -> bool {
    ["tools", "tool_requests"].iter().any(|key| object.get(*key).is_some_and(Value::is_array))
}

/// The tools an object asks for; `tool_requests` says more than `tools` where both are there.
fn asked(object: &Map<String, Value>) -> Result<Vec<(String, Value)>, Unusable> {
    let list = ["tool_requests", "tools"].iter().filter_map(|key| object.get(*key)?.as_array());
    let list = list.max_by_key(|list| list.iter().filter(|item| item.is_object()).count());
    list.into_iter().flatten().map(one).collect()
}

fn one(item: &Value) -> Result<(String, Value), Unusable> {
    let field = |names: &[&str]| names.iter().find_map(|name| item.get(*name)).cloned();
    let name = match item {
        Value::String(name) => Some(name.clone()),
        item => ["tool_name", "name", "tool"].iter().find_map(|key| item.get(*key)?.as_str()).map(str::to_owned),
    };
    let Some(name) = name else {
        return Err(Unusable::new(code::REPLY_INVALID, "each of `tools` needs a `tool_name`"));
    };
    Ok((name, field(&["parameters", "arguments", "input"]).unwrap_or(Value::Null)))
}

fn selection(asked: Vec<(String, Value)>, reasoning: &str, offered: &[ToolOffer]) -> Result<Value, Unusable> {
    if asked.len() > REQUESTS_MAX {
        let problem = format!("the reply asks for {} tools; at most {REQUESTS_MAX} can be chosen", asked.len());
        return Err(Unusable::new(code::REPLY_INVALID, problem));
    }
    let mut names = BTreeSet::new();
    let mut tools = Vec::new();
    let mut requests = Vec::new();
    for (name, parameters) in asked {
        if !offered.iter().any(|tool| tool.name == name) {
            return Err(Unusable::unknown_tool(&name, offered));
        }
        let parameters = match parameters {
            Value::Null => json!({}),
            Value::Object(_) => parameters,
            _ => {
                let problem = format!("the parameters of `{name}` are not an object");
                return Err(Unusable::new(code::INVALID_ARGUMENTS, problem));
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
