//! Adds chunks of a document to a generation.

use std::collections::BTreeMap;

use baton_core::id::TenantId;
use baton_ports::index::{
    BATCH_CHUNKS_MAX, CHUNKS_MAX, COLLECTION_CHUNKS_MAX, ChunkBatch, EmbeddedChunk, IndexError, IndexGeneration,
    IndexProgress,
};
use rusqlite::{OptionalExtension, params};

use super::super::session::WriterSession;
use super::code::{self, BLOCK, CodeBlock};
use super::generation::{self, GenerationRow};
use super::place::{self, PLACES_MAX};

/// Chunks to be added, with their vectors in stored form.
pub(super) struct IndexWrite {
    tenant: TenantId,
    generation: u64,
    batch: ChunkBatch,
    vectors: Vec<Vec<u8>>,
    codes: Vec<Vec<u8>>,
}

/// The current state of their document.
struct WriteProgress {
    document: i64,
    /// The searchable revision in this generation, and the number of its chunks.
    laid: Option<(u64, u64)>,
    /// Number of chunks of the new revision that are present already.
    present: usize,
}

impl IndexWrite {
    pub(super) fn new(tenant: TenantId, generation: u64, laying: ChunkBatch) -> Result<Self, IndexError> {
        let over =
            |what, size, limit| if size > limit { Err(IndexError::TooLarge { what, size, limit }) } else { Ok(()) };
        over("the pieces laid at once", laying.pieces.len(), BATCH_CHUNKS_MAX)?;
        over("a document's pieces", laying.first.saturating_add(laying.pieces.len()), CHUNKS_MAX)?;
        let bytes = |vector: &Vec<f32>| vector.iter().flat_map(|value| value.to_le_bytes()).collect();
        let vectors = laying.pieces.iter().map(|piece| bytes(&piece.vector)).collect();
        let codes = laying.pieces.iter().map(|piece| code::of(&piece.vector)).collect();
        Ok(Self { tenant, generation, batch: laying, vectors, codes })
    }

    pub(super) fn bytes(&self) -> usize {
        let pieces = self.batch.pieces.iter().map(|piece| piece.text.len() + piece.heading.len()).sum::<usize>();
        pieces + self.vectors.iter().map(Vec::len).sum::<usize>()
    }

    pub(super) fn perform(
        &self,
        session: &mut WriterSession<'_>,
    ) -> rusqlite::Result<Result<IndexProgress, IndexError>> {
        let Some(found) = generation::one(session.connection, &self.tenant, self.generation)? else {
            return Ok(Ok(IndexProgress::Superseded));
        };
        let Some(standing) = self.progress(session, &found)? else { return Ok(Ok(IndexProgress::Superseded)) };
        if standing.present != self.batch.first {
            return Ok(Ok(IndexProgress::ResumeFrom(standing.present)));
        }
        if let Err(error) = self.check(&found, &standing) {
            return Ok(Err(error));
        }
        self.insert(session, &found, &standing)?;
        if self.batch.is_last {
            self.finish(session, &standing)?;
        }
        Ok(Ok(IndexProgress::Done))
    }

