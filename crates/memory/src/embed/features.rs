//! The features of a text for the built-in embedder: its words, and their letters.

/// Maximum characters of a word that count; longer ones are not natural words.
const WORD_CHARS_MAX: usize = 40;
/// Maximum words of a text that are examined.
const WORDS_MAX: usize = 8_192;
/// Lengths of the letter groups, including the markers for the beginning and end of a word.
const GROUP_MIN: usize = 3;
const GROUP_MAX: usize = 4;

/// The words of a text, folded.
pub(crate) fn words(text: &str) -> Vec<String> {
    let apart = |c: char| !c.is_alphanumeric();
    text.split(apart)
        .filter(|word| !word.is_empty())
        .take(WORDS_MAX)
        .map(fold)
        .filter(|word| !word.is_empty())
        .collect()
}

/// Lower case, without the accents of Latin letters.
fn fold(word: &str) -> String {
    word.chars()
        .take(WORD_CHARS_MAX)
        .flat_map(char::to_lowercase)
        .flat_map(|c| plain(c).chars().chain(other(c)))
        .collect()
}

/// The base letters of an accented one.
fn plain(c: char) -> &'static str {
    match c {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ā' | 'ă' | 'ą' => "a",
        'ç' | 'ć' | 'č' => "c",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ę' | 'ě' => "e",
        'ì' | 'í' | 'î' | 'ï' | 'ī' => "i",
        'ł' => "l",
        'ñ' | 'ń' | 'ň' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'ō' | 'ő' => "o",
        'ř' => "r",
        'ś' | 'š' | 'ş' => "s",
        'ß' => "ss",
        'ù' | 'ú' | 'û' | 'ü' | 'ū' | 'ů' | 'ű' => "u",
        'ý' | 'ÿ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        'æ' => "ae",
        'œ' => "oe",
        _ => "",
    }
}

/// The letter itself if it has no base form. Combining marks are dropped.
fn other(c: char) -> Option<char> {
    (plain(c).is_empty() && !('\u{300}'..='\u{36f}').contains(&c)).then_some(c)
}

/// Strips English and Spanish endings from a word. Approximate: the result only has to be the same for all forms of one
/// word.
pub(crate) fn stem(word: &str) -> &str {
    const ENDINGS: [&str; 14] =
        ["aciones", "ations", "acion", "ation", "ings", "ing", "ies", "ers", "ed", "es", "er", "ly", "y", "s"];
    if !word.is_ascii() {
        return word;
    }
    let shortest = 3;
    ENDINGS.iter().find_map(|end| word.strip_suffix(end).filter(|stem| stem.len() >= shortest)).unwrap_or(word)
}

/// Letter groups of a word between its markers, `<w`, `wo`, … as slices of the marked word.
pub(crate) fn groups(word: &str, mut each: impl FnMut(&str)) {
    let marked = format!("<{word}>");
    let starts: Vec<usize> = marked.char_indices().map(|(at, _)| at).chain([marked.len()]).collect();
    for length in GROUP_MIN..=GROUP_MAX {
        for window in starts.windows(length + 1) {
            if let (Some(begins), Some(ends)) = (window.first(), window.last()) {
                each(&marked[*begins..*ends]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_folded() {
        assert_eq!(words("El Niño's 3.5 ÉTÉ—straße e\u{301}"), ["el", "nino", "s", "3", "5", "ete", "strasse", "e"]);
        assert_eq!(words(" .,;\n"), [] as [&str; 0]);
    }

    #[test]
    fn forms_of_a_word_share_a_stem() {
        for forms in [["flooding", "floods"], ["heated", "heating"], ["lighthouses", "lighthouse"], ["rivers", "river"]]
        {
            let [one, other] = forms.map(stem);
            assert!(one.starts_with(other) || other.starts_with(one), "{one} and {other}");
        }
        assert_eq!(stem("sea"), "sea");
    }

    #[test]
    fn groups_are_of_letters_and_marks() {
        let mut all = Vec::new();
        groups("né", |group| all.push(group.to_owned()));
        assert_eq!(all, ["<né", "né>", "<né>"]);
    }
}
