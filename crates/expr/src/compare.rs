//! Equality, order and truth of JSON values, shared by the languages.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::error::EvalError;
use super::meter::EvalMeter;

/// Returns whether two values are equal. Numbers are compared by value (`1` is `1.0`), objects regardless of key order.
pub(crate) fn equal(a: &Value, b: &Value, meter: &mut EvalMeter) -> Result<bool, EvalError> {
    meter.charge_steps(1)?;
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => Ok(order_numbers(a, b) == Some(Ordering::Equal)),
        (Value::String(a), Value::String(b)) => {
            meter.charge_read(a.len().min(b.len()))?;
            Ok(a == b)
        }
        (Value::Array(a), Value::Array(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            for (a, b) in a.iter().zip(b) {
                if !equal(a, b, meter)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Object(a), Value::Object(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            for (key, a) in a {
                match b.get(key) {
                    Some(b) if equal(a, b, meter)? => {}
                    Some(_) | None => return Ok(false),
                }
            }
            Ok(true)
        }
        (a, b) => Ok(a == b),
    }
}

/// Returns the order of two numbers, exact if both are integers.
pub(crate) fn order_numbers(a: &Number, b: &Number) -> Option<Ordering> {
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        (None, _) | (_, None) => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

/// Returns the number as an integer, if it is stored as one.
pub(crate) fn whole(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// Returns whether a value is true in Python: zero and empty values are false.
pub(crate) fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}
