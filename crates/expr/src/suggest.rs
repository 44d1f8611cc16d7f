//! "Did you mean": the nearest of a few names.

/// Maximum length of compared names, in characters. Single-letter typos are unlikely in longer names, and this bounds
/// the work.
const COMPARED_CHARS_MAX: usize = 64;

/// Returns the candidate nearest to `name`, if it is near enough to be a typo.
///
/// Near means that at most a third of the letters differ (insertions, deletions, replacements, and swaps of two
/// adjacent letters count one each); a candidate that differs only in case always counts.
pub fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let wanted: Vec<char> = name.to_lowercase().chars().collect();
    if wanted.is_empty() || wanted.len() > COMPARED_CHARS_MAX {
        return None;
    }
    let allowed = (wanted.len() / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| *candidate != name && candidate.len() <= 4 * COMPARED_CHARS_MAX)
        .filter_map(|candidate| {
            let letters: Vec<char> = candidate.to_lowercase().chars().collect();
            if letters.len() > COMPARED_CHARS_MAX || letters.len().abs_diff(wanted.len()) > allowed {
                return None;
            }
            let distance = distance(&wanted, &letters);
            (distance <= allowed && distance < letters.len()).then_some((distance, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// Returns the optimal string alignment distance: Levenshtein's, with adjacent swaps counted once.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, &y) in b.iter().enumerate() {
            let mut best = (above[j] + usize::from(x != y)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = above;
        above = row;
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_of_the_hand_finds_the_name_that_was_meant() {
        let known = ["weather", "stock", "news"];
        assert_eq!(nearest("wether", known), Some("weather"));
        assert_eq!(nearest("stokc", known), Some("stock"));
        assert_eq!(nearest("NEWS", known), Some("news"));
    }

    #[test]
    fn a_different_word_is_not_suggested() {
        assert_eq!(nearest("invoice", ["weather", "stock"]), None);
        assert_eq!(nearest("a", ["b"]), None);
        assert_eq!(nearest("", ["b"]), None);
        assert_eq!(nearest(&"x".repeat(100_000), ["b"]), None);
    }
}
