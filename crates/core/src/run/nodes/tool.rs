//! `tool`: one call, or each of `shared_context.tool_requests`.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::REQUESTS_MAX;
use super::super::address::Address;
use super::super::advance::expression_fault;
use super::super::calls::envelope;
use super::super::decide::Draft;
use super::super::event::{Began, Event};
use super::super::state::{Activity, CallEnd};
use super::deadline_of;
use crate::fault::{Fault, code};
use crate::graph::Node;
use crate::graph::node::{ToolNode, ToolSource};
use crate::money::Usd;

/// The variable a selection leaves its requests in (seed 000 §3.1).
const REQUESTS: &str = "tool_requests";
/// The variable their results go to, by tool.
const RESULTS: &str = "tool_results";

pub fn begin(draft: &mut Draft<'_>, at: &Address, node: &Node, tool: &ToolNode) {
    if let Err(fault) = draft.check_cost(at) {
        return draft.fail(at, fault);
    }
    match &tool.from {
        ToolSource::Written { tool: name, parameters } => {
            let arguments = match parameters.render(&draft.view(&at.scope)) {
                Ok(arguments) => arguments,
                Err(error) => return draft.fail(at, expression_fault("parameters", &error)),
            };
            let Some(facts) = tool.facts.get(name) else {
                return draft
                    .fail(at, Fault::new("TOOL_NOT_FOUND", format!("no tool `{name}` when this version was saved")));
            };
            draft.schedule_tool(at, name, arguments, facts, None);
        }
        ToolSource::Requests => begin_requests(draft, at, node, tool),
    }
}

fn begin_requests(draft: &mut Draft<'_>, at: &Address, node: &Node, tool: &ToolNode) {
    let requests = draft.run.variables.get(REQUESTS).cloned().unwrap_or_default();
    let requests = match &*requests {
        Value::Null => Vec::new(),
        Value::Array(requests) if requests.len() <= REQUESTS_MAX => requests.clone(),
        Value::Array(requests) => {
            let message = format!("`{REQUESTS}` lists {} requests, the limit is {REQUESTS_MAX}", requests.len());
            return draft.fail(at, Fault::new(code::ITEM_LIMIT, message));
        }
        _ => return draft.fail(at, Fault::new(code::NOT_A_LIST, format!("`shared_context.{REQUESTS}` is not a list"))),
    };
    let mut calls = Vec::new();
    for request in requests {
        let name = request.get("tool_name").or_else(|| request.get("tool")).and_then(Value::as_str).unwrap_or_default();
        let Some(facts) = tool.facts.get(name) else {
            let message =
                format!("`{name}` was requested; this node may call {:?}", tool.facts.keys().collect::<Vec<_>>());
            return draft.fail(at, Fault::new("TOOL_NOT_ALLOWED", message));
        };
        let arguments = request.get("parameters").or_else(|| request.get("arguments")).cloned();
        calls.push((name.to_owned(), arguments.unwrap_or_else(|| Value::Object(Map::new())), facts));
    }
    let deadline = deadline_of(draft, node.policy.timeout);
    draft.emit(Event::Began { node: at.clone(), wait: Box::new(Began::Calls { deadline }) });
    for (name, arguments, facts) in calls {
        draft.schedule_tool(at, &name, arguments, facts, None);
    }
}

pub fn look(draft: &mut Draft<'_>, at: &Address) {
    let Some(Activity::Calls { asked, .. }) = draft.run.activity(at) else { return };
    let is_written = draft.with_node(at, |node| match &node.kind {
        crate::graph::Kind::Tool(tool) => matches!(tool.from, ToolSource::Written { .. }),
        _ => false,
    });
    if is_written == Some(true) {
        match asked.first() {
            Some((.., Some(CallEnd::Done(output)))) => {
                let output = output.clone();
                draft.complete_answered(at, &output);
            }
            Some((.., Some(CallEnd::Failed(fault)))) => {
                let fault = fault.clone();
                draft.fail(at, fault);
            }
            _ => {}
        }
        return;
    }
    if asked.iter().any(|(.., end)| end.is_none()) {
        return;
    }
    let mut results = Map::new();
    for (_, tool, end) in asked {
        let envelope = end.as_ref().map(|end| envelope(tool, end, Usd::ZERO, false));
        results.insert(tool.clone(), serde_json::to_value(envelope).unwrap_or_default());
    }
    let results = Value::Object(results);
    match draft.set_variable(at, RESULTS, results.clone()) {
        Ok(()) => draft.complete(at, Arc::new(results), None),
        Err(fault) => draft.fail(at, fault),
    }
}
