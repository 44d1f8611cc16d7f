//! JSON in one spelling (RFC 8785), so that equal documents have equal hashes.

use std::fmt;

use serde_json::{Map, Number, Value};

use crate::bundle::{Digest, Hash};

/// The canonical text: keys in UTF-16 order, no spaces, shortest escapes, numbers as ECMAScript writes them.
///
/// One deliberate difference: a whole number beyond 2⁵³ is written in full and not rounded to a double, so that two
/// different amounts never share a hash.
pub fn text(value: &Value) -> String {
    let mut text = String::with_capacity(128);
    write(&mut text, value);
    text
}

/// The hash of the canonical text of a list of these parts. Neither the text nor a copy of a part is made for it.
pub fn hash_of_list<'p>(parts: impl IntoIterator<Item = Part<'p>>) -> Hash {
    let mut digest = Digest::default();
    write_list(&mut digest, parts);
    digest.finish()
}

fn write_list<'p>(text: &mut impl fmt::Write, parts: impl IntoIterator<Item = Part<'p>>) {
    let mut between = '[';
    for part in parts {
        push(text, between);
        between = ',';
        match part {
            Part::Value(value) => write(text, value),
            Part::Text(Some(string)) => write_string(text, string),
            Part::Text(None) => push_str(text, "null"),
        }
    }
    push_str(text, if between == '[' { "[]" } else { "]" });
}

/// A part of a list.
#[derive(Clone, Copy, Debug)]
pub enum Part<'p> {
    Value(&'p Value),
    /// Nothing is `null`.
    Text(Option<&'p str>),
}

/// Neither a text nor a digest ever refuses.
fn push_str(text: &mut impl fmt::Write, string: &str) {
    let _ = text.write_str(string);
}

fn push(text: &mut impl fmt::Write, char: char) {
    let _ = text.write_char(char);
}

fn write(text: &mut impl fmt::Write, value: &Value) {
    match value {
        Value::Null => push_str(text, "null"),
        Value::Bool(true) => push_str(text, "true"),
        Value::Bool(false) => push_str(text, "false"),
        Value::Number(number) => write_number(text, number),
        Value::String(string) => write_string(text, string),
        Value::Array(items) => {
            push(text, '[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    push(text, ',');
                }
                write(text, item);
            }
            push(text, ']');
        }
        Value::Object(fields) => write_object(text, fields),
    }
}

fn write_object(text: &mut impl fmt::Write, fields: &Map<String, Value>) {
    push(text, '{');
    let mut between = "";
    let mut field = |(key, value): (&String, &Value)| {
        push_str(text, between);
        between = ",";
        write_string(text, key);
        push(text, ':');
        write(text, value);
    };
    // In most objects the order of bytes, which they are in already, is that of UTF-16.
    if fields.keys().zip(fields.keys().skip(1)).all(|(one, next)| next.is_ascii() && one < next) {
        fields.iter().for_each(&mut field);
    } else {
        let mut sorted: Vec<(&String, &Value)> = fields.iter().collect();
        sorted.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
        sorted.into_iter().for_each(&mut field);
    }
    push(text, '}');
}

fn write_string(text: &mut impl fmt::Write, string: &str) {
    push(text, '"');
    // What needs no escape is copied at once.
    let plain = string.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\').unwrap_or(string.len());
    let (plain, rest) = string.split_at(plain);
    push_str(text, plain);
    for char in rest.chars() {
        match char {
            '"' => push_str(text, "\\\""),
            '\\' => push_str(text, "\\\\"),
            '\u{8}' => push_str(text, "\\b"),
            '\t' => push_str(text, "\\t"),
            '\n' => push_str(text, "\\n"),
            '\u{c}' => push_str(text, "\\f"),
            '\r' => push_str(text, "\\r"),
            control if control < ' ' => {
                let _ = write!(text, "\\u{:04x}", u32::from(control));
            }
            other => push(text, other),
        }
    }
    push(text, '"');
}

fn write_number(text: &mut impl fmt::Write, number: &Number) {
    let _ = match (number.as_i64(), number.as_u64(), number.as_f64()) {
        (Some(whole), _, _) => write!(text, "{whole}"),
        (None, Some(whole), _) => write!(text, "{whole}"),
        (None, None, Some(double)) => {
            write_double(text, double);
            Ok(())
        }
        (None, None, None) => write!(text, "{number}"),
    };
}

/// ECMA-262 `Number::toString`: plain between 10⁻⁷ and 10²¹, else with an exponent.
fn write_double(text: &mut impl fmt::Write, double: f64) {
    if double == 0.0 {
        push(text, '0');
        return;
    }
    if double < 0.0 {
        push(text, '-');
    }
    // Rust's `{:e}` writes the shortest digits that read back as the same double, as ECMAScript asks.
    let shortest = format!("{:e}", double.abs());
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    // The decimal point stands behind this many digits.
    let point = exponent.parse::<i32>().unwrap_or(0) + 1;
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    if (count..=21).contains(&point) {
        push_str(text, &digits);
        push_str(text, &zeros(point - count));
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
    fn a_list_has_the_hash_of_the_value_it_would_be() {
        let arguments = json!({"b": [1, "x\n"], "a": null});
        let parts = [Part::Text(Some("one \" two")), Part::Value(&arguments), Part::Text(None)];
        let whole = text(&json!(["one \" two", arguments, null]));
        assert_eq!(hash_of_list(parts), Hash::of(whole.as_bytes()));
        assert_eq!(hash_of_list([]), Hash::of(b"[]"));
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
