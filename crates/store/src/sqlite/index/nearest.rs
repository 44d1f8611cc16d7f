//! Search by vector: scans the codes of a whole generation, and compares the nearest exactly.

use baton_ports::index::{IndexGeneration, SearchHit};
use rusqlite::{Connection, OptionalExtension, params};

use super::super::sql::numbered;
use super::code::{self, BLOCK, NearestCodes};
use super::filter::DocumentSelection;
use super::place;

/// Chunks compared exactly per requested hit, and the minimum number. A collection no larger than this is searched
/// exactly.
const COMPARED_PER_HIT: usize = 8;
const COMPARED_MIN: usize = 400;

pub(super) fn search(
    connection: &Connection,
    generation: &IndexGeneration,
    vector: &[f32],
    chosen: &DocumentSelection,
    limit: usize,
) -> rusqlite::Result<Vec<SearchHit>> {
    if vector.len() != generation.recipe.space.dimensions || limit == 0 {
        return Ok(Vec::new());
    }
    let code = code::of(vector);
    let mut nearest = NearestCodes::new(&code, (limit * COMPARED_PER_HIT).max(COMPARED_MIN));
    let mut blocks = connection
        .prepare_cached(&numbered("SELECT block, codes FROM memory_block WHERE generation = $1 ORDER BY block"))?;
    let mut rows = blocks.query([generation.id])?;
    while let Some(row) = rows.next()? {
        let first = row.get::<_, u64>(0)? * BLOCK;
        nearest.scan(first, row.get_ref(1)?.as_blob()?, |document| chosen.contains(document));
    }
    compare(connection, generation.id, vector, nearest.places(), limit)
}

/// The best of these positions by their full vectors. Positions of revisions that are not indexed, or no longer, are
/// left out.
fn compare(
    connection: &Connection,
    generation: u64,
    vector: &[f32],
    places: impl Iterator<Item = u64>,
    limit: usize,
) -> rusqlite::Result<Vec<SearchHit>> {
    let mut one = connection.prepare_cached(&numbered(
        "SELECT v.vector FROM memory_vector v JOIN memory_laid l \
         ON l.generation = $2 AND l.document = v.document AND l.revision = v.revision WHERE v.piece = $1",
    ))?;
    let mut hits = Vec::new();
    for place in places {
        let piece = place::id(generation, place);
        let score = one
            .query_row(params![piece, generation], |row| Ok(product(row.get_ref(0)?.as_blob()?, vector)))
            .optional()?;
        hits.extend(score.map(|score| SearchHit { piece, score }));
    }
    hits.sort_by(|one, other| other.score.total_cmp(&one.score).then(one.piece.cmp(&other.piece)));
    hits.truncate(limit);
    Ok(hits)
}

/// The dot product with a stored vector.
fn product(bytes: &[u8], vector: &[f32]) -> f64 {
    let (values, _) = bytes.as_chunks();
    let terms = values.iter().zip(vector).map(|(value, other)| f32::from_le_bytes(*value) * other);
    f64::from(terms.sum::<f32>())
}
