//! `agent`: what it has seen goes to its step function; what it asks for becomes calls of this node.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::super::address::Address;
use super::super::advance::expression_fault;
use super::super::decide::Draft;
use super::super::event::{Began, Event};
use super::super::refusal::Refusal;
use super::super::state::{Activity, AgentWait};
use super::super::{AGENT_STEPS_MAX, MESSAGE, REQUESTS_MAX};
use super::{at_deadline, deadline_of, wait};
use crate::agent::{Step, Task, ToolRequest};
use crate::fault::{Fault, code};
use crate::graph::Node;
use crate::graph::node::{AgentNode, AtDeadline, Kind};
use crate::model::ToolOffer;

pub fn begin(draft: &mut Draft<'_>, at: &Address, node: &Node, agent: &AgentNode) {
    if let Err(fault) = draft.check_cost(at) {
        return draft.fail(at, fault);
    }
    let view = draft.view(&at.scope);
    let prompt = match agent.prompt.render(&view) {
        Ok(prompt) => prompt,
        Err(error) => return draft.fail(at, expression_fault("prompt", &error)),
    };
    let system = match agent.system.render(&view) {
        Ok(system) => system,
        Err(error) => return draft.fail(at, expression_fault("system_prompt", &error)),
    };
    let tools = agent.tools.iter().filter(|(name, _)| agent.offers(name)).map(|(name, facts)| ToolOffer {
        name: name.clone(),
        description: facts.description.clone(),
        parameters: facts.parameters.clone(),
    });
    let task = Task { agent: agent.agent.clone(), system, prompt, tools: tools.collect(), selects: agent.selects };
    let deadline = deadline_of(draft, node.policy.timeout);
    draft.emit(Event::Began { node: at.clone(), wait: Box::new(Began::Agent { task: Box::new(task), deadline }) });
}

pub fn stepped(draft: &mut Draft<'_>, at: &Address, step: Step) -> Result<(), Refusal> {
    let Some(Activity::Agent { waits: AgentWait::Think, steps, .. }) = draft.run.activity(at) else {
        return Err(Refusal::NothingWaits { node: at.to_string() });
    };
    if draft.is_winding(at) {
        return Err(Refusal::NothingWaits { node: at.to_string() });
    }
    let step = match step {
        _ if *steps >= AGENT_STEPS_MAX => {
            Step::GiveUp(Fault::new(code::AGENT_GAVE_UP, format!("the agent took {AGENT_STEPS_MAX} steps, the limit")))
        }
        Step::RequestTools(requests) if requests.is_empty() => {
            Step::GiveUp(Fault::new(code::AGENT_GAVE_UP, "the agent asked for tools and named none"))
        }
        Step::RequestTools(requests) if requests.len() > REQUESTS_MAX => {
            let message = format!("the agent asked for {} tools at once, the limit is {REQUESTS_MAX}", requests.len());
            Step::GiveUp(Fault::new(code::AGENT_GAVE_UP, message))
        }
        step => step,
    };
    draft.emit(Event::Stepped { node: at.clone(), step: Box::new(step.clone()) });
    act(draft, at, step);
    Ok(())
}

fn act(draft: &mut Draft<'_>, at: &Address, step: Step) {
    match step {
        Step::AskModel(request) => match draft.check_cost(at) {
            Ok(()) => draft.schedule_model(at, request),
            Err(fault) => draft.fail(at, fault),
        },
        Step::RequestTools(requests) => match draft.check_cost(at) {
            Ok(()) => request_tools(draft, at, requests),
            Err(fault) => draft.fail(at, fault),
        },
        Step::RunCode(program) => match draft.check_cost(at) {
            Ok(()) => draft.schedule_code(at, program),
            Err(fault) => draft.fail(at, fault),
        },
        Step::AskCustomer { question } => {
            let asks = draft.with_node(at, |node| match &node.kind {
                Kind::Agent(agent) => agent.asks.after,
                _ => None,
            });
            let deadline = deadline_of(draft, asks.flatten());
            draft.emit(Event::CustomerAsked { node: at.clone(), question, deadline });
            wait::take_signal(draft, at, MESSAGE);
        }
        Step::Answer { output } => answer(draft, at, output),
        Step::HandOver { reason } => {
            draft.complete(at, Arc::new(json!({ "handover": true, "reason": reason })), None);
        }
        Step::GiveUp(fault) => draft.fail(at, fault),
    }
}

fn request_tools(draft: &mut Draft<'_>, at: &Address, requests: Vec<ToolRequest>) {
    let Some((graph, place)) = draft.node(at) else { return };
    let Kind::Agent(agent) = &graph.node(place).kind else { return };
    for request in requests {
        match agent.tools.get(&request.tool).filter(|_| agent.offers(&request.tool)) {
            Some(facts) => {
                let name = agent.agent.name.clone();
                draft.schedule_tool(at, &request.tool, request.arguments, facts, Some(name));
            }
            None => {
                let fault =
                    Fault::new("TOOL_NOT_ALLOWED", format!("`{}` is not among this agent's tools", request.tool));
                draft.emit(Event::RequestRefused { node: at.clone(), id: request.id, tool: request.tool, fault });
            }
        }
    }
}

fn answer(draft: &mut Draft<'_>, at: &Address, output: Value) {
    let selects = draft.with_node(at, |node| matches!(&node.kind, Kind::Agent(agent) if agent.selects));
    let mut sets = output.get("shared_context").and_then(Value::as_object).cloned().unwrap_or_default();
    if selects == Some(true) {
        let requests = output.get("tool_requests").cloned().unwrap_or_else(|| Value::Array(Vec::new()));
        sets.insert("tool_requests".to_owned(), requests);
    }
    if let Err(fault) = set_all(draft, at, sets) {
        return draft.fail(at, fault);
    }
    draft.complete(at, Arc::new(output), None);
}

fn set_all(draft: &mut Draft<'_>, at: &Address, sets: Map<String, Value>) -> Result<(), Fault> {
    sets.into_iter().try_for_each(|(key, value)| draft.set_variable(at, &key, value))
}

pub fn look(draft: &mut Draft<'_>, at: &Address) {
    if draft.is_winding(at) {
        return;
    }
    match draft.run.activity(at) {
        Some(Activity::Agent { waits: AgentWait::Customer { .. }, .. }) => wait::take_signal(draft, at, MESSAGE),
        // In a reopened run: what was cut off before it was answered is asked for again.
        Some(Activity::Agent { waits: AgentWait::Tools(calls), .. }) => {
            let cut_off = calls.iter().filter(|call| call.call.is_none() && call.answer.is_none());
            let requests = cut_off.map(|call| ToolRequest {
                id: call.id.clone(),
                tool: call.tool.clone(),
                arguments: (*call.arguments).clone(),
            });
            let requests: Vec<ToolRequest> = requests.collect();
            request_tools(draft, at, requests);
        }
        _ => {}
    }
}

pub fn customer_deadline(draft: &mut Draft<'_>, at: &Address) {
    let then = draft.with_node(at, |node| match &node.kind {
        Kind::Agent(agent) => agent.asks.then.clone(),
        _ => AtDeadline::Fail,
    });
    at_deadline(draft, at, &then.unwrap_or_default());
}
