//! `knowledge_base`: passages of the tenant's documents with their sources, from Baton's own memory or from an
//! external index.

mod chroma;
mod config;
mod external;
mod external_chunks;
mod pinecone;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::money::Usd;
use baton_core::tool::{EffectClass, RetryPolicy, ToolContract};
use baton_ports::embed::Embedder;
use baton_ports::memory::{self, CitedPassage, MemoryStore, QUERY_BYTES_MAX, SearchRequest, TOP_DEFAULT, TOP_MAX};
use serde_json::{Value, json};

use super::{AUDIT_TYPE, CATEGORY, PROVIDER, count, failure, filter, filters_schema, word};
use crate::by_tenant::ByTenant;
use crate::catalogue::{ActionSpec, ProviderOption, ToolEntry, ToolPerformer, ToolRisk};
use crate::config::{BoundSecret, SecretString, ToolsConfig};
use crate::error::ToolSetupError;
use crate::outbound::OutboundClient;
use crate::rate::CallRate;
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;

use self::chroma::ChromaIndex;
use self::external::{ExternalIndex, ExternalKnowledgeTool};
use self::pinecone::PineconeIndex;
pub use config::{ChromaConfig, KnowledgeConfig, PineconeConfig};
pub use external_chunks::{ExternalKnowledgeBase, IndexedChunk};

/// Time-out of one search.
const TIMEOUT: Duration = Duration::from_secs(3);

const OFFERED: &[ProviderOption] = &[
    ProviderOption::free(PROVIDER, &[]),
    ProviderOption::free(chroma::NAME, &["knowledge.chroma.base_url"]),
    ProviderOption::free(pinecone::NAME, &["knowledge.pinecone.host", "knowledge.pinecone.api_key"]).at(PINECONE_USD),
];
/// The fields of every chunk in an external index that name its tenant, its customer and its document. An empty
/// customer means everybody.
const TENANT: &str = "tenant";
const CUSTOMER: &str = "customer";
const DOCUMENT: &str = "document";
/// Pinecone's price of a query, in US dollars.
const PINECONE_USD: f64 = 0.002;

pub(super) fn entry(
    settings: &ToolsConfig,
    memory: &Arc<dyn MemoryStore>,
    embedder: Option<&Arc<dyn Embedder>>,
    outbound: &Arc<OutboundClient>,
) -> Result<ToolEntry, ToolSetupError> {
    let knowledge = ByTenant::read(settings, settings.knowledge.clone(), |tenant| tenant.knowledge.clone());
    let performers = knowledge.try_map(|place, knowledge| {
        knowledge.check().map_err(|reason| ToolSetupError::Setting { place: "knowledge", reason })?;
        Ok::<_, ToolSetupError>(performer(knowledge, place, &settings.secrets, memory, embedder, outbound))
    })?;
    let facts = ToolContract {
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
        // A caller waits for the passages, so retries are few and short.
        retry: RetryPolicy { max_attempts: 2, initial: Duration::from_millis(200), ..RetryPolicy::default() },
        ..ToolContract::new(EffectClass::Read, TIMEOUT)
    };
    let action = ActionSpec::new(facts, AUDIT_TYPE, ToolRisk::Low);
    let entry = ToolEntry::with_performers("knowledge_base", CATEGORY, performers, action);
    Ok(entry.with_offers(OFFERED).with_rate(CallRate::per_minute(200)))
}

fn performer(
    config: &KnowledgeConfig,
    place: &str,
    secrets: &BTreeMap<String, BoundSecret>,
    memory: &Arc<dyn MemoryStore>,
    embedder: Option<&Arc<dyn Embedder>>,
    outbound: &Arc<OutboundClient>,
) -> ToolPerformer {
    match index(config, place, secrets, outbound) {
        None => ToolPerformer::new(PROVIDER, EffectClass::Read, Arc::new(KnowledgeBase { memory: memory.clone() })),
        Some(Err((name, setting))) => ToolPerformer::unavailable(name, EffectClass::Read, setting),
        Some(Ok(index)) => {
            let cost = match &index {
                ExternalIndex::Chroma(_) => Usd::ZERO,
                ExternalIndex::Pinecone(_) => Usd::from_f64(PINECONE_USD),
            };
            let tool = ExternalKnowledgeTool { index, embedder: embedder.cloned() };
            ToolPerformer::new(tool.name(), EffectClass::Read, Arc::new(tool)).with_cost(cost)
        }
    }
}

/// Returns the external index of these settings, or the provider and the setting that it lacks.
fn index(
    config: &KnowledgeConfig,
    place: &str,
    secrets: &BTreeMap<String, BoundSecret>,
    outbound: &Arc<OutboundClient>,
) -> Option<Result<ExternalIndex, (&'static str, String)>> {
    if let Some(config) = &config.chroma {
        let token = config.token.as_ref().map(|token| {
            SecretString::required(Some(token), || format!("{place}.knowledge.chroma.token"), secrets, &config.base_url)
        });
        let chroma = |token| ExternalIndex::Chroma(ChromaIndex::new(config, token, outbound.clone()));
        return Some(token.transpose().map(chroma).map_err(|setting| (chroma::NAME, setting)));
    }
    let config = config.pinecone.as_ref()?;
    let setting = || format!("{place}.knowledge.pinecone.api_key");
    let key = SecretString::required(config.api_key.as_ref(), setting, secrets, &config.host);
    let pinecone = |key| ExternalIndex::Pinecone(PineconeIndex::new(config, key, outbound.clone()));
    Some(key.map(pinecone).map_err(|setting| (pinecone::NAME, setting)))
}

struct KnowledgeBase {
    memory: Arc<dyn MemoryStore>,
}

#[async_trait]
impl ToolHandler for KnowledgeBase {
    /// Searches. A missing knowledge base serves a customer better than an error: if it cannot be read, the result is
    /// empty and says so.
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let query = request.text("query").unwrap_or_default();
        let search = SearchRequest {
            top: count(request, "top_k", TOP_DEFAULT),
            filter: filter(request),
            mode: word(request, "mode"),
            ..SearchRequest::knowledge(query)
        };
        match self.memory.search(&request.call.tenant, &search).await {
            Ok(found) => Ok(output(query, &found.passages, found.degraded)),
            Err(
                error @ (memory::MemoryError::Embedding(_)
                | memory::MemoryError::Unreadable { .. }
                | memory::MemoryError::Busy { .. }),
            ) => Ok(output(query, &[], Some(error.to_string()))),
            Err(error) => Err(failure(&error)),
        }
    }
}

/// Passages with their citation numbers.
pub(super) fn numbered(passages: &[CitedPassage]) -> Vec<Value> {
    let numbered = |(number, passage): (usize, &CitedPassage)| {
        let mut result = json!(passage);
        result["citation"] = json!(number);
        result
    };
    (1..).zip(passages).map(numbered).collect()
}

fn output(query: &str, passages: &[CitedPassage], degraded: Option<String>) -> Value {
    let mut output = json!({
        "query": query, "count": passages.len(), "results": numbered(passages), "degraded": degraded.is_some(),
        "provider": PROVIDER,
    });
    if let Some(reason) = degraded {
        output["degraded_reason"] = json!(reason);
    }
    output
}
