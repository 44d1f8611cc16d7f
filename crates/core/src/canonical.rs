//! Canonical JSON (RFC 8785), so that equal documents have equal hashes.

use std::fmt::Write as _;

use serde_json::{Map, Number, Value};
use sha2::{Digest as _, Sha256};

use crate::scan;

/// Initial capacities of a text, in bytes. Texts that are stored are often short; the larger capacity, for texts that
/// are only read, fits most of them.
const BYTES: usize = 256;
const ROOMY_BYTES: usize = 8 << 10;

#[derive(Clone, Copy, PartialEq, Eq)]
enum JsonStyle {
    Canonical,
    /// Keys in their given order. Each number reads back as it was: `1.0` stays a double.
    Exact,
}

/// Returns the canonical text: keys in UTF-16 order, no spaces, shortest escapes, numbers as ECMAScript writes them.
/// One deliberate difference: a whole number beyond 2⁵³ is written in full and not rounded to a double, so that two
/// different amounts never share a hash.
pub fn text(value: &Value) -> String {
    write_to_string(value, JsonStyle::Canonical, BYTES)
}

/// Returns JSON that reads back unchanged, including its numbers.
pub fn exact(value: &Value) -> String {
    write_to_string(value, JsonStyle::Exact, ROOMY_BYTES)
}

/// Writes a value as [`exact`] does.
pub(crate) fn write_exact(text: &mut String, value: &Value) {
    write(text, value, JsonStyle::Exact);
}

/// Returns the SHA-256 of the canonical text of a list of these parts, without copying them.
pub fn digest_of_list<'p>(parts: impl IntoIterator<Item = ListPart<'p>>) -> [u8; 32] {
    Sha256::digest(list(parts)).into()
}

fn write_to_string(value: &Value, spelling: JsonStyle, room: usize) -> String {
    let mut text = String::with_capacity(room);
    write(&mut text, value, spelling);
    text
}

fn list<'p>(parts: impl IntoIterator<Item = ListPart<'p>>) -> String {
    let mut text = String::with_capacity(ROOMY_BYTES);
    let mut between = '[';
    for part in parts {
        text.push(between);
        between = ',';
        match part {
            ListPart::Value(value) => write(&mut text, value, JsonStyle::Canonical),
            ListPart::Text(Some(string)) => write_string(&mut text, string),
            ListPart::Text(None) => text.push_str("null"),
        }
    }
    text.push_str(if between == '[' { "[]" } else { "]" });
    text
}

/// A part of a list.
#[derive(Clone, Copy, Debug)]
pub enum ListPart<'p> {
    Value(&'p Value),
    /// `None` is written as `null`.
    Text(Option<&'p str>),
}

fn write(text: &mut String, value: &Value, spelling: JsonStyle) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(number) => write_number(text, number, spelling),
        Value::String(string) => write_string(text, string),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write(text, item, spelling);
            }
            text.push(']');
        }
        Value::Object(fields) => write_object(text, fields, spelling),
    }
}

fn write_object(text: &mut String, fields: &Map<String, Value>, spelling: JsonStyle) {
    text.push('{');
    let mut between = "";
    let mut field = |(key, value): (&String, &Value)| {
        text.push_str(between);
        between = ",";
        write_string(text, key);
        text.push(':');
        write(text, value, spelling);
    };
    // In most objects the keys are already in byte order, which for ASCII equals UTF-16 order.
    if spelling == JsonStyle::Exact || fields.keys().is_sorted() && fields.keys().all(|key| key.is_ascii()) {
        fields.iter().for_each(&mut field);
    } else {
        let mut sorted: Vec<(&String, &Value)> = fields.iter().collect();
        sorted.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
        sorted.into_iter().for_each(&mut field);
    }
    text.push('}');
}

fn write_string(text: &mut String, string: &str) {
    text.push('"');
    escape(text, string);
    text.push('"');
}

/// Writes the content between the quotes of a string.
pub(crate) fn escape(text: &mut String, string: &str) {
    let mut rest = string;
    // Text that needs no escape is copied at once.
    while let Some(plain) = scan::first(rest.as_bytes(), needs_escape) {
        text.push_str(&rest[..plain]);
        write_escaped(text, rest.as_bytes()[plain]);
        rest = &rest[plain + 1..];
    }
    text.push_str(rest);
}

