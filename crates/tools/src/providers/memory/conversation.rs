//! `remember_message` and `close_conversation`: store messages while the conversation is open, and make them
//! searchable once it is closed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::tool::{EffectClass, ToolContract};
use baton_ports::clock::Clock;
use baton_ports::memory::{
    ConversationClosing, ID_BYTES_MAX, MESSAGE_BYTES_MAX, MemoryStore, MessageSpeaker, SUMMARY_BYTES_MAX, ThreadMessage,
};
use serde_json::{Value, json};

use super::{AUDIT_TYPE, CATEGORY, PROVIDER, asker, failure, own_conversation};
use crate::catalogue::{ActionSpec, ToolEntry, ToolRisk};
use crate::code;
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;
use crate::tool_set::TIMEOUT;

const OUTCOME_CHARS_MAX: usize = 100;
/// A model summarises a long conversation in several calls.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(100);

pub(super) fn remember_entry(memory: Arc<dyn MemoryStore>, clock: Arc<dyn Clock>) -> ToolEntry {
    let facts = ToolContract {
        description: "Keeps a message of a conversation, so that later answers know of it".to_owned(),
        irreversible: Some("what was said was said; forgetting is an operator's".to_owned()),
        output_fields: ["message_id", "id", "conversation_id", "provider"].map(str::to_owned).into(),
        parameters: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["content"],
            "properties": {
                "conversation_id": conversation_schema(),
                "role": {"enum": ["customer", "agent", "human", "system"], "default": "customer"},
                "content": {"type": "string", "minLength": 1, "maxLength": MESSAGE_BYTES_MAX},
            },
        }),
        ..ToolContract::new(EffectClass::Keyed, TIMEOUT)
    };
    let action = ActionSpec::new(facts, AUDIT_TYPE, ToolRisk::Low);
    ToolEntry::new("remember_message", CATEGORY, PROVIDER, action, Arc::new(RememberMessage { memory, clock }))
}

pub(super) fn close_entry(memory: Arc<dyn MemoryStore>) -> ToolEntry {
    let facts = ToolContract {
        description: "Ends a conversation: sums it up and makes it findable for later ones like it".to_owned(),
        irreversible: Some(
            "its messages leave short-term memory; a later message begins a new conversation".to_owned(),
        ),
        output_fields: ["conversation_id", "summary", "summarised_by", "outcome", "degraded", "provider"]
            .map(str::to_owned)
            .into(),
        parameters: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["outcome"],
            "properties": {
                "conversation_id": conversation_schema(),
                "outcome": {
                    "type": "string", "minLength": 1, "maxLength": OUTCOME_CHARS_MAX,
                    "description": "How it ended, in a word: `success`, `escalated`",
                },
                "summary": {
                    "type": ["string", "null"], "minLength": 1, "maxLength": SUMMARY_BYTES_MAX,
                    "description": "In place of one that a model makes",
                },
            },
        }),
        ..ToolContract::new(EffectClass::Keyed, CLOSE_TIMEOUT)
    };
    let action = ActionSpec::new(facts, AUDIT_TYPE, ToolRisk::Low);
    ToolEntry::new("close_conversation", CATEGORY, PROVIDER, action, Arc::new(CloseConversation { memory }))
}

fn conversation_schema() -> Value {
    json!({"type": ["string", "null"], "maxLength": ID_BYTES_MAX, "description": "The run's conversation unless told"})
}

struct RememberMessage {
    memory: Arc<dyn MemoryStore>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl ToolHandler for RememberMessage {
    /// The message's id derives from the key, so a repeated call stores the same message.
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let (conversation, id) = (named(request)?, request.id("msg"));
        let speaker = serde_json::from_value(request.argument("role").clone()).unwrap_or(MessageSpeaker::Customer);
        let content = request.text("content").unwrap_or_default().to_owned();
        let message = ThreadMessage { id: Some(id.clone()), speaker, content, at: self.clock.now() };
        let customer = request.call.caller.user_id.as_deref();
        let kept = self.memory.add_message(&request.call.tenant, &conversation, customer, message).await;
        kept.map_err(|error| failure(&error))?;
        Ok(json!({"message_id": id, "id": id, "conversation_id": conversation, "provider": PROVIDER}))
    }
}

struct CloseConversation {
    memory: Arc<dyn MemoryStore>,
}

#[async_trait]
impl ToolHandler for CloseConversation {
    /// A conversation that is already closed returns its first result.
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let conversation = named(request)?;
        let outcome = request.text("outcome").unwrap_or_default().to_owned();
        let closing =
            ConversationClosing { outcome: outcome.clone(), summary: request.text("summary").map(str::to_owned) };
        let summary = self.memory.close(&asker(request), &conversation, closing).await;
        let summary = summary.map_err(|error| failure(&error))?;
        let mut output = json!({
            "conversation_id": conversation, "summary": summary.text, "summarised_by": summary.by, "outcome": outcome,
            "degraded": summary.why.is_some(), "provider": PROVIDER,
        });
        if let Some(why) = summary.why {
            output["degraded_reason"] = json!(why);
        }
        Ok(output)
    }
}

fn named(request: &PreparedRequest) -> Result<String, ToolError> {
    own_conversation(request)?.ok_or_else(|| {
        let message = "the run has no conversation: give `conversation_id`, here or in the run's context";
        ToolError::permanent(code::INVALID_PARAMETERS, message)
    })
}
