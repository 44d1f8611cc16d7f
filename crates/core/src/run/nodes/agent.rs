//! `agent`: its observations go to its step function; its requests become calls of this node.

mod requests;
mod selection;

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::super::address::NodeAddress;
use super::super::decide::RunDraft;
use super::super::event::{NodeWait, RunEvent};
use super::super::refusal::RunRefusal;
use super::super::state::{AgentWait, NodeActivity};
use super::super::{AGENT_STEPS_MAX, MESSAGE, TOOL_REQUESTS_MAX};
use super::{apply_deadline, deadline_of, wait};
use crate::agent::{self, AgentObservation, AgentStep, ToolRequest};
use crate::fault::{Fault, code};
use crate::graph::GraphNode;
use crate::graph::node::{AgentNode, NodeKind, OnDeadline};
use crate::money::{PriceQuote, Usd};

pub fn begin(draft: &mut RunDraft<'_>, at: &NodeAddress, node: &GraphNode, agent: &AgentNode) {
    if let Err(fault) = draft.cost_hold(at, PriceQuote::default()) {
        return draft.fail(at, fault);
    }
    match selection::choose(draft, at, agent) {
        Ok(task) => {
            let deadline = deadline_of(draft, node.policy.timeout);
            let wait = Box::new(NodeWait::Agent { task: Box::new(task), deadline });
            draft.emit(RunEvent::Began { node: at.clone(), wait });
        }
        Err(fault) => draft.fail(at, fault),
    }
}

pub fn stepped(
    draft: &mut RunDraft<'_>,
    at: &NodeAddress,
    step: AgentStep,
    quote: PriceQuote,
) -> Result<(), RunRefusal> {
    let thinks = matches!(draft.run.activity(at), Some(NodeActivity::Agent { waits: AgentWait::Think, .. }));
    if !thinks || draft.is_draining(at) {
        return Err(RunRefusal::NothingWaits { node: at.to_string() });
    }
    apply_step(draft, at, step, quote);
    Ok(())
}

/// Records a step and performs it.
fn apply_step(draft: &mut RunDraft<'_>, at: &NodeAddress, step: AgentStep, quote: PriceQuote) {
    let Some(NodeActivity::Agent { steps, .. }) = draft.run.activity(at) else { return };
    let step = match step {
        _ if *steps >= AGENT_STEPS_MAX => AgentStep::GiveUp(Fault::new(
            code::AGENT_GAVE_UP,
            format!("the agent took {AGENT_STEPS_MAX} steps, the limit"),
        )),
        AgentStep::RequestTools(requests) if requests.is_empty() => {
            AgentStep::GiveUp(Fault::new(code::AGENT_GAVE_UP, "the agent asked for tools and named none"))
        }
        AgentStep::RequestTools(requests) if requests.len() > TOOL_REQUESTS_MAX => {
            let message =
                format!("the agent asked for {} tools at once, the limit is {TOOL_REQUESTS_MAX}", requests.len());
            AgentStep::GiveUp(Fault::new(code::AGENT_GAVE_UP, message))
        }
        step => step,
    };
    draft.emit(RunEvent::Stepped { node: at.clone(), step: Box::new(step.clone()) });
    act(draft, at, step, quote);
}

fn act(draft: &mut RunDraft<'_>, at: &NodeAddress, step: AgentStep, quote: PriceQuote) {
    let asks_for_work = matches!(
        step,
        AgentStep::AskModel(_) | AgentStep::RequestTools(_) | AgentStep::RunCode(_) | AgentStep::AskEndpoint
    );
    let hold = match asks_for_work.then(|| check_limits(draft, at, &step, quote)).transpose() {
        Ok(hold) => hold.unwrap_or_default(),
        Err(fault) => return draft.fail(at, fault),
    };
    match step {
        AgentStep::AskModel(request) => draft.schedule_model(at, request, hold),
        AgentStep::RequestTools(requests) => requests::request(draft, at, requests),
        AgentStep::RunCode(program) => draft.schedule_code(at, program),
        AgentStep::AskEndpoint => ask_endpoint(draft, at, hold),
        AgentStep::AskCustomer { question } => {
            let asks = draft.with_node(at, |node| match &node.kind {
                NodeKind::Agent(agent) => agent.question_deadline.after,
                _ => None,
            });
            let deadline = deadline_of(draft, asks.flatten());
            draft.emit(RunEvent::CustomerAsked { node: at.clone(), question, deadline });
            wait::take_signal(draft, at, MESSAGE);
        }
        AgentStep::Answer { output } => answer(draft, at, output),
        AgentStep::HandOver { reason } => {
            draft.complete(at, Arc::new(json!({ "handover": true, "reason": reason })), None);
        }
        AgentStep::GiveUp(fault) => give_up(draft, at, fault),
    }
}

