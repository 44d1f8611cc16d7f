//! Generations: creating, counting, switching and discarding.

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::embed::VectorSpace;
use baton_ports::index::{IndexGeneration, IndexRecipe, SwitchResult};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::super::codec;
use super::super::session::WriterSession;
use super::super::sql::numbered;
use super::document::{self, DocumentScope, UNLAID};
use super::place;

/// How words are split and weighted: accents and English endings are ignored, and words in headings count twice.
const TOKENIZER: &str = "porter unicode61 remove_diacritics 2";
const RANK: &str = "bm25(2.0, 1.0)";

/// A generation with its owner and its next free position.
pub(super) struct GenerationRow {
    pub(super) scope: DocumentScope,
    pub(super) generation: IndexGeneration,
    pub(super) next_place: u64,
}

const COLUMNS: &str =
    "tenant, collection, id, live, space, dimensions, chunking, documents, pieces, begun_at, next_place";

fn found(row: &Row<'_>) -> rusqlite::Result<GenerationRow> {
    let tenant: String = row.get(0)?;
    let space = VectorSpace { name: row.get(4)?, dimensions: row.get(5)? };
    Ok(GenerationRow {
        scope: DocumentScope { tenant: tenant.into(), collection: document::collection(row, 1)? },
        generation: IndexGeneration {
            id: row.get(2)?,
            live: row.get(3)?,
            recipe: IndexRecipe { space, chunking: row.get(6)? },
            documents: row.get(7)?,
            pieces: row.get(8)?,
            begun_at: codec::time(row, 9)?,
        },
        next_place: row.get(10)?,
    })
}

/// A generation, if it belongs to this tenant.
pub(super) fn one(connection: &Connection, tenant: &TenantId, id: u64) -> rusqlite::Result<Option<GenerationRow>> {
    let sql = format!("SELECT {COLUMNS} FROM memory_generation WHERE id = $1 AND tenant = $2");
    let mut one = connection.prepare_cached(&numbered(&sql))?;
    one.query_row(params![id, tenant.as_str()], found).optional()
}

/// A generation of any tenant.
pub(super) fn any(connection: &Connection, id: u64) -> rusqlite::Result<Option<IndexGeneration>> {
    let sql = format!("SELECT {COLUMNS} FROM memory_generation WHERE id = $1");
    let mut one = connection.prepare_cached(&numbered(&sql))?;
    one.query_row([id], |row| found(row).map(|found| found.generation)).optional()
}

pub(super) fn all(connection: &Connection, scope: &DocumentScope) -> rusqlite::Result<Vec<IndexGeneration>> {
    let sql =
        format!("SELECT {COLUMNS} FROM memory_generation WHERE tenant = $1 AND collection = $2 ORDER BY live DESC");
    let mut all = connection.prepare_cached(&numbered(&sql))?;
    all.query_map(scope.names(), |row| found(row).map(|found| found.generation))?.collect()
}

pub(super) fn begin(
    session: &mut WriterSession<'_>,
    scope: &DocumentScope,
    recipe: &IndexRecipe,
    at: Time,
) -> rusqlite::Result<IndexGeneration> {
    let before = all(session.connection, scope)?;
    if let Some(building) = before.iter().find(|generation| !generation.live) {
        if building.recipe == *recipe {
            return Ok(building.clone());
        }
        discard(session, building.id)?;
    }
    let live = !before.iter().any(|generation| generation.live);
    let [tenant, collection] = scope.names();
    let mut insert = session.statement(&format!(
        "INSERT INTO memory_generation (tenant, collection, live, space, dimensions, chunking, next_place, documents, \
         pieces, begun_at) VALUES ($1, $2, $3, $4, $5, $6, 0, 0, 0, $7) RETURNING {COLUMNS}"
    ))?;
    let VectorSpace { name, dimensions } = &recipe.space;
    let values = params![tenant, collection, live, name, dimensions, recipe.chunking, at.as_ms()];
    let begun = insert.query_row(values, found)?.generation;
    let table = place::text_table(begun.id);
    session.connection.execute_batch(&format!(
        "CREATE VIRTUAL TABLE {table} USING fts5(heading, text, content = '', tokenize = '{TOKENIZER}');
         INSERT INTO {table} ({table}, rank) VALUES ('rank', '{RANK}');
         INSERT INTO {table} ({table}, rank) VALUES ('secure-delete', 1);"
    ))?;
    Ok(begun)
}

pub(super) fn make_live(session: &mut WriterSession<'_>, tenant: &TenantId, id: u64) -> rusqlite::Result<SwitchResult> {
    let Some(GenerationRow { scope, generation, .. }) = one(session.connection, tenant, id)? else {
        return Ok(SwitchResult::Gone);
    };
    if generation.live {
        return Ok(SwitchResult::Done);
    }
    let [tenant, collection] = scope.names();
    let mut behind = session.statement(&format!(
        "SELECT count(*) FROM memory_document WHERE tenant = $1 AND collection = $2 AND $3 = '' AND {UNLAID}"
    ))?;
    let documents: u64 = behind.query_row(params![tenant, collection, "", id], |row| row.get(0))?;
    if documents > 0 {
        return Ok(SwitchResult::Incomplete { documents });
    }
    for before in all(session.connection, &scope)?.iter().filter(|before| before.live) {
        discard(session, before.id)?;
    }
    session.statement("UPDATE memory_generation SET live = 1 WHERE id = $1")?.execute([id])?;
    Ok(SwitchResult::Done)
}

/// Discards a generation that is being built; a live one stays.
pub(super) fn discard_building(session: &mut WriterSession<'_>, tenant: &TenantId, id: u64) -> rusqlite::Result<()> {
    match one(session.connection, tenant, id)? {
        Some(found) if !found.generation.live => discard(session, id),
        Some(_) | None => Ok(()),
    }
}

/// Nothing of the generation is found from now on; its content is garbage.
fn discard(session: &mut WriterSession<'_>, id: u64) -> rusqlite::Result<()> {
    session.statement("DELETE FROM memory_generation WHERE id = $1")?.execute([id])?;
    session.statement("INSERT INTO memory_debris (generation) VALUES ($1)")?.execute([id]).map(drop)
}

/// Subtracts a document's chunks from the counts of its generations.
pub(super) fn subtract_document(session: &mut WriterSession<'_>, document: u64) -> rusqlite::Result<()> {
    let mut uncount = session.statement(
        "UPDATE memory_generation SET documents = documents - 1, pieces = memory_generation.pieces - laid.pieces \
         FROM memory_laid AS laid WHERE laid.document = $1 AND laid.generation = memory_generation.id",
    )?;
    uncount.execute([document]).map(drop)
}
