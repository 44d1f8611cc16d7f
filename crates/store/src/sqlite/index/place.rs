//! The id of a piece: its generation, and its place in it. A generation's pieces so lie together.

use baton_ports::index::IndexGeneration;

/// Bits of an id that are the place.
const PLACE_BITS: u32 = 32;
/// The place behind the last one a generation can have.
pub(super) const PLACES_MAX: u64 = 1 << PLACE_BITS;

/// No id is above this.
pub(super) const LAST: u64 = i64::MAX as u64;

pub(super) fn id(generation: u64, place: u64) -> u64 {
    (generation << PLACE_BITS) + place
}

pub(super) fn of(id: u64) -> u64 {
    id & (PLACES_MAX - 1)
}

pub(super) fn generation_of(id: u64) -> u64 {
    id >> PLACE_BITS
}

/// The ids a generation's pieces may have, first and last.
pub(super) fn ids(generation: u64) -> (u64, u64) {
    (id(generation, 0), id(generation, PLACES_MAX - 1))
}

/// The full-text table of a generation.
pub(super) fn text_table(generation: u64) -> String {
    format!("memory_text_{generation}")
}

/// Bytes of a code in a generation's blocks.
pub(super) fn code_bytes(generation: &IndexGeneration) -> usize {
    super::code::bytes(generation.recipe.space.dimensions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_its_generation_and_place() {
        let piece = id(7, 12);
        assert_eq!((generation_of(piece), of(piece)), (7, 12));
        let (first, last) = ids(7);
        assert!(first <= piece && piece <= last && last < id(8, 0));
    }
}
