//! The index port. Chunks are stored in ordinary tables, and each generation has two search structures: the packed
//! signs of its vectors, which are scanned completely before exact comparison, and a full-text table (FTS5).

pub(super) mod code;
mod document;
mod filter;
mod forget_marks;
mod garbage;
mod generation;
mod index_write;
mod matching;
mod nearest;
mod passage;
mod place;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::index::{
    self, ChunkBatch, DocumentFilter, DocumentHeader, DocumentIndex, DocumentRevision, ForgetWatermark, HITS_MAX,
    IndexError, IndexGeneration, IndexProgress, IndexRecipe, IndexedPassage, MemoryCollection, PAGE_MAX, SearchHit,
    SourceDocument, StoredDocument, SwitchResult,
};

use super::SqliteStore;
use super::session::WriterSession;
use super::writer_task::WriteAnswer;
use document::{DocumentPut, DocumentScope};

impl WriteAnswer for u64 {}
impl WriteAnswer for Option<DocumentRevision> {}
impl WriteAnswer for IndexProgress {}
impl WriteAnswer for SwitchResult {}
impl WriteAnswer for IndexGeneration {}

#[async_trait]
impl DocumentIndex for SqliteStore {
    async fn put(
        &self,
        tenant: &TenantId,
        collection: MemoryCollection,
        document: SourceDocument,
        since: ForgetWatermark,
        at: Time,
    ) -> Result<Option<DocumentRevision>, IndexError> {
        index::check(&document)?;
        let put = DocumentPut::new(DocumentScope::new(tenant, collection), document, since, at);
        self.keep(put.bytes(), move |session| put.perform(session).map(Ok)).await
    }

    async fn document(
        &self,
        tenant: &TenantId,
        collection: MemoryCollection,
        name: &str,
    ) -> Result<Option<StoredDocument>, IndexError> {
        let (scope, name) = (DocumentScope::new(tenant, collection), name.to_owned());
        self.read(move |connection| document::get(connection, &scope, &name)).await
    }

