//! The step functions of the simulation: the shipped ones for their agents, and a simulated agent for the others. Its
//! task lists its moves, the model returns them one after another, and it makes them.
//!
//! A task is a sequence of moves, separated by `;`: `call TOOL N`, `+call TOOL N` (requested together with the move
//! before it), `run PROGRAM`, `ask`, `answer`, `give up`, and for an agent that only chooses `choose TOOL…`.

use std::collections::BTreeMap;

use baton_agents::StepFunctions;
use baton_core::agent::{
    AgentKind, AgentObservation, AgentStep, AgentTask, ProgramOutcome, SandboxProgram, StepFunction, ToolRequest,
};
use baton_core::fault::{Fault, code};
use baton_core::model::{ModelMessage, ModelProfile, ModelRequest};
use baton_core::money::{PriceQuote, Usd};
use baton_core::tool::ToolEnvelope;
use serde_json::{Value, json};

use crate::draw::is_shipped;

/// The reserved cost of a model call: more than the simulated models charge.
const RESERVED_COST: Usd = Usd::from_nanos(1_500);
/// Number of garbled replies after which the agent gives up.
const GARBLED_MAX: usize = 2;

/// Runs the shipped agents, or takes the step that the last understood reply requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct SimThinker;

impl StepFunction for SimThinker {
    fn step(&self, task: &AgentTask, seen: &[AgentObservation]) -> AgentStep {
        if is_shipped(&task.agent.name) {
            return StepFunctions::default().step(task, seen);
        }
        match task.agent.kind {
            AgentKind::Custom => AgentStep::AskEndpoint,
            AgentKind::Simple | AgentKind::Reasoning | AgentKind::Code => next_step(task, seen),
        }
    }

    fn quote(&self, _request: &ModelRequest) -> PriceQuote {
        PriceQuote::exactly(RESERVED_COST)
    }
}

/// The next step of the moves: here, or at the endpoint of a remote agent.
pub fn next_step(task: &AgentTask, seen: &[AgentObservation]) -> AgentStep {
    let moves = move_groups(&task.prompt);
    let understood = seen.iter().filter(|seen| is_understood(seen, &moves)).count();
    match seen.last() {
        Some(AgentObservation::Replied(reply)) if is_one(&reply.content, &moves) => {
            act(moves.get(understood - 1).map_or("", String::as_str), understood, seen)
        }
        Some(AgentObservation::Replied(_)) => {
            let garbled = seen.iter().filter(|seen| matches!(seen, AgentObservation::Replied(_))).count() - understood;
            if garbled > GARBLED_MAX {
                return AgentStep::GiveUp(Fault::new(code::AGENT_GAVE_UP, "the model makes no sense"));
            }
            ask(task, &moves, understood)
        }
        Some(AgentObservation::ModelFailed(fault)) => AgentStep::GiveUp(fault.clone()),
        Some(AgentObservation::Ran(ProgramOutcome::Calls { calls, .. })) => AgentStep::RequestTools(calls.clone()),
        Some(AgentObservation::Ran(ProgramOutcome::Stale)) => replay(seen),
        Some(AgentObservation::Tools(results)) => match seen.iter().rev().nth(1) {
            Some(AgentObservation::Ran(ProgramOutcome::Calls { snapshot, .. })) => {
                let results = results.iter().map(|(_, result)| result.clone()).collect();
                AgentStep::RunCode(SandboxProgram::Resume { snapshot: snapshot.clone(), results })
            }
            _ => ask(task, &moves, understood),
        },
        Some(
            AgentObservation::Ran(ProgramOutcome::Finished { .. } | ProgramOutcome::Failed { .. })
            | AgentObservation::Said(_),
        )
        | None => ask(task, &moves, understood),
    }
}

/// Moves that are made together.
pub fn move_groups(prompt: &str) -> Vec<String> {
    let mut groups: Vec<String> = Vec::new();
    for one in prompt.split(';') {
        match (one.strip_prefix('+'), groups.last_mut()) {
            (Some(more), Some(last)) => {
                last.push(';');
                last.push_str(more);
            }
            _ => groups.push(one.to_owned()),
        }
    }
    groups
}

