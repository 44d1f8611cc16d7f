//! Binary codes: the sign of each component of a vector as one bit. A code has 1/32 of the vector's size, and codes are
//! close if the vectors are.

use std::collections::BinaryHeap;

/// Bits per word of a code.
const WORD_BITS: usize = 64;
const WORD_BYTES: usize = WORD_BITS / 8;
/// Size of the document id before each code, in bytes.
const OWNER_BYTES: usize = 8;
/// Codes per block. A new chunk rewrites its block, and a search reads all blocks: larger blocks are faster to search.
pub(in super::super) const BLOCK: u64 = 256;

/// Size of a code in bytes; a whole number of words.
pub(in super::super) fn bytes(dimensions: usize) -> usize {
    dimensions.div_ceil(WORD_BITS) * WORD_BYTES
}

/// The code of a vector.
pub(in super::super) fn of(vector: &[f32]) -> Vec<u8> {
    let mut code = vec![0; bytes(vector.len())];
    for (number, _) in vector.iter().enumerate().filter(|(_, value)| **value > 0.0) {
        if let Some(byte) = code.get_mut(number / 8) {
            *byte |= 1 << (number % 8);
        }
    }
    code
}

/// The codes of consecutive positions, each with its document; document 0 means that the position is free.
pub(in super::super) struct CodeBlock {
    bytes: Vec<u8>,
    entry: usize,
}

impl CodeBlock {
    pub(in super::super) fn new(bytes: Vec<u8>, code_bytes: usize) -> Self {
        Self { bytes, entry: OWNER_BYTES + code_bytes }
    }

    /// Writes the entry at a position of the block.
    pub(in super::super) fn set(&mut self, slot: u64, document: i64, code: &[u8]) {
        let begins = usize::try_from(slot).unwrap_or(usize::MAX).saturating_mul(self.entry);
        let ends = begins + self.entry;
        if self.bytes.len() < ends {
            self.bytes.resize(ends, 0);
        }
        if let Some(entry) = self.bytes.get_mut(begins..ends) {
            let (owner, rest) = entry.split_at_mut(OWNER_BYTES);
            owner.copy_from_slice(&document.to_le_bytes());
            rest.fill(0);
            rest.iter_mut().zip(code).for_each(|(to, from)| *to = *from);
        }
    }

    pub(in super::super) fn clear(&mut self, slot: u64) {
        self.set(slot, 0, &[]);
    }

    pub(in super::super) fn is_empty(&self) -> bool {
        entries(&self.bytes, self.entry - OWNER_BYTES).all(|(_, document, _)| document == 0)
    }

    pub(in super::super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The slot, document and code of each entry in a block.
fn entries(bytes: &[u8], code_bytes: usize) -> impl Iterator<Item = (u64, i64, &[u8])> {
    (0..).zip(bytes.chunks_exact(OWNER_BYTES + code_bytes)).map(|(slot, entry)| {
        let (owner, code) = entry.split_at(OWNER_BYTES);
        (slot, owner.try_into().map_or(0, i64::from_le_bytes), code)
    })
}

/// Selects the positions whose codes are nearest to a given one.
pub(in super::super) struct NearestCodes<'c> {
    code: &'c [u8],
    max: usize,
    /// The farthest of the selected ones is on top.
    kept: BinaryHeap<(u32, u64)>,
}

impl<'c> NearestCodes<'c> {
    pub(in super::super) fn new(code: &'c [u8], max: usize) -> Self {
        Self { code, max: max.max(1), kept: BinaryHeap::with_capacity(max + 1) }
    }

    /// Scans a block whose first position is `first`.
    pub(in super::super) fn scan(&mut self, first: u64, block: &[u8], mut may: impl FnMut(i64) -> bool) {
        for (slot, document, code) in entries(block, self.code.len()) {
            if document == 0 {
                continue;
            }
            let distance = distance(self.code, code);
            let is_near = self.kept.len() < self.max || self.kept.peek().is_some_and(|(worst, _)| distance < *worst);
            if is_near && may(document) {
                self.kept.push((distance, first + slot));
                if self.kept.len() > self.max {
                    self.kept.pop();
                }
            }
        }
    }

    pub(in super::super) fn places(self) -> impl Iterator<Item = u64> {
        self.kept.into_iter().map(|(_, place)| place)
    }
}

/// The Hamming distance.
fn distance(one: &[u8], other: &[u8]) -> u32 {
    let (left, _) = one.as_chunks::<WORD_BYTES>();
    let (right, _) = other.as_chunks::<WORD_BYTES>();
    left.iter().zip(right).map(|(a, b)| (u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b)).count_ones()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_a_bit_for_each_positive_number() {
        assert_eq!(of(&[0.5, -0.5, 0.0, 2.0]), [0b1001, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!((bytes(1), bytes(64), bytes(65), bytes(1_536)), (8, 8, 16, 192));
    }

    #[test]
    fn the_nearest_are_found_among_the_living_and_the_allowed() {
        let mut block = CodeBlock::new(Vec::new(), 8);
        for (slot, bits) in [0b1111_u64, 0b0111, 0b0011, 0b0001].into_iter().enumerate() {
            block.set(slot as u64, slot as i64 + 1, &bits.to_le_bytes());
        }
        block.clear(1);
        let search = |max, without| {
            let code = 0b1111_u64.to_le_bytes();
            let mut nearest = NearestCodes::new(&code, max);
            nearest.scan(256, block.bytes(), |document| document != without);
            let mut places: Vec<_> = nearest.places().collect();
            places.sort_unstable();
            places
        };
        assert_eq!(search(2, 0), [256, 258]);
        assert_eq!(search(2, 1), [258, 259]);
        assert_eq!(search(9, 0), [256, 258, 259]);
    }

    #[test]
    fn a_block_whose_last_entry_is_cleared_is_empty() {
        let mut block = CodeBlock::new(Vec::new(), 8);
        block.set(3, 9, &[1; 8]);
        assert!(!block.is_empty());
        block.clear(3);
        assert!(block.is_empty());
    }
}
