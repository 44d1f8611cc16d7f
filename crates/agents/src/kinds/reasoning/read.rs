//! Parses one reply: calls, an answer, or an unusable reply.

use std::collections::BTreeSet;

use baton_core::agent::{ASK_CUSTOMER, AgentTask, HAND_OVER};
use baton_core::model::{ModelReply, ToolOffer};
use baton_core::structured::extract;
use serde_json::{Value, json};

use super::super::offers::ToolOffers;
use super::calls::{CallPurpose, RequestedCall};
use super::react::{self, ReactReply};
use crate::fault::{ReplyError, code};
use crate::one_shot;

/// Maximum number of calls taken from one reply. The others are refused, and the model is notified.
const CALLS_MAX: usize = 32;

/// The form in which the model requests tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ToolProtocol {
    /// The provider's native tool calls.
    Native,
    /// `Thought`, `Action` and `Action Input` lines.
    Text,
}

/// The tools offered to the model.
pub(super) struct OfferedTools {
    pub tools: ToolOffers,
    /// The protocol the model is instructed to use. The other one is also accepted.
    pub protocol: ToolProtocol,
}

impl OfferedTools {
    pub fn to(task: &AgentTask) -> Self {
        let tools = ToolOffers::to(task);
        let text = task.agent.metadata.get("tool_protocol").and_then(Value::as_str) == Some("text");
        Self { tools, protocol: if text { ToolProtocol::Text } else { ToolProtocol::Native } }
    }

    pub fn find(&self, name: &str) -> Option<&ToolOffer> {
        self.tools.find(name)
    }
}

/// The content of a reply.
pub(super) enum ParsedReply {
    Calls {
        thought: String,
        /// The text as it is returned to the model.
        said: String,
        calls: Vec<RequestedCall>,
        protocol: ToolProtocol,
    },
    Answer {
        /// The reasoning before it, if the reply separates the two.
        thought: Option<String>,
        text: String,
    },
}

/// Parses the reply of one iteration. Ids that the model left out or used twice are derived from the iteration's
/// number.
pub(super) fn read(reply: &ModelReply, offered: &OfferedTools, iteration: u32) -> Result<ParsedReply, ReplyError> {
    one_shot::check(reply)?;
    let text = extract::strip_thinking(&reply.content).trim();
    if !reply.tool_calls.is_empty() {
        let mut ids = BTreeSet::new();
        let calls = reply.tool_calls.iter().enumerate().map(|(index, call)| {
            let fresh = !call.id.is_empty() && ids.insert(call.id.clone());
            let id = if fresh { call.id.clone() } else { format!("call_{iteration}_{index}") };
            purpose(id, &call.name, call.arguments.clone(), offered, index)
        });
        let calls = calls.collect();
        return Ok(ParsedReply::Calls {
            thought: text.to_owned(),
            said: reply.content.clone(),
            calls,
            protocol: ToolProtocol::Native,
        });
    }
    match react::read(text, offered) {
        Some(ReactReply::Act { thought, action, input, said }) => Ok(ParsedReply::Calls {
            thought,
            said,
            calls: vec![purpose(format!("call_{iteration}_0"), &action, input, offered, 0)],
            protocol: ToolProtocol::Text,
        }),
        Some(ReactReply::Answer { thought, text }) if !text.is_empty() => {
            Ok(ParsedReply::Answer { thought: Some(thought).filter(|thought| !thought.is_empty()), text })
        }
        None if !text.is_empty() => Ok(ParsedReply::Answer { thought: None, text: text.to_owned() }),
        Some(ReactReply::Answer { .. }) | None => Err(ReplyError::new(code::REPLY_EMPTY, "the reply is empty")),
    }
}

/// Classifies a call: a tool, one of the two outcomes that look like tools, or an unusable call.
fn purpose(id: String, name: &str, input: Value, offered: &OfferedTools, index: usize) -> RequestedCall {
    let call = |input, purpose| RequestedCall { id, name: name.to_owned(), input, purpose, answer: None };
    let invalid = |problem| CallPurpose::Invalid(ReplyError::new(code::INVALID_ARGUMENTS, problem));
    if index >= CALLS_MAX {
        return call(input, invalid(format!("at most {CALLS_MAX} calls of one reply are made")));
    }
    if offered.find(name).is_none() {
        return call(input, CallPurpose::Invalid(ReplyError::unknown_tool(name, offered.tools.all())));
    }
    let input = match input {
        Value::Null => json!({}),
        Value::String(text) if text.trim().is_empty() => json!({}),
        Value::String(text) => extract::whole_object(&text).unwrap_or(Value::String(text)),
        other => other,
    };
    if !input.is_object() {
        return call(input, invalid(format!("the arguments of `{name}` are not a JSON object")));
    }
    let text_of = |field: &str| {
        let text = input.get(field).and_then(Value::as_str).unwrap_or_default().trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let purpose = match name {
        ASK_CUSTOMER => text_of("question").map_or_else(
            || invalid(format!("`{ASK_CUSTOMER}` needs a `question`")),
            |question| CallPurpose::Ask { question },
        ),
        HAND_OVER => {
            CallPurpose::HandOver { reason: text_of("reason").unwrap_or_else(|| "the agent gave no reason".into()) }
        }
        _ => CallPurpose::Tool,
    };
    call(input, purpose)
}