/// Writes a byte for which [`needs_escape`] is true.
pub(crate) fn write_escaped(text: &mut String, byte: u8) {
    match byte {
        b'"' => text.push_str("\\\""),
        b'\\' => text.push_str("\\\\"),
        8 => text.push_str("\\b"),
        b'\t' => text.push_str("\\t"),
        b'\n' => text.push_str("\\n"),
        12 => text.push_str("\\f"),
        b'\r' => text.push_str("\\r"),
        control => {
            let _ = write!(text, "\\u{control:04x}");
        }
    }
}

/// Returns whether a byte must be escaped.
#[inline]
pub(crate) fn needs_escape(byte: u8) -> bool {
    scan::within(byte, 0, 0x1f) | (byte == b'"') | (byte == b'\\')
}

fn write_number(text: &mut String, number: &Number, spelling: JsonStyle) {
    match number.as_f64() {
        Some(double) if spelling == JsonStyle::Canonical && number.is_f64() => write_double(text, double),
        // Writing to a string cannot fail.
        Some(_) | None => drop(write!(text, "{number}")),
    }
}

/// ECMA-262 `Number::toString`: decimal notation between 10⁻⁷ and 10²¹, otherwise with an exponent.
fn write_double(text: &mut String, double: f64) {
    if double == 0.0 {
        text.push('0');
        return;
    }
    if double < 0.0 {
        text.push('-');
    }
    // Rust's `{:e}` writes the shortest digits that read back as the same double, as ECMAScript requires.
    let shortest = format!("{:e}", double.abs());
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    // The decimal point is after this many digits.
    let point = exponent.parse::<i32>().unwrap_or(0) + 1;
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    if (count..=21).contains(&point) {
        text.push_str(&digits);
        text.push_str(&zeros(point - count));
    } else if (1..count).contains(&point) {
        let (whole, rest) = digits.split_at(usize::try_from(point).unwrap_or(0));
        let _ = write!(text, "{whole}.{rest}");
    } else if (-5..=0).contains(&point) {
        let _ = write!(text, "0.{}{digits}", zeros(-point));
    } else {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        let sign = if point > 0 { '+' } else { '-' };
        let _ = write!(text, "{first}{dot}{rest}e{sign}{}", (point - 1).unsigned_abs());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(given: &Value, expect: &str) {
        assert_eq!(text(given), expect);
    }

    #[test]
    fn the_sample_of_rfc_8785_is_written_as_the_rfc_writes_it() {
        let given: Value = serde_json::from_str(
            r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],
                "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#,
        )
        .unwrap();
        check(
            &given,
            "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
             \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}",
        );
    }

    #[test]
    fn a_list_is_written_as_the_value_it_would_be() {
        let arguments = json!({"b": [1, "x\n"], "a": null});
        let parts = [ListPart::Text(Some("one \" two")), ListPart::Value(&arguments), ListPart::Text(None)];
        let whole = text(&json!(["one \" two", arguments, null]));
        assert_eq!(list(parts), whole);
        assert_eq!(list([]), "[]");
        assert_eq!(digest_of_list([]), *Sha256::digest("[]"));
    }

    #[test]
    fn what_is_written_exactly_reads_back_as_it_was() {
        let given = json!({"double": 1.0, "zero": -0.0, "tiny": 1.5e-7, "most": u64::MAX, "least": i64::MIN,
            "text": "a\u{1}\u{1f}\"\\\u{8}\t\n\u{c}\r, then sixteen letters and more é€😀\u{7f}", "": [null, {}, []]});
        let read: Value = serde_json::from_str(&exact(&given)).unwrap();
        assert_eq!(read, given);
        assert!(read["double"].is_f64() && read["zero"].as_f64().is_some_and(f64::is_sign_negative));
    }

    #[test]
    fn keys_are_sorted_by_their_utf_16_units() {
        let given = json!({"\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7});
        check(&given, "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}");
    }

    #[test]
    fn numbers_are_written_as_ecmascript_writes_them() {
        for (given, expect) in [
            (json!(1.0), "1"),
            (json!(-0.0), "0"),
            (json!(100.0), "100"),
            (json!(49.99), "49.99"),
            (json!(1e21), "1e+21"),
            (json!(1e20), "100000000000000000000"),
            (json!(1e-6), "0.000001"),
            (json!(1.5e-7), "1.5e-7"),
            (json!(-0.5), "-0.5"),
            (json!(9_007_199_254_740_993_u64), "9007199254740993"),
            (json!(u64::MAX), "18446744073709551615"),
        ] {
            check(&given, expect);
        }
    }
}
