//! `knowledge_base` over an external index: Chroma or Pinecone. Every chunk there names its tenant and customer,
//! whoever stored it, and no caller sees those of another.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::fault::Fault;
use baton_core::tool::EffectClass;
use baton_ports::embed::{Embedder, EmbeddingRole};
use baton_ports::memory::TOP_DEFAULT;
use serde_json::{Map, Value, json};

use super::chroma::ChromaIndex;
use super::external_chunks::VectorRecord;
use super::pinecone::PineconeIndex;
use super::{CUSTOMER, TENANT};
use crate::code;
use crate::providers::memory::{count, embed_failure};
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;

/// Slightly less than the tool's own time-out, so that a slow index is reported by its name.
const INDEX_TIMEOUT: Duration = Duration::from_millis(2_700);

pub(super) enum ExternalIndex {
    Chroma(ChromaIndex),
    Pinecone(PineconeIndex),
}

/// A passage that was found.
pub(super) struct ExternalHit {
    pub(super) id: String,
    pub(super) content: String,
    /// Higher is better.
    pub(super) score: f64,
    pub(super) metadata: Map<String, Value>,
}

/// A search query.
pub(super) struct ExternalQuery<'r> {
    pub(super) query: &'r str,
    pub(super) tenant: &'r str,
    pub(super) top: usize,
    /// In the operators that Chroma and Pinecone share: `$eq`, `$in`, `$and`.
    pub(super) filter: Value,
}

impl ExternalIndex {
    /// Returns whether the index computes embeddings itself.
    pub(super) fn embeds(&self) -> bool {
        matches!(self, Self::Pinecone(pinecone) if pinecone.is_integrated())
    }

    pub(super) async fn put(&self, tenant: &str, records: &[VectorRecord]) -> Result<(), ToolError> {
        match self {
            Self::Chroma(chroma) => chroma.put(tenant, records).await,
            Self::Pinecone(pinecone) => pinecone.put(tenant, records).await,
        }
    }

    /// Deletes what matches a filter. Succeeds only if a search no longer finds any of it.
    pub(super) async fn delete(&self, tenant: &str, filter: &Value) -> Result<(), ToolError> {
        match self {
            Self::Chroma(chroma) => chroma.delete(tenant, filter).await,
            Self::Pinecone(pinecone) => pinecone.delete(tenant, filter).await,
        }
    }
}

pub(super) struct ExternalKnowledgeTool {
    pub(super) index: ExternalIndex,
    pub(super) embedder: Option<Arc<dyn Embedder>>,
}

#[async_trait]
impl ToolHandler for ExternalKnowledgeTool {
    /// Searches. An index that does not respond is an outage: its circuit counts it, and `on_unavailable` decides
    /// what happens; the default is an empty result that says so. A refusal is different: somebody must correct the
    /// settings.
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let wanted = ExternalQuery {
            query: request.text("query").unwrap_or_default(),
            tenant: request.call.tenant.as_str(),
            top: count(request, "top_k", TOP_DEFAULT),
            filter: filter(
                request.call.tenant.as_str(),
                request.call.caller.user_id.as_deref(),
                request.argument("filters"),
            ),
        };
        let found = match tokio::time::timeout(INDEX_TIMEOUT, self.search(&wanted)).await {
            Ok(found) => found,
            Err(_elapsed) => {
                let message = format!("{} gave no answer within {} ms", self.name(), INDEX_TIMEOUT.as_millis());
                Err(ToolError::indeterminate(EffectClass::Read, Fault::new(code::TIMEOUT, message)))
            }
        };
        found.map(|hits| self.output(wanted.query, hits))
    }

    fn service<'a>(&'a self, _request: &'a PreparedRequest) -> Option<Cow<'a, str>> {
        Some(Cow::Borrowed(self.name()))
    }
}

impl ExternalKnowledgeTool {
    pub(super) fn name(&self) -> &'static str {
        match self.index {
            ExternalIndex::Chroma(_) => super::chroma::NAME,
            ExternalIndex::Pinecone(_) => super::pinecone::NAME,
        }
    }

    async fn search(&self, wanted: &ExternalQuery<'_>) -> Result<Vec<ExternalHit>, ToolError> {
        match &self.index {
            ExternalIndex::Chroma(chroma) => chroma.search(wanted, &self.embedded(wanted).await?).await,
            ExternalIndex::Pinecone(pinecone) if pinecone.is_integrated() => pinecone.search_text(wanted).await,
            ExternalIndex::Pinecone(pinecone) => pinecone.search_vector(wanted, &self.embedded(wanted).await?).await,
        }
    }

    async fn embedded(&self, wanted: &ExternalQuery<'_>) -> Result<Vec<f32>, ToolError> {
        let unavailable = |reason: String| ToolError::transient(code::SERVICE_UNAVAILABLE, reason);
        let Some(embedder) = &self.embedder else { return Err(unavailable("there is no embedder".to_owned())) };
        let vectors = embedder.embed(&wanted.tenant.into(), &[wanted.query.to_owned()], EmbeddingRole::Query).await;
        let vectors = vectors.map_err(|error| embed_failure(&error))?;
        vectors.into_iter().next().ok_or_else(|| unavailable("the embedder made no vector".to_owned()))
    }

    /// Returns the same fields as passages from Baton's own memory.
    fn output(&self, query: &str, hits: Vec<ExternalHit>) -> Value {
        let passage = |(number, hit): (usize, ExternalHit)| {
            let told = |names: &[&str]| names.iter().find_map(|name| hit.metadata.get(*name)?.as_str());
            json!({
                "content": hit.content, "score": hit.score, "citation": number,
                "document": told(&["document", "source"]).unwrap_or(&hit.id), "title": told(&["title"]).unwrap_or_default(),
                "heading": told(&["heading"]).unwrap_or_default(), "id": hit.id, "metadata": hit.metadata,
            })
        };
        let results: Vec<Value> = (1..).zip(hits).map(passage).collect();
        json!({
            "query": query, "count": results.len(), "results": results, "degraded": false, "provider": self.name(),
        })
    }
}

/// Builds the filter in the syntax of both services, for example from `{lang: es, kind: [a, b]}`. It also restricts
/// the search to the tenant's own chunks, about no person or about the person the run serves.
fn filter(tenant: &str, customer: Option<&str>, given: &Value) -> Value {
    let one = |(name, value): (&String, &Value)| match value {
        Value::Array(_) => json!({name: {"$in": value}}),
        value => json!({name: {"$eq": value}}),
    };
    let whose: Vec<&str> = std::iter::once("").chain(customer).collect();
    let mut conditions = vec![json!({TENANT: {"$eq": tenant}}), json!({CUSTOMER: {"$in": whose}})];
    conditions.extend(given.as_object().into_iter().flatten().map(one));
    json!({"$and": conditions})
}

/// The error of deleted chunks that are still found.
pub(super) fn not_deleted(name: &str) -> ToolError {
    ToolError::transient(code::SERVICE_UNAVAILABLE, format!("{name} still has what was to be deleted"))
}

/// The error of a response in an undocumented format; it may be retried.
pub(super) fn unreadable_response(name: &str) -> ToolError {
    ToolError::transient(code::SERVICE_UNAVAILABLE, format!("{name} answered something that is no list of passages"))
}
