//! Removes personal data and secrets from records for people: audit rows, logs, traces.
//!
//! Detected in text: e-mail addresses, phone numbers, US social security numbers, card numbers (Luhn) and IBANs (ISO
//! 7064). A label names what was removed: `[REDACTED_EMAIL]`. Secrets are detected by their field's name.
//!
//! One pass over the bytes, no regular expressions, bounded look-ahead; text without a digit and without an `@` is
//! returned unchanged. It prefers false positives: a ten-digit order number may be treated as a phone number.
//! Deliberately absent: names and street addresses, which no pattern finds.

mod find;

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::{canonical, scan};

/// Replaces a secret.
pub const SECRET: &str = "[REDACTED]";

/// How much of a value is kept. Longer strings, lists and objects are cut, with a note of how much is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedactionBounds {
    /// Total bytes of text and keys.
    pub bytes: usize,
    /// Bytes of one string.
    pub string_bytes: usize,
    /// Fields or items of one object or list.
    pub items: usize,
    pub depth: usize,
}

impl RedactionBounds {
    /// The bounds of a call's record in an audit row.
    pub const AUDIT: Self = Self { bytes: 16 << 10, string_bytes: 2 << 10, items: 100, depth: 12 };
}

/// Returns the text with personal data replaced by labels.
pub fn text(text: &str) -> Cow<'_, str> {
    let (mut clean, mut done) = (String::new(), 0);
    while let Some(found) = find::next(text, done) {
        if done == 0 {
            // A label may be longer than the text it replaces.
            clean.reserve(text.len() + 2 * SECRET.len());
        }
        clean.push_str(&text[done..found.from]);
        clean.push_str(found.label);
        done = found.to;
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    clean.push_str(&text[done..]);
    Cow::Owned(clean)
}

/// Returns the value with personal data replaced, secret fields masked and everything cut to its bounds. Keys keep
/// their names.
pub fn value(value: &Value, bounds: RedactionBounds) -> Value {
    let mut text = String::new();
    write(&mut text, value, bounds);
    // Text that was written here always parses.
    serde_json::from_str(&text).unwrap_or_default()
}

/// Writes the result of [`value`], as JSON.
pub(crate) fn write(text: &mut String, value: &Value, bounds: RedactionBounds) {
    RedactionWriter { text, bounds, bytes_left: bounds.bytes }.value(value, bounds.depth);
}

/// Returns whether a field of this name holds a secret, whatever its value: `password`, `api_key`, `Authorization`,
/// `card-number`.
pub fn is_secret(key: &str) -> bool {
    /// Maximum length of a name below; a longer key is matched by its end.
    const NAME_BYTES_MAX: usize = 24;
    // Most names end in two letters that no name below ends in.
    let mut end = key.bytes().rev().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase());
    let (Some(last), Some(before)) = (end.next(), end.next()) else { return false };
    if PAIRS[usize::from(last)] & pair_bit(before) == 0 {
        return false;
    }
    let mut name = [0_u8; NAME_BYTES_MAX];
    let mut at = NAME_BYTES_MAX;
    for byte in key.bytes().rev().filter(u8::is_ascii_alphanumeric).take(NAME_BYTES_MAX) {
        at -= 1;
        name[at] = byte.to_ascii_lowercase();
    }
    let name = &name[at..];
    let ends = |known: &&&[u8]| known.last() == Some(&last);
    SECRET_NAMES.iter().filter(ends).any(|known| *known == name)
        || SECRET_ENDINGS.iter().filter(ends).any(|ending| name.ends_with(ending))
}

/// Whole names, without punctuation and in lower case.
const SECRET_NAMES: &[&[u8]] =
    &[b"auth", b"cookie", b"cvc", b"cvv", b"iban", b"otp", b"pan", b"pin", b"pwd", b"setcookie", b"ssn"];

/// Endings of names.
const SECRET_ENDINGS: &[&[u8]] = &[
    b"apikey",
    b"authorization",
    b"cardnumber",
    b"credential",
    b"credentials",
    b"passphrase",
    b"passwd",
    b"password",
    b"privatekey",
    b"secret",
    b"secretkey",
    b"accesskey",
    b"token",
];

/// By the last letter of a name above, the possible letters before it, one bit each.
const PAIRS: [u32; 256] = {
    let mut pairs = [0; 256];
    let lists = [SECRET_NAMES, SECRET_ENDINGS];
    let mut list = 0;
    while list < lists.len() {
        let mut at = 0;
        while at < lists[list].len() {
            let name = lists[list][at];
            pairs[name[name.len() - 1] as usize] |= pair_bit(name[name.len() - 2]);
            at += 1;
        }
        list += 1;
    }
    pairs
};

