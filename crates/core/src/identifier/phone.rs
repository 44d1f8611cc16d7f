//! Phone numbers in any notation, and digits in the same notation that are not a phone number.
//!
//! A number is compared by its digits. If it includes its country (`+34 …`, `0034…`), the number without the country is
//! the same one, unless another country is named. All text is folded.

use std::ops::Range;

/// Minimum number of digits of a phone number.
const DIGITS_MIN: usize = 7;
/// Minimum number of national digits for a number with a country to be matched without it in running text.
const NATIONAL_DIGITS_MIN: usize = 9;
/// Number of bytes on each side of a number that are checked for context that makes it something else.
const AROUND_MAX: usize = 64;
/// Maximum number of digits that may touch a number from the left: a country code with `00`.
const TOUCHING_MAX: usize = 5;
/// Minimum number of digits after which a leading `00` is an international prefix, and not padding.
const ABROAD_DIGITS_MIN: usize = 11;
/// Country codes with two digits; `1` and `7` have one, all others three.
const TWO_DIGITS: &[&str] = &[
    "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48", "49", "51",
    "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "81", "82", "84", "86", "90",
    "91", "92", "93", "94", "95", "98",
];
/// Signs that make a number an amount.
const SIGNS: [char; 7] = ['€', '$', '£', '¥', '₹', '%', '‰'];
const UNITS: &[&str] = &[
    "eur", "euro", "euros", "usd", "dollar", "dollars", "dolares", "dólares", "gbp", "chf", "jpy", "mxn", "cop", "ars",
    "clp", "brl", "pesos", "bytes", "kb", "mb", "gb", "ms", "km", "kg", "cents",
];

#[derive(Clone, Debug)]
pub(super) struct PhoneNumber {
    /// Includes the country code, if known.
    digits: String,
    /// Number of digits of the country code.
    country: Option<usize>,
}

impl PhoneNumber {
    /// Parses a text of digits and phone number separators that cannot be read as anything else.
    pub(super) fn of(text: &str) -> Option<Self> {
        if !text.chars().all(|c| is_digit(c) || sets_apart(c)) {
            return None;
        }
        let has_plus = text.trim_start_matches(['(', ' ']).starts_with('+');
        // `+44 (0)20 …`: the zero applies to domestic calls only.
        let text = if has_plus { text.replacen("(0)", " ", 1) } else { text.to_owned() };
        let (first, last) = (text.find(is_digit)?, text.rfind(is_digit)?);
        if reads_otherwise(&text, first..last + 1) {
            return None;
        }
        let digits: String = text.chars().filter(|c| is_digit(*c)).collect();
        let abroad = digits.strip_prefix("00").filter(|rest| rest.len() >= ABROAD_DIGITS_MIN && !has_plus);
        let says_country = has_plus || abroad.is_some();
        let digits = abroad.unwrap_or(&digits).to_owned();
        let country = says_country.then(|| country_of(&digits));
        (digits.len() >= DIGITS_MIN).then_some(Self { digits, country })
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        let of_both = match (self.country, other.country) {
            (Some(_), Some(_)) => None,
            (Some(_), None) | (None, Some(_)) | (None, None) => Some((self.national(), other.national())),
        };
        self.digits == other.digits || of_both.is_some_and(|(one, other)| one == other && one.len() >= DIGITS_MIN)
    }

    /// Returns the number without its country code and trunk zero.
    fn national(&self) -> &str {
        let rest = &self.digits[self.country.unwrap_or(0)..];
        rest.strip_prefix('0').unwrap_or(rest)
    }

    fn country(&self) -> Option<&str> {
        self.country.map(|digits| &self.digits[..digits])
    }

    /// Returns whether running text contains it.
    pub(super) fn occurs_in(&self, text: &str) -> bool {
        let national = self.national();
        let is_told_apart = self.country.is_none() || national.len() >= NATIONAL_DIGITS_MIN;
        self.is_written(text, &self.digits, false) || is_told_apart && self.is_written(text, national, true)
    }

    fn is_written(&self, text: &str, digits: &str, is_national: bool) -> bool {
        text.match_indices(is_digit).any(|(at, _)| {
            let Some(behind) = behind(&text[at..], digits) else { return false };
            let number = at..text.len() - behind.len();
            self.may_begin(&text[..at], is_national)
                && may_end(behind)
                && !is_priced(&text[..at], behind)
                && is_standalone(&text[..at], behind, digits.len(), is_national)
                && !reads_otherwise(text, number)
        })
    }