    /// `None` if nothing is left to add.
    fn progress(&self, session: &WriterSession<'_>, found: &GenerationRow) -> rusqlite::Result<Option<WriteProgress>> {
        let mut document = session.statement(
            "SELECT id FROM memory_document WHERE tenant = $1 AND collection = $2 AND id = $3 AND revision = $4",
        )?;
        let [tenant, collection] = found.scope.names();
        let ChunkBatch { document: number, revision, .. } = &self.batch;
        let id = document.query_row(params![tenant, collection, number, revision], |row| row.get(0)).optional()?;
        let Some(document) = id else { return Ok(None) };
        let mut laid =
            session.statement("SELECT revision, pieces FROM memory_laid WHERE generation = $1 AND document = $2")?;
        let laid: Option<(u64, u64)> =
            laid.query_row(params![self.generation, document], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        if laid.is_some_and(|(laid, _)| laid == *revision) {
            return Ok(None);
        }
        let mut present = session.statement(
            "SELECT count(*) FROM memory_piece WHERE document = $1 AND revision = $2 AND id BETWEEN $3 AND $4",
        )?;
        let (first, last) = place::ids(self.generation);
        let present = present.query_row(params![document, revision, first, last], |row| row.get(0))?;
        Ok(Some(WriteProgress { document, laid, present }))
    }

    fn check(&self, found: &GenerationRow, standing: &WriteProgress) -> Result<(), IndexError> {
        let IndexGeneration { recipe, pieces, .. } = &found.generation;
        if let Some(wrong) = self.batch.pieces.iter().find(|piece| piece.vector.len() != recipe.space.dimensions) {
            return Err(IndexError::Invalid {
                what: "a vector".to_owned(),
                reason: format!("it has {} dimensions, not those of {}", wrong.vector.len(), recipe.space),
            });
        }
        let coming = (standing.present + self.batch.pieces.len()) as u64;
        if pieces + coming > COLLECTION_CHUNKS_MAX || found.next_place + coming >= PLACES_MAX {
            return Err(IndexError::Full { collection: found.scope.collection, limit: COLLECTION_CHUNKS_MAX });
        }
        Ok(())
    }

    fn insert(
        &self,
        session: &WriterSession<'_>,
        found: &GenerationRow,
        standing: &WriteProgress,
    ) -> rusqlite::Result<()> {
        let table = place::text_table(self.generation);
        let mut text = session.statement(&format!("INSERT INTO {table} (rowid, heading, text) VALUES ($1, $2, $3)"))?;
        let mut piece = session.statement(
            "INSERT INTO memory_piece (id, document, revision, number, begins, ends, heading, text) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )?;
        let mut vector = session
            .statement("INSERT INTO memory_vector (piece, document, revision, vector) VALUES ($1, $2, $3, $4)")?;
        let (document, revision) = (standing.document, self.batch.revision);
        let places = found.next_place..;
        let numbers = self.batch.first..;
        for (((place, number), laid), bytes) in places.zip(numbers).zip(&self.batch.pieces).zip(&self.vectors) {
            let id = place::id(self.generation, place);
            let EmbeddedChunk { heading, begins, ends, text: words, .. } = laid;
            text.execute(params![id, heading, words])?;
            piece.execute(params![id, document, revision, number, begins, ends, heading, words])?;
            vector.execute(params![id, document, revision, bytes])?;
        }
        self.pack_codes(session, found, document)?;
        let mut next = session.statement("UPDATE memory_generation SET next_place = $2 WHERE id = $1")?;
        next.execute(params![self.generation, found.next_place + self.codes.len() as u64]).map(drop)
    }

    /// Writes the codes into the blocks of their positions.
    fn pack_codes(&self, session: &WriterSession<'_>, found: &GenerationRow, document: i64) -> rusqlite::Result<()> {
        let mut of_block: BTreeMap<u64, Vec<(u64, &[u8])>> = BTreeMap::new();
        for (place, code) in (found.next_place..).zip(&self.codes) {
            of_block.entry(place / BLOCK).or_default().push((place % BLOCK, code));
        }
        for (number, codes) in of_block {
            change_block(session, &found.generation, number, |block| {
                codes.iter().for_each(|(slot, code)| block.set(*slot, document, code));
            })?;
        }
        Ok(())
    }

    /// The revision is searchable from now on, and older ones are garbage.
    fn finish(&self, session: &WriterSession<'_>, standing: &WriteProgress) -> rusqlite::Result<()> {
        let pieces = (standing.present + self.batch.pieces.len()) as u64;
        let (document, revision) = (standing.document, self.batch.revision);
        let mut lay = session.statement(
            "INSERT OR REPLACE INTO memory_laid (generation, document, revision, pieces) VALUES ($1, $2, $3, $4)",
        )?;
        lay.execute(params![self.generation, document, revision, pieces])?;
        let mut count = session.statement(
            "UPDATE memory_generation SET documents = documents + $2, pieces = pieces + $3 - $4 WHERE id = $1",
        )?;
        let before = standing.laid.map_or(0, |(_, pieces)| pieces);
        count.execute(params![self.generation, standing.laid.is_none(), pieces, before])?;
        let mut debris = session.statement(
            "INSERT INTO memory_debris (generation, document, below) SELECT $1, $2, $3 \
             WHERE EXISTS (SELECT 1 FROM memory_piece WHERE document = $2 AND revision < $3 AND id BETWEEN $4 AND $5)",
        )?;
        let (first, last) = place::ids(self.generation);
        debris.execute(params![self.generation, document, revision, first, last]).map(drop)
    }
}

/// Reads a block, changes it and writes it back; an empty block is deleted.
pub(super) fn change_block(
    session: &WriterSession<'_>,
    generation: &IndexGeneration,
    number: u64,
    change: impl FnOnce(&mut CodeBlock),
) -> rusqlite::Result<()> {
    let mut read = session.statement("SELECT codes FROM memory_block WHERE generation = $1 AND block = $2")?;
    let before = read.query_row(params![generation.id, number], |row| row.get(0)).optional()?;
    let mut block = CodeBlock::new(before.unwrap_or_default(), place::code_bytes(generation));
    change(&mut block);
    if block.is_empty() {
        let mut remove = session.statement("DELETE FROM memory_block WHERE generation = $1 AND block = $2")?;
        return remove.execute(params![generation.id, number]).map(drop);
    }
    let mut write =
        session.statement("INSERT OR REPLACE INTO memory_block (generation, block, codes) VALUES ($1, $2, $3)")?;
    write.execute(params![generation.id, number, block.bytes()]).map(drop)
}