fn is_one(content: &str, moves: &[String]) -> bool {
    moves.iter().any(|one| one == content)
}

fn is_understood(seen: &AgentObservation, moves: &[String]) -> bool {
    matches!(seen, AgentObservation::Replied(reply) if is_one(&reply.content, moves))
}

fn ask(task: &AgentTask, moves: &[String], next: usize) -> AgentStep {
    let content = moves.get(next).cloned().unwrap_or_else(|| "answer".to_owned());
    AgentStep::AskModel(ModelRequest {
        agent: task.agent.name.clone(),
        profile: ModelProfile::Balanced,
        model: None,
        messages: vec![ModelMessage::user(content)],
        tools: Vec::new(),
        schema: None,
        temperature: 0.0,
        ..ModelRequest::default()
    })
}

fn act(said: &str, turn: usize, seen: &[AgentObservation]) -> AgentStep {
    let (word, rest) = said.split_once(' ').unwrap_or((said, ""));
    match word {
        "call" => AgentStep::RequestTools(calls(said, turn)),
        "run" => {
            let (source, inputs) = (rest.to_owned(), BTreeMap::new());
            AgentStep::RunCode(SandboxProgram::Start { source, inputs, tools: Vec::new() })
        }
        "ask" => AgentStep::AskCustomer { question: "Which one?".to_owned() },
        "give" => AgentStep::GiveUp(Fault::new(code::AGENT_GAVE_UP, "it was told to")),
        "choose" => {
            let chosen: Vec<Value> =
                rest.split(' ').map(|tool| json!({ "tool_name": tool, "parameters": { "n": 1 } })).collect();
            AgentStep::Answer { output: json!({ "tool_requests": chosen }) }
        }
        _ => AgentStep::Answer { output: json!({ "heard": tool_outputs(seen) }) },
    }
}

fn calls(said: &str, turn: usize) -> Vec<ToolRequest> {
    let one = |(place, call): (usize, &str)| {
        let mut words = call.split(' ').skip(1);
        let tool = words.next().unwrap_or_default().to_owned();
        let n: u64 = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
        ToolRequest { id: format!("{turn}.{place}"), tool, arguments: json!({ "n": n }) }
    };
    said.split(';').enumerate().map(one).collect()
}

/// The program that began last, with the results of every call it made.
fn replay(seen: &[AgentObservation]) -> AgentStep {
    let began = seen.iter().rposition(|seen| matches!(seen, AgentObservation::Replied(_))).unwrap_or(0);
    let source = match seen.get(began) {
        Some(AgentObservation::Replied(reply)) => reply.content.strip_prefix("run ").unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    let mut made: Vec<(ToolRequest, ToolEnvelope)> = Vec::new();
    let mut asked: &[ToolRequest] = &[];
    for seen in &seen[began..] {
        match seen {
            AgentObservation::Ran(ProgramOutcome::Calls { calls, .. }) => asked = calls,
            AgentObservation::Tools(results) => {
                made.extend(asked.iter().cloned().zip(results.iter().map(|(_, result)| result.clone())));
            }
            _ => {}
        }
    }
    AgentStep::RunCode(SandboxProgram::Replay { source, inputs: BTreeMap::new(), tools: Vec::new(), calls: made })
}

/// The results of tools and customers, so that an answer depends on them.
fn tool_outputs(seen: &[AgentObservation]) -> Vec<Value> {
    let of = |seen: &AgentObservation| match seen {
        AgentObservation::Tools(results) => Some(results.iter().map(|(_, result)| json!(result.success)).collect()),
        AgentObservation::Said(text) => Some(json!(text)),
        AgentObservation::Ran(ProgramOutcome::Finished { output, .. }) => Some(output.clone()),
        AgentObservation::Ran(ProgramOutcome::Failed { .. }) => Some(json!(false)),
        AgentObservation::Ran(ProgramOutcome::Calls { .. } | ProgramOutcome::Stale)
        | AgentObservation::Replied(_)
        | AgentObservation::ModelFailed(_) => None,
    };
    seen.iter().filter_map(of).collect()
}