/// Returns the amount to reserve for this step, if there is money, time and an iteration left.
fn check_limits(draft: &RunDraft<'_>, at: &NodeAddress, step: &AgentStep, quote: PriceQuote) -> Result<Usd, Fault> {
    let quote = match step {
        AgentStep::RequestTools(requests) => PriceQuote::exactly(cost_of(draft, at, requests)),
        AgentStep::AskEndpoint => PriceQuote::exactly(match draft.run.activity(at) {
            Some(NodeActivity::Agent { task, .. }) => task.agent.step_cost(),
            _ => Usd::ZERO,
        }),
        _ => quote,
    };
    let hold = draft.cost_hold(at, quote)?;
    let Some(NodeActivity::Agent { task, seen, work, .. }) = draft.run.activity(at) else { return Ok(hold) };
    let agent = &task.agent;
    let worked = work.elapsed().as_secs();
    if let Some(limit) = agent.max_execution_time.filter(|limit| worked >= *limit) {
        let name = &agent.name;
        let message = format!(
            "Timeout error: Agent execution exceeded maximum time: agent `{name}` worked for {worked} s, its limit is \
             {limit} s"
        );
        return Err(Fault::new(code::EXECUTION_TIMEOUT, message));
    }
    // A simple agent is limited to one reply and one correction.
    let is_bounded = matches!(step, AgentStep::AskModel(_)) && agent.kind != agent::AgentKind::Simple;
    let replies = seen.iter().filter(|seen| matches!(seen, AgentObservation::Replied(_))).count();
    match agent.max_iterations.filter(|max| is_bounded && replies as u64 >= u64::from(*max)) {
        Some(max) => {
            let message =
                format!("Max iterations exceeded: agent `{}` may take {max} replies of its model", agent.name);
            Err(Fault::new("MAX_ITERATIONS_EXCEEDED", message))
        }
        None => Ok(hold),
    }
}

/// Returns the total cost of the requested tools.
fn cost_of(draft: &RunDraft<'_>, at: &NodeAddress, requests: &[ToolRequest]) -> Usd {
    let costs = draft.with_node(at, |node| match &node.kind {
        NodeKind::Agent(agent) => {
            requests.iter().filter_map(|one| Some(agent.tools.get(&one.tool)?.for_arguments(&one.arguments).cost)).sum()
        }
        _ => Usd::ZERO,
    });
    costs.unwrap_or_default()
}

fn ask_endpoint(draft: &mut RunDraft<'_>, at: &NodeAddress, hold: Usd) {
    let Some(NodeActivity::Agent { task, .. }) = draft.run.activity(at) else { return };
    let name = task.agent.name.clone();
    match task.agent.endpoint.clone() {
        Some(endpoint) => draft.schedule_step(at, name, endpoint, hold),
        None => {
            let fault =
                Fault::new(code::STEP_INVALID, format!("agent `{name}` has no `endpoint` that could think for it"));
            draft.fail(at, fault);
        }
    }
}

/// Replaces an agent that gave up by another one, if there is one; otherwise the node fails.
fn give_up(draft: &mut RunDraft<'_>, at: &NodeAddress, fault: Fault) {
    let Some((graph, place)) = draft.node(at) else { return };
    let NodeKind::Agent(agent) = &graph.node(place).kind else { return };
    if !selection::fall_back(draft, at, agent, &fault) {
        draft.fail(at, fault);
    }
}

fn answer(draft: &mut RunDraft<'_>, at: &NodeAddress, mut output: Value) {
    let selects = draft.with_node(at, |node| matches!(&node.kind, NodeKind::Agent(agent) if agent.only_selects_tools));
    let mut sets = output.get("shared_context").and_then(Value::as_object).cloned().unwrap_or_default();
    if selects == Some(true) {
        let requests = output.get("tool_requests").cloned().unwrap_or_else(|| Value::Array(Vec::new()));
        sets.insert("tool_requests".to_owned(), requests);
        requests::add_saved_cost(draft, at, &mut output);
    }
    if let Err(fault) = set_variables(draft, at, sets) {
        return draft.fail(at, fault);
    }
    draft.complete(at, Arc::new(output), None);
}

fn set_variables(draft: &mut RunDraft<'_>, at: &NodeAddress, sets: Map<String, Value>) -> Result<(), Fault> {
    sets.into_iter().try_for_each(|(key, value)| draft.set_variable(at, &key, value))
}

pub fn advance(draft: &mut RunDraft<'_>, at: &NodeAddress) {
    if draft.is_draining(at) {
        return;
    }
    match draft.run.activity(at) {
        Some(NodeActivity::Agent { waits: AgentWait::Customer { .. }, .. }) => wait::take_signal(draft, at, MESSAGE),
        Some(NodeActivity::Agent { waits: AgentWait::Thought(step), .. }) => {
            let step = match (**step).clone() {
                AgentStep::AskEndpoint => {
                    AgentStep::GiveUp(Fault::new(code::STEP_INVALID, "whoever thinks for the agent asks to be asked"))
                }
                step => step,
            };
            // The cost of a model call is unknown if an endpoint decides the steps: it is limited to a part of the
            // remaining budget.
            let quote = PriceQuote { most: draft.remaining_cost(at).unwrap_or_default(), ..PriceQuote::default() };
            apply_step(draft, at, step, quote);
        }
        // In a reopened run, requests that were cut off before their answer are made again.
        Some(NodeActivity::Agent { waits: AgentWait::Tools(calls), .. }) => {
            let cut_off = calls.iter().filter(|call| call.call.is_none() && call.answer.is_none());
            let requests = cut_off.map(|call| ToolRequest {
                id: call.id.clone(),
                tool: call.tool.clone(),
                arguments: (*call.arguments).clone(),
            });
            let requests: Vec<ToolRequest> = requests.collect();
            requests::request(draft, at, requests);
        }
        _ => {}
    }
}

pub fn customer_deadline(draft: &mut RunDraft<'_>, at: &NodeAddress) {
    let then = draft.with_node(at, |node| match &node.kind {
        NodeKind::Agent(agent) => agent.question_deadline.on_expiry.clone(),
        _ => OnDeadline::Fail,
    });
    apply_deadline(draft, at, &then.unwrap_or_default());
}
