//! The meaning of a plain scalar: the core schema of YAML 1.2 (§10.3.2 of its specification).

use serde_json::Number;

use super::{YamlString, YamlValue};

/// The message for a number that JSON readers would round.
const WORDS_TOO_LARGE: &str = "the number is too large to be kept exactly";

/// Parses a plain, untagged scalar; the error is a sentence without a full stop.
pub(super) fn plain(text: &str) -> Result<YamlValue, &'static str> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Ok(YamlValue::Null),
        "true" | "True" | "TRUE" => Ok(YamlValue::Bool(true)),
        "false" | "False" | "FALSE" => Ok(YamlValue::Bool(false)),
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "-.inf" | "-.Inf" | "-.INF" => {
            Err("infinity and not-a-number are no values here")
        }
        _ => Ok(match number(text)? {
            Some(number) => YamlValue::Number { number, text: text.to_owned() },
            None => string(text),
        }),
    }
}

/// Parses a scalar with one of YAML's own tags.
pub(super) fn tagged(tag: &str, text: &str) -> Result<YamlValue, &'static str> {
    match (tag, plain(text)) {
        ("str", _) => Ok(string(text)),
        ("null", Ok(value @ YamlValue::Null))
        | ("bool", Ok(value @ YamlValue::Bool(_)))
        | ("int" | "float", Ok(value @ YamlValue::Number { .. })) => Ok(value),
        ("null" | "bool" | "int" | "float", Err(reason)) => Err(reason),
        ("null" | "bool" | "int" | "float", Ok(_)) => Err("the value does not fit its tag"),
        _ => Err("tags other than !!str, !!int, !!float, !!bool, !!null, !!seq and !!map are not understood"),
    }
}

fn string(text: &str) -> YamlValue {
    YamlValue::String(YamlString { text: text.to_owned(), verbatim: false })
}

fn number(text: &str) -> Result<Option<Number>, &'static str> {
    let (sign, digits) = match text.as_bytes().first() {
        Some(b'-') => ("-", &text[1..]),
        Some(b'+') => ("", &text[1..]),
        _ => ("", text),
    };
    if sign.is_empty() && digits.len() == text.len() {
        for (prefix, radix) in [("0x", 16), ("0o", 8)] {
            if let Some(digits) =
                text.strip_prefix(prefix).filter(|digits| is_all(digits, |b| (b as char).is_digit(radix)))
            {
                return u64::from_str_radix(digits, radix).map(|n| Some(n.into())).map_err(|_| WORDS_TOO_LARGE);
            }
        }
    }
    if is_all(digits, |b| b.is_ascii_digit()) {
        return integer(sign, digits).map(Some).ok_or(WORDS_TOO_LARGE);
    }
    if is_float(digits) {
        let value = text.parse::<f64>().ok().and_then(Number::from_f64);
        return value.map(Some).ok_or(WORDS_TOO_LARGE);
    }
    Ok(None)
}

fn integer(sign: &str, digits: &str) -> Option<Number> {
    if sign.is_empty() {
        return digits.parse::<u64>().ok().map(Number::from);
    }
    format!("{sign}{digits}").parse::<i64>().ok().map(Number::from)
}

/// Returns whether a text matches `[0-9]*` with a point or an exponent and at least one digit before the exponent.
fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let exponent_fits =
        exponent.is_none_or(|digits| is_all(digits.strip_prefix(['+', '-']).unwrap_or(digits), |b| b.is_ascii_digit()));
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let only_digits = whole.bytes().chain(part.bytes()).all(|b| b.is_ascii_digit());
    exponent_fits && only_digits && !(whole.is_empty() && part.is_empty())
}

fn is_all(text: &str, accept: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(accept)
}
