//! One normal form for all spellings of the same words.

use unicode_normalization::UnicodeNormalization as _;

/// Folds a text to lower case by case folding (`STRASSE` is `straße`), with composed accents (NFKC), without invisible
/// characters, and with any white space as one space.
pub fn fold(text: &str) -> String {
    let folded: String = if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        let shown = text.nfkc().filter(|c| !is_invisible(*c));
        // Through upper case: `ß` and `ς` have upper-case forms that others share.
        shown.flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkc().collect()
    };
    let mut words = folded.split_whitespace();
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| text + " " + word)
}

/// Returns whether a character is invisible: direction marks, joiners and soft hyphens, which come with text pasted
/// from an address book.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_the_same_is_the_same() {
        for (one, other) in [
            ("JOSÉ PÉREZ", "José Pérez"),
            ("Jose\u{301} Pe\u{301}rez", "josé pérez"),
            ("Groß", "GROSS"),
            ("ΝΊΚΟΣ", "νίκος"),
            ("６１２", "612"),
            (" Ana\u{a0}\n Ruiz ", "ana ruiz"),
            ("\u{202a}+34 612\u{202c}", "+34 612"),
        ] {
            assert_eq!(fold(one), fold(other), "{one}");
        }
        assert_ne!(fold("José"), fold("Jose"), "an accent makes another name");
    }
}
