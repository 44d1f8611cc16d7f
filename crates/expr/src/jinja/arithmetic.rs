//! Operators: equality, order, membership and arithmetic.

use std::cmp::Ordering;

use serde_json::Value;

use super::node::{ArithmeticOp, JinjaComparator};
use super::value::{JinjaText, JinjaValue};
use super::write;
use crate::error::EvalError;
use crate::meter::EvalMeter;

/// Returns whether two values are equal: numbers by value, lists and objects by content.
pub(super) fn equal(a: &JinjaValue<'_>, b: &JinjaValue<'_>, meter: &mut EvalMeter) -> Result<bool, EvalError> {
    meter.charge_steps(1)?;
    a.ensure_present()?;
    b.ensure_present()?;
    match (a, b) {
        (JinjaValue::Null, JinjaValue::Null) => Ok(true),
        (JinjaValue::Bool(a), JinjaValue::Bool(b)) => Ok(a == b),
        (JinjaValue::Int(_) | JinjaValue::Float(_), JinjaValue::Int(_) | JinjaValue::Float(_)) => {
            Ok(order_numbers(a, b) == Some(Ordering::Equal))
        }
        (JinjaValue::Text(a), JinjaValue::Text(b)) => {
            meter.charge_read(a.len().min(b.len()))?;
            Ok(**a == **b)
        }
        (a, b) if a.is_list() && b.is_list() => {
            if a.len(meter)? != b.len(meter)? {
                return Ok(false);
            }
            for (a, b) in a.items(meter)?.iter().zip(&b.items(meter)?) {
                if !equal(a, b, meter)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (a, b) if a.is_object() && b.is_object() => equal_objects(a, b, meter),
        _ => Ok(false),
    }
}

fn equal_objects(a: &JinjaValue<'_>, b: &JinjaValue<'_>, meter: &mut EvalMeter) -> Result<bool, EvalError> {
    if a.len(meter)? != b.len(meter)? {
        return Ok(false);
    }
    for key in a.items(meter)? {
        let JinjaValue::Text(key) = key else {
            return Ok(false);
        };
        match (a.field(&key), b.field(&key)) {
            (Some(a), Some(b)) if equal(&a, &b, meter)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

fn order_numbers(a: &JinjaValue<'_>, b: &JinjaValue<'_>) -> Option<Ordering> {
    match (a, b) {
        (JinjaValue::Int(a), JinjaValue::Int(b)) => Some(a.cmp(b)),
        (a, b) => float(a)?.partial_cmp(&float(b)?),
    }
}

/// Converts a number to a float.
#[expect(clippy::cast_precision_loss, reason = "arithmetic with a float is approximate")]
pub(super) fn float(value: &JinjaValue<'_>) -> Option<f64> {
    match value {
        JinjaValue::Int(number) => Some(*number as f64),
        JinjaValue::Float(number) => Some(*number),
        _ => None,
    }
}

/// Returns the order of two numbers, two strings or two booleans; there is none between anything else.
pub(super) fn order(a: &JinjaValue<'_>, b: &JinjaValue<'_>, meter: &mut EvalMeter) -> Result<Ordering, EvalError> {
    meter.charge_steps(1)?;
    a.ensure_present()?;
    b.ensure_present()?;
    let ordering = match (a, b) {
        (JinjaValue::Text(a), JinjaValue::Text(b)) => {
            meter.charge_read(a.len().min(b.len()))?;
            Some(a.cmp(b))
        }
        (JinjaValue::Bool(a), JinjaValue::Bool(b)) => Some(a.cmp(b)),
        (a, b) => order_numbers(a, b),
    };
    ordering.ok_or_else(|| {
        let error = EvalError::wrong_type(format!("there is no order between {} and {}", a.kind(), b.kind()));
        match (a, b) {
            (JinjaValue::Null, _) | (_, JinjaValue::Null) => error.hint("give a default: `value|default(0, true)`"),
            (JinjaValue::Text(_), _) | (_, JinjaValue::Text(_)) => {
                error.hint("turn the text into a number: `value|float`")
            }
            _ => error,
        }
    })
}

pub(super) fn compare(
    comparator: JinjaComparator,
    a: &JinjaValue<'_>,
    b: &JinjaValue<'_>,
    meter: &mut EvalMeter,
) -> Result<bool, EvalError> {
    match comparator {
        JinjaComparator::Equal => equal(a, b, meter),
        JinjaComparator::NotEqual => Ok(!equal(a, b, meter)?),
        JinjaComparator::Less => Ok(order(a, b, meter)?.is_lt()),
        JinjaComparator::LessOrEqual => Ok(order(a, b, meter)?.is_le()),
        JinjaComparator::Greater => Ok(order(a, b, meter)?.is_gt()),
        JinjaComparator::GreaterOrEqual => Ok(order(a, b, meter)?.is_ge()),
        JinjaComparator::In => contains(b, a, meter),
        JinjaComparator::NotIn => Ok(!contains(b, a, meter)?),
    }
}

/// Returns whether a list contains an item, a string a substring, or an object a key.
pub(super) fn contains(
    whole: &JinjaValue<'_>,
    part: &JinjaValue<'_>,
    meter: &mut EvalMeter,
) -> Result<bool, EvalError> {
    whole.ensure_present()?;
    part.ensure_present()?;
    match (whole, part) {
        (JinjaValue::Text(whole), JinjaValue::Text(part)) => {
            meter.charge_read(whole.len())?;
            Ok(whole.contains(&**part))
        }
        (JinjaValue::Json(Value::Array(items)), part) => {
            for item in items {
                if equal(&JinjaValue::from(item), part, meter)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        (JinjaValue::List(list), part) => {
            for item in &list.items {
                if equal(item, part, meter)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        (whole, JinjaValue::Text(key)) if whole.is_object() => Ok(whole.field(key).is_some()),
        (whole, part) => {
            Err(EvalError::wrong_type(format!("`in` has no meaning between {} and {}", part.kind(), whole.kind())))
        }
    }
}

pub(super) fn arithmetic<'v>(
    operator: ArithmeticOp,
    a: JinjaValue<'v>,
    b: JinjaValue<'v>,
    meter: &mut EvalMeter,
) -> Result<JinjaValue<'v>, EvalError> {
    let (a, b) = (a.require_present()?, b.require_present()?);
    meter.charge_steps(1)?;
    match (operator, &a, &b) {
        (ArithmeticOp::Join, a, b) => join(a, b, meter),
        (_, JinjaValue::Int(x), JinjaValue::Int(y)) => whole(operator, *x, *y),
        (ArithmeticOp::Add, JinjaValue::Text(_), JinjaValue::Text(_)) => join(&a, &b, meter),
        (ArithmeticOp::Add, x, y) if x.is_list() && y.is_list() => {
            let mut items = x.items(meter)?;
            items.extend(y.items(meter)?);
            JinjaValue::list(items, meter)
        }
        (ArithmeticOp::Multiply, JinjaValue::Text(text), JinjaValue::Int(times))
        | (ArithmeticOp::Multiply, JinjaValue::Int(times), JinjaValue::Text(text)) => {
            let times = usize::try_from(*times).unwrap_or(0);
            meter.charge_growth(text.len().saturating_mul(times))?;
            Ok(JinjaValue::text(text.repeat(times)))
        }
        (ArithmeticOp::Multiply, list, JinjaValue::Int(times)) if list.is_list() => {
            let times = usize::try_from(*times).unwrap_or(0);
            let len = list.len(meter)?.saturating_mul(times);
            meter.charge_growth(len.saturating_mul(size_of::<JinjaValue<'_>>()))?;
            let items = list.items(meter)?;
            JinjaValue::list(items.iter().cycle().take(items.len() * times).cloned().collect(), meter)
        }
        (operator, x, y) => match (float(x), float(y)) {
            (Some(x), Some(y)) => fraction(operator, x, y),
            _ => Err(unsupported_operands(operator, x, y)),
        },
    }
}

fn join<'v>(a: &JinjaValue<'v>, b: &JinjaValue<'v>, meter: &mut EvalMeter) -> Result<JinjaValue<'v>, EvalError> {
    let mut text = String::new();
    write::write(a, &mut text, meter)?;
    write::write(b, &mut text, meter)?;
    Ok(JinjaValue::Text(JinjaText::Shared(text.into())))
}

fn whole<'v>(operator: ArithmeticOp, a: i128, b: i128) -> Result<JinjaValue<'v>, EvalError> {
    if b == 0 && divides(operator) {
        return Err(EvalError::bad_value(format!("{a} {} 0: there is no division by zero", operator.sign())));
    }
    let exact = match operator {
        ArithmeticOp::Add | ArithmeticOp::Join => a.checked_add(b),
        ArithmeticOp::Subtract => a.checked_sub(b),
        ArithmeticOp::Multiply => a.checked_mul(b),
        ArithmeticOp::DivideWhole => a.checked_div_euclid(b).map(|quotient| {
            // Python rounds towards minus infinity; Euclidean division has a remainder that is never negative.
            if b < 0 && a.rem_euclid(b) != 0 { quotient - 1 } else { quotient }
        }),
        ArithmeticOp::Remainder => a.checked_rem_euclid(b).map(|rest| if b < 0 && rest != 0 { rest + b } else { rest }),
        ArithmeticOp::Power if b >= 0 => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
        ArithmeticOp::Power | ArithmeticOp::Divide => {
            let (Some(a), Some(b)) = (float(&JinjaValue::Int(a)), float(&JinjaValue::Int(b))) else {
                return Err(too_large(operator));
            };
            return fraction(operator, a, b);
        }
    };
    exact.map(JinjaValue::Int).ok_or_else(|| too_large(operator))
}

fn fraction<'v>(operator: ArithmeticOp, a: f64, b: f64) -> Result<JinjaValue<'v>, EvalError> {
    if b == 0.0 && divides(operator) {
        return Err(EvalError::bad_value(format!("{a} {} 0: there is no division by zero", operator.sign())));
    }
    JinjaValue::float(match operator {
        ArithmeticOp::Add | ArithmeticOp::Join => a + b,
        ArithmeticOp::Subtract => a - b,
        ArithmeticOp::Multiply => a * b,
        ArithmeticOp::Divide => a / b,
        ArithmeticOp::DivideWhole => (a / b).floor(),
        ArithmeticOp::Remainder => a - b * (a / b).floor(),
        ArithmeticOp::Power => a.powf(b),
    })
}

fn divides(operator: ArithmeticOp) -> bool {
    matches!(operator, ArithmeticOp::Divide | ArithmeticOp::DivideWhole | ArithmeticOp::Remainder)
}

#[cold]
fn too_large(operator: ArithmeticOp) -> EvalError {
    EvalError::bad_value(format!("the result of `{}` is too large to be a number", operator.sign()))
}

#[cold]
fn unsupported_operands(operator: ArithmeticOp, a: &JinjaValue<'_>, b: &JinjaValue<'_>) -> EvalError {
    let error =
        EvalError::wrong_type(format!("`{}` has no meaning between {} and {}", operator.sign(), a.kind(), b.kind()));
    match (operator, a, b) {
        (ArithmeticOp::Add, JinjaValue::Text(_), _) | (ArithmeticOp::Add, _, JinjaValue::Text(_)) => {
            error.hint("`~` joins anything as text")
        }
        (ArithmeticOp::Remainder, JinjaValue::Text(_), _) => {
            error.hint("join texts with `~`, or use the filter `format`")
        }
        (_, JinjaValue::Null, _) | (_, _, JinjaValue::Null) => error.hint("give a default: `value|default(0, true)`"),
        _ => error,
    }
}
