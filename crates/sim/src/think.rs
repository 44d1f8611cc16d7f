//! Who thinks in the simulation: the shipped step functions for the agents that are theirs, and for the others a simulated
//! agent. Its task lists its moves, the model says them one after another, and it makes them.
//!
//! A task is moves behind each other, `;` between them: `call TOOL N`, `+call TOOL N` (asked for together with the
//! move before it), `run PROGRAM`, `ask`, `answer`, `give up`, and for an agent that only chooses `choose TOOL…`.

use std::collections::BTreeMap;

use baton_agents::Agents;
use baton_core::agent::{Kind, Program, Ran, Seen, Step, Task, Think, ToolRequest};
use baton_core::fault::{Fault, code};
use baton_core::model::{Message, Profile, Request};
use baton_core::money::{Quote, Usd};
use baton_core::tool::Envelope;
use serde_json::{Value, json};

use crate::draw::is_shipped;

/// What a model call may cost: more than the simulated models ask for one.
const HOLD: Usd = Usd::from_nanos(1_500);
/// Replies that make no sense after which the agent gives up.
const GARBLED_MAX: usize = 2;

/// Thinks as the shipped agents do, or answers with whatever the last understood reply tells it to do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Thinker;

impl Think for Thinker {
    fn step(&self, task: &Task, seen: &[Seen]) -> Step {
        if is_shipped(&task.agent.name) {
            return Agents::default().step(task, seen);
        }
        match task.agent.kind {
            Kind::Custom => Step::AskEndpoint,
            Kind::Simple | Kind::Reasoning | Kind::Code => next(task, seen),
        }
    }

    fn quote(&self, _request: &Request) -> Quote {
        Quote::exactly(HOLD)
    }
}

/// What the moves say is next: here, or at the endpoint of an agent that is thought for.
pub fn next(task: &Task, seen: &[Seen]) -> Step {
    let moves = groups(&task.prompt);
    let understood = seen.iter().filter(|seen| is_understood(seen, &moves)).count();
    match seen.last() {
        Some(Seen::Replied(reply)) if is_one(&reply.content, &moves) => {
            act(moves.get(understood - 1).map_or("", String::as_str), understood, seen)
        }
        Some(Seen::Replied(_)) => {
            let garbled = seen.iter().filter(|seen| matches!(seen, Seen::Replied(_))).count() - understood;
            if garbled > GARBLED_MAX {
                return Step::GiveUp(Fault::new(code::AGENT_GAVE_UP, "the model makes no sense"));
            }
            ask(task, &moves, understood)
        }
        Some(Seen::ModelFailed(fault)) => Step::GiveUp(fault.clone()),
        Some(Seen::Ran(Ran::Calls { calls, .. })) => Step::RequestTools(calls.clone()),
        Some(Seen::Ran(Ran::Stale)) => replay(seen),
        Some(Seen::Tools(results)) => match seen.iter().rev().nth(1) {
            Some(Seen::Ran(Ran::Calls { snapshot, .. })) => {
                let results = results.iter().map(|(_, result)| result.clone()).collect();
                Step::RunCode(Program::Resume { snapshot: snapshot.clone(), results })
            }
            _ => ask(task, &moves, understood),
        },
        Some(Seen::Ran(Ran::Finished { .. } | Ran::Failed { .. }) | Seen::Said(_)) | None => {
            ask(task, &moves, understood)
        }
    }
}

/// Moves that are made together.
pub fn groups(prompt: &str) -> Vec<String> {
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

fn is_understood(seen: &Seen, moves: &[String]) -> bool {
    matches!(seen, Seen::Replied(reply) if is_one(&reply.content, moves))
}

fn ask(task: &Task, moves: &[String], next: usize) -> Step {
    let content = moves.get(next).cloned().unwrap_or_else(|| "answer".to_owned());
    Step::AskModel(Request {
        agent: task.agent.name.clone(),
        profile: Profile::Balanced,
        model: None,
        messages: vec![Message::user(content)],
        tools: Vec::new(),
        schema: None,
        temperature: 0.0,
        ..Request::default()
    })
}

fn act(said: &str, turn: usize, seen: &[Seen]) -> Step {
    let (word, rest) = said.split_once(' ').unwrap_or((said, ""));
    match word {
        "call" => Step::RequestTools(calls(said, turn)),
        "run" => {
            let (source, inputs) = (rest.to_owned(), BTreeMap::new());
            Step::RunCode(Program::Start { source, inputs, tools: Vec::new() })
        }
        "ask" => Step::AskCustomer { question: "Which one?".to_owned() },
        "give" => Step::GiveUp(Fault::new(code::AGENT_GAVE_UP, "it was told to")),
        "choose" => {
            let chosen: Vec<Value> =
                rest.split(' ').map(|tool| json!({ "tool_name": tool, "parameters": { "n": 1 } })).collect();
            Step::Answer { output: json!({ "tool_requests": chosen }) }
        }
        _ => Step::Answer { output: json!({ "heard": heard(seen) }) },
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

/// The program last begun, over every call it made.
fn replay(seen: &[Seen]) -> Step {
    let began = seen.iter().rposition(|seen| matches!(seen, Seen::Replied(_))).unwrap_or(0);
    let source = match seen.get(began) {
        Some(Seen::Replied(reply)) => reply.content.strip_prefix("run ").unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    let mut made: Vec<(ToolRequest, Envelope)> = Vec::new();
    let mut asked: &[ToolRequest] = &[];
    for seen in &seen[began..] {
        match seen {
            Seen::Ran(Ran::Calls { calls, .. }) => asked = calls,
            Seen::Tools(results) => {
                made.extend(asked.iter().cloned().zip(results.iter().map(|(_, result)| result.clone())));
            }
            _ => {}
        }
    }
    Step::RunCode(Program::Replay { source, inputs: BTreeMap::new(), tools: Vec::new(), calls: made })
}

/// What tools and customers said, so that an answer depends on it.
fn heard(seen: &[Seen]) -> Vec<Value> {
    let of = |seen: &Seen| match seen {
        Seen::Tools(results) => Some(results.iter().map(|(_, result)| json!(result.success)).collect()),
        Seen::Said(text) => Some(json!(text)),
        Seen::Ran(Ran::Finished { output, .. }) => Some(output.clone()),
        Seen::Ran(Ran::Failed { .. }) => Some(json!(false)),
        Seen::Ran(Ran::Calls { .. } | Ran::Stale) | Seen::Replied(_) | Seen::ModelFailed(_) => None,
    };
    seen.iter().filter_map(of).collect()
}
