//! Chunks as they are shown.

use baton_ports::index::IndexedPassage;
use rusqlite::{Connection, OptionalExtension, params};

use super::super::sql::numbered;
use super::document;
use super::generation::GenerationRow;

pub(super) fn read(
    connection: &Connection,
    found: &GenerationRow,
    pieces: &[u64],
) -> rusqlite::Result<Vec<IndexedPassage>> {
    let mut one = connection.prepare_cached(&numbered(
        "SELECT p.number, p.begins, p.ends, p.heading, p.text, d.name, d.title, d.subject, d.metadata, d.revision, d.at \
         FROM memory_piece p JOIN memory_laid l ON l.generation = $2 AND l.document = p.document \
         AND l.revision = p.revision JOIN memory_document d ON d.id = p.document \
         WHERE p.id = $1 AND d.tenant = $3 AND d.collection = $4",
    ))?;
    let [tenant, collection] = found.scope.names();
    let mut passages = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let values = params![piece, found.generation.id, tenant, collection];
        let passage = one.query_row(values, |row| {
            Ok(IndexedPassage {
                piece: *piece,
                number: row.get(0)?,
                begins: row.get(1)?,
                ends: row.get(2)?,
                heading: row.get(3)?,
                text: row.get(4)?,
                document: document::head(row, 5)?,
            })
        });
        passages.extend(passage.optional()?);
    }
    Ok(passages)
}
