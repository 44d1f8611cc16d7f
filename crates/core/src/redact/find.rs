//! The patterns: what starts at one byte of a text, if anything.

use serde_json::Number;

use crate::scan;

pub(super) const CARD: &str = "[REDACTED_CREDIT_CARD]";
const EMAIL: &str = "[REDACTED_EMAIL]";
const IBAN: &str = "[REDACTED_IBAN]";
const PHONE: &str = "[REDACTED_PHONE]";
const SSN: &str = "[REDACTED_SSN]";

/// RFC 5321: maximum octets before the `@`, and of the domain.
const EMAIL_LOCAL_BYTES_MAX: usize = 64;
const EMAIL_DOMAIN_BYTES_MAX: usize = 255;
/// ISO 13616: length of an IBAN, in characters.
const IBAN_CHARS_MIN: usize = 15;
const IBAN_CHARS_MAX: usize = 34;
/// ISO 13616: letters of the country, before the first digit.
const IBAN_LETTERS: usize = 2;
/// ISO/IEC 7812: number of digits of a card number.
const CARD_DIGITS_MIN: usize = 13;
const CARD_DIGITS_MAX: usize = 19;
/// E.164: number of digits of a phone number with its country.
const PHONE_DIGITS_MIN: usize = 8;
const PHONE_DIGITS_MAX: usize = 15;
/// Maximum number of digit groups that are examined together.
const GROUPS_MAX: usize = 8;

pub(super) struct RedactionMatch {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) label: &'static str,
}

/// Returns the first match of all after `done`.
pub(super) fn next(text: &str, done: usize) -> Option<RedactionMatch> {
    let bytes = text.as_bytes();
    let mut from = done;
    while let Some(skipped) = scan::first(bytes.get(from..)?, is_candidate) {
        let found = at(text, done, from + skipped, bytes.len());
        if found.is_some() {
            return found;
        }
        from = next_candidate(bytes, from + skipped);
    }
    None
}

/// Returns whether a match is possible at this byte.
#[inline]
pub(super) fn is_candidate(byte: u8) -> bool {
    scan::within(byte, b'0', b'9') | (byte == b'@') | (byte == b'+') | (byte == b'(')
}

/// Returns the bytes that trigger all matches starting before `end`: an IBAN is triggered by its first digit, two
/// letters after its start.
pub(super) fn triggers_before(bytes: &[u8], end: usize) -> &[u8] {
    &bytes[..bytes.len().min(end + IBAN_LETTERS)]
}

/// Returns the match that is triggered at byte `at` and starts before `end`. An e-mail address is triggered by its `@`
/// and an IBAN by its first digit: both extend back, but never before `done`.
pub(super) fn at(text: &str, done: usize, at: usize, end: usize) -> Option<RedactionMatch> {
    let bytes = text.as_bytes();
    match bytes[at] {
        b'@' if at < end => email(text, done, at),
        b'0'..=b'9' => {
            let begin = at.checked_sub(IBAN_LETTERS).filter(|begin| *begin >= done && *begin < end);
            begin.and_then(|begin| iban_at(bytes, begin)).or_else(|| word_at(bytes, at, end))
        }
        b'+' | b'(' => word_at(bytes, at, end),
        _ => None,
    }
}

/// Returns where to continue after a byte without a match. Nothing starts within a run of digits: a number starts at a
/// word boundary, and an IBAN has its first digit after a letter.
pub(super) fn next_candidate(bytes: &[u8], at: usize) -> usize {
    at + bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count().max(1)
}

fn word_at(bytes: &[u8], at: usize, end: usize) -> Option<RedactionMatch> {
    (at < end && begins_word(bytes, at)).then(|| number(bytes, at)).flatten()
}

fn iban_at(bytes: &[u8], at: usize) -> Option<RedactionMatch> {
    (bytes[at].is_ascii_alphabetic() && begins_word(bytes, at)).then(|| iban(bytes, at)).flatten()
}