    /// Returns whether it may start after this text: no other number, word or country code is directly before it.
    fn may_begin(&self, before: &str, is_national: bool) -> bool {
        if before.bytes().rev().take(TOUCHING_MAX + 1).filter(u8::is_ascii_digit).count() > TOUCHING_MAX {
            return false;
        }
        let (rest, touching) = cut_digits(before);
        if rest.ends_with(is_letter) {
            return false;
        }
        match touching {
            "" => !is_national || self.may_follow(before),
            "0" if is_national => self.may_follow(rest),
            "00" if !is_national => true,
            code if is_national => {
                let abroad = code.strip_prefix("00");
                let code = if rest.ends_with('+') { Some(code) } else { abroad };
                code.is_some_and(|code| country_of(code) == code.len() && self.country().is_none_or(|own| own == code))
            }
            _ => false,
        }
    }

    /// Returns whether no other country code comes before it.
    fn may_follow(&self, before: &str) -> bool {
        let is_between = |c: char| sets_apart(c) && c != '+';
        let (mut rest, mut code) = cut_digits(before.trim_end_matches(is_between));
        if code == "0" {
            (rest, code) = cut_digits(rest.trim_end_matches(is_between));
        }
        let abroad = code.strip_prefix("00").filter(|code| !code.is_empty());
        let said = if rest.ends_with('+') { Some(code) } else { abroad };
        match (said, self.country()) {
            (Some(said), Some(own)) => said == own,
            (Some(_), None) | (None, _) => true,
        }
    }
}

/// Returns the number of digits of the country code.
fn country_of(digits: &str) -> usize {
    let length = match digits.as_bytes() {
        [b'1' | b'7', ..] => 1,
        [..] if TWO_DIGITS.iter().any(|code| digits.starts_with(code)) => 2,
        [..] => 3,
    };
    length.min(digits.len())
}

/// Returns the rest of a text that starts with these digits, whatever separates them.
fn behind<'t>(text: &'t str, digits: &str) -> Option<&'t str> {
    digits.chars().try_fold(text, |rest: &str, digit| rest.trim_start_matches(sets_apart).strip_prefix(digit))
}

/// Returns whether a number may end before this text: it is not part of a longer one, of a word, of a fraction or of a
/// time.
fn may_end(behind: &str) -> bool {
    let is_cut = |sign: char, digits_max: usize| {
        behind.strip_prefix(sign).is_some_and(|rest| {
            let digits = rest.len() - rest.trim_start_matches(is_digit).len();
            (1..=digits_max).contains(&digits)
        })
    };
    let goes_on = behind.starts_with(|c: char| is_digit(c) || is_letter(c));
    !goes_on && !is_cut('.', usize::MAX) && !is_cut(',', 3) && !is_cut(':', 2)
}

/// Returns whether a number is not part of a longer one that is written in groups. A short one has no adjacent group of
/// digits, and after a `+` at most the country code and a zero come before it.
fn is_standalone(before: &str, behind: &str, digits: usize, is_national: bool) -> bool {
    let is_of_numbers = |c: char| is_digit(c) || sets_apart(c);
    let near = tail(before);
    let near = &near[near.trim_end_matches(is_of_numbers).len()..];
    let own = near.rsplit('+').next().unwrap_or(near);
    let groups = own.split(|c| !is_digit(c)).filter(|group| !group.is_empty());
    let is_abroad = near.contains('+');
    let others =
        groups.skip(usize::from(is_abroad && is_national)).filter(|group| !(is_national && *group == "0")).count();
    if is_abroad && others > 0 {
        return false;
    }
    let goes_on = behind.trim_start_matches(sets_apart).starts_with(is_digit);
    digits >= NATIONAL_DIGITS_MIN || (others == 0 && !goes_on)
}

/// Returns the end of a text, up to the checked length.
fn tail(text: &str) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(AROUND_MAX))..]
}

/// Returns whether the text before or after a number makes it an amount.
fn is_priced(before: &str, behind: &str) -> bool {
    let (before, behind) = (before.trim_end(), behind.trim_start());
    let unit = |word: &str| UNITS.contains(&word);
    let last = &before[before.trim_end_matches(char::is_alphabetic).len()..];
    let first = &behind[..behind.len() - behind.trim_start_matches(char::is_alphabetic).len()];
    before.ends_with(SIGNS) || behind.starts_with(SIGNS) || unit(last) || unit(first)
}

