//! [`FakeDocuments`] behind the index port.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::index::{
    self, ChunkBatch, DocumentFilter, DocumentHeader, DocumentRevision, ForgetWatermark, IndexError, IndexGeneration,
    IndexProgress, IndexRecipe, IndexedPassage, MemoryCollection, SearchHit, SourceDocument, StoredDocument,
    SwitchResult,
};

use super::FakeDocuments;

/// An in-memory index. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct FakeIndex {
    documents: Arc<Mutex<FakeDocuments>>,
}

impl FakeIndex {
    pub fn new() -> Self {
        Self::default()
    }

    fn with<T>(&self, act: impl FnOnce(&mut FakeDocuments) -> T) -> T {
        act(&mut self.documents.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl index::DocumentIndex for FakeIndex {
    async fn put(
        &self,
        tenant: &TenantId,
        of: MemoryCollection,
        document: SourceDocument,
        since: ForgetWatermark,
        at: Time,
    ) -> Result<Option<DocumentRevision>, IndexError> {
        self.with(|documents| documents.put(tenant, of, document, since, at))
    }

    async fn document(
        &self,
        tenant: &TenantId,
        of: MemoryCollection,
        name: &str,
    ) -> Result<Option<StoredDocument>, IndexError> {
        Ok(self.with(|documents| documents.document(tenant, of, name)))
    }

    async fn documents(
        &self,
        tenant: &TenantId,
        of: MemoryCollection,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DocumentHeader>, IndexError> {
        Ok(self.with(|fake_documents| fake_documents.documents(tenant, of, after, limit)))
    }

    async fn remove(&self, tenant: &TenantId, of: MemoryCollection, name: &str) -> Result<bool, IndexError> {
        Ok(self.with(|documents| documents.remove(tenant, of, name)))
    }

    async fn forget(
        &self,
        tenant: &TenantId,
        of: MemoryCollection,
        subject: &str,
        at: Time,
    ) -> Result<u64, IndexError> {
        Ok(self.with(|documents| documents.forget(tenant, of, subject, at)))
    }

    async fn forget_count(&self, tenant: &TenantId, of: MemoryCollection) -> Result<u64, IndexError> {
        Ok(self.with(|documents| documents.forget_count(tenant, of)))
    }

    async fn generations(&self, tenant: &TenantId, of: MemoryCollection) -> Result<Vec<IndexGeneration>, IndexError> {
        Ok(self.with(|documents| documents.generations(tenant, of)))
    }

    async fn begin(
        &self,
        tenant: &TenantId,
        of: MemoryCollection,
        recipe: &IndexRecipe,
        at: Time,
    ) -> Result<IndexGeneration, IndexError> {
        Ok(self.with(|documents| documents.begin(tenant, of, recipe, at)))
    }

    async fn unindexed(
        &self,
        tenant: &TenantId,
        generation: u64,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DocumentHeader>, IndexError> {
        Ok(self.with(|documents| documents.unindexed(tenant, generation, after, limit)))
    }

    async fn add_chunks(
        &self,
        tenant: &TenantId,
        generation: u64,
        laying: ChunkBatch,
    ) -> Result<IndexProgress, IndexError> {
        self.with(|documents| documents.add_chunks(tenant, generation, laying))
    }

    async fn make_live(&self, tenant: &TenantId, generation: u64) -> Result<SwitchResult, IndexError> {
        Ok(self.with(|documents| documents.make_live(tenant, generation)))
    }

    async fn discard(&self, tenant: &TenantId, generation: u64) -> Result<(), IndexError> {
        self.with(|documents| documents.discard(tenant, generation));
        Ok(())
    }

    async fn search_vectors(
        &self,
        tenant: &TenantId,
        generation: u64,
        vector: &[f32],
        filter: &DocumentFilter,
        limit: usize,
    ) -> Result<Vec<SearchHit>, IndexError> {
        Ok(self.with(|documents| documents.search_vectors(tenant, generation, vector, filter, limit)))
    }

    async fn search_words(
        &self,
        tenant: &TenantId,
        generation: u64,
        words: &[String],
        filter: &DocumentFilter,
        limit: usize,
    ) -> Result<Vec<SearchHit>, IndexError> {
        Ok(self.with(|documents| documents.search_words(tenant, generation, words, filter, limit)))
    }

    async fn passages(
        &self,
        tenant: &TenantId,
        generation: u64,
        pieces: &[u64],
    ) -> Result<Vec<IndexedPassage>, IndexError> {
        Ok(self.with(|documents| documents.passages(tenant, generation, pieces)))
    }
}
