//! Chunks of documents that Baton stores in an external index, each with its owner. After a deletion, Baton searches
//! for the chunks, so that nothing is reported as deleted while it still exists.

use std::sync::Arc;
use std::time::Duration;

use baton_core::bundle::ContentHash;
use baton_core::fault::Fault;
use baton_core::id::TenantId;
use baton_ports::embed::{Embedder, EmbeddingRole};
use baton_ports::index::SourceDocument;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::external::ExternalIndex;
use super::{CUSTOMER, DOCUMENT, KnowledgeConfig, TENANT, chroma, index, pinecone};
use crate::by_tenant::ByTenant;
use crate::code;
use crate::config::ToolsConfig;
use crate::error::ToolSetupError;
use crate::outbound::OutboundClient;
use crate::providers::memory::embed_failure;
use crate::tool_error::ToolError;

/// Number of chunks sent at once.
const AT_ONCE: usize = 64;
/// Maximum number of attempts if a service does not respond, and the first delay between them.
const TRIES: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// The external index of a tenant's settings.
pub struct ExternalKnowledgeBase {
    index: ExternalIndex,
    embedder: Arc<dyn Embedder>,
    tenant: TenantId,
}

/// A chunk of a document's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedChunk {
    /// The headings above it.
    pub heading: String,
    /// Bytes `begins..ends` of the document's text.
    pub begins: usize,
    pub ends: usize,
}

/// A chunk in the form that the services store.
pub(super) struct VectorRecord {
    pub(super) id: String,
    pub(super) vector: Vec<f32>,
    pub(super) text: String,
    pub(super) metadata: Map<String, Value>,
}

impl ExternalKnowledgeBase {
    /// Returns `None` if the tenant's knowledge is in Baton's own memory.
    ///
    /// # Errors
    /// Names the setting that cannot be used.
    pub fn of(
        settings: &ToolsConfig,
        tenant: &TenantId,
        embedder: Arc<dyn Embedder>,
    ) -> Result<Option<Self>, ToolSetupError> {
        let outbound = Arc::new(OutboundClient::new(settings.outbound.clone()));
        let wrong = |reason| ToolSetupError::Setting { place: "knowledge", reason };
        let all = ByTenant::read(settings, settings.knowledge.clone(), |tenant| tenant.knowledge.clone());
        let all = all.try_map(|place, config: &KnowledgeConfig| {
            config.check().map_err(wrong)?;
            Ok::<_, ToolSetupError>(index(config, place, &settings.secrets, &outbound))
        })?;
        match all.into_tenant(tenant) {
            None => Ok(None),
            Some(Ok(index)) => Ok(Some(Self { index, embedder, tenant: tenant.clone() })),
            Some(Err((name, setting))) => Err(wrong(format!("`{name}` lacks the setting `{setting}`"))),
        }
    }

    /// The service's name.
    pub fn name(&self) -> &'static str {
        match self.index {
            ExternalIndex::Chroma(_) => chroma::NAME,
            ExternalIndex::Pinecone(_) => pinecone::NAME,
        }
    }

    /// Replaces the chunks of a document.
    ///
    /// # Errors
    /// Why some chunks are missing. Repeating the call repairs that.
    pub async fn upsert(&self, document: &SourceDocument, pieces: &[IndexedChunk]) -> Result<(), Fault> {
        self.remove(&document.name).await?;
        let numbered: Vec<(usize, &IndexedChunk)> = pieces.iter().enumerate().collect();
        for some in numbered.chunks(AT_ONCE) {
            let records = self.records(document, some).await.map_err(fault)?;
            self.with_retries(|| self.index.put(self.tenant.as_str(), &records).boxed()).await?;
        }
        Ok(())
    }

    /// # Errors
    /// Why it may still exist.
    pub async fn remove(&self, document: &str) -> Result<(), Fault> {
        self.delete(DOCUMENT, document).await
    }

    /// Removes everything about a person.
    ///
    /// # Errors
    /// Why some of it may still exist.
    pub async fn remove_customer(&self, customer: &str) -> Result<(), Fault> {
        // Chunks about no person belong to everybody.
        if customer.is_empty() {
            return Err(Fault::new(code::INVALID_PARAMETERS, "a customer's id is empty"));
        }
        self.delete(CUSTOMER, customer).await
    }

    async fn delete(&self, field: &str, value: &str) -> Result<(), Fault> {
        let tenant = self.tenant.as_str();
        let theirs = json!({"$and": [{TENANT: {"$eq": tenant}}, {field: {"$eq": value}}]});
        self.with_retries(|| self.index.delete(tenant, &theirs).boxed()).await
    }

    async fn records(
        &self,
        document: &SourceDocument,
        pieces: &[(usize, &IndexedChunk)],
    ) -> Result<Vec<VectorRecord>, ToolError> {
        let text_of = |piece: &IndexedChunk| document.text.get(piece.begins..piece.ends).unwrap_or_default().to_owned();
        let texts: Vec<String> =
            pieces.iter().map(|(_, piece)| format!("{}\n{}", piece.heading, text_of(piece))).collect();
        let vectors = if self.index.embeds() {
            vec![Vec::new(); texts.len()]
        } else {
            let vectors = self.embedder.embed(&self.tenant.as_str().into(), &texts, EmbeddingRole::Passage).await;
            vectors.map_err(|error| embed_failure(&error))?
        };
        let record = |((number, piece), vector): (&(usize, &IndexedChunk), Vec<f32>)| {
            let place = format!("{}\u{1f}{}\u{1f}{number}", self.tenant, document.name);
            // Baton's own fields are added last, so that no field of a document can override its owner.
            let mut metadata: Map<String, Value> =
                document.metadata.iter().filter(|(_, value)| !value.is_array()).map(owned).collect();
            metadata.insert(TENANT.to_owned(), json!(self.tenant.as_str()));
            metadata.insert(CUSTOMER.to_owned(), json!(document.subject.as_deref().unwrap_or_default()));
            metadata.insert(DOCUMENT.to_owned(), json!(document.name));
            metadata.insert("title".to_owned(), json!(document.title));
            metadata.insert("heading".to_owned(), json!(piece.heading));
            metadata.insert("chunk".to_owned(), json!(number));
            VectorRecord {
                id: ContentHash::of(place.as_bytes()).as_str().to_owned(),
                vector,
                text: text_of(piece),
                metadata,
            }
        };
        Ok(pieces.iter().zip(vectors).map(record).collect())
    }

    /// Retries if the service does not respond.
    async fn with_retries<'a>(&self, act: impl Fn() -> BoxFuture<'a, Result<(), ToolError>>) -> Result<(), Fault> {
        let mut wait = FIRST_WAIT;
        for tries in 1.. {
            match act().await {
                Ok(()) => return Ok(()),
                Err(ToolError::NotDone { retryable: true, .. }) if tries < TRIES => {
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                Err(failure) => return Err(fault(failure)),
            }
        }
        Ok(())
    }
}

fn owned((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

fn fault(failure: ToolError) -> Fault {
    failure.fault().clone()
}
