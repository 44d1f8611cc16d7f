//! `tool`: one call, or each of `shared_context.tool_requests`.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::address::Address;
use super::super::advance::expression_fault;
use super::super::decide::Draft;
use super::super::event::{Began, Event};
use super::super::state::{Activity, CallEnd, Run, ToolCall};
use super::super::{REQUESTS_MAX, TOOL_RESULTS};
use super::deadline_of;
use crate::definition::SINGLE_CALL;
use crate::fault::{Fault, code};
use crate::graph::Node;
use crate::graph::node::{Kind, ToolNode, ToolSource};
use crate::money::Quote;

/// The variable a selection leaves its requests in (seed 000 §3.1).
const REQUESTS: &str = "tool_requests";

pub fn begin(draft: &mut Draft<'_>, at: &Address, node: &Node, tool: &ToolNode) {
    if let Err(fault) = draft.check_cost(at, Quote::default()) {
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
            if let Err(fault) = draft.check_cost(at, Quote::exactly(facts.of(&arguments).cost)) {
                return draft.fail(at, fault);
            }
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
            return draft.fail(at, not_allowed(tool, name));
        };
        let arguments = request.get("parameters").or_else(|| request.get("arguments")).cloned();
        calls.push((name.to_owned(), arguments.unwrap_or_else(|| Value::Object(Map::new())), facts));
    }
    let cost = calls.iter().map(|(_, arguments, facts)| facts.of(arguments).cost).sum();
    if let Err(fault) = draft.check_cost(at, Quote::exactly(cost)) {
        return draft.fail(at, fault);
    }
    let deadline = deadline_of(draft, node.policy.timeout);
    draft.emit(Event::Began { node: at.clone(), wait: Box::new(Began::Calls { deadline }) });
    for (name, arguments, facts) in calls {
        draft.schedule_tool(at, &name, arguments, facts, None);
    }
}

pub fn look(draft: &mut Draft<'_>, at: &Address) {
    let Some((graph, place)) = draft.node(at) else { return };
    let Kind::Tool(tool) = &graph.node(place).kind else { return };
    match tool.from {
        ToolSource::Written { .. } => look_at_one(draft, at),
        ToolSource::Requests => look_at_all(draft, at, tool),
    }
}

fn look_at_one(draft: &mut Draft<'_>, at: &Address) {
    let Some(Activity::Calls { asked, .. }) = draft.run.activity(at) else { return };
    match asked.first().and_then(|one| one.end.clone()) {
        Some(CallEnd::Done(output)) => draft.complete_answered(at, &output),
        Some(CallEnd::Failed(fault)) => draft.fail(at, fault),
        None => {}
    }
}

fn look_at_all(draft: &mut Draft<'_>, at: &Address, tool: &ToolNode) {
    schedule_cut_off(draft, at, tool);
    let Some(Activity::Calls { asked, .. }) = draft.run.activity(at) else { return };
    if asked.iter().any(|one| one.end.is_none()) {
        return;
    }
    let failure = failure_of_single(draft.run, asked);
    let mut results = Map::new();
    for one in asked {
        let envelope = one.end.as_ref().map(|end| draft.run.envelope(one.call.as_ref(), &one.tool, end, one.settled));
        results.insert(one.tool.clone(), serde_json::to_value(envelope).unwrap_or_default());
    }
    let results = Value::Object(results);
    if draft.is_cut(at) {
        return draft.complete(at, Arc::new(results), None);
    }
    match (draft.set_variable(at, TOOL_RESULTS, results.clone()), failure) {
        (Ok(()), None) => draft.complete(at, Arc::new(results), None),
        (Ok(()), Some(fault)) | (Err(fault), _) => draft.fail(at, fault),
    }
}

/// How the call failed that is all its run is for. What any other run makes of a failed request is its workflow's to say.
fn failure_of_single(run: &Run, asked: &[ToolCall]) -> Option<Fault> {
    let is_single = run.workflow().is_some_and(|workflow| workflow.name.starts_with(SINGLE_CALL));
    let failed = asked.iter().filter(|_| is_single).find_map(|one| match &one.end {
        Some(CallEnd::Failed(fault)) => Some(fault),
        Some(CallEnd::Done(_)) | None => None,
    });
    failed.cloned()
}

/// In a reopened run: what was cut off before it was answered is asked for again, under a call number of its own.
fn schedule_cut_off(draft: &mut Draft<'_>, at: &Address, tool: &ToolNode) {
    let Some(Activity::Calls { asked, .. }) = draft.run.activity(at) else { return };
    if draft.is_winding(at) {
        return;
    }
    let cut_off = asked.iter().filter(|one| one.call.is_none() && one.end.is_none());
    for (name, arguments) in cut_off.map(|one| (one.tool.clone(), one.arguments.clone())).collect::<Vec<_>>() {
        match tool.facts.get(&name) {
            Some(facts) => draft.schedule_tool(at, &name, (*arguments).clone(), facts, None),
            None => return draft.fail(at, not_allowed(tool, &name)),
        }
    }
}

fn not_allowed(tool: &ToolNode, name: &str) -> Fault {
    let may: Vec<&str> = tool.facts.keys().map(String::as_str).collect();
    let message = match may.is_empty() {
        true => format!("`{name}` was requested; this node may call no tool"),
        false => format!("`{name}` was requested; this node may call `{}`", may.join("`, `")),
    };
    Fault::new("TOOL_NOT_ALLOWED", message)
}