/// Returns whether the digits at this position are, or are part of, a date or a fraction.
fn reads_otherwise(text: &str, number: Range<usize>) -> bool {
    let groups = groups_around(text, &number);
    let own: Vec<&Range<usize>> =
        groups.iter().filter(|group| group.start < number.end && number.start < group.end).collect();
    let joint = |one: &Range<usize>, next: &Range<usize>| &text[one.end..next.start];
    match own[..] {
        [one] => {
            let before = &text[..one.start];
            let is_fraction = before.strip_suffix(['.', ',']).is_some_and(|rest| {
                let (rest, whole) = cut_digits(rest);
                (1..=3).contains(&whole.len()) && !rest.ends_with([',', '.'])
            });
            if is_fraction || !before.ends_with('+') && is_plain_date(&text[one.clone()]) {
                return true;
            }
        }
        [one, last] if joint(one, last) == "." && last.len() <= 2 => return true,
        _ => {}
    }
    // A date has three groups with the same separator between them and none next to them.
    groups.windows(3).enumerate().any(|(at, three)| {
        let sign = joint(&three[0], &three[1]);
        let goes_on = |one: Option<&Range<usize>>, next: Option<&Range<usize>>| {
            one.zip(next).is_some_and(|(one, next)| joint(one, next) == sign)
        };
        let is_apart = !goes_on(at.checked_sub(1).and_then(|before| groups.get(before)), three.first())
            && !goes_on(three.last(), groups.get(at + 3));
        let touches = three[0].start < number.end && number.start < three[2].end;
        let words = [&text[three[0].clone()], &text[three[1].clone()], &text[three[2].clone()]];
        let is_joined = matches!(sign, "-" | "/" | ".") && joint(&three[1], &three[2]) == sign;
        touches && is_joined && is_apart && is_date(words)
    })
}

/// Returns the groups of digits around a position that are connected only by phone number separators.
fn groups_around(text: &str, number: &Range<usize>) -> Vec<Range<usize>> {
    let is_of_numbers = |c: char| is_digit(c) || sets_apart(c);
    let before = tail(&text[..number.start]);
    let from = number.start - (before.len() - before.trim_end_matches(is_of_numbers).len());
    let behind = &text[number.end..text.floor_char_boundary(text.len().min(number.end + AROUND_MAX))];
    let to = number.end + (behind.len() - behind.trim_start_matches(is_of_numbers).len());
    let mut groups: Vec<Range<usize>> = Vec::new();
    for (at, _) in text[from..to].match_indices(is_digit) {
        let at = from + at;
        match groups.last_mut() {
            Some(last) if last.end == at => last.end += 1,
            _ => groups.push(at..at + 1),
        }
    }
    groups
}

/// `20261125`, `25112026`, `202611251030`, `20261125103000`.
fn is_plain_date(digits: &str) -> bool {
    let [year, month, day] = match digits.len() {
        8 if is_date([&digits[..2], &digits[2..4], &digits[4..]]) => return true,
        8 | 12 | 14 => [&digits[..4], &digits[4..6], &digits[6..8]],
        _ => return false,
    };
    let is_below = |part: &str, limit: u32| part.parse().is_ok_and(|value: u32| value < limit);
    let time = &digits[8..];
    let is_time = time.is_empty()
        || is_below(&time[..2], 24) && is_below(&time[2..4], 60) && (time.len() == 4 || is_below(&time[4..], 60));
    is_date([year, month, day]) && is_time
}

/// Returns whether these are year, month and day; or day and month, in either order, and year.
fn is_date(parts: [&str; 3]) -> bool {
    let lengths = parts.map(str::len);
    let [one, two, three] = parts.map(|part| part.parse::<u32>().unwrap_or_default());
    let is_year = |year: u32| (1900..=2100).contains(&year);
    let is_day = |month: u32, day: u32| (1..=12).contains(&month) && (1..=31).contains(&day);
    match lengths {
        [4, 1 | 2, 1 | 2] => is_year(one) && is_day(two, three),
        [1 | 2, 1 | 2, 4] => is_year(three) && (is_day(one, two) || is_day(two, one)),
        [1 | 2, 1 | 2, 2] => is_day(one, two) || is_day(two, one),
        _ => false,
    }
}

