//! Looking through text for bytes of some kind, eight at once.

/// Eight bytes of text, of which ASCII is looked for.
#[derive(Clone, Copy)]
pub(crate) struct Eight(u64);

impl Eight {
    /// One in each byte.
    const ONES: u64 = u64::MAX / 255;
    const HIGHEST: u64 = Self::ONES << 7;

    /// The highest bit of each byte that is this one.
    pub(crate) fn are(self, byte: u8) -> u64 {
        self.are_within(byte, byte)
    }

    /// The highest bit of each byte that is one of these.
    pub(crate) fn are_within(self, first: u8, last: u8) -> u64 {
        // Seven bits and seven bits make no more than a byte holds, so no byte reaches into the next.
        let low = self.0 & !Self::HIGHEST;
        let not_before = low + Self::ONES * u64::from(128 - first);
        let behind = low + Self::ONES * u64::from(127 - last);
        not_before & !behind & !self.0 & Self::HIGHEST
    }
}

/// Where the first byte is whose highest bit is among `marks` of its eight.
pub(crate) fn first(bytes: &[u8], marks: impl Fn(Eight) -> u64) -> Option<usize> {
    let at = |marked: u64| (marked.trailing_zeros() / u8::BITS) as usize;
    let (eights, rest) = bytes.as_chunks::<8>();
    for (index, eight) in eights.iter().enumerate() {
        let marked = marks(Eight(u64::from_le_bytes(*eight)));
        if marked != 0 {
            return Some(index * 8 + at(marked));
        }
    }
    if rest.is_empty() {
        return None;
    }
    let (from, last, known) = match bytes.last_chunk::<8>() {
        // Of what is looked at again nothing is marked.
        Some(last) => (bytes.len() - 8, u64::from_le_bytes(*last), u64::MAX),
        None => {
            let few = rest.iter().rev().fold(0, |few, byte| few << 8 | u64::from(*byte));
            (0, few, !(u64::MAX << (8 * rest.len())))
        }
    };
    let marked = marks(Eight(last)) & known;
    (marked != 0).then(|| from + at(marked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_found_wherever_it_is() {
        for length in 0..40 {
            let mut text = vec![b'-'; length];
            assert_eq!(first(&text, |eight| eight.are(b'x')), None);
            for at in (0..length).rev() {
                text[at] = b'x';
                assert_eq!(first(&text, |eight| eight.are(b'x')), Some(at));
            }
        }
    }

    #[test]
    fn exactly_the_bytes_that_are_meant_are_marked() {
        let ranges = [(0, 0x1f), (b'"', b'"'), (b'0', b'9'), (b'@', b'@'), (0, 0x7f), (0x7f, 0x7f)];
        for (from, to) in ranges {
            for byte in 0..=u8::MAX {
                for neighbour in [0, from.wrapping_sub(1), from, to, to + 1, 0xff] {
                    let text = [neighbour, byte, neighbour, byte, byte, neighbour, neighbour, byte];
                    let marks = Eight(u64::from_le_bytes(text)).are_within(from, to).to_le_bytes();
                    for (at, byte) in text.into_iter().enumerate() {
                        let expect = if (from..=to).contains(&byte) { 0x80 } else { 0 };
                        assert_eq!(marks[at], expect, "{byte:#x} in {text:?} for {from:#x}..={to:#x}");
                    }
                }
            }
        }
    }
}
