//! The view of a request in the matches and templates of scripts.

use baton_core::model::{ModelMessage, ModelRequest};
use baton_expr::JsonContext;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Texts are matched case-insensitively.
pub(super) struct RequestView {
    pub agent: String,
    pub turn: u32,
    pub attempt: u32,
    pub system: String,
    /// The first user message: the node's prompt.
    pub prompt: String,
    /// The newest message of any role.
    pub last: String,
    document: Value,
}

impl RequestView {
    pub fn of(request: &ModelRequest, attempt: u32) -> Self {
        let mut system = Vec::new();
        let mut users = Vec::new();
        let mut results = Vec::new();
        let mut turn = 1_u32;
        for message in &request.messages {
            match message {
                ModelMessage::System { content, .. } => system.push(content.as_str()),
                ModelMessage::User { content, .. } => users.push(content.as_str()),
                ModelMessage::Assistant { .. } => turn = turn.saturating_add(1),
                ModelMessage::Tool { content, .. } => results.push(result(content)),
            }
        }
        let system = system.join("\n");
        let prompt = users.first().copied().unwrap_or_default();
        let last = request.messages.last().map_or("", text);
        let document = json!({
            "agent": request.agent,
            "profile": request.profile,
            "model": request.model,
            "turn": turn,
            "attempt": attempt,
            "system": system,
            "prompt": prompt,
            "last": last,
            "said": users,
            "results": results,
            "messages": request.messages,
            "tools": request.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(),
        });
        Self {
            agent: request.agent.clone(),
            turn,
            attempt,
            system: system.to_lowercase(),
            prompt: prompt.to_lowercase(),
            last: last.to_lowercase(),
            document,
        }
    }

    /// The names for expressions and templates. Scripts have no clock: the same request gets the same reply.
    pub fn names(&self) -> JsonContext<'_> {
        JsonContext::new(&self.document, Timestamp::UNIX_EPOCH)
    }
}

fn text(message: &ModelMessage) -> &str {
    match message {
        ModelMessage::System { content, .. }
        | ModelMessage::User { content, .. }
        | ModelMessage::Assistant { content, .. }
        | ModelMessage::Tool { content, .. } => content,
    }
}

/// A tool's result, parsed if it is JSON.
fn result(content: &str) -> Value {
    serde_json::from_str(content).unwrap_or_else(|_| Value::String(content.to_owned()))
}