/// Returns whether a JSON number is a card number.
pub(super) fn is_card_number(number: &Number) -> bool {
    const SMALLEST: u64 = 10_u64.pow(CARD_DIGITS_MIN as u32 - 1);
    let Some(number) = number.as_u64().filter(|number| *number >= SMALLEST) else { return false };
    let mut digits = [0_u8; 20];
    let (mut rest, mut at) = (number, digits.len());
    while rest > 0 {
        at -= 1;
        digits[at] = u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    is_card(&digits[at..])
}

/// Character classes of a byte, one bit each.
const WORD: u8 = 1;
const LOCAL: u8 = 2;
const DOMAIN: u8 = 4;

const PART_OF: [u8; 256] = {
    let mut part_of = [0; 256];
    let mut byte = 0;
    while byte < part_of.len() {
        part_of[byte] = match byte as u8 {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => WORD | LOCAL | DOMAIN,
            b'_' => WORD | LOCAL,
            b'.' | b'-' | 0x80.. => LOCAL | DOMAIN,
            b'%' | b'+' | b'\'' => LOCAL,
            _ => 0,
        };
        byte += 1;
    }
    part_of
};

fn is_of(byte: u8, part: u8) -> bool {
    PART_OF[usize::from(byte)] & part != 0
}

fn is_word(byte: u8) -> bool {
    is_of(byte, WORD)
}

fn begins_word(bytes: &[u8], at: usize) -> bool {
    at == 0 || !is_word(bytes[at - 1])
}

fn ends_word(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_none_or(|byte| !is_word(*byte))
}

fn email(text: &str, done: usize, at: usize) -> Option<RedactionMatch> {
    let bytes = text.as_bytes();
    let first = done.max(at.saturating_sub(EMAIL_LOCAL_BYTES_MAX));
    let local = bytes[first..at].iter().rev().take_while(|byte| is_of(**byte, LOCAL)).count();
    let from = text.floor_char_boundary(at - local).max(done);
    if from == at {
        return None;
    }
    let last = bytes.len().min(at + 1 + EMAIL_DOMAIN_BYTES_MAX);
    let domain = bytes[at + 1..last].iter().take_while(|byte| is_of(**byte, DOMAIN)).count();
    let mut domain = without_end(&bytes[at + 1..text.floor_char_boundary(at + 1 + domain)]);
    while let Some(dot) = domain.iter().rposition(|byte| *byte == b'.') {
        let begins_char = |byte: &&u8| !matches!(byte, 0x80..=0xbf);
        if dot > 0 && domain[dot + 1..].iter().filter(begins_char).nth(1).is_some() {
            return Some(RedactionMatch { from, to: at + 1 + domain.len(), label: EMAIL });
        }
        domain = without_end(&domain[..dot]);
    }
    None
}

/// Removes trailing points and hyphens, which cannot end a domain.
fn without_end(domain: &[u8]) -> &[u8] {
    let ends = domain.iter().rposition(|byte| !matches!(byte, b'.' | b'-'));
    &domain[..ends.map_or(0, |last| last + 1)]
}

/// Digits in groups: `+34 612 345 678`, `4111-1111-1111-1111`.
struct DigitGroups {
    digits: [u8; CARD_DIGITS_MAX],
    /// By group: the number of digits up to its end, and the position of that end in the text.
    groups: [(usize, usize); GROUPS_MAX],
    count: usize,
    /// The separators found, one bit each: see [`DigitGroups::SPACE`].
    separators: [u8; GROUPS_MAX],
}

impl DigitGroups {
    const SPACE: u8 = 1;
    const HYPHEN: u8 = 2;
    const POINT: u8 = 4;
    const BRACKET: u8 = 8;

    /// Reads up to [`GROUPS_MAX`] groups, at most two separators apart, each ending at a word boundary.
    fn read(bytes: &[u8], from: usize) -> Self {
        let mut read =
            Self { digits: [0; CARD_DIGITS_MAX], groups: [(0, 0); GROUPS_MAX], count: 0, separators: [0; GROUPS_MAX] };
        let (mut at, mut total) = (from, 0);
        while read.count < GROUPS_MAX {
            let start = at;
            while let Some(digit) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
                if total == CARD_DIGITS_MAX {
                    return read;
                }
                read.digits[total] = digit - b'0';
                total += 1;
                at += 1;
            }
            if at == start || !ends_word(bytes, at) {
                return read;
            }
            read.groups[read.count] = (total, at);
            read.count += 1;
            let (skipped, kinds) = separators(&bytes[at..]);
            if read.count < GROUPS_MAX {
                read.separators[read.count] = kinds;
            }
            if skipped == 0 {
                return read;
            }
            at += skipped;
        }
        read
    }

    fn sizes(&self, count: usize) -> impl Iterator<Item = usize> {
        (0..count).map(|index| self.groups[index].0 - if index == 0 { 0 } else { self.groups[index - 1].0 })
    }

    fn has_sizes(&self, sizes: &[usize]) -> bool {
        self.count >= sizes.len() && self.sizes(sizes.len()).eq(sizes.iter().copied())
    }

    /// Returns whether the first `count` groups are separated only by these separators.
    fn are_apart_by(&self, count: usize, allowed: u8) -> bool {
        self.separators[1..count.max(1)].iter().all(|kinds| kinds & !allowed == 0)
    }

    /// Returns whether a number may end after `count` groups: only a space separates it from following digits.
    fn ends_after(&self, count: usize) -> bool {
        count == self.count || self.separators.get(count).is_none_or(|kinds| *kinds == Self::SPACE)
    }
}

