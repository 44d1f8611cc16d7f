//! Estimates the tokens of a text: accurate enough to fill a budget, never used for billing.

/// Bytes of one token of ordinary Latin text.
const BYTES_PER_TOKEN: usize = 4;

/// A conservative estimate: four ASCII bytes are a token, and so is every other character.
pub(crate) fn estimate(text: &str) -> usize {
    let (ascii, other) =
        text.chars().fold(
            (0_usize, 0_usize),
            |(ascii, other), c| {
                if c.is_ascii() { (ascii + 1, other) } else { (ascii, other + 1) }
            },
        );
    ascii.div_ceil(BYTES_PER_TOKEN) + other
}

/// Where to cut a text so that it has at most this number of tokens; `None` if it already does. Never at its beginning.
pub(crate) fn cut(text: &str, tokens_max: usize) -> Option<usize> {
    let (mut ascii, mut other) = (0_usize, 0_usize);
    for (at, c) in text.char_indices() {
        if c.is_ascii() {
            ascii += 1;
        } else {
            other += 1;
        }
        if ascii.div_ceil(BYTES_PER_TOKEN) + other > tokens_max && at > 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_counts_by_its_length_and_other_scripts_by_character() {
        assert_eq!(estimate(""), 0);
        assert_eq!(estimate("word"), 1);
        assert_eq!(estimate("five words of plain text."), 7);
        assert_eq!(estimate("漢字"), 2);
    }

    #[test]
    fn a_text_is_cut_where_it_grows_too_large() {
        assert_eq!(cut("eight by", 2), None);
        assert_eq!(cut("nine byte", 2), Some(8));
        assert_eq!(cut("漢字", 1), Some(3));
        assert_eq!(cut("漢", 0), None);
    }
}
