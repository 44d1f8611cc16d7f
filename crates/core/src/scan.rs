//! Scanning text for bytes of a class, sixteen at once.

const LANES: usize = 16;

/// Returns the position of the first matching byte. `is` must be branch-free and combine its conditions with `|`, so
/// that sixteen bytes are tested with a few instructions; [`within`] and `==` are such conditions.
#[inline]
pub(crate) fn first(bytes: &[u8], is: impl Fn(u8) -> bool) -> Option<usize> {
    let (sixteens, rest) = bytes.as_chunks::<LANES>();
    for (index, sixteen) in sixteens.iter().enumerate() {
        let marked = marks(sixteen, &is);
        if marked != 0 {
            return Some(index * LANES + place(marked));
        }
    }
    if rest.is_empty() {
        return None;
    }
    let (from, marked) = match bytes.last_chunk() {
        // Bytes that are scanned again are not marked.
        Some(last) => (bytes.len() - LANES, marks(last, &is)),
        None => {
            let mut last = [0; LANES];
            last[..rest.len()].copy_from_slice(rest);
            (0, marks(&last, &is) & !(u128::MAX << (rest.len() * 8)))
        }
    };
    (marked != 0).then(|| from + place(marked))
}

/// Returns whether a byte is in this range.
#[inline]
pub(crate) const fn within(byte: u8, first: u8, last: u8) -> bool {
    byte.wrapping_sub(first) <= last - first
}

/// Sets the highest bit of each matching byte.
#[inline]
fn marks(bytes: &[u8; LANES], is: impl Fn(u8) -> bool) -> u128 {
    let mut marks = [0; LANES];
    let mut at = 0;
    while at < LANES {
        marks[at] = if is(bytes[at]) { 0x80 } else { 0 };
        at += 1;
    }
    u128::from_le_bytes(marks)
}

#[inline]
fn place(marked: u128) -> usize {
    (marked.trailing_zeros() / u8::BITS) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_found_wherever_it_is() {
        for length in 0..70 {
            let mut text = vec![b'-'; length];
            assert_eq!(first(&text, |byte| byte == b'x'), None);
            // The padding of a short text does not match.
            assert_eq!(first(&text, |byte| byte == 0), None);
            for at in (0..length).rev() {
                text[at] = b'x';
                assert_eq!(first(&text, |byte| byte == b'x'), Some(at));
            }
        }
    }

    #[test]
    fn exactly_the_bytes_that_are_meant_are_found() {
        for (from, to) in [(0, 0x1f), (b'"', b'"'), (b'0', b'9'), (0, 0x7f), (0x7f, 0x80), (0, 0xff)] {
            for byte in 0..=u8::MAX {
                let expect = (from..=to).contains(&byte);
                assert_eq!(within(byte, from, to), expect, "{byte:#x} in {from:#x}..={to:#x}");
                assert_eq!(first(&[byte; 20], |byte| within(byte, from, to)), expect.then_some(0));
            }
        }
    }
}