/// Returns up to two separator bytes between groups, if a digit follows.
fn separators(bytes: &[u8]) -> (usize, u8) {
    let mut kinds = 0;
    for (skipped, byte) in bytes.iter().take(3).enumerate() {
        kinds |= match byte {
            b' ' => DigitGroups::SPACE,
            b'-' => DigitGroups::HYPHEN,
            b'.' => DigitGroups::POINT,
            b'(' | b')' => DigitGroups::BRACKET,
            b'0'..=b'9' => return (skipped, kinds),
            _ => return (0, 0),
        };
    }
    (0, 0)
}

fn number(bytes: &[u8], at: usize) -> Option<RedactionMatch> {
    let opened = matches!(bytes[at], b'+' | b'(');
    let first = if bytes[at..].starts_with(b"+(") { at + 2 } else { at + usize::from(opened) };
    if !has_digits(&bytes[first..], PHONE_DIGITS_MIN) {
        return None;
    }
    let digits = DigitGroups::read(bytes, first);
    if digits.count == 0 {
        return None;
    }
    let found = |groups: usize, label| Some(RedactionMatch { from: at, to: digits.groups[groups - 1].1, label });
    if bytes[at] == b'+' {
        return international(&digits, 0).and_then(|groups| found(groups, PHONE));
    }
    if digits.has_sizes(&[3, 2, 4]) && digits.are_apart_by(3, DigitGroups::HYPHEN) && digits.ends_after(3) {
        return found(3, SSN);
    }
    if let Some(groups) = card(&digits) {
        return found(groups, CARD);
    }
    if digits.digits.starts_with(&[0, 0]) {
        return international(&digits, 2).and_then(|groups| found(groups, PHONE));
    }
    national(&digits).and_then(|groups| found(groups, PHONE))
}

/// Returns whether at least `count` digits start here, with any separators: shorter numbers are not searched for.
fn has_digits(bytes: &[u8], count: usize) -> bool {
    let mut digits = 0;
    // At most two bytes separate two digits.
    for byte in bytes.iter().take(3 * count) {
        match byte {
            b'0'..=b'9' => digits += 1,
            b' ' | b'-' | b'.' | b'(' | b')' => {}
            _ => return false,
        }
        if digits == count {
            return true;
        }
    }
    false
}