    async fn documents(
        &self,
        tenant: &TenantId,
        collection: MemoryCollection,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DocumentHeader>, IndexError> {
        let (scope, after) = (DocumentScope::new(tenant, collection), after.unwrap_or_default().to_owned());
        self.read(move |connection| document::list(connection, &scope, &after, limit.min(PAGE_MAX))).await
    }

    async fn remove(&self, tenant: &TenantId, collection: MemoryCollection, name: &str) -> Result<bool, IndexError> {
        let (scope, name) = (DocumentScope::new(tenant, collection), name.to_owned());
        let was_there = self.keep(0, move |session| document::remove(session, &scope, &name).map(Ok)).await?;
        self.sweep().await?;
        Ok(was_there)
    }

    async fn forget(
        &self,
        tenant: &TenantId,
        collection: MemoryCollection,
        subject: &str,
        at: Time,
    ) -> Result<u64, IndexError> {
        // The mark is written first: documents stored before it are deleted below, and later ones are refused.
        let (scope, person) = (DocumentScope::new(tenant, collection), forget_marks::person_hash(subject));
        self.keep(0, move |session| forget_marks::mark(session, &scope, &person, at).map(Ok)).await?;
        let mut removed = 0;
        loop {
            let (scope, subject) = (DocumentScope::new(tenant, collection), subject.to_owned());
            let some = self.keep(0, move |session| document::forget(session, &scope, &subject).map(Ok)).await?;
            if some == 0 {
                break;
            }
            removed += some;
        }
        self.sweep().await?;
        for generation in self.generations(tenant, collection).await? {
            let mut is_first = true;
            while self.keep(0, move |session| garbage::merge(session, generation.id, is_first).map(Ok)).await? {
                is_first = false;
            }
        }
        Ok(removed)
    }

    async fn forget_count(&self, tenant: &TenantId, collection: MemoryCollection) -> Result<u64, IndexError> {
        let scope = DocumentScope::new(tenant, collection);
        self.read(move |connection| forget_marks::count(connection, &scope)).await
    }

    async fn generations(
        &self,
        tenant: &TenantId,
        collection: MemoryCollection,
    ) -> Result<Vec<IndexGeneration>, IndexError> {
        let scope = DocumentScope::new(tenant, collection);
        self.read(move |connection| generation::all(connection, &scope)).await
    }

    async fn begin(
        &self,
        tenant: &TenantId,
        collection: MemoryCollection,
        recipe: &IndexRecipe,
        at: Time,
    ) -> Result<IndexGeneration, IndexError> {
        let (scope, recipe) = (DocumentScope::new(tenant, collection), recipe.clone());
        let begun = self.keep(0, move |session| generation::begin(session, &scope, &recipe, at).map(Ok)).await?;
        self.sweep().await?;
        Ok(begun)
    }

    async fn unindexed(
        &self,
        tenant: &TenantId,
        generation: u64,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DocumentHeader>, IndexError> {
        let (tenant, after) = (tenant.clone(), after.unwrap_or_default().to_owned());
        self.read(move |connection| document::unindexed(connection, &tenant, generation, &after, limit.min(PAGE_MAX)))
            .await
    }

    async fn add_chunks(
        &self,
        tenant: &TenantId,
        generation: u64,
        laying: ChunkBatch,
    ) -> Result<IndexProgress, IndexError> {
        let (is_last, lay) = (laying.is_last, index_write::IndexWrite::new(tenant.clone(), generation, laying)?);
        let laid = self.keep(lay.bytes(), move |session| lay.perform(session)).await?;
        if is_last && laid == IndexProgress::Done {
            self.sweep().await?;
        }
        Ok(laid)
    }

    async fn make_live(&self, tenant: &TenantId, generation: u64) -> Result<SwitchResult, IndexError> {
        let tenant = tenant.clone();
        let switched = self.keep(0, move |session| generation::make_live(session, &tenant, generation).map(Ok)).await?;
        self.sweep().await?;
        Ok(switched)
    }

    async fn discard(&self, tenant: &TenantId, generation: u64) -> Result<(), IndexError> {
        let tenant = tenant.clone();
        self.keep(0, move |session| generation::discard_building(session, &tenant, generation).map(Ok)).await?;
        self.sweep().await
    }

    async fn search_vectors(
        &self,
        tenant: &TenantId,
        generation: u64,
        vector: &[f32],
        filter: &DocumentFilter,
        limit: usize,
    ) -> Result<Vec<SearchHit>, IndexError> {
        let (tenant, vector, filter) = (tenant.clone(), vector.to_vec(), filter.clone());
        let limit = limit.min(HITS_MAX);
        self.read(move |connection| {
            let Some(found) = generation::one(connection, &tenant, generation)? else { return Ok(Vec::new()) };
            let chosen = filter::chosen(connection, &found.scope, &filter)?;
            nearest::search(connection, &found.generation, &vector, &chosen, limit)
        })
        .await
    }

    async fn search_words(
        &self,
        tenant: &TenantId,
        generation: u64,
        words: &[String],
        filter: &DocumentFilter,
        limit: usize,
    ) -> Result<Vec<SearchHit>, IndexError> {
        let (tenant, words, filter) = (tenant.clone(), words.to_vec(), filter.clone());
        let limit = limit.min(HITS_MAX);
        self.read(move |connection| {
            let Some(found) = generation::one(connection, &tenant, generation)? else { return Ok(Vec::new()) };
            let chosen = filter::chosen(connection, &found.scope, &filter)?;
            matching::search(connection, generation, &words, &chosen, limit)
        })
        .await
    }

    async fn passages(
        &self,
        tenant: &TenantId,
        generation: u64,
        pieces: &[u64],
    ) -> Result<Vec<IndexedPassage>, IndexError> {
        let (tenant, pieces) = (tenant.clone(), pieces.to_vec());
        self.read(move |connection| {
            let Some(found) = generation::one(connection, &tenant, generation)? else { return Ok(Vec::new()) };
            passage::read(connection, &found, pieces.get(..HITS_MAX).unwrap_or(&pieces))
        })
        .await
    }
}

impl SqliteStore {
    /// A write to the index.
    async fn keep<A, T>(&self, bytes: usize, act: A) -> Result<T, IndexError>
    where
        A: FnMut(&mut WriterSession<'_>) -> rusqlite::Result<Result<T, IndexError>> + Send + 'static,
        T: WriteAnswer + 'static,
    {
        self.write(bytes, act).await
    }

    /// Deletes garbage, a little in each transaction, so that no other write waits for all of it.
    async fn sweep(&self) -> Result<(), IndexError> {
        while self.keep(0, |session| garbage::collect_some(session).map(Ok)).await? {}
        Ok(())
    }
}
