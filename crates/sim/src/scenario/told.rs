//! What happened, in lines short enough to be read.

use baton_core::run::{EffectId, Event, Request, Role};
use serde::Deserialize as _;
use serde_json::Value;

/// An event in a line: what happened, to what, and the one word more that tells most.
pub fn line(event: &Event) -> String {
    let Ok(written) = serde_json::to_value(event) else { return "an event that cannot be written".to_owned() };
    let (kind, body) = match &written {
        Value::Object(fields) => fields.iter().next().map_or(("", &Value::Null), |(kind, body)| (kind.as_str(), body)),
        Value::String(kind) => (kind.as_str(), &Value::Null),
        _ => ("", &Value::Null),
    };
    let mut line = kind.replace('_', " ");
    if let Some(place) = place(body) {
        line.push(' ');
        line.push_str(&place);
    }
    if let Some(detail) = detail(event, body).filter(|detail| !detail.is_empty()) {
        line.push_str(": ");
        line.push_str(&detail);
    }
    line
}

fn place(body: &Value) -> Option<String> {
    if let Some(effect) = body.get("effect").and_then(|effect| EffectId::deserialize(effect).ok()) {
        return Some(call(&effect));
    }
    let named = ["node", "path", "scope"].into_iter().find_map(|key| body.get(key)?.as_str());
    let called = || body.get("call")?.get("node")?.as_str();
    named.or_else(called).filter(|named| !named.is_empty()).map(str::to_owned)
}

/// A node's call: which of them, where it is not the first; and the how manieth attempt under another key.
fn call(effect: &EffectId) -> String {
    let mut text = effect.call.node.to_string();
    // The number of what undoes something is the place of what it undoes.
    if effect.call.role == Role::Undo {
        text.push_str(" undo");
    } else if effect.call.call > 0 {
        text.push_str(&format!(" #{}", effect.call.call + 1));
    }
    if effect.generation > 0 {
        text.push_str(&format!(", key {}", effect.generation + 1));
    }
    text
}

/// The name of a variant, as it is written.
fn word(value: Option<&Value>) -> Option<String> {
    let word = match value? {
        Value::String(word) => word,
        Value::Object(fields) => fields.keys().next()?,
        _ => return None,
    };
    Some(word.replace('_', " "))
}

fn detail(event: &Event, body: &Value) -> Option<String> {
    let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
    match event {
        Event::Scheduled(scheduled) => Some(match &scheduled.request {
            Request::Tool { tool, .. } => tool.clone(),
            Request::Model(_) => "model".to_owned(),
            Request::Code { .. } => "program".to_owned(),
            Request::Step { agent, .. } => format!("the endpoint of {agent}"),
        }),
        Event::NotDone { fault, again_at, .. } => {
            Some(format!("{}{}", fault.code, if again_at.is_some() { ", goes out again" } else { "" }))
        }
        Event::Ended(_) => word(body.get("how")),
        Event::AgentReplaced { task, fault, .. } => Some(format!("{}, so {} goes on", fault.code, task.agent.name)),
        Event::Finished(finished) => Some(finished.state.to_string()),
        Event::Began { .. } => word(body.get("wait")),
        Event::Stepped { .. } => word(body.get("step")),
        Event::Winding { compensate, .. } => {
            let why = word(body.get("why"))?;
            Some(if *compensate { format!("{why}, to be undone") } else { why })
        }
        Event::ScopeWinding { .. } => word(body.get("why")),
        Event::Degraded { fault, .. } => Some(format!("{}, {}", fault.code, word(body.get("detour"))?)),
        Event::Doubted { .. } => word(body.get("next")),
        Event::Resolved { by, .. } => Some(format!("{by} says {}", word(body.get("resolution"))?)),
        Event::Answered { by, .. } => Some(format!("{by} says {}", word(body.get("decision"))?)),
        Event::Blocked { .. } => word(body.get("by")),
        Event::Unblocked { by, .. }
        | Event::Approved { by, .. }
        | Event::Replied { by, .. }
        | Event::UndoneByHand { by, .. }
        | Event::UndoAgain { by, .. }
        | Event::Paused { by }
        | Event::Resumed { by } => Some(by.clone()),
        Event::BranchesCut { nodes, undo, .. } => {
            let nodes: Vec<&str> = nodes.iter().map(|node| node.as_str()).collect();
            Some(format!("{}{}", nodes.join(", "), if *undo { ", to be undone" } else { "" }))
        }
        Event::SignalKept { signal } | Event::SignalHeld { signal, .. } => Some(signal.name.clone()),
        Event::SignalTaken { name, .. } => Some(name.clone()),
        Event::VariableSet { key, .. } => Some(key.clone()),
        Event::ChildCancelling { run, .. } | Event::ChildUndoing { run, .. } => Some(run.to_string()),
        Event::Reopened(_) => word(Some(body)),
        Event::RequestRefused { .. } => text("tool"),
        Event::NotUndone { fault, .. } | Event::NodeWinding { fault, .. } => Some(fault.code.to_string()),
        Event::Started(_)
        | Event::Sending { .. }
        | Event::Unsent { .. }
        | Event::TakenOver { .. }
        | Event::HoldLost { .. }
        | Event::Done(_)
        | Event::ArrivedLate(_)
        | Event::Abandoned { .. }
        | Event::CustomerAsked { .. }
        | Event::ScopeOpened { .. }
        | Event::ScopeClosed { .. }
        | Event::Compensating
        | Event::ChildUndone { .. }
        | Event::Aftermath
        | Event::Forked(_)
        | Event::JournalFilling { .. } => None,
    }
}
