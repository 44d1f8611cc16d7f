//! What agents remember, as tools: `knowledge_base`, `rag_query`, `get_context`, `remember_message`, `close_conversation`,
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
use baton_ports::index::{Filter, Whose};
use baton_ports::memory::{Error, Memory};
use baton_ports::models::Asker;
use serde_json::Value;

use crate::catalogue::Entry;
use crate::code;
use crate::config::Config;
use crate::failure::Failure;
use crate::outbound::Outbound;
use crate::request::Request;

/// What the audit calls these calls, and who performs them.
const AUDIT_TYPE: &str = "tool_execution";
const CATEGORY: &str = "memory";
const PROVIDER: &str = "internal";

pub(crate) fn entries(
    config: &Config,
    memory: &Arc<dyn Memory>,
    embedder: Option<&Arc<dyn Embedder>>,
    clock: &Arc<dyn Clock>,
    outbound: &Arc<Outbound>,
) -> Result<Vec<Entry>, crate::error::Error> {
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

/// The documents a run may see: those about nobody, and those about the person it is for.
fn filter(request: &Request) -> Filter {
    let fields = request.argument("filters").as_object().cloned().unwrap_or_default();
    Filter { whose: Whose::SharedWith(request.call.caller.user_id.clone()), metadata: fields.into_iter().collect() }
}

/// The conversation that is meant. A workflow may name any; an agent, which a customer may have talked into it, only the
/// one it is in.
fn own_conversation(request: &Request) -> Result<Option<String>, Failure> {
    let own = request.call.caller.conversation_id.as_deref();
    let asked = request.text("conversation_id");
    match (&request.call.agent, asked) {
        (Some(agent), Some(asked)) if own != Some(asked) => {
            let message =
                format!("agent `{agent}` asked for the conversation `{asked}`, which is not the one it is in");
            Err(Failure::refused(code::TOOL_NOT_ALLOWED, message))
        }
        (_, asked) => Ok(asked.or(own).map(str::to_owned)),
    }
}

/// The run asks; what it costs is the run's, under a key of this call's. A consumer's own key is not shown to tools, and
/// another does not pay in its stead: then no model is asked.
fn asker(request: &Request) -> Asker {
    let call = &request.call;
    Asker {
        run: Some(call.run.clone()),
        key_id: call.caller.key_id.clone(),
        lost_key: call.caller.own_key,
        language: call.caller.language.clone(),
        tab: Some(request.tab.clone()),
        traceparent: call.caller.traceparent.clone(),
        ..Asker::of(call.tenant.clone(), call.key.as_str())
    }
}

/// A count among the arguments; the schema has checked that it is one.
fn count(request: &Request, name: &str, otherwise: usize) -> usize {
    request.argument(name).as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(otherwise)
}

/// A word among the arguments, as the type it stands for.
fn word<T: serde::de::DeserializeOwned + Default>(request: &Request, name: &str) -> T {
    serde_json::from_value(request.argument(name).clone()).unwrap_or_default()
}

fn failure(error: &Error) -> Failure {
    match error {
        Error::TooLarge { .. }
        | Error::Invalid { .. }
        | Error::NotFound { .. }
        | Error::Full { .. }
        | Error::Forgotten { .. }
        | Error::OtherEmbedder { .. } => Failure::refused(code::INVALID_PARAMETERS, error.to_string()),
        Error::Embedding(error) => unembedded(error),
        Error::Busy { .. } | Error::Unwritable { .. } | Error::Unreadable { .. } => {
            Failure::later(code::STORAGE_UNAVAILABLE, error.to_string())
        }
    }
}

/// Why there are no vectors.
fn unembedded(error: &embed::Error) -> Failure {
    match error {
        embed::Error::Unpaid { code, retry_after, .. } => {
            let retry_after = retry_after.and_then(|wait| u64::try_from(wait.as_millis()).ok());
            Failure::NotDone { fault: Fault::new(code.clone(), error.to_string()), retryable: false, retry_after }
        }
        embed::Error::Unavailable { .. } | embed::Error::Rejected { .. } => {
            Failure::later(code::SERVICE_UNAVAILABLE, error.to_string())
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
