//! `knowledge_base`: passages of the tenant's documents, with where they are from.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::tool::{Class, Facts};
use baton_ports::memory::{Cited, Error, Memory, QUERY_BYTES_MAX, Search, TOP_DEFAULT, TOP_MAX};
use serde_json::{Value, json};

use super::{AUDIT_TYPE, CATEGORY, PROVIDER, count, failure, filter, filters_schema, word};
use crate::catalogue::{Action, Entry, Risk};
use crate::failure::Failure;
use crate::rate::Rate;
use crate::request::Request;
use crate::tool::Tool;

/// Seed 000's.
const TIMEOUT: Duration = Duration::from_secs(3);

pub(super) fn entry(memory: Arc<dyn Memory>) -> Entry {
    let facts = Facts {
        description: "Searches the knowledge base for passages that answer a question".to_owned(),
        output_fields: ["query", "results", "count", "degraded", "provider"].map(str::to_owned).into(),
        parameters: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["query"],
            "properties": {
                "query": {
                    "type": "string", "minLength": 1, "maxLength": QUERY_BYTES_MAX,
                    "description": "What to look for, in words the answer is likely to use",
                },
                "top_k": {"type": "integer", "minimum": 1, "maximum": TOP_MAX, "default": TOP_DEFAULT},
                "filters": filters_schema(),
                "mode": {
                    "enum": ["hybrid", "vector", "text"], "default": "hybrid",
                    "description": "By likeness and by words, or by one of them",
                },
            },
        }),
        ..Facts::new(Class::Read, TIMEOUT)
    };
    let action = Action::new(facts, AUDIT_TYPE, Risk::Low);
    Entry::new("knowledge_base", CATEGORY, PROVIDER, action, Arc::new(KnowledgeBase { memory }))
        .at_most(Rate::per_minute(200))
}

struct KnowledgeBase {
    memory: Arc<dyn Memory>,
}

#[async_trait]
impl Tool for KnowledgeBase {
    /// A customer is better served with nothing than with an error: where the knowledge base cannot be read, it is empty
    /// and says so (seed 000, 2.3).
    async fn attempt(&self, request: &Request) -> Result<Value, Failure> {
        let query = request.text("query").unwrap_or_default();
        let search = Search {
            top: count(request, "top_k", TOP_DEFAULT),
            filter: filter(request),
            mode: word(request, "mode"),
            ..Search::knowledge(query)
        };
        match self.memory.search(&request.call.tenant, &search).await {
            Ok(found) => Ok(output(query, &found.passages, found.degraded)),
            Err(error @ (Error::Embedding(_) | Error::Unreadable { .. } | Error::Busy { .. })) => {
                Ok(output(query, &[], Some(error.to_string())))
            }
            Err(error) => Err(failure(&error)),
        }
    }
}

/// Passages with the numbers they are cited by.
pub(super) fn numbered(passages: &[Cited]) -> Vec<Value> {
    let numbered = |(number, passage): (usize, &Cited)| {
        let mut result = json!(passage);
        result["citation"] = json!(number);
        result
    };
    (1..).zip(passages).map(numbered).collect()
}

fn output(query: &str, passages: &[Cited], degraded: Option<String>) -> Value {
    let mut output = json!({
        "query": query, "count": passages.len(), "results": numbered(passages), "degraded": degraded.is_some(),
        "provider": PROVIDER,
    });
    if let Some(reason) = degraded {
        output["degraded_reason"] = json!(reason);
    }
    output
}
