//! `rag_query`: searches the knowledge base in rounds, until a model decides that the passages answer the question.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::tool::{EffectClass, ToolContract};
use baton_ports::memory::{
    InquiryEnd, InquiryRequest, InquiryResult, MemoryStore, QUERY_BYTES_MAX, ROUND_TOP_MAX, ROUNDS_MAX, TOP_DEFAULT,
};
use serde_json::{Value, json};

use super::knowledge::numbered;
use super::{AUDIT_TYPE, CATEGORY, PROVIDER, asker, count, failure, filter, filters_schema};
use crate::catalogue::{ActionSpec, ToolEntry, ToolRisk};
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;

/// Time for three searches and three judgements.
const TIMEOUT: Duration = Duration::from_secs(100);

pub(super) fn entry(memory: Arc<dyn MemoryStore>) -> ToolEntry {
    let fields =
        ["query", "results", "count", "sufficient", "missing", "rounds", "stopped", "cost_usd", "degraded", "provider"];
    let facts = ToolContract {
        description: "Searches the knowledge base in rounds until what is found answers the question".to_owned(),
        output_fields: fields.map(str::to_owned).into(),
        parameters: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["query"],
            "properties": {
                "query": {
                    "type": "string", "minLength": 1, "maxLength": QUERY_BYTES_MAX,
                    "description": "The whole question, as a person would ask it",
                },
                "top_k": {
                    "type": "integer", "minimum": 1, "maximum": ROUND_TOP_MAX, "default": TOP_DEFAULT,
                    "description": "Passages of each round",
                },
                "max_rounds": {"type": "integer", "minimum": 1, "maximum": ROUNDS_MAX, "default": ROUNDS_MAX},
                "filters": filters_schema(),
            },
        }),
        ..ToolContract::new(EffectClass::Read, TIMEOUT)
    };
    let action = ActionSpec::new(facts, AUDIT_TYPE, ToolRisk::Low);
    ToolEntry::new("rag_query", CATEGORY, PROVIDER, action, Arc::new(RagQuery { memory }))
}

struct RagQuery {
    memory: Arc<dyn MemoryStore>,
}

#[async_trait]
impl ToolHandler for RagQuery {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let question = request.text("query").unwrap_or_default();
        let inquiry = InquiryRequest {
            question: question.to_owned(),
            top: count(request, "top_k", TOP_DEFAULT),
            rounds: count(request, "max_rounds", ROUNDS_MAX),
            filter: filter(request),
        };
        let inquired = self.memory.inquire(&asker(request), &inquiry).await;
        inquired.map(|inquired| output(question, &inquired)).map_err(|error| failure(&error))
    }
}

fn output(question: &str, inquired: &InquiryResult) -> Value {
    let last = inquired.rounds.last();
    let mut output = json!({
        "query": question,
        "results": numbered(&inquired.passages),
        "count": inquired.passages.len(),
        // Passages that no model judged are not reported as sufficient.
        "sufficient": inquired.stopped == InquiryEnd::Sufficient,
        "missing": inquired.rounds.iter().rev().find_map(|round| round.missing.clone()).filter(|_| {
            inquired.stopped != InquiryEnd::Sufficient
        }),
        "rounds": inquired.rounds,
        "stopped": inquired.stopped,
        "cost_usd": inquired.cost.as_f64(),
        "degraded": inquired.degraded.is_some() || last.is_some_and(|round| round.sufficient.is_none()),
        "provider": PROVIDER,
    });
    if let Some(reason) = &inquired.degraded {
        output["degraded_reason"] = json!(reason);
    }
    output
}
