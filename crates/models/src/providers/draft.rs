//! A streamed reply as far as it has come: its text, its calls, and what whoever listens has not been told yet.

use baton_core::model::{ModelToolCall, TokenUsage};
use baton_ports::models::ReplyDelta;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::dialect::WireError;

/// Tool calls one reply may have.
const CALLS_MAX: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct ReplyDraft {
    pub content: String,
    calls: Vec<DraftToolCall>,
    /// What the provider has counted so far.
    pub usage: Option<TokenUsage>,
    pub model: Option<String>,
    pending_pieces: Vec<ReplyDelta>,
}

#[derive(Debug)]
struct DraftToolCall {
    id: String,
    name: String,
    arguments: String,
    /// Calls are told once their name is known.
    is_announced: bool,
}

impl ReplyDraft {
    pub fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.content.push_str(text);
        self.pending_pieces.push(ReplyDelta::Text(text.to_owned()));
    }

    /// A further call. Its place is the answer.
    pub fn call(&mut self, id: &str, name: &str) -> Result<usize, WireError> {
        let place = self.calls.len();
        if place >= CALLS_MAX {
            return Err(too_many_calls());
        }
        let id = unique_call_id(id, place, self.calls.iter().map(|call| call.id.as_str()));
        self.calls.push(DraftToolCall { id, name: name.to_owned(), arguments: String::new(), is_announced: false });
        self.push_arguments(place, "");
        Ok(place)
    }

    /// The name of a call that began without one; what names it again says nothing new.
    pub fn name(&mut self, place: usize, name: &str) {
        if let Some(call) = self.calls.get_mut(place).filter(|call| call.name.is_empty()) {
            name.clone_into(&mut call.name);
            self.push_arguments(place, "");
        }
    }

    /// Whether the arguments of a call are there to their end, as far as one can see.
    pub fn is_whole(&self, place: usize) -> bool {
        self.calls.get(place).is_some_and(|call| serde_json::from_str::<IgnoredAny>(&call.arguments).is_ok())
    }

    pub fn id(&self, place: usize) -> &str {
        self.calls.get(place).map_or("", |call| &call.id)
    }

    /// More of a call's arguments: JSON text.
    pub fn arguments(&mut self, place: usize, text: &str) {
        if let Some(call) = self.calls.get_mut(place).filter(|_| !text.is_empty()) {
            call.arguments.push_str(text);
            self.push_arguments(place, text);
        }
    }

    fn push_arguments(&mut self, index: usize, more: &str) {
        let Some(call) = self.calls.get_mut(index).filter(|call| !call.name.is_empty()) else { return };
        if call.is_announced {
            let arguments = more.to_owned();
            self.pending_pieces.push(ReplyDelta::ToolCall { index, id: None, name: None, arguments });
            return;
        }
        call.is_announced = true;
        self.pending_pieces.push(ReplyDelta::ToolCall {
            index,
            id: Some(call.id.clone()),
            name: Some(call.name.clone()),
            arguments: call.arguments.clone(),
        });
    }

    /// What came since this was last asked.
    pub fn take_pieces(&mut self) -> Vec<ReplyDelta> {
        std::mem::take(&mut self.pending_pieces)
    }

    /// The calls, each whole.
    pub fn take_calls(&mut self) -> Result<Vec<ModelToolCall>, WireError> {
        let calls = std::mem::take(&mut self.calls).into_iter();
        require_names(calls.map(|call| ModelToolCall {
            id: call.id,
            name: call.name,
            arguments: read_arguments(call.arguments),
        }))
    }
}

/// An id no other call of the reply has: answers go back by it, and some servers give none, or one to all.
pub(crate) fn unique_call_id<'a>(id: &str, place: usize, mut others: impl Iterator<Item = &'a str>) -> String {
    match id {
        "" => format!("call_{place}"),
        id if others.any(|other| other == id) => format!("{id}_{place}"),
        id => id.to_owned(),
    }
}

/// Calls that can be acted upon.
pub(crate) fn require_names(calls: impl Iterator<Item = ModelToolCall>) -> Result<Vec<ModelToolCall>, WireError> {
    let calls: Vec<ModelToolCall> = calls.collect();
    if calls.len() > CALLS_MAX {
        return Err(too_many_calls());
    }
    if calls.iter().any(|call| call.name.is_empty()) {
        return Err(WireError::malformed("a tool call of the reply has no name"));
    }
    Ok(calls)
}

fn too_many_calls() -> WireError {
    WireError::malformed(format!("the reply has more than {CALLS_MAX} tool calls"))
}

/// Arguments as JSON; text that is none stays text, for the agent to say so.
pub(crate) fn read_arguments(text: String) -> Value {
    if text.trim().is_empty() {
        return json!({});
    }
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}
