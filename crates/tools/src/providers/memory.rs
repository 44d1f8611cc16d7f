//! Agent memory as tools: `knowledge_base`, `rag_query`, `get_context`, `remember_message`, `close_conversation`,
//! `similar_executions`, `record_execution`.

mod context;
mod conversation;
mod executions;
pub(crate) mod knowledge;
mod rag;

use std::sync::Arc;

use baton_core::fault::Fault;
use baton_ports::clock::Clock;
use baton_ports::embed::{self, Embedder};
use baton_ports::index::{DocumentFilter, SubjectFilter};
use baton_ports::memory::{MemoryError, MemoryStore};
use baton_ports::models::ModelCaller;
use serde_json::Value;

use crate::catalogue::ToolEntry;
use crate::code;
use crate::config::ToolsConfig;
use crate::outbound::OutboundClient;
use crate::request::PreparedRequest;
use crate::tool_error::ToolError;

/// The action type of these calls in the audit, and their provider.
const AUDIT_TYPE: &str = "tool_execution";
const CATEGORY: &str = "memory";
const PROVIDER: &str = "internal";

pub(crate) fn entries(
    config: &ToolsConfig,
    memory: &Arc<dyn MemoryStore>,
    embedder: Option<&Arc<dyn Embedder>>,
    clock: &Arc<dyn Clock>,
    outbound: &Arc<OutboundClient>,
) -> Result<Vec<ToolEntry>, crate::error::ToolSetupError> {
    Ok(vec![
        knowledge::entry(config, memory, embedder, outbound)?,
        rag::entry(memory.clone()),
        context::entry(memory.clone()),
        conversation::remember_entry(memory.clone(), clock.clone()),
        conversation::close_entry(memory.clone()),
        executions::similar_entry(memory.clone()),
        executions::record_entry(memory.clone(), clock.clone()),
    ])
}

/// The documents that a run may read: those about no person, and those about the person it serves.
fn filter(request: &PreparedRequest) -> DocumentFilter {
    let fields = request.argument("filters").as_object().cloned().unwrap_or_default();
    DocumentFilter {
        subject: SubjectFilter::SharedWith(request.call.caller.user_id.clone()),
        metadata: fields.into_iter().collect(),
    }
}

/// Returns the conversation of the call. A workflow may name any conversation. An agent may use only its current one,
/// because a customer may have talked it into another.
fn own_conversation(request: &PreparedRequest) -> Result<Option<String>, ToolError> {
    let own = request.call.caller.conversation_id.as_deref();
    let asked = request.text("conversation_id");
    match (&request.call.agent, asked) {
        (Some(agent), Some(asked)) if own != Some(asked) => {
            let message =
                format!("agent `{agent}` asked for the conversation `{asked}`, which is not the one it is in");
            Err(ToolError::permanent(code::TOOL_NOT_ALLOWED, message))
        }
        (_, asked) => Ok(asked.or(own).map(str::to_owned)),
    }
}

/// The run is the caller; costs are charged to the run, under a key of this call. A consumer's own provider key is
/// not available to tools, and no other key pays instead: then no model is called.
fn asker(request: &PreparedRequest) -> ModelCaller {
    let call = &request.call;
    ModelCaller {
        run: Some(call.run.clone()),
        key_id: call.caller.key_id.clone(),
        key_is_missing: call.caller.own_key,
        language: call.caller.language.clone(),
        charges: Some(request.tab.clone()),
        traceparent: call.caller.traceparent.clone(),
        ..ModelCaller::of(call.tenant.clone(), call.key.as_str())
    }
}

/// Reads a count from the arguments; the schema has validated it.
fn count(request: &PreparedRequest, name: &str, otherwise: usize) -> usize {
    request.argument(name).as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(otherwise)
}

/// Reads a word from the arguments as its enum type.
fn word<T: serde::de::DeserializeOwned + Default>(request: &PreparedRequest, name: &str) -> T {
    serde_json::from_value(request.argument(name).clone()).unwrap_or_default()
}

fn failure(error: &MemoryError) -> ToolError {
    match error {
        MemoryError::TooLarge { .. }
        | MemoryError::Invalid { .. }
        | MemoryError::NotFound { .. }
        | MemoryError::Full { .. }
        | MemoryError::Forgotten { .. }
        | MemoryError::OtherEmbedder { .. } => ToolError::permanent(code::INVALID_PARAMETERS, error.to_string()),
        MemoryError::Embedding(error) => embed_failure(error),
        MemoryError::Busy { .. } | MemoryError::Unwritable { .. } | MemoryError::Unreadable { .. } => {
            ToolError::transient(code::STORAGE_UNAVAILABLE, error.to_string())
        }
    }
}

/// Maps a failure to compute embeddings.
fn embed_failure(error: &embed::EmbeddingError) -> ToolError {
    match error {
        embed::EmbeddingError::OverBudget { code, retry_after, .. } => {
            let retry_after = retry_after.and_then(|wait| u64::try_from(wait.as_millis()).ok());
            ToolError::NotDone { fault: Fault::new(code.clone(), error.to_string()), retryable: false, retry_after }
        }
        embed::EmbeddingError::Unavailable { .. } | embed::EmbeddingError::Rejected { .. } => {
            ToolError::transient(code::SERVICE_UNAVAILABLE, error.to_string())
        }
    }
}

/// The schema of `filters`.
fn filters_schema() -> Value {
    serde_json::json!({
        "type": "object",
        "maxProperties": 16,
        "description": "Only documents whose metadata has these values; a list means any of them",
    })
}

#[cfg(test)]
mod tests;
