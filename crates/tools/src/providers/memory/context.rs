//! `get_context`: what an agent should know before it replies.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::redact;
use baton_core::tool::{EffectClass, ToolContract};
use baton_ports::memory::{
    CONTEXT_TOKENS_MAX, ContextRequest, ID_BYTES_MAX, MemoryContext, MemoryStore, QUERY_BYTES_MAX, RECENT_DEFAULT,
    RECENT_MAX, SIMILAR_DEFAULT, SIMILAR_MAX, TOP_DEFAULT, TOP_MAX,
};
use serde_json::{Value, json};

use super::{AUDIT_TYPE, CATEGORY, PROVIDER, asker, count, failure, filter, filters_schema, own_conversation, word};
use crate::catalogue::{ActionSpec, ToolEntry, ToolRisk};
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;

/// Time for the searches, and occasionally a summary of earlier messages.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(super) fn entry(memory: Arc<dyn MemoryStore>) -> ToolEntry {
    let fields = ["recent_messages", "relevant_documents", "similar_conversations", "summary", "session", "tokens"];
    let facts = ToolContract {
        description: "Recalls what matters now: recent messages, relevant documents, similar conversations".to_owned(),
        output_fields: fields.map(str::to_owned).into(),
        parameters: json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "conversation_id": {
                    "type": ["string", "null"], "maxLength": ID_BYTES_MAX,
                    "description": "The conversation of the run unless told",
                },
                "message": {"type": ["string", "null"], "maxLength": QUERY_BYTES_MAX},
                "current_message": {"type": ["string", "null"], "maxLength": QUERY_BYTES_MAX},
                "strategy": {"enum": ["short_only", "long_only", "hybrid"], "default": "hybrid"},
                "recent": {"type": "integer", "minimum": 0, "maximum": RECENT_MAX, "default": RECENT_DEFAULT},
                "top_k": {"type": "integer", "minimum": 0, "maximum": TOP_MAX, "default": TOP_DEFAULT},
                "similar": {"type": "integer", "minimum": 0, "maximum": SIMILAR_MAX, "default": SIMILAR_DEFAULT},
                "max_tokens": {"type": ["integer", "null"], "minimum": 1, "maximum": CONTEXT_TOKENS_MAX},
                "filters": filters_schema(),
            },
        }),
        ..ToolContract::new(EffectClass::Read, TIMEOUT)
    };
    let action = ActionSpec::new(facts, AUDIT_TYPE, ToolRisk::Low);
    ToolEntry::new("get_context", CATEGORY, PROVIDER, action, Arc::new(GetContext { memory }))
}

struct GetContext {
    memory: Arc<dyn MemoryStore>,
}

#[async_trait]
impl ToolHandler for GetContext {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let message = request.text("message").or_else(|| request.text("current_message")).unwrap_or_default();
        let wanted = ContextRequest {
            strategy: word(request, "strategy"),
            recent: count(request, "recent", RECENT_DEFAULT),
            documents: count(request, "top_k", TOP_DEFAULT),
            conversations: count(request, "similar", SIMILAR_DEFAULT),
            tokens: request.argument("max_tokens").as_u64().and_then(|count| usize::try_from(count).ok()),
            filter: filter(request),
            ..ContextRequest::new(own_conversation(request)?, message)
        };
        let context = self.memory.context(&request.call.tenant, &wanted).await;
        let mut context = context.map_err(|error| failure(&error))?;
        if self.was_summarised(request, &wanted, &context).await {
            // If the context cannot be gathered again, the earlier one is returned.
            context = self.memory.context(&request.call.tenant, &wanted).await.unwrap_or(context);
        }
        for similar in &mut context.similar_conversations {
            // It belonged to another person.
            similar.summary = redact::text(&similar.summary).into_owned();
        }
        let mut output = json!(context);
        output["conversation_id"] = json!(wanted.conversation);
        output["provider"] = json!(PROVIDER);
        Ok(output)
    }
}

impl GetContext {
    /// Summarises messages that no longer fit into the context, at the run's expense, so that they are shortened and
    /// not dropped. Returns whether there is a new summary. Half of the messages that fit are left out of it, so that
    /// the next ones do not each need a new summary.
    async fn was_summarised(
        &self,
        request: &PreparedRequest,
        wanted: &ContextRequest,
        context: &MemoryContext,
    ) -> bool {
        let Some(conversation) = &wanted.conversation else { return false };
        if context.left_out.unsummarised == 0 || wanted.recent == 0 {
            return false;
        }
        let but = context.recent_messages.len() / 2;
        match self.memory.summarise(&asker(request), conversation, but).await {
            Ok(summary) => summary.is_some_and(|summary| context.summary.as_ref() != Some(&summary.text)),
            // The gathered context is still returned if nothing can be stored.
            Err(_unkept) => false,
        }
    }
}
