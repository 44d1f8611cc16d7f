//! The id of a chunk: its generation, and its position in it. The chunks of a generation are therefore contiguous.

use baton_ports::index::IndexGeneration;

/// Number of bits of an id that hold the position.
const PLACE_BITS: u32 = 32;
/// The position after the last one that a generation can have.
pub(super) const PLACES_MAX: u64 = 1 << PLACE_BITS;

/// The largest id.
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

/// The range of ids of a generation's chunks, first and last.
pub(super) fn ids(generation: u64) -> (u64, u64) {
    (id(generation, 0), id(generation, PLACES_MAX - 1))
}

/// The full-text table of a generation.
pub(super) fn text_table(generation: u64) -> String {
    format!("memory_text_{generation}")
}

/// Size of a code in a generation's blocks, in bytes.
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