/// Splits a text before its trailing digits.
fn cut_digits(text: &str) -> (&str, &str) {
    text.split_at(text.trim_end_matches(is_digit).len())
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

/// Returns whether this is a letter of a script that uses spaces between words.
fn is_letter(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

/// Returns whether this character may separate the digits of a phone number.
fn sets_apart(c: char) -> bool {
    matches!(c, ' ' | '-' | '(' | ')' | '.' | '/' | '+' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identifier::fold;

    fn of(text: &str) -> Option<PhoneNumber> {
        PhoneNumber::of(&fold(text))
    }

    #[track_caller]
    fn phone(text: &str) -> PhoneNumber {
        of(text).expect("a phone number")
    }

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        for text in
            ["+34 612 345 678", "+34612345678", "(+34) 612-345-678", "0034612345678", "612 34 56 78", "34612345678"]
        {
            assert!(phone("+34612345678").is_same(&phone(text)), "{text}");
            assert!(phone(text).is_same(&phone("+34 (612) 345‑678")), "{text}");
        }
        assert!(phone("+44 20 7946 0958").is_same(&phone("+44 (0)20 7946-0958")));
        assert!(phone("+44 20 7946 0958").is_same(&phone("020 7946 0958")));
        for other in ["+35 612 345 678", "612 345 679", "+34 612 345 6789", "12345678"] {
            assert!(!phone("+34612345678").is_same(&phone(other)), "{other}");
        }
    }

    #[test]
    fn what_reads_as_something_else_is_no_phone_number() {
        for text in [
            "1500",
            "123456",
            "20261125",
            "25112026",
            "2026-11-25",
            "25/11/2026",
            "2026-11-25 10",
            "20261125103000",
            "1234567.89",
            "612a345678",
            "",
            "--",
        ] {
            assert!(of(text).is_none(), "{text}");
        }
        for text in ["20 26 11 25", "+4520261125", "555-0100", "612.345.678", "(612) 345 678"] {
            assert!(of(text).is_some(), "{text}");
        }
    }

    #[test]
    fn it_is_found_in_running_text_and_never_in_dates_amounts_fractions_or_other_numbers() {
        let is_in = |known: &str, text: &str| phone(known).occurs_in(&fold(text));
        for text in [
            "room 22 612 345 678",
            "612 345 678 2 nights",
            "+34 612-345-678",
            "22/612.345.678",
            "tel.612\u{a0}345\u{a0}678",
            "+34612345678",
            "(0034612345678)",
            "call 612345678.",
            "612345678, or later",
            "at 25.11.2026: 612345678",
        ] {
            assert!(is_in("612345678", text) && is_in("612 34 56 78", text) && is_in("+34612345678", text), "{text}");
        }
        for text in [
            "+49 30 612 345 678",
            "22612 345 678",
            "612 345 6782",
            "612 345 67",
            "612 345 x 678",
            "612345678.5",
            "0.612345678",
            "612345678 EUR",
            "€612345678",
            "a612345678",
            "612345678b",
            "ord_612345678",
            "612345678:30",
            "612,345,678",
        ] {
            assert!(!is_in("612345678", text) && !is_in("+34612345678", text), "{text}");
        }
        assert!(
            is_in("612345678", "+44 612 345 678") && !is_in("+34612345678", "+44 612 345 678"),
            "another country's"
        );
        for (short, text) in [
            ("555-0100", "call +1 (212) 555-0100"),
            ("3456789", "call 612 345 6789 then"),
            ("1234567", "card 4111 1111 123 4567"),
            ("1234567", "card 123 4567 8901"),
        ] {
            assert!(!is_in(short, text), "{text}");
        }
        assert!(is_in("555-0100", "call 555-0100, or") && is_in("612345678", "call +34 612 345 678"));
        assert!(!is_in("20 26 11 25", "on 2026-11-25 at ten") && !is_in("20 26 11 25", "20261125"), "dates");
        assert!(!is_in("202 611 2510", "2026-11-25 10:30") && !is_in("202 611 2510", "2026-11-25 10"), "instants");
        assert!(is_in("20 26 11 25", "on 2026-11-25 call 20 26 11 25") && is_in("+4520261125", "+45 20261125"));
    }
}
