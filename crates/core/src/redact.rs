//! Takes personal data and secrets out of what is kept for people: audit rows, logs, traces.
//!
//! Found in text: e-mail addresses, phone numbers, US social security numbers, card numbers (Luhn) and IBANs
//! (ISO 7064). A label says what stood there: `[REDACTED_EMAIL]`. Secrets are known by their field's name.
//!
//! One pass over the bytes, no regular expressions, bounded look-ahead; text without a digit and without an `@` is
//! returned as it is. It errs towards taking out: a ten-digit order number may read as a phone number.
//! Deliberately absent: names and street addresses, which no pattern finds.

mod find;

use std::borrow::Cow;

use serde_json::{Map, Value};

/// What stands where a secret stood.
pub const SECRET: &str = "[REDACTED]";

/// How much of a value is kept. Strings, lists and objects beyond it are cut, and say how much is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of text and keys in all.
    pub bytes: usize,
    /// Bytes of one string.
    pub string_bytes: usize,
    /// Fields or items of one object or list.
    pub items: usize,
    pub depth: usize,
}

impl Bounds {
    /// What an audit row keeps of a call.
    pub const AUDIT: Self = Self { bytes: 16 << 10, string_bytes: 2 << 10, items: 100, depth: 12 };
}

/// The text with personal data replaced by labels.
pub fn text(text: &str) -> Cow<'_, str> {
    up_to(text, text.len())
}

/// The value with personal data replaced, secret fields masked and everything cut to its bounds. Keys keep their names.
pub fn value(value: &Value, bounds: Bounds) -> Value {
    Copy { bounds, bytes_left: bounds.bytes }.value(value, bounds.depth)
}

/// Whether a field of this name holds a secret, whatever it holds: `password`, `api_key`, `Authorization`, `card-number`.
pub fn is_secret(key: &str) -> bool {
    /// No name below is longer, so a longer key is judged by its end.
    const NAME_BYTES_MAX: usize = 24;
    // Most names end in two letters that none below ends in.
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

/// Names that end so.
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

/// By the last letter of a name above, the letters that may stand before it, one bit each.
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

/// A lower-case letter's bit. What is none shares one: it is looked at more closely.
const fn pair_bit(letter: u8) -> u32 {
    if letter.is_ascii_lowercase() { 1 << (letter - b'a') } else { 1 << 31 }
}

/// Redacts what begins before `end`; what begins there or later is left away.
fn up_to(text: &str, end: usize) -> Cow<'_, str> {
    let whole = &text[..end];
    let Some(mut found) = find::next(text, 0, 0, end) else { return Cow::Borrowed(whole) };
    // A label may be longer than what it stands for.
    let mut clean = String::with_capacity(end + 2 * SECRET.len());
    let mut done = 0;
    loop {
        clean.push_str(&text[done..found.from]);
        clean.push_str(found.label);
        done = found.to;
        match find::next(text, done, done, end) {
            Some(next) => found = next,
            None => break,
        }
    }
    clean.push_str(text.get(done..end).unwrap_or_default());
    Cow::Owned(clean)
}

struct Copy {
    bounds: Bounds,
    bytes_left: usize,
}

impl Copy {
    fn value(&mut self, value: &Value, depth_left: usize) -> Value {
        match value {
            Value::Null | Value::Bool(_) => value.clone(),
            Value::Number(number) if find::is_card_number(number) => Value::from(find::CARD),
            Value::Number(_) => value.clone(),
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) if depth_left == 0 => Value::String(format!("… {} items", items.len())),
            Value::Object(fields) if depth_left == 0 => Value::String(format!("… {} fields", fields.len())),
            Value::Array(items) => self.list(items, depth_left - 1),
            Value::Object(fields) => self.object(fields, depth_left - 1),
        }
    }

    fn list(&mut self, items: &[Value], depth_left: usize) -> Value {
        let mut list = Vec::with_capacity(items.len().min(self.bounds.items));
        for item in items {
            if self.is_full(list.len()) {
                list.push(Value::String(format!("… {} more", items.len() - list.len())));
                break;
            }
            self.spend(2);
            list.push(self.value(item, depth_left));
        }
        Value::Array(list)
    }

    fn object(&mut self, fields: &Map<String, Value>, depth_left: usize) -> Value {
        let mut object = Map::new();
        for (seen, (key, value)) in fields.iter().enumerate() {
            if self.is_full(seen) {
                object.insert("…".to_owned(), Value::String(format!("{} more", fields.len() - seen)));
                break;
            }
            let value = if is_secret(key) && !value.is_null() {
                Value::String(SECRET.to_owned())
            } else {
                self.value(value, depth_left)
            };
            let key = self.text(key);
            object.insert(key, value);
        }
        Value::Object(object)
    }

    fn text(&mut self, whole: &str) -> String {
        let room = self.bounds.string_bytes.min(self.bytes_left);
        self.spend(whole.len() + 2);
        if whole.len() <= room {
            return text(whole).into_owned();
        }
        let end = whole.floor_char_boundary(room);
        format!("{}… ({} bytes)", up_to(whole, end), whole.len())
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
