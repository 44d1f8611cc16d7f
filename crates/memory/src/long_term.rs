//! Long-term memory: documents, searchable by meaning and by word.

mod index_write;
mod search;

use std::ops::Range;
use std::sync::Arc;

use baton_core::id::TenantId;
use baton_ports::clock::Clock;
use baton_ports::embed::Embedder;
use baton_ports::index::{
    DocumentHeader, DocumentIndex, DocumentRevision, ForgetWatermark, IndexGeneration, IndexRecipe, MemoryCollection,
    SourceDocument, StoredDocument, SwitchResult,
};
use baton_ports::memory::{AddResult, MemoryError, ReindexResult};
use futures::StreamExt;

use crate::chunk::ChunkPolicy;
use crate::embed::EmbedderSet;
use index_write::IndexOutcome;

/// Documents embedded concurrently while a collection is built: an endpoint takes as long for several as for one.
const BUILT_AT_ONCE: usize = 8;
/// Documents read per page.
const PAGE: usize = 200;

/// The documents of all tenants.
pub(crate) struct LongTermMemory {
    index: Arc<dyn DocumentIndex>,
    embedders: EmbedderSet,
    chunking: ChunkPolicy,
    clock: Arc<dyn Clock>,
}

impl LongTermMemory {
    pub(crate) fn new(
        index: Arc<dyn DocumentIndex>,
        embedders: EmbedderSet,
        chunking: ChunkPolicy,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { index, embedders, chunking, clock }
    }

    /// The embedder that the settings select.
    pub(crate) fn current_embedder(&self) -> Arc<dyn Embedder> {
        self.embedders.current().clone()
    }

    pub(crate) fn split(&self, document: &SourceDocument) -> Vec<(String, Range<usize>)> {
        let chunks = self.chunking.split(&document.title, &document.text);
        chunks.into_iter().map(|chunk| (chunk.heading, chunk.range)).collect()
    }

    #[cfg(test)]
    pub(crate) fn use_embedder(&mut self, embedder: Arc<dyn Embedder>) {
        self.embedders.replace_current(embedder, self.clock.clone());
    }

    /// The watermark of an operation that will store documents about persons. Must be read before anything else.
    pub(crate) async fn watermark(
        &self,
        tenant: &TenantId,
        of: MemoryCollection,
    ) -> Result<ForgetWatermark, MemoryError> {
        let at = self.clock.now();
        Ok(ForgetWatermark { forget_count: self.index.forget_count(tenant, of).await?, at })
    }

    pub(crate) async fn add(
        &self,
        tenant: &TenantId,
        of: MemoryCollection,
        document: SourceDocument,
    ) -> Result<AddResult, MemoryError> {
        let since = self.watermark(tenant, of).await?;
        self.add_since(tenant, of, document, since).await
    }

    /// Uses the recipe of the live generation, so that the document is searchable together with the others. Refused if
    /// the person it is about was forgotten after the watermark.
    pub(crate) async fn add_since(
        &self,
        tenant: &TenantId,
        of: MemoryCollection,
        document: SourceDocument,
        since: ForgetWatermark,
    ) -> Result<AddResult, MemoryError> {
        let generation = match self.live(tenant, of).await? {
            Some(live) => live,
            None => self.index.begin(tenant, of, &self.recipe(), self.clock.now()).await?,
        };
        // Checked before anything is stored: a document that cannot be indexed is refused.
        let embedder = self.embedder(of, &generation)?;
        let (name, subject) = (document.name.clone(), document.subject.clone());
        let Some(DocumentRevision { revision, .. }) =
            self.index.put(tenant, of, document, since, self.clock.now()).await?
        else {
            return Err(MemoryError::Forgotten { person: subject.unwrap_or_default() });
        };
        match self.index_newest(tenant, of, &generation, embedder, &name).await? {
            IndexOutcome::Indexed { pieces } => Ok(AddResult { revision, pieces, unchanged: false }),
            IndexOutcome::Nothing => Ok(AddResult { revision, pieces: 0, unchanged: true }),
        }
    }

    pub(crate) async fn remove(
        &self,
        tenant: &TenantId,
        of: MemoryCollection,
        name: &str,
    ) -> Result<bool, MemoryError> {
        Ok(self.index.remove(tenant, of, name).await?)
    }

    pub(crate) async fn forget(
        &self,
        tenant: &TenantId,
        of: MemoryCollection,
        subject: &str,
    ) -> Result<u64, MemoryError> {
        Ok(self.index.forget(tenant, of, subject, self.clock.now()).await?)
    }

    pub(crate) async fn documents(
        &self,
        tenant: &TenantId,
        of: MemoryCollection,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DocumentHeader>, MemoryError> {
        Ok(self.index.documents(tenant, of, after, limit).await?)
    }

    pub(crate) async fn document(
        &self,
        tenant: &TenantId,
        of: MemoryCollection,
        name: &str,
    ) -> Result<Option<StoredDocument>, MemoryError> {
        Ok(self.index.document(tenant, of, name).await?)
    }

    /// Runs until every document is indexed, including those that are added or changed in the meantime.
    pub(crate) async fn reindex(&self, tenant: &TenantId, of: MemoryCollection) -> Result<ReindexResult, MemoryError> {
        let generation = self.index.begin(tenant, of, &self.recipe(), self.clock.now()).await?;
        let embedder = self.embedder(of, &generation)?;
        loop {
            self.index_all(tenant, of, &generation, embedder).await?;
            match self.index.make_live(tenant, generation.id).await? {
                SwitchResult::Done => break,
                SwitchResult::Incomplete { .. } => {}
                SwitchResult::Gone => {
                    let reason = "another build of it has begun; wait for that, or begin again".to_owned();
                    return Err(MemoryError::Invalid { what: format!("the build of `{of}`"), reason });
                }
            }
        }
        let now = self.live(tenant, of).await?;
        let (documents, pieces) = now.map_or((0, 0), |live| (live.documents, live.pieces));
        Ok(ReindexResult { collection: of, embedder: embedder.space().to_string(), documents, pieces })
    }

    async fn index_all(
        &self,
        tenant: &TenantId,
        of: MemoryCollection,
        generation: &IndexGeneration,
        embedder: &Arc<dyn Embedder>,
    ) -> Result<(), MemoryError> {
        let mut after: Option<String> = None;
        loop {
            let page = self.index.unindexed(tenant, generation.id, after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.name.clone());
            let laying = page
                .into_iter()
                .map(|head| async move { self.index_newest(tenant, of, generation, embedder, &head.name).await });
            let mut laying = futures::stream::iter(laying).buffer_unordered(BUILT_AT_ONCE);
            while let Some(laid) = laying.next().await {
                laid?;
            }
        }
    }

    /// The live generation.
    async fn live(&self, tenant: &TenantId, of: MemoryCollection) -> Result<Option<IndexGeneration>, MemoryError> {
        let generations = self.index.generations(tenant, of).await?;
        Ok(generations.into_iter().find(|generation| generation.live))
    }

    pub(crate) fn recipe(&self) -> IndexRecipe {
        IndexRecipe { space: self.embedders.current().space().clone(), chunking: self.chunking.name() }
    }

    /// The embedder that made a generation.
    fn embedder(&self, of: MemoryCollection, generation: &IndexGeneration) -> Result<&Arc<dyn Embedder>, MemoryError> {
        let space = &generation.recipe.space;
        self.embedders.of(space).ok_or_else(|| MemoryError::OtherEmbedder { collection: of, space: space.to_string() })
    }
}
