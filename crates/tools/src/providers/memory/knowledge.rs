//! `knowledge_base`: passages of the tenant's documents, with where they are from. They are in Baton's own memory, or in an
//! index outside.

mod chroma;
mod config;
mod outside;
mod pieces;
mod pinecone;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::money::Usd;
use baton_core::tool::{Class, Facts, Retry};
use baton_ports::embed::Embedder;
use baton_ports::memory::{self, Cited, Memory, QUERY_BYTES_MAX, Search, TOP_DEFAULT, TOP_MAX};
use serde_json::{Value, json};

use super::{AUDIT_TYPE, CATEGORY, PROVIDER, count, failure, filter, filters_schema, word};
use crate::by_tenant::ByTenant;
use crate::catalogue::{Action, Entry, Offered, Performer, Risk};
use crate::config::{Bound, Config as Settings, Secret};
use crate::error::Error;
use crate::failure::Failure;
use crate::outbound::Outbound;
use crate::rate::Rate;
use crate::request::Request;
use crate::tool::Tool;

use self::chroma::Chroma;
use self::outside::{Index, Outside};
use self::pinecone::Pinecone;
pub use config::{ChromaConfig, Config, PineconeConfig};
pub use pieces::{Piece, Pieces};

/// How long one search may take.
const TIMEOUT: Duration = Duration::from_secs(3);

const OFFERED: &[Offered] = &[
    Offered::free(PROVIDER, &[]),
    Offered::free(chroma::NAME, &["knowledge.chroma.base_url"]),
    Offered::free(pinecone::NAME, &["knowledge.pinecone.host", "knowledge.pinecone.api_key"]).at(PINECONE_USD),
];
/// The fields by which every piece in an index outside says whose it is, and of which document. A customer's name that is
/// empty: everybody's.
const TENANT: &str = "tenant";
const CUSTOMER: &str = "customer";
const DOCUMENT: &str = "document";
/// Pinecone's price of a query, in US dollars.
const PINECONE_USD: f64 = 0.002;

pub(super) fn entry(
    settings: &Settings,
    memory: &Arc<dyn Memory>,
    embedder: Option<&Arc<dyn Embedder>>,
    outbound: &Arc<Outbound>,
) -> Result<Entry, Error> {
    let knowledge = ByTenant::read(settings, settings.knowledge.clone(), |tenant| tenant.knowledge.clone());
    let performers = knowledge.map(|place, knowledge| {
        knowledge.check().map_err(|reason| Error::Setting { place: "knowledge", reason })?;
        Ok::<_, Error>(performer(knowledge, place, &settings.secrets, memory, embedder, outbound))
    })?;
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
        // Somebody waits for the passages: what does not come at once is done without.
        retry: Retry { max_attempts: 2, initial: Duration::from_millis(200), ..Retry::default() },
        ..Facts::new(Class::Read, TIMEOUT)
    };
    let action = Action::new(facts, AUDIT_TYPE, Risk::Low);
    let entry = Entry::by("knowledge_base", CATEGORY, performers, action);
    Ok(entry.offered_by(OFFERED).at_most(Rate::per_minute(200)))
}

fn performer(
    config: &Config,
    place: &str,
    secrets: &BTreeMap<String, Bound>,
    memory: &Arc<dyn Memory>,
    embedder: Option<&Arc<dyn Embedder>>,
    outbound: &Arc<Outbound>,
) -> Performer {
    match index(config, place, secrets, outbound) {
        None => Performer::new(PROVIDER, Class::Read, Arc::new(KnowledgeBase { memory: memory.clone() })),
        Some(Err((name, setting))) => Performer::lacking(name, Class::Read, setting),
        Some(Ok(index)) => {
            let cost = match &index {
                Index::Chroma(_) => Usd::ZERO,
                Index::Pinecone(_) => Usd::from_f64(PINECONE_USD),
            };
            let tool = Outside { index, embedder: embedder.cloned() };
            Performer::new(tool.name(), Class::Read, Arc::new(tool)).costing(cost)
        }
    }
}

/// The index outside that these settings name; or whose, and the setting it lacks.
fn index(
    config: &Config,
    place: &str,
    secrets: &BTreeMap<String, Bound>,
    outbound: &Arc<Outbound>,
) -> Option<Result<Index, (&'static str, String)>> {
    if let Some(config) = &config.chroma {
        let token = config.token.as_ref().map(|token| {
            Secret::needed(Some(token), || format!("{place}.knowledge.chroma.token"), secrets, &config.base_url)
        });
        let chroma = |token| Index::Chroma(Chroma::new(config, token, outbound.clone()));
        return Some(token.transpose().map(chroma).map_err(|setting| (chroma::NAME, setting)));
    }
    let config = config.pinecone.as_ref()?;
    let setting = || format!("{place}.knowledge.pinecone.api_key");
    let key = Secret::needed(config.api_key.as_ref(), setting, secrets, &config.host);
    let pinecone = |key| Index::Pinecone(Pinecone::new(config, key, outbound.clone()));
    Some(key.map(pinecone).map_err(|setting| (pinecone::NAME, setting)))
}

struct KnowledgeBase {
    memory: Arc<dyn Memory>,
}

#[async_trait]
impl Tool for KnowledgeBase {
    /// A customer is better served with nothing than with an error: where the knowledge base cannot be read, it is empty
    /// and says so.
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
            Err(
                error @ (memory::Error::Embedding(_) | memory::Error::Unreadable { .. } | memory::Error::Busy { .. }),
            ) => Ok(output(query, &[], Some(error.to_string()))),
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
