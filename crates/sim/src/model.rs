//! The simulated model. To the simulated agent it repeats the question. To an agent with a shipped step function it
//! returns the moves of the agent's task, one reply after another, in the format that this agent expects:
//!
//! | move | meaning |
//! | --- | --- |
//! | `call TOOL N` | a call; several in one reply with `;+`. `N` is 7: no id; 8: duplicate id; 9: arguments as text |
//! | `run PROGRAM` | a step of a plan that the sandbox runs |
//! | `ask`, `hand over` | the customer is asked; a person takes over |
//! | `again` | the plan was in vain |
//! | `nonsense`, `silence`, `cut off` | a reply that cannot be used |
//! | `answer`, and everything after the last move | the answer |

use baton_core::model::{FinishReason, ModelMessage, ModelRequest, ModelToolCall};
use serde_json::{Value, json};

use crate::draw::{CODE, SIMPLE, TEXT, is_shipped};
use crate::sim_thinker::move_groups;

/// A reply of the model.
#[derive(Debug, PartialEq)]
pub struct SimReply {
    pub content: String,
    pub tool_calls: Vec<ModelToolCall>,
    pub finish: FinishReason,
}

impl SimReply {
    pub fn text(content: impl Into<String>) -> Self {
        Self { content: content.into(), tool_calls: Vec::new(), finish: FinishReason::Stop }
    }
}

/// The same reply for the same request, whatever the caller and the number of requests.
pub fn reply_to(request: &ModelRequest) -> SimReply {
    let asked = |message: &ModelMessage| match message {
        ModelMessage::User { content, .. } => Some(content.clone()),
        ModelMessage::System { .. } | ModelMessage::Assistant { .. } | ModelMessage::Tool { .. } => None,
    };
    let mut asked = request.messages.iter().filter_map(asked);
    if !is_shipped(&request.agent) {
        return SimReply::text(asked.next_back().unwrap_or_default());
    }
    let turns = move_groups(&asked.next().unwrap_or_default());
    let turn = request.messages.iter().filter(|message| matches!(message, ModelMessage::Assistant { .. })).count();
    let moves: Vec<&str> = turns.get(turn).map_or("answer", String::as_str).split(';').collect();
    match (moves[0], request.agent.as_str()) {
        ("nonsense", _) => SimReply::text("%%% {\""),
        ("silence", _) => SimReply::text(""),
        ("cut off", _) => SimReply { finish: FinishReason::Length, ..SimReply::text("{\"n\": ") },
        (_, SIMPLE) => SimReply::text(r#"{"n": 1}"#),
        (_, TEXT) => SimReply::text(in_text(moves[0])),
        (_, CODE) => SimReply::text(plan_value(&moves).to_string()),
        _ if request.tools.is_empty() && request.schema.is_some() => SimReply::text(choice(&moves).to_string()),
        _ => native(&moves, turn),
    }
}

/// The tool and the number of `call TOOL N`; also the two outcomes that look like tools, with their arguments.
fn call(said: &str) -> Option<(&str, Value)> {
    let mut words = said.split(' ');
    match (words.next()?, words.next(), words.next()) {
        ("call", Some(tool), Some(n)) => Some((tool, json!({ "n": n.parse::<u64>().ok()? }))),
        ("ask", ..) => Some(("ask_customer", json!({ "question": "Which one?" }))),
        ("hand", ..) => Some(("hand_over", json!({ "reason": "it was told to" }))),
        _ => None,
    }
}

fn native(moves: &[&str], turn: usize) -> SimReply {
    let one = |(place, (name, arguments)): (usize, (&str, Value))| {
        let id = match arguments["n"].as_u64() {
            Some(7) => String::new(),
            Some(8) => "same".to_owned(),
            _ => format!("{turn}.{place}"),
        };
        let arguments = if arguments["n"] == 9 { Value::String(arguments.to_string()) } else { arguments };
        ModelToolCall { id, name: name.to_owned(), arguments }
    };
    let tool_calls: Vec<ModelToolCall> = moves.iter().filter_map(|said| call(said)).enumerate().map(one).collect();
    match tool_calls.is_empty() {
        true => SimReply::text("done"),
        false => SimReply { content: "so I think".to_owned(), tool_calls, finish: FinishReason::ToolCalls },
    }
}

/// One call, since the text protocol allows no more.
fn in_text(said: &str) -> String {
    match call(said) {
        Some((tool, input)) => format!("Thought: so I think\nAction: {tool}\nAction Input: {input}"),
        None => "Thought: enough\nFinal Answer: done".to_owned(),
    }
}

/// A plan, or a judgement of one.
fn plan_value(moves: &[&str]) -> Value {
    match moves[0] {
        "answer" => json!({ "goal_achieved": true, "final_output": { "n": 1 } }),
        "again" => json!({ "goal_achieved": false, "failure_reason": "it was in vain", "suggestions": ["again"] }),
        _ => json!({ "steps": moves.iter().enumerate().map(|(place, said)| step(place, said)).collect::<Value>() }),
    }
}

/// Calls are made together; every other step waits for them.
fn step(place: usize, said: &str) -> Value {
    let id = format!("s{place}");
    match (said.strip_prefix("run "), call(said)) {
        (Some(program), _) => json!({ "id": id, "python": program }),
        (None, Some(("ask_customer", input))) => json!({ "id": id, "tool": "ask_customer", "input": input }),
        (None, Some((tool, input))) => {
            json!({ "id": id, "tool": tool, "input": input, "depends_on": [], "critical": false })
        }
        (None, None) => json!({ "id": id }),
    }
}

fn choice(moves: &[&str]) -> Value {
    let chosen = moves.iter().filter_map(|said| call(said));
    let chosen: Value = chosen.map(|(tool, input)| json!({ "tool_name": tool, "parameters": input })).collect();
    json!({ "tools": chosen, "reasoning": "so I think" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::REASONING;

    fn said(agent: &str, task: &str, replies: usize) -> SimReply {
        let reply =
            ModelMessage::Assistant { content: String::new(), tool_calls: Vec::new(), thinking: None, name: None };
        let messages = [ModelMessage::system("be kind"), ModelMessage::user(task)].into_iter();
        let messages = messages.chain(std::iter::repeat_n(reply, replies)).collect();
        reply_to(&ModelRequest { agent: agent.to_owned(), messages, ..ModelRequest::default() })
    }

    #[test]
    fn each_reply_is_the_next_move_in_the_words_of_the_agent() {
        let task = "call read 1;+call book 7;nonsense;answer";
        let first = said(REASONING, task, 0);
        let named: Vec<_> = first.tool_calls.iter().map(|call| (call.id.as_str(), call.name.as_str())).collect();
        assert_eq!(named, [("0.0", "read"), ("", "book")]);
        assert_eq!(said(REASONING, task, 1).content, "%%% {\"");
        assert_eq!(said(REASONING, task, 2), SimReply::text("done"));
        assert_eq!(said(REASONING, task, 9), SimReply::text("done"), "and what comes after the last is the answer");
        assert!(said(TEXT, task, 0).content.contains("Action: read"));
        assert!(said(CODE, task, 0).content.contains(r#""tool":"book""#));
        assert!(said(CODE, "run read 1", 0).content.contains(r#""python":"read 1""#));
        assert_eq!(said("worker", "call read 1", 0), SimReply::text("call read 1"));
    }
}