/// Returns the largest number of groups that form an international number, after a prefix of `prefix` digits.
fn international(digits: &DigitGroups, prefix: usize) -> Option<usize> {
    (1..=digits.count).rev().find(|count| {
        let total = digits.groups[count - 1].0.saturating_sub(prefix);
        (PHONE_DIGITS_MIN..=PHONE_DIGITS_MAX).contains(&total) && digits.ends_after(*count)
    })
}

/// National number formats: North America's ten digits, and nine as in Spain.
fn national(digits: &DigitGroups) -> Option<usize> {
    const TEN: &[&[usize]] = &[&[10], &[3, 3, 4], &[3, 7], &[6, 4]];
    const NINE: &[&[usize]] = &[&[9], &[3, 3, 3], &[3, 2, 2, 2], &[3, 6]];
    let first = digits.digits[0];
    let fits = |sizes: &[usize]| digits.has_sizes(sizes) && digits.ends_after(sizes.len());
    let written = |ways: &[&[usize]]| ways.iter().find(|sizes| fits(sizes)).map(|sizes| sizes.len());
    match first {
        2..=5 => written(TEN),
        6..=9 => written(TEN).or_else(|| written(NINE)),
        1 if fits(&[1, 3, 3, 4]) => Some(4),
        _ => None,
    }
}

/// Returns the largest number of groups that form a card number.
fn card(digits: &DigitGroups) -> Option<usize> {
    (1..=digits.count).rev().find(|count| {
        let total = digits.groups[count - 1].0;
        digits.are_apart_by(*count, DigitGroups::SPACE | DigitGroups::HYPHEN) && is_card(&digits.digits[..total])
    })
}

/// Checks the length, the first digit (as used by payment networks), and Luhn's check digit.
fn is_card(digits: &[u8]) -> bool {
    let plausible = (CARD_DIGITS_MIN..=CARD_DIGITS_MAX).contains(&digits.len()) && matches!(digits[0], 2..=6);
    plausible && luhn(digits)
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, digit)| match (index % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

fn iban(bytes: &[u8], at: usize) -> Option<RedactionMatch> {
    let begins = bytes.get(at + 1)?.is_ascii_alphabetic()
        && bytes.get(at + 2)?.is_ascii_digit()
        && bytes.get(at + 3)?.is_ascii_digit();
    if !begins {
        return None;
    }
    let upper = bytes[at].is_ascii_uppercase();
    let check = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
    let (mut chars, mut remainder, mut to, mut end) = (4, 0, at + 4, None);
    loop {
        if chars >= IBAN_CHARS_MIN && ends_word(bytes, to) && check.iter().fold(remainder, mod_97) == 1 {
            end = Some(to);
        }
        let skipped = usize::from(bytes.get(to) == Some(&b' '));
        let belongs =
            |byte: u8| byte.is_ascii_digit() || byte.is_ascii_alphabetic() && byte.is_ascii_uppercase() == upper;
        match bytes.get(to + skipped) {
            Some(byte) if belongs(*byte) && chars < IBAN_CHARS_MAX => {
                remainder = mod_97(remainder, byte);
                chars += 1;
                to += skipped + 1;
            }
            _ => break,
        }
    }
    end.map(|to| RedactionMatch { from: at, to, label: IBAN })
}

/// ISO 7064: a digit counts as one position; a letter is 10 to 35 and counts as two.
fn mod_97(remainder: u32, byte: &u8) -> u32 {
    match byte {
        b'0'..=b'9' => (remainder * 10 + u32::from(byte - b'0')) % 97,
        _ => (remainder * 100 + u32::from(byte.to_ascii_uppercase() - b'A') + 10) % 97,
    }
}
