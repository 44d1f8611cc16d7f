//! The events of a run, in short lines.

use baton_core::run::{CallRole, EffectId, EffectRequest, RunEvent};
use serde::Deserialize as _;
use serde_json::Value;

/// An event in one line: what happened, to what, and the most significant detail.
pub fn event_line(event: &RunEvent) -> String {
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

/// A node's call: its number, if it is not the first, and the number of the attempt under another key.
fn call(effect: &EffectId) -> String {
    let mut text = effect.call.node.to_string();
    // The number of an undo is the index of the effect that it undoes.
    if effect.call.role == CallRole::Undo {
        text.push_str(" undo");
    } else if effect.call.call > 0 {
        text.push_str(&format!(" #{}", effect.call.call + 1));
    }
    if effect.generation > 0 {
        text.push_str(&format!(", key {}", effect.generation + 1));
    }
    text
}

/// The serialized name of a variant.
fn variant_name(value: Option<&Value>) -> Option<String> {
    let word = match value? {
        Value::String(word) => word,
        Value::Object(fields) => fields.keys().next()?,
        _ => return None,
    };
    Some(word.replace('_', " "))
}

fn detail(event: &RunEvent, body: &Value) -> Option<String> {
    let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
    match event {
        RunEvent::Scheduled(scheduled) => Some(match &scheduled.request {
            EffectRequest::Tool { tool, .. } => tool.clone(),
            EffectRequest::Model(_) => "model".to_owned(),
            EffectRequest::Code { .. } => "program".to_owned(),
            EffectRequest::Step { agent, .. } => format!("the endpoint of {agent}"),
        }),
        RunEvent::NotDone { fault, again_at, .. } => {
            Some(format!("{}{}", fault.code, if again_at.is_some() { ", goes out again" } else { "" }))
        }
        RunEvent::Ended(_) => variant_name(body.get("how")),
        RunEvent::AgentReplaced { task, fault, .. } => Some(format!("{}, so {} goes on", fault.code, task.agent.name)),
        RunEvent::Finished(finished) => Some(finished.state.to_string()),
        RunEvent::Began { .. } => variant_name(body.get("wait")),
        RunEvent::Stepped { .. } => variant_name(body.get("step")),
        RunEvent::Winding { compensate, .. } => {
            let why = variant_name(body.get("why"))?;
            Some(if *compensate { format!("{why}, to be undone") } else { why })
        }
        RunEvent::ScopeWinding { .. } => variant_name(body.get("why")),
        RunEvent::Degraded { fault, .. } => Some(format!("{}, {}", fault.code, variant_name(body.get("detour"))?)),
        RunEvent::Doubted { .. } => variant_name(body.get("next")),
        RunEvent::Resolved { by, .. } => Some(format!("{by} says {}", variant_name(body.get("resolution"))?)),
        RunEvent::Answered { by, .. } => Some(format!("{by} says {}", variant_name(body.get("decision"))?)),
        RunEvent::Blocked { .. } => variant_name(body.get("by")),
        RunEvent::Unblocked { by, .. }
        | RunEvent::Approved { by, .. }
        | RunEvent::Replied { by, .. }
        | RunEvent::UndoneByHand { by, .. }
        | RunEvent::UndoAgain { by, .. }
        | RunEvent::Paused { by }
        | RunEvent::Resumed { by } => Some(by.clone()),
        RunEvent::BranchesCut { nodes, undo, .. } => {
            let nodes: Vec<&str> = nodes.iter().map(|node| node.as_str()).collect();
            Some(format!("{}{}", nodes.join(", "), if *undo { ", to be undone" } else { "" }))
        }
        RunEvent::SignalKept { signal } | RunEvent::SignalHeld { signal, .. } => Some(signal.name.clone()),
        RunEvent::SignalTaken { name, .. } => Some(name.clone()),
        RunEvent::VariableSet { key, .. } => Some(key.clone()),
        RunEvent::ChildCancelling { run, .. } | RunEvent::ChildUndoing { run, .. } => Some(run.to_string()),
        RunEvent::Reopened(_) => variant_name(Some(body)),
        RunEvent::RequestRefused { .. } => text("tool"),
        RunEvent::NotUndone { fault, .. } | RunEvent::NodeWinding { fault, .. } => Some(fault.code.to_string()),
        RunEvent::Started(_)
        | RunEvent::Sending { .. }
        | RunEvent::Unsent { .. }
        | RunEvent::TakenOver { .. }
        | RunEvent::HoldLost { .. }
        | RunEvent::Done(_)
        | RunEvent::ArrivedLate(_)
        | RunEvent::Abandoned { .. }
        | RunEvent::CustomerAsked { .. }
        | RunEvent::ScopeOpened { .. }
        | RunEvent::ScopeClosed { .. }
        | RunEvent::Compensating
        | RunEvent::ChildUndone { .. }
        | RunEvent::Aftermath
        | RunEvent::Forked(_)
        | RunEvent::JournalFilling { .. } => None,
    }
}
