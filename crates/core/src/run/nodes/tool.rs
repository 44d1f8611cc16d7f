//! `tool`: one call, or each of `shared_context.tool_requests`.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::address::NodeAddress;
use super::super::advance::expression_fault;
use super::super::decide::RunDraft;
use super::super::event::{NodeWait, RunEvent};
use super::super::state::{CallEnd, NodeActivity, NodeToolCall, Run};
use super::super::{TOOL_REQUESTS_MAX, TOOL_RESULTS};
use super::deadline_of;
use crate::definition::SINGLE_CALL_PREFIX;
use crate::fault::{Fault, code};
use crate::graph::GraphNode;
use crate::graph::node::{NodeKind, ToolNode, ToolSource};
use crate::money::PriceQuote;

/// The variable in which a selection stores its requests (seed 000 §3.1).
const REQUESTS: &str = "tool_requests";

pub fn begin(draft: &mut RunDraft<'_>, at: &NodeAddress, node: &GraphNode, tool: &ToolNode) {
    if let Err(fault) = draft.cost_hold(at, PriceQuote::default()) {
        return draft.fail(at, fault);
    }
    match &tool.from {
        ToolSource::Fixed { tool: name, parameters } => {
            let arguments = match parameters.render(&draft.view(&at.scope)) {
                Ok(arguments) => arguments,
                Err(error) => return draft.fail(at, expression_fault("parameters", &error)),
            };
            let Some(facts) = tool.facts.get(name) else {
                return draft
                    .fail(at, Fault::new("TOOL_NOT_FOUND", format!("no tool `{name}` when this version was saved")));
            };
            if let Err(fault) = draft.cost_hold(at, PriceQuote::exactly(facts.for_arguments(&arguments).cost)) {
                return draft.fail(at, fault);
            }
            draft.schedule_tool(at, name, arguments, facts, None);
        }
        ToolSource::AgentRequests => begin_requests(draft, at, node, tool),
    }
}

fn begin_requests(draft: &mut RunDraft<'_>, at: &NodeAddress, node: &GraphNode, tool: &ToolNode) {
    let requests = draft.run.variables.get(REQUESTS).cloned().unwrap_or_default();
    let requests = match &*requests {
        Value::Null => Vec::new(),
        Value::Array(requests) if requests.len() <= TOOL_REQUESTS_MAX => requests.clone(),
        Value::Array(requests) => {
            let message = format!("`{REQUESTS}` lists {} requests, the limit is {TOOL_REQUESTS_MAX}", requests.len());
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
    let cost = calls.iter().map(|(_, arguments, facts)| facts.for_arguments(arguments).cost).sum();
    if let Err(fault) = draft.cost_hold(at, PriceQuote::exactly(cost)) {
        return draft.fail(at, fault);
    }
    let deadline = deadline_of(draft, node.policy.timeout);
    draft.emit(RunEvent::Began { node: at.clone(), wait: Box::new(NodeWait::Calls { deadline }) });
    for (name, arguments, facts) in calls {
        draft.schedule_tool(at, &name, arguments, facts, None);
    }
}

pub fn advance(draft: &mut RunDraft<'_>, at: &NodeAddress) {
    let Some((graph, place)) = draft.node(at) else { return };
    let NodeKind::Tool(tool) = &graph.node(place).kind else { return };
    match tool.from {
        ToolSource::Fixed { .. } => advance_single(draft, at),
        ToolSource::AgentRequests => advance_requests(draft, at, tool),
    }
}

fn advance_single(draft: &mut RunDraft<'_>, at: &NodeAddress) {
    let Some(NodeActivity::Calls { asked, .. }) = draft.run.activity(at) else { return };
    match asked.first().and_then(|one| one.end.clone()) {
        Some(CallEnd::Done(output)) => draft.complete_answered(at, &output),
        Some(CallEnd::Failed(fault)) => draft.fail(at, fault),
        None => {}
    }
}

fn advance_requests(draft: &mut RunDraft<'_>, at: &NodeAddress, tool: &ToolNode) {
    schedule_cut_off(draft, at, tool);
    let Some(NodeActivity::Calls { asked, .. }) = draft.run.activity(at) else { return };
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

/// Returns the failure of the call that is the only purpose of its run. In any other run, the workflow decides about a
/// failed request.
fn failure_of_single(run: &Run, asked: &[NodeToolCall]) -> Option<Fault> {
    let is_single = run.workflow().is_some_and(|workflow| workflow.name.starts_with(SINGLE_CALL_PREFIX));
    let failed = asked.iter().filter(|_| is_single).find_map(|one| match &one.end {
        Some(CallEnd::Failed(fault)) => Some(fault),
        Some(CallEnd::Done(_)) | None => None,
    });
    failed.cloned()
}

/// Makes requests again that were cut off before their answer in a reopened run, under a new call index.
fn schedule_cut_off(draft: &mut RunDraft<'_>, at: &NodeAddress, tool: &ToolNode) {
    let Some(NodeActivity::Calls { asked, .. }) = draft.run.activity(at) else { return };
    if draft.is_draining(at) {
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
