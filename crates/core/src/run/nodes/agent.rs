//! `agent`: what it has seen goes to its step function; what it asks for becomes calls of this node.

mod persona;
mod requests;

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::super::address::Address;
use super::super::decide::Draft;
use super::super::event::{Began, Event};
use super::super::refusal::Refusal;
use super::super::state::{Activity, AgentWait};
use super::super::{AGENT_STEPS_MAX, MESSAGE, REQUESTS_MAX};
use super::{at_deadline, deadline_of, wait};
use crate::agent::{self, Seen, Step, ToolRequest};
use crate::fault::{Fault, code};
use crate::graph::Node;
use crate::graph::node::{AgentNode, AtDeadline, Kind};
use crate::money::{Quote, Usd};

pub fn begin(draft: &mut Draft<'_>, at: &Address, node: &Node, agent: &AgentNode) {
    if let Err(fault) = draft.check_cost(at, Quote::default()) {
        return draft.fail(at, fault);
    }
    match persona::choose(draft, at, agent) {
        Ok(task) => {
            let deadline = deadline_of(draft, node.policy.timeout);
            let wait = Box::new(Began::Agent { task: Box::new(task), deadline });
            draft.emit(Event::Began { node: at.clone(), wait });
        }
        Err(fault) => draft.fail(at, fault),
    }
}

pub fn stepped(draft: &mut Draft<'_>, at: &Address, step: Step, quote: Quote) -> Result<(), Refusal> {
    let thinks = matches!(draft.run.activity(at), Some(Activity::Agent { waits: AgentWait::Think, .. }));
    if !thinks || draft.is_winding(at) {
        return Err(Refusal::NothingWaits { node: at.to_string() });
    }
    take(draft, at, step, quote);
    Ok(())
}

/// Records a step and does what it asks for.
fn take(draft: &mut Draft<'_>, at: &Address, step: Step, quote: Quote) {
    let Some(Activity::Agent { steps, .. }) = draft.run.activity(at) else { return };
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
    act(draft, at, step, quote);
}

fn act(draft: &mut Draft<'_>, at: &Address, step: Step, quote: Quote) {
    let asks_for_work =
        matches!(step, Step::AskModel(_) | Step::RequestTools(_) | Step::RunCode(_) | Step::AskEndpoint);
    let hold = match asks_for_work.then(|| may_work(draft, at, &step, quote)).transpose() {
        Ok(hold) => hold.unwrap_or_default(),
        Err(fault) => return draft.fail(at, fault),
    };
    match step {
        Step::AskModel(request) => draft.schedule_model(at, request, hold),
        Step::RequestTools(requests) => requests::request(draft, at, requests),
        Step::RunCode(program) => draft.schedule_code(at, program),
        Step::AskEndpoint => ask_endpoint(draft, at, hold),
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
        Step::GiveUp(fault) => give_up(draft, at, fault),
    }
}

/// How much money is held for this, where there is money, time and an iteration left.
fn may_work(draft: &Draft<'_>, at: &Address, step: &Step, quote: Quote) -> Result<Usd, Fault> {
    let quote = match step {
        Step::RequestTools(requests) => Quote::exactly(cost_of(draft, at, requests)),
        Step::AskEndpoint => Quote::exactly(match draft.run.activity(at) {
            Some(Activity::Agent { task, .. }) => task.agent.step_cost(),
            _ => Usd::ZERO,
        }),
        _ => quote,
    };
    let hold = draft.check_cost(at, quote)?;
    let Some(Activity::Agent { task, seen, work, .. }) = draft.run.activity(at) else { return Ok(hold) };
    let agent = &task.agent;
    let worked = work.so_far().as_secs();
    if let Some(limit) = agent.max_execution_time.filter(|limit| worked >= *limit) {
        let name = &agent.name;
        let message = format!(
            "Timeout error: Agent execution exceeded maximum time: agent `{name}` worked for {worked} s, its limit is \
             {limit} s"
        );
        return Err(Fault::new(code::EXECUTION_TIMEOUT, message));
    }
    // A simple agent has one reply and one correction by its nature.
    let is_bounded = matches!(step, Step::AskModel(_)) && agent.kind != agent::Kind::Simple;
    let replies = seen.iter().filter(|seen| matches!(seen, Seen::Replied(_))).count();
    match agent.max_iterations.filter(|max| is_bounded && replies as u64 >= u64::from(*max)) {
        Some(max) => {
            let message =
                format!("Max iterations exceeded: agent `{}` may take {max} replies of its model", agent.name);
            Err(Fault::new("MAX_ITERATIONS_EXCEEDED", message))
        }
        None => Ok(hold),
    }
}

/// What the tools asked for cost together.
fn cost_of(draft: &Draft<'_>, at: &Address, requests: &[ToolRequest]) -> Usd {
    let costs = draft.with_node(at, |node| match &node.kind {
        Kind::Agent(agent) => {
            requests.iter().filter_map(|one| Some(agent.tools.get(&one.tool)?.of(&one.arguments).cost)).sum()
        }
        _ => Usd::ZERO,
    });
    costs.unwrap_or_default()
}

fn ask_endpoint(draft: &mut Draft<'_>, at: &Address, hold: Usd) {
    let Some(Activity::Agent { task, .. }) = draft.run.activity(at) else { return };
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

/// Another agent takes the place of one that gave up, where there is one; else the node fails.
fn give_up(draft: &mut Draft<'_>, at: &Address, fault: Fault) {
    let Some((graph, place)) = draft.node(at) else { return };
    let Kind::Agent(agent) = &graph.node(place).kind else { return };
    if !persona::stand_in(draft, at, agent, &fault) {
        draft.fail(at, fault);
    }
}

fn answer(draft: &mut Draft<'_>, at: &Address, mut output: Value) {
    let selects = draft.with_node(at, |node| matches!(&node.kind, Kind::Agent(agent) if agent.selects));
    let mut sets = output.get("shared_context").and_then(Value::as_object).cloned().unwrap_or_default();
    if selects == Some(true) {
        let requests = output.get("tool_requests").cloned().unwrap_or_else(|| Value::Array(Vec::new()));
        sets.insert("tool_requests".to_owned(), requests);
        requests::tell_saved(draft, at, &mut output);
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
        Some(Activity::Agent { waits: AgentWait::Thought(step), .. }) => {
            let step = match (**step).clone() {
                Step::AskEndpoint => {
                    Step::GiveUp(Fault::new(code::STEP_INVALID, "whoever thinks for the agent asks to be asked"))
                }
                step => step,
            };
            // What a model may cost is not known where somebody else thinks: it is kept to a part of what is left.
            let quote = Quote { most: draft.cost_left(at).unwrap_or_default(), ..Quote::default() };
            take(draft, at, step, quote);
        }
        // In a reopened run: what was cut off before it was answered is asked for again.
        Some(Activity::Agent { waits: AgentWait::Tools(calls), .. }) => {
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

pub fn customer_deadline(draft: &mut Draft<'_>, at: &Address) {
    let then = draft.with_node(at, |node| match &node.kind {
        Kind::Agent(agent) => agent.asks.then.clone(),
        _ => AtDeadline::Fail,
    });
    at_deadline(draft, at, &then.unwrap_or_default());
}
