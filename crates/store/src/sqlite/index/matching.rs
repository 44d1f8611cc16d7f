//! Search by word, in the generation's full-text table.

use baton_ports::index::SearchHit;
use rusqlite::{Connection, OptionalExtension, params};

use super::super::sql::numbered;
use super::filter::DocumentSelection;
use super::place;

/// Maximum number of chunks scored by one search. Common words cost most and are least selective, so the rarest come
/// first.
const SCORED_MAX: u64 = 12_000;
/// Maximum number of words in one search.
const WORDS_MAX: usize = 32;

pub(super) fn search(
    connection: &Connection,
    generation: u64,
    words: &[String],
    chosen: &DocumentSelection,
    limit: usize,
) -> rusqlite::Result<Vec<SearchHit>> {
    let table = place::text_table(generation);
    let wanted = significant_words(connection, &table, words)?;
    if wanted.is_empty() || limit == 0 {
        return Ok(Vec::new());
    }
    let mut ranked = connection.prepare_cached(&numbered(&format!(
        "SELECT rowid, rank FROM {table} WHERE {table} MATCH $1 ORDER BY rank, rowid"
    )))?;
    let mut visible = connection.prepare_cached(&numbered(
        "SELECT p.document FROM memory_piece p JOIN memory_laid l \
         ON l.generation = $2 AND l.document = p.document AND l.revision = p.revision WHERE p.id = $1",
    ))?;
    let mut rows = ranked.query([wanted.join(" OR ")])?;
    let mut hits = Vec::new();
    while let Some(row) = rows.next()? {
        let (piece, rank): (u64, f64) = (row.get(0)?, row.get(1)?);
        let document: Option<i64> = visible.query_row(params![piece, generation], |row| row.get(0)).optional()?;
        if document.is_some_and(|document| chosen.contains(document)) {
            // In FTS5, lower is better.
            hits.push(SearchHit { piece, score: -rank });
        }
        if hits.len() == limit {
            break;
        }
    }
    Ok(hits)
}

/// The words worth searching for, quoted: the rarest that together occur in at most [`SCORED_MAX`] chunks, and the
/// rarest of all in any case.
fn significant_words(connection: &Connection, table: &str, words: &[String]) -> rusqlite::Result<Vec<String>> {
    let mut count = connection.prepare_cached(&numbered(&format!(
        "SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {table} MATCH $1 LIMIT $2)"
    )))?;
    let mut counted = Vec::new();
    for word in words.iter().filter(|word| !word.is_empty()).take(WORDS_MAX) {
        // FTS5 reads up to the first zero byte.
        let quoted = format!("\"{}\"", word.replace('\0', " ").replace('"', "\"\""));
        let pieces: u64 = count.query_row(params![quoted, SCORED_MAX + 1], |row| row.get(0))?;
        if pieces > 0 {
            counted.push((pieces, quoted));
        }
    }
    counted.sort();
    counted.dedup();
    let mut scored = 0;
    let affordable = counted.into_iter().take_while(|(pieces, _)| {
        let is_first = scored == 0;
        scored += pieces;
        is_first || scored <= SCORED_MAX
    });
    Ok(affordable.map(|(_, quoted)| quoted).collect())
}