/// Returns the bit of a lower-case letter. All other bytes share one bit, and are checked more closely.
const fn pair_bit(letter: u8) -> u32 {
    if letter.is_ascii_lowercase() { 1 << (letter - b'a') } else { 1 << 31 }
}

struct RedactionWriter<'t> {
    text: &'t mut String,
    bounds: RedactionBounds,
    bytes_left: usize,
}

impl RedactionWriter<'_> {
    fn value(&mut self, value: &Value, depth_left: usize) {
        match value {
            Value::Number(number) if find::is_card_number(number) => self.write_plain(find::CARD),
            Value::Null | Value::Bool(_) | Value::Number(_) => canonical::write_exact(self.text, value),
            Value::String(whole) => {
                self.text.push('"');
                self.write_redacted(whole);
                self.text.push('"');
            }
            Value::Array(items) if depth_left == 0 => self.write_plain(&format!("… {} items", items.len())),
            Value::Object(fields) if depth_left == 0 => self.write_plain(&format!("… {} fields", fields.len())),
            Value::Array(items) => self.list(items, depth_left - 1),
            Value::Object(fields) => self.object(fields, depth_left - 1),
        }
    }

    fn list(&mut self, items: &[Value], depth_left: usize) {
        let mut between = '[';
        for (seen, item) in items.iter().enumerate() {
            self.text.push(between);
            between = ',';
            if self.is_full(seen) {
                self.write_plain(&format!("… {} more", items.len() - seen));
                break;
            }
            self.spend(2);
            self.value(item, depth_left);
        }
        self.text.push_str(if between == '[' { "[]" } else { "]" });
    }

    fn object(&mut self, fields: &Map<String, Value>, depth_left: usize) {
        let (mut between, mut changed) = ('{', 0);
        for (seen, (key, value)) in fields.iter().enumerate() {
            self.text.push(between);
            between = ',';
            if self.is_full(seen) {
                self.write_plain("…");
                self.text.push(':');
                self.write_plain(&format!("{} more", fields.len() - seen));
                break;
            }
            self.text.push('"');
            if self.write_redacted(key) {
                changed += 1;
                // Redacted keys are numbered, so that keys that become equal stay distinct for a reader.
                if changed > 1 {
                    let _ = write!(self.text, " {changed}");
                }
            }
            self.text.push_str("\":");
            if is_secret(key) && !value.is_null() {
                self.write_plain(SECRET);
            } else {
                self.value(value, depth_left);
            }
        }
        self.text.push_str(if between == '{' { "{}" } else { "}" });
    }

    /// Writes text that needs no redaction and does not count against the bounds.
    fn write_plain(&mut self, plain: &str) {
        let _ = write!(self.text, "\"{plain}\"");
    }

    /// Writes the content of a string, without its quotes. Returns whether it was changed.
    fn write_redacted(&mut self, whole: &str) -> bool {
        let room = self.bounds.string_bytes.min(self.bytes_left);
        self.spend(whole.len() + 2);
        if whole.len() <= room {
            return self.write_pieces(whole, whole.len());
        }
        self.write_pieces(whole, whole.floor_char_boundary(room));
        let _ = write!(self.text, "… ({} bytes)", whole.len());
        true
    }

    /// Writes the text that starts before `end`, with labels in place of matches. Returns whether there were any. One
    /// scan is enough: no match contains an escaped byte, so escapes and matches are handled in the same pass.
    fn write_pieces(&mut self, text: &str, end: usize) -> bool {
        let suspect = |byte| find::is_candidate(byte) | canonical::needs_escape(byte);
        let bytes = text.as_bytes();
        let seen = find::triggers_before(bytes, end);
        let (mut done, mut at, mut changed) = (0, 0, false);
        while let Some(skipped) = scan::first(seen.get(at..).unwrap_or_default(), suspect) {
            at += skipped;
            if let Some(found) = find::at(text, done, at, end) {
                self.text.push_str(&text[done..found.from]);
                self.text.push_str(found.label);
                (done, at, changed) = (found.to, found.to, true);
            } else if at < end && canonical::needs_escape(bytes[at]) {
                self.text.push_str(&text[done..at]);
                canonical::write_escaped(self.text, bytes[at]);
                at += 1;
                done = at;
            } else {
                at = find::next_candidate(bytes, at);
            }
        }
        self.text.push_str(text.get(done..end).unwrap_or_default());
        changed
    }

    fn is_full(&self, items: usize) -> bool {
        items >= self.bounds.items || self.bytes_left == 0
    }

    fn spend(&mut self, bytes: usize) {
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests;
