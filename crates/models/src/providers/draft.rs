//! A partial streamed reply: its text, its calls, and the deltas that the listener has not received yet.

use baton_core::model::{ModelToolCall, TokenUsage};
use baton_ports::models::ReplyDelta;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::dialect::WireError;

/// Maximum number of tool calls in one reply.
const CALLS_MAX: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct ReplyDraft {
    pub content: String,
    calls: Vec<DraftToolCall>,
    /// The provider's counts so far.
    pub usage: Option<TokenUsage>,
    pub model: Option<String>,
    pending_pieces: Vec<ReplyDelta>,
}

#[derive(Debug)]
struct DraftToolCall {
    id: String,
    name: String,
    arguments: String,
    /// A call is announced once its name is known.
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

    /// Adds a call and returns its index.
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

    /// Sets the name of a call that began without one; a repeated name changes nothing.
    pub fn name(&mut self, place: usize, name: &str) {
        if let Some(call) = self.calls.get_mut(place).filter(|call| call.name.is_empty()) {
            name.clone_into(&mut call.name);
            self.push_arguments(place, "");
        }
    }

    /// Whether the arguments of a call are complete, as far as can be determined.
    pub fn is_whole(&self, place: usize) -> bool {
        self.calls.get(place).is_some_and(|call| serde_json::from_str::<IgnoredAny>(&call.arguments).is_ok())
    }

    pub fn id(&self, place: usize) -> &str {
        self.calls.get(place).map_or("", |call| &call.id)
    }

    /// Appends to a call's arguments: JSON text.
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

    /// Takes the deltas since the last call of this function.
    pub fn take_pieces(&mut self) -> Vec<ReplyDelta> {
        std::mem::take(&mut self.pending_pieces)
    }

    /// Takes the calls, each complete.
    pub fn take_calls(&mut self) -> Result<Vec<ModelToolCall>, WireError> {
        let calls = std::mem::take(&mut self.calls).into_iter();
        require_names(calls.map(|call| ModelToolCall {
            id: call.id,
            name: call.name,
            arguments: read_arguments(call.arguments),
        }))
    }
}

/// An id that is unique in the reply: results refer to calls by it, and some servers send none, or the same for all.
pub(crate) fn unique_call_id<'a>(id: &str, place: usize, mut others: impl Iterator<Item = &'a str>) -> String {
    match id {
        "" => format!("call_{place}"),
        id if others.any(|other| other == id) => format!("{id}_{place}"),
        id => id.to_owned(),
    }
}

/// Checks that every call has a name.
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

/// Parses arguments as JSON; invalid JSON stays text, and the agent reports it.
pub(crate) fn read_arguments(text: String) -> Value {
    if text.trim().is_empty() {
        return json!({});
    }
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}
