//! What the tests of this room share: tasks, replies and results, made short.

use baton_core::agent::{Agent, Kind, Seen, Step, Task, Think};
use baton_core::fault::Fault;
use baton_core::model::{Finish, Message, Reply, Request, ToolCall, ToolOffer, Usage};
use baton_core::money::Usd;
use baton_core::tool::Envelope;
use serde_json::{Value, json};

use crate::Agents;

pub(crate) fn task(kind: Kind) -> Task {
    let agent = Agent::new("helper", kind);
    let tools = vec![
        offer("get_order", json!({"id": {"type": "string"}})),
        offer("search_kb", json!({"query": {"type": "string"}})),
        offer("create_return", json!({"order": {"type": "string"}, "reason": {"type": "string"}})),
    ];
    let (system, prompt) = ("Be kind.".to_owned(), "Where is order 7?".to_owned());
    Task { agent, system, prompt, tools, selects: false, language: String::new() }
}

fn offer(name: &str, properties: Value) -> ToolOffer {
    ToolOffer {
        name: name.to_owned(),
        description: format!("Does {name}"),
        parameters: json!({"type": "object", "properties": properties}),
        strict: None,
    }
}

pub(crate) fn reply(content: &str, tool_calls: Vec<ToolCall>, finish: Finish) -> Reply {
    Reply {
        content: content.to_owned(),
        tool_calls,
        thinking: None,
        finish,
        usage: Usage::default(),
        model: "m".to_owned(),
        provider: "script".to_owned(),
        cost: Usd::ZERO,
        latency_ms: 0,
    }
}

/// The model answered with text.
pub(crate) fn said(content: &str) -> Seen {
    Seen::Replied(reply(content, Vec::new(), Finish::Stop))
}

/// The model asked for tools: id, name, arguments.
pub(crate) fn called(calls: &[(&str, &str, Value)]) -> Seen {
    let call = |(id, name, arguments): &(&str, &str, Value)| ToolCall {
        id: (*id).to_owned(),
        name: (*name).to_owned(),
        arguments: arguments.clone(),
    };
    Seen::Replied(reply("", calls.iter().map(call).collect(), Finish::ToolCalls))
}

pub(crate) fn cut_off(content: &str) -> Seen {
    Seen::Replied(reply(content, Vec::new(), Finish::Length))
}

pub(crate) fn results(results: &[(&str, Value)]) -> Seen {
    Seen::Tools(results.iter().map(|(id, data)| ((*id).to_owned(), envelope(data.clone(), None))).collect())
}

pub(crate) fn envelope(data: Value, error_code: Option<&str>) -> Envelope {
    Envelope {
        success: error_code.is_none(),
        tool: "t".to_owned(),
        data,
        error: error_code.map(|_| "No pudimos.".to_owned()),
        error_code: error_code.map(str::to_owned),
        error_details: None,
        suggested_action: None,
        audit_id: Some("audit_1".to_owned()),
        duration_ms: 3,
        cached: false,
        cost_usd: 0.01,
        degraded: false,
    }
}

pub(crate) fn step(task: &Task, seen: &[Seen]) -> Step {
    Agents::default().step(task, seen)
}

pub(crate) fn asked(task: &Task, seen: &[Seen]) -> Request {
    match step(task, seen) {
        Step::AskModel(request) => request,
        other => panic!("it should ask the model, not {other:?}"),
    }
}

pub(crate) fn answered(task: &Task, seen: &[Seen]) -> Value {
    match step(task, seen) {
        Step::Answer { output } => output,
        other => panic!("it should answer, not {other:?}"),
    }
}

pub(crate) fn gave_up(task: &Task, seen: &[Seen]) -> Fault {
    match step(task, seen) {
        Step::GiveUp(fault) => fault,
        other => panic!("it should give up, not {other:?}"),
    }
}

/// The last message of the next request, as text.
pub(crate) fn last_message(task: &Task, seen: &[Seen]) -> String {
    match asked(task, seen).messages.pop() {
        Some(Message::User { content, .. } | Message::System { content, .. } | Message::Assistant { content, .. }) => {
            content
        }
        Some(Message::Tool { content, .. }) => content,
        None => String::new(),
    }
}
