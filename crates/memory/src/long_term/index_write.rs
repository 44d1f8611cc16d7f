//! Indexes a document: splits it, embeds it and writes the chunks, a few at a time.

use std::sync::Arc;

use baton_core::id::TenantId;
use baton_ports::embed::{Embedder, EmbeddingRole};
use baton_ports::index::{
    BATCH_CHUNKS_MAX, CHUNKS_MAX, ChunkBatch, EmbeddedChunk, IndexGeneration, IndexProgress, MemoryCollection,
    StoredDocument,
};
use baton_ports::memory::{MemoryError, RETRY_AFTER};

use super::LongTermMemory;
use crate::chunk::{ChunkPolicy, TextChunk};

/// The outcome for a document.
pub(super) enum IndexOutcome {
    Indexed {
        pieces: usize,
    },
    /// It was already indexed, or no longer exists.
    Nothing,
}

impl LongTermMemory {
    /// Indexes the newest revision of a document, resuming where another process stopped.
    pub(super) async fn index_newest(
        &self,
        tenant: &TenantId,
        of: MemoryCollection,
        generation: &IndexGeneration,
        embedder: &Arc<dyn Embedder>,
        name: &str,
    ) -> Result<IndexOutcome, MemoryError> {
        let Some(stored) = self.index.document(tenant, of, name).await? else { return Ok(IndexOutcome::Nothing) };
        let chunks = chunking_of(generation, self.chunking).split(&stored.head.title, &stored.text);
        if chunks.len() > CHUNKS_MAX {
            return Err(MemoryError::TooLarge { what: "a document's pieces", size: chunks.len(), limit: CHUNKS_MAX });
        }
        let part = |first: usize, pieces: Vec<EmbeddedChunk>, is_last: bool| ChunkBatch {
            document: stored.number,
            revision: stored.head.revision,
            first,
            pieces,
            is_last,
        };
        // Nothing is embedded before it is known which chunks are missing.
        let mut laid = self.index.add_chunks(tenant, generation.id, part(0, Vec::new(), false)).await?;
        let mut next = 0;
        loop {
            match laid {
                IndexProgress::Superseded => return Ok(IndexOutcome::Nothing),
                IndexProgress::ResumeFrom(first) if first > chunks.len() => {
                    return Err(MemoryError::Busy { retry_after: RETRY_AFTER });
                }
                IndexProgress::ResumeFrom(first) => next = first,
                IndexProgress::Done => {}
            }
            let batch = chunks.get(next..).unwrap_or_default();
            let batch = batch.get(..BATCH_CHUNKS_MAX).unwrap_or(batch);
            let behind = next + batch.len();
            let is_last = behind == chunks.len();
            let pieces = pieces(tenant, &stored, batch, embedder).await?;
            laid = self.index.add_chunks(tenant, generation.id, part(next, pieces, is_last)).await?;
            if laid == IndexProgress::Done {
                if is_last {
                    return Ok(IndexOutcome::Indexed { pieces: chunks.len() });
                }
                next = behind;
            }
        }
    }
}

/// A generation keeps the chunking with which it began.
fn chunking_of(generation: &IndexGeneration, now: ChunkPolicy) -> ChunkPolicy {
    ChunkPolicy::parse(&generation.recipe.chunking).unwrap_or(now)
}

async fn pieces(
    tenant: &TenantId,
    stored: &StoredDocument,
    chunks: &[TextChunk],
    embedder: &Arc<dyn Embedder>,
) -> Result<Vec<EmbeddedChunk>, MemoryError> {
    let text_of = |chunk: &TextChunk| stored.text.get(chunk.range.clone()).unwrap_or_default().to_owned();
    let texts: Vec<String> = chunks.iter().map(|chunk| format!("{}\n{}", chunk.heading, text_of(chunk))).collect();
    let vectors = embedder.embed(&tenant.into(), &texts, EmbeddingRole::Passage).await?;
    let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let piece = |(chunk, vector): (&TextChunk, Vec<f32>)| EmbeddedChunk {
        heading: chunk.heading.clone(),
        begins: place(chunk.range.start),
        ends: place(chunk.range.end),
        text: text_of(chunk),
        vector,
    };
    Ok(chunks.iter().zip(vectors).map(piece).collect())
}
