//! Words, mail addresses and ids in running text. All text is folded.

use super::IDENTIFIER_CHARS_MIN;

/// Length from which an id is not assumed to be the start or the end of a longer one.
const LONG: usize = 12;
/// Words before a number that make it an amount or a date.
const QUANTITIES: &[&str] = &[
    "eur", "usd", "gbp", "chf", "jpy", "cny", "mxn", "cop", "ars", "clp", "pen", "brl", "uyu", "q", "h", "w", "kw",
    "fy", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "ene", "abr", "ago",
    "dic", "no", "nr", "year", "week", "day", "room", "page", "covid", "utc", "gmt",
];

/// Returns whether a text contains `words`, not as part of a longer word.
pub(super) fn has_words(text: &str, words: &str) -> bool {
    whole(text, words).next().is_some()
}

/// Returns whether a text contains a mail address. A full stop or a dash ends a sentence, unless the address continues
/// after it.
pub(super) fn has_address(text: &str, address: &str) -> bool {
    let joins_before = ['.', '_', '%', '+', '-'];
    whole(text, address).any(|(before, behind)| {
        let rest = behind.strip_prefix(['.', '-']).unwrap_or(behind);
        !before.ends_with(joins_before) && !rest.starts_with(char::is_alphanumeric)
    })
}

/// Returns whether a text contains an id, not as part of a longer one unless it is too long for that.
pub(super) fn has_code(text: &str, code: &str) -> bool {
    let joins: &[char] = if code.chars().count() < LONG { &['.', '_', '+', '-', ':'] } else { &['_'] };
    whole(text, code).any(|(before, behind)| {
        let begins_before = before.strip_suffix(joins).is_some_and(|rest| rest.ends_with(char::is_alphanumeric));
        let goes_on = behind.strip_prefix(joins).is_some_and(|rest| rest.starts_with(char::is_alphanumeric));
        !begins_before && !goes_on
    })
}

/// Returns the texts before and after each occurrence of the words between word boundaries.
fn whole<'t>(text: &'t str, words: &'t str) -> impl Iterator<Item = (&'t str, &'t str)> {
    let around = text.match_indices(words).map(|(at, found)| (&text[..at], &text[at + found.len()..]));
    around.filter(|(before, behind)| {
        !before.ends_with(char::is_alphanumeric) && !behind.starts_with(char::is_alphanumeric)
    })
}

/// Returns whether an id is unambiguous in running text: letters and digits that are not an amount, a date or a time.
pub(super) fn is_code(id: &str) -> bool {
    if id.chars().count() < IDENTIFIER_CHARS_MIN || !id.contains(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let mut groups = id.split(|c: char| !c.is_alphabetic()).filter(|group| !group.is_empty());
    let Some(first) = groups.next() else { return false };
    let mut others = groups.peekable();
    let begins_with_letters = id.chars().find(|c| c.is_alphanumeric()).is_some_and(char::is_alphabetic);
    if begins_with_letters {
        return others.peek().is_some() || !QUANTITIES.contains(&first);
    }
    // `1500eur`, `10am`, `2026-w48` and `20261125t10z` start in the same way.
    others.peek().is_some() && id.chars().filter(|c| c.is_alphabetic()).count() >= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_looked_for_in_running_text_only_where_it_is_no_number_no_amount_no_date_and_no_plain_word() {
        for code in ["cust_789", "c-77", "u1001", "3f2a9c1e-77b0-4d1e", "9e3779b97f4a7c15id", "user-1"] {
            assert!(is_code(code), "{code}");
        }
        for other in [
            "1500",
            "2026",
            "20261125",
            "2026-11-25",
            "10:30",
            "1.500,00",
            "1500eur",
            "eur1500",
            "usd-1500",
            "10am",
            "2026-w48",
            "q4-2026",
            "nov-2026",
            "2026-11-25t10:15:30z",
            "1e10",
            "ana",
            "ana ruiz",
            "walk-in",
            "check_in",
            "u1",
            "612 345 678",
        ] {
            assert!(!is_code(other), "{other}");
        }
    }

    #[test]
    fn a_short_id_is_no_part_of_a_longer_one() {
        for text in ["cust_789", "ask cust_789.", "(cust_789)", "orders/cust_789/1", "cust_789, cust_780"] {
            assert!(has_code(text, "cust_789"), "{text}");
        }
        for text in ["cust_7890", "cust_789-2", "cust_789.5", "xcust_789", "old-cust_789", "cust_789_b"] {
            assert!(!has_code(text, "cust_789"), "{text}");
        }
        assert!(has_code("visit-3f2a9c1e77b04d1e", "3f2a9c1e77b04d1e"));
    }
}
