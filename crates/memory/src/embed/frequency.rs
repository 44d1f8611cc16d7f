//! How significant a word is for the topic of a text: an estimate of its rarity, without a corpus. Words are folded.

/// The weight of a word of [`COMMON`], relative to a significant one.
const COMMON_WEIGHT: f32 = 0.05;
/// The weight of a word of [`FREQUENT`], relative to another of its length.
const FREQUENT_WEIGHT: f32 = 0.2;
/// A word of this many letters has full weight; shorter ones are usually more frequent.
const TELLING_LETTERS: f32 = 8.0;

/// Function words in English and Spanish.
#[rustfmt::skip]
const COMMON: &[&str] = &[
    "a", "about", "after", "al", "all", "also", "an", "and", "any", "are", "as", "at", "be", "been", "but",
    "by", "can", "como", "con", "could", "cual", "cuando", "de", "del", "did", "do", "does", "donde", "el",
    "ella", "en", "es", "esta", "este", "esto", "for", "from", "had", "has", "have", "he", "her", "his", "how",
    "i", "if", "in", "into", "is", "it", "its", "la", "las", "lo", "los", "mas", "me", "mi", "more", "most",
    "my", "no", "nor", "not", "of", "on", "one", "or", "other", "our", "out", "para", "pero", "por", "porque",
    "que", "se", "she", "should", "si", "sin", "so", "some", "son", "su", "such", "sus", "than", "that", "the",
    "their", "them", "then", "there", "these", "they", "this", "those", "to", "tu", "un", "una", "up", "was",
    "we", "were", "what", "when", "where", "which", "who", "why", "will", "with", "would", "y", "ya", "yo",
    "you", "your",
];

/// Very frequent content words in English and Spanish.
#[rustfmt::skip]
const FREQUENT: &[&str] = &[
    "across", "again", "against", "ahora", "alli", "almost", "along", "always", "among", "ano", "anos",
    "another", "antes", "anyone", "anything", "aqui", "around", "away", "back", "bad", "because", "become",
    "becomes", "before", "being", "best", "better", "between", "bien", "big", "both", "buena", "bueno", "cada",
    "call", "called", "came", "come", "comes", "coming", "cosa", "cosas", "dar", "day", "days", "decir",
    "desde", "despues", "dia", "dias", "dice", "different", "dijo", "doing", "done", "dos", "down", "durante",
    "during", "each", "else", "enough", "entre", "era", "eran", "estan", "estar", "even", "ever", "every",
    "everyone", "everything", "far", "few", "find", "finds", "first", "five", "forma", "found", "four", "fue",
    "gave", "gente", "get", "gets", "getting", "give", "given", "gives", "go", "goes", "going", "gone", "good",
    "got", "gran", "grande", "grandes", "great", "hace", "hacer", "happen", "happened", "happens", "hasta",
    "having", "hay", "hecho", "here", "high", "hour", "hundred", "just", "keep", "keeps", "kept", "kind",
    "kinds", "know", "known", "knows", "large", "last", "left", "let", "like", "little", "live", "lives",
    "long", "look", "looks", "lot", "low", "lugar", "made", "make", "makes", "making", "mal", "man", "many",
    "may", "mejor", "men", "might", "misma", "mismo", "modo", "much", "must", "muy", "near", "need", "needs",
    "never", "new", "next", "nothing", "now", "nueva", "nuevo", "number", "nunca", "off", "often", "old",
    "only", "otra", "otras", "otro", "otros", "over", "own", "part", "parte", "parts", "people", "person",
    "persona", "place", "places", "poder", "primero", "puede", "pueden", "put", "puts", "quiere", "quite",
    "rather", "really", "right", "saber", "said", "same", "saw", "say", "says", "see", "seen", "ser", "shall",
    "short", "sido", "siempre", "six", "small", "sobre", "solo", "someone", "something", "sometimes", "still",
    "take", "taken", "takes", "taking", "tambien", "tell", "tells", "ten", "tener", "thing", "things", "think",
    "though", "thousand", "three", "through", "tiempo", "tiene", "tienen", "time", "times", "toda", "todas",
    "today", "todo", "todos", "told", "too", "took", "toward", "towards", "tres", "turn", "turns", "two",
    "ultimo", "under", "until", "upon", "use", "used", "uses", "using", "veces", "ver", "very", "vez", "want",
    "way", "ways", "week", "well", "went", "while", "within", "without", "woman", "work", "works", "year",
    "years", "yet", "young",
];

/// Whether a word carries no information.
pub(crate) fn is_common(word: &str) -> bool {
    COMMON.binary_search(&word).is_ok()
}

/// From nearly 0 to 1.
pub(super) fn weight(word: &str) -> f32 {
    if is_common(word) {
        return COMMON_WEIGHT;
    }
    #[expect(clippy::cast_precision_loss, reason = "a word's length")]
    let by_length = (word.chars().count() as f32 / TELLING_LETTERS).min(1.0);
    if FREQUENT.binary_search(&word).is_ok() { FREQUENT_WEIGHT * by_length } else { by_length }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_in_order_and_share_no_word() {
        assert!(COMMON.is_sorted() && FREQUENT.is_sorted());
        assert!(FREQUENT.iter().all(|word| !is_common(word)));
        assert!(is_common("the") && is_common("porque") && !is_common("tide"));
    }

    #[test]
    fn rarer_words_weigh_more() {
        let weights = ["the", "people", "tide", "aqueduct", "desalination"].map(weight);
        assert!(weights.is_sorted() && weights.first() < weights.get(1), "{weights:?}");
        assert_eq!(weight("aqueduct"), 1.0);
    }
}
