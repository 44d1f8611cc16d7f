//! Making a document findable: cut, embedded and laid, a few pieces at a time.

use std::sync::Arc;

use baton_core::id::TenantId;
use baton_ports::embed::{Embedder, Role};
use baton_ports::index::{Collection, Generation, LAID_MAX, Laid, Laying, PIECES_MAX, Piece, Stored};
use baton_ports::memory::{Error, RETRY_AFTER};

use super::Long;
use crate::chunk::{Chunk, Chunking};

/// What became of a document.
pub(super) enum Outcome {
    Laid {
        pieces: usize,
    },
    /// It was laid already, or is gone.
    Nothing,
}

impl Long {
    /// Lays the newest revision of a document, going on where another process left it.
    pub(super) async fn lay_newest(
        &self,
        tenant: &TenantId,
        of: Collection,
        generation: &Generation,
        embedder: &Arc<dyn Embedder>,
        name: &str,
    ) -> Result<Outcome, Error> {
        let Some(stored) = self.index.document(tenant, of, name).await? else { return Ok(Outcome::Nothing) };
        let chunks = chunking_of(generation, self.chunking).cut(&stored.head.title, &stored.text);
        if chunks.len() > PIECES_MAX {
            return Err(Error::TooLarge { what: "a document's pieces", size: chunks.len(), limit: PIECES_MAX });
        }
        let part = |first: usize, pieces: Vec<Piece>, is_last: bool| Laying {
            document: stored.number,
            revision: stored.head.revision,
            first,
            pieces,
            is_last,
        };
        // Nothing is embedded before it is known what is missing.
        let mut laid = self.index.lay(tenant, generation.id, part(0, Vec::new(), false)).await?;
        let mut next = 0;
        loop {
            match laid {
                Laid::Overtaken => return Ok(Outcome::Nothing),
                Laid::From(first) if first > chunks.len() => return Err(Error::Busy { retry_after: RETRY_AFTER }),
                Laid::From(first) => next = first,
                Laid::Done => {}
            }
            let batch = chunks.get(next..).unwrap_or_default();
            let batch = batch.get(..LAID_MAX).unwrap_or(batch);
            let behind = next + batch.len();
            let is_last = behind == chunks.len();
            let pieces = pieces(tenant, &stored, batch, embedder).await?;
            laid = self.index.lay(tenant, generation.id, part(next, pieces, is_last)).await?;
            if laid == Laid::Done {
                if is_last {
                    return Ok(Outcome::Laid { pieces: chunks.len() });
                }
                next = behind;
            }
        }
    }
}

/// What is laid in a generation is cut as it was begun.
fn chunking_of(generation: &Generation, now: Chunking) -> Chunking {
    Chunking::named(&generation.recipe.chunking).unwrap_or(now)
}

async fn pieces(
    tenant: &TenantId,
    stored: &Stored,
    chunks: &[Chunk],
    embedder: &Arc<dyn Embedder>,
) -> Result<Vec<Piece>, Error> {
    let text_of = |chunk: &Chunk| stored.text.get(chunk.range.clone()).unwrap_or_default().to_owned();
    let texts: Vec<String> = chunks.iter().map(|chunk| format!("{}\n{}", chunk.heading, text_of(chunk))).collect();
    let vectors = embedder.embed(&tenant.into(), &texts, Role::Passage).await?;
    let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let piece = |(chunk, vector): (&Chunk, Vec<f32>)| Piece {
        heading: chunk.heading.clone(),
        begins: place(chunk.range.start),
        ends: place(chunk.range.end),
        text: text_of(chunk),
        vector,
    };
    Ok(chunks.iter().zip(vectors).map(piece).collect())
}
