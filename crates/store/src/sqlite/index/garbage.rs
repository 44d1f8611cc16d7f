//! Deletes what can no longer be found.

use std::collections::BTreeMap;

use baton_ports::index::IndexGeneration;
use rusqlite::{OptionalExtension, params};

use super::super::session::WriterSession;
use super::code::BLOCK;
use super::index_write::change_block;
use super::{generation, place};

/// Chunks, or rows of one table, that one transaction deletes.
const SWEPT_MAX: usize = 128;
/// Pages of a full-text table that one transaction merges.
const MERGED_PAGES: i64 = 64;

/// The chunks of a document below a revision, in one generation or in all; without a document, all chunks of a
/// generation.
struct GarbageBatch {
    id: i64,
    generation: Option<u64>,
    document: Option<i64>,
    below: Option<i64>,
}

/// A chunk in a batch.
struct GarbageChunk {
    id: u64,
    heading: String,
    text: String,
}

/// Deletes some garbage, and returns whether there may be more.
pub(super) fn collect_some(session: &mut WriterSession<'_>) -> rusqlite::Result<bool> {
    let mut first =
        session.statement("SELECT id, generation, document, below FROM memory_debris ORDER BY id LIMIT 1")?;
    let heap = first.query_row([], |row| {
        Ok(GarbageBatch { id: row.get(0)?, generation: row.get(1)?, document: row.get(2)?, below: row.get(3)? })
    });
    let Some(heap) = heap.optional()? else { return Ok(false) };
    if heap.clear(session)? < SWEPT_MAX {
        session.statement("DELETE FROM memory_debris WHERE id = $1")?.execute([heap.id])?;
    }
    Ok(true)
}

/// A deleted word stays in the full-text table until its pages are merged. Merges some pages, and returns whether there
/// may be more; the first step starts with all pages.
pub(super) fn merge(session: &mut WriterSession<'_>, generation: u64, is_first: bool) -> rusqlite::Result<bool> {
    if generation::any(session.connection, generation)?.is_none() {
        return Ok(false);
    }
    let table = place::text_table(generation);
    let mut merge = session.statement(&format!("INSERT INTO {table} ({table}, rank) VALUES ('merge', $1)"))?;
    let before = session.connection.total_changes();
    merge.execute([if is_first { -MERGED_PAGES } else { MERGED_PAGES }])?;
    // As documented for FTS5: a merge with nothing to do changes fewer than two rows.
    Ok(session.connection.total_changes() - before >= 2)
}

impl GarbageBatch {
    /// Deletes at most [`SWEPT_MAX`] chunks, and returns how many.
    fn clear(&self, session: &mut WriterSession<'_>) -> rusqlite::Result<usize> {
        match (self.document, self.generation) {
            (Some(document), of) => self.clear_document(session, document, of),
            (None, Some(generation)) => clear_generation(session, generation),
            (None, None) => Ok(0),
        }
    }

    fn clear_document(
        &self,
        session: &mut WriterSession<'_>,
        document: i64,
        of: Option<u64>,
    ) -> rusqlite::Result<usize> {
        let (first, last) = of.map_or((0, place::LAST), place::ids);
        let mut find = session.statement(
            "SELECT id, heading, text FROM memory_piece WHERE document = $1 AND revision < $2 \
             AND id BETWEEN $3 AND $4 LIMIT $5",
        )?;
        let values = params![document, self.below, first, last, SWEPT_MAX];
        let remains: Vec<GarbageChunk> = find
            .query_map(values, |row| Ok(GarbageChunk { id: row.get(0)?, heading: row.get(1)?, text: row.get(2)? }))?
            .collect::<rusqlite::Result<_>>()?;
        let mut of_generation: BTreeMap<u64, Vec<&GarbageChunk>> = BTreeMap::new();
        for one in &remains {
            of_generation.entry(place::generation_of(one.id)).or_default().push(one);
        }
        for (generation, pieces) in of_generation {
            // A deleted generation has only rows left.
            if let Some(generation) = generation::any(session.connection, generation)? {
                remove_from_text_index(session, &generation, &pieces)?;
            }
        }
        let mut piece = session.statement("DELETE FROM memory_piece WHERE id = $1")?;
        let mut vector = session.statement("DELETE FROM memory_vector WHERE piece = $1")?;
        for one in &remains {
            piece.execute([one.id])?;
            vector.execute([one.id])?;
        }
        Ok(remains.len())
    }
}

/// Removes chunks from the search structures.
fn remove_from_text_index(
    session: &WriterSession<'_>,
    generation: &IndexGeneration,
    pieces: &[&GarbageChunk],
) -> rusqlite::Result<()> {
    let table = place::text_table(generation.id);
    // A deleted word is removed from its page at once. Tables of earlier versions do not have this setting yet.
    session.statement(&format!("INSERT INTO {table} ({table}, rank) VALUES ('secure-delete', 1)"))?.execute([])?;
    let mut text = session
        .statement(&format!("INSERT INTO {table} ({table}, rowid, heading, text) VALUES ('delete', $1, $2, $3)"))?;
    let mut of_block: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for piece in pieces {
        text.execute(params![piece.id, piece.heading, piece.text])?;
        let place = place::of(piece.id);
        of_block.entry(place / BLOCK).or_default().push(place % BLOCK);
    }
    for (number, slots) in of_block {
        change_block(session, generation, number, |block| slots.iter().for_each(|slot| block.clear(*slot)))?;
    }
    Ok(())
}

/// Rows first, so that dropping the full-text table, which is a single operation, has little left to do.
fn clear_generation(session: &mut WriterSession<'_>, generation: u64) -> rusqlite::Result<usize> {
    let text = place::text_table(generation);
    let words = format!("{text}_data");
    let (own, every) = (place::ids(generation), (0, place::LAST));
    let mut cleared = 0;
    for (table, key, (first, last)) in
        [("memory_piece", "id", own), ("memory_vector", "piece", own), (words.as_str(), "id", every)]
    {
        let mut delete = session.statement(&format!(
            "DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE {key} BETWEEN $1 AND $2 LIMIT $3)"
        ))?;
        cleared = cleared.max(delete.execute(params![first, last, SWEPT_MAX])?);
    }
    if cleared < SWEPT_MAX {
        session.statement("DELETE FROM memory_block WHERE generation = $1")?.execute([generation])?;
        session.statement("DELETE FROM memory_laid WHERE generation = $1")?.execute([generation])?;
        session.connection.execute_batch(&format!("DROP TABLE {text}"))?;
    }
    Ok(cleared)
}
