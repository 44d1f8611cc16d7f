//! Operators: equality, order, membership and arithmetic.

use std::cmp::Ordering;

use serde_json::Value;

use super::node::{Arithmetic, Comparator};
use super::value::{Text, Val};
use super::write;
use crate::expr::error::EvalError;
use crate::expr::meter::Meter;

/// Whether two values are equal: numbers by value, lists and objects by content.
pub(super) fn equal(a: &Val<'_>, b: &Val<'_>, meter: &mut Meter) -> Result<bool, EvalError> {
    meter.steps(1)?;
    a.check()?;
    b.check()?;
    match (a, b) {
        (Val::Null, Val::Null) => Ok(true),
        (Val::Bool(a), Val::Bool(b)) => Ok(a == b),
        (Val::Int(_) | Val::Float(_), Val::Int(_) | Val::Float(_)) => Ok(order_numbers(a, b) == Some(Ordering::Equal)),
        (Val::Text(a), Val::Text(b)) => {
            meter.read(a.len().min(b.len()))?;
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

fn equal_objects(a: &Val<'_>, b: &Val<'_>, meter: &mut Meter) -> Result<bool, EvalError> {
    if a.len(meter)? != b.len(meter)? {
        return Ok(false);
    }
    for key in a.items(meter)? {
        let Val::Text(key) = key else {
            return Ok(false);
        };
        match (a.field(&key), b.field(&key)) {
            (Some(a), Some(b)) if equal(&a, &b, meter)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

fn order_numbers(a: &Val<'_>, b: &Val<'_>) -> Option<Ordering> {
    match (a, b) {
        (Val::Int(a), Val::Int(b)) => Some(a.cmp(b)),
        (a, b) => float(a)?.partial_cmp(&float(b)?),
    }
}

/// A number as a float.
#[expect(clippy::cast_precision_loss, reason = "arithmetic with a float is approximate")]
pub(super) fn float(value: &Val<'_>) -> Option<f64> {
    match value {
        Val::Int(number) => Some(*number as f64),
        Val::Float(number) => Some(*number),
        _ => None,
    }
}

/// The order of two numbers, two strings or two booleans; there is none between anything else.
pub(super) fn order(a: &Val<'_>, b: &Val<'_>, meter: &mut Meter) -> Result<Ordering, EvalError> {
    meter.steps(1)?;
    a.check()?;
    b.check()?;
    let ordering = match (a, b) {
        (Val::Text(a), Val::Text(b)) => {
            meter.read(a.len().min(b.len()))?;
            Some(a.cmp(b))
        }
        (Val::Bool(a), Val::Bool(b)) => Some(a.cmp(b)),
        (a, b) => order_numbers(a, b),
    };
    ordering.ok_or_else(|| {
        let error = EvalError::wrong_type(format!("there is no order between {} and {}", a.kind(), b.kind()));
        match (a, b) {
            (Val::Null, _) | (_, Val::Null) => error.hint("give a default: `value|default(0, true)`"),
            (Val::Text(_), _) | (_, Val::Text(_)) => error.hint("turn the text into a number: `value|float`"),
            _ => error,
        }
    })
}

pub(super) fn compare(comparator: Comparator, a: &Val<'_>, b: &Val<'_>, meter: &mut Meter) -> Result<bool, EvalError> {
    match comparator {
        Comparator::Equal => equal(a, b, meter),
        Comparator::NotEqual => Ok(!equal(a, b, meter)?),
        Comparator::Less => Ok(order(a, b, meter)?.is_lt()),
        Comparator::LessOrEqual => Ok(order(a, b, meter)?.is_le()),
        Comparator::Greater => Ok(order(a, b, meter)?.is_gt()),
        Comparator::GreaterOrEqual => Ok(order(a, b, meter)?.is_ge()),
        Comparator::In => contains(b, a, meter),
        Comparator::NotIn => Ok(!contains(b, a, meter)?),
    }
}

/// Whether a list has an item, a string a part, or an object a key.
pub(super) fn contains(whole: &Val<'_>, part: &Val<'_>, meter: &mut Meter) -> Result<bool, EvalError> {
    whole.check()?;
    part.check()?;
    match (whole, part) {
        (Val::Text(whole), Val::Text(part)) => {
            meter.read(whole.len())?;
            Ok(whole.contains(&**part))
        }
        (Val::Json(Value::Array(items)), part) => {
            for item in items {
                if equal(&Val::from(item), part, meter)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        (Val::List(list), part) => {
            for item in &list.items {
                if equal(item, part, meter)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        (whole, Val::Text(key)) if whole.is_object() => Ok(whole.field(key).is_some()),
        (whole, part) => {
            Err(EvalError::wrong_type(format!("`in` has no meaning between {} and {}", part.kind(), whole.kind())))
        }
    }
}

pub(super) fn arithmetic<'v>(
    operator: Arithmetic,
    a: Val<'v>,
    b: Val<'v>,
    meter: &mut Meter,
) -> Result<Val<'v>, EvalError> {
    let (a, b) = (a.there()?, b.there()?);
    meter.steps(1)?;
    match (operator, &a, &b) {
        (Arithmetic::Join, a, b) => join(a, b, meter),
        (_, Val::Int(x), Val::Int(y)) => whole(operator, *x, *y),
        (Arithmetic::Add, Val::Text(_), Val::Text(_)) => join(&a, &b, meter),
        (Arithmetic::Add, x, y) if x.is_list() && y.is_list() => {
            let mut items = x.items(meter)?;
            items.extend(y.items(meter)?);
            Val::list(items, meter)
        }
        (Arithmetic::Multiply, Val::Text(text), Val::Int(times))
        | (Arithmetic::Multiply, Val::Int(times), Val::Text(text)) => {
            let times = usize::try_from(*times).unwrap_or(0);
            meter.grow(text.len().saturating_mul(times))?;
            Ok(Val::text(text.repeat(times)))
        }
        (Arithmetic::Multiply, list, Val::Int(times)) if list.is_list() => {
            let times = usize::try_from(*times).unwrap_or(0);
            let len = list.len(meter)?.saturating_mul(times);
            meter.grow(len.saturating_mul(size_of::<Val<'_>>()))?;
            let items = list.items(meter)?;
            Val::list(items.iter().cycle().take(items.len() * times).cloned().collect(), meter)
        }
        (operator, x, y) => match (float(x), float(y)) {
            (Some(x), Some(y)) => fraction(operator, x, y),
            _ => Err(senseless(operator, x, y)),
        },
    }
}

fn join<'v>(a: &Val<'v>, b: &Val<'v>, meter: &mut Meter) -> Result<Val<'v>, EvalError> {
    let mut text = String::new();
    write::write(a, &mut text, meter)?;
    write::write(b, &mut text, meter)?;
    Ok(Val::Text(Text::Shared(text.into())))
}

fn whole<'v>(operator: Arithmetic, a: i128, b: i128) -> Result<Val<'v>, EvalError> {
    if b == 0 && divides(operator) {
        return Err(EvalError::bad_value(format!("{a} {} 0: there is no division by zero", operator.sign())));
    }
    let exact = match operator {
        Arithmetic::Add | Arithmetic::Join => a.checked_add(b),
        Arithmetic::Subtract => a.checked_sub(b),
        Arithmetic::Multiply => a.checked_mul(b),
        Arithmetic::DivideWhole => a.checked_div_euclid(b).map(|quotient| {
            // Python rounds towards minus infinity, Euclid towards a remainder that is not negative.
            if b < 0 && a.rem_euclid(b) != 0 { quotient - 1 } else { quotient }
        }),
        Arithmetic::Remainder => a.checked_rem_euclid(b).map(|rest| if b < 0 && rest != 0 { rest + b } else { rest }),
        Arithmetic::Power if b >= 0 => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
        Arithmetic::Power | Arithmetic::Divide => {
            let (Some(a), Some(b)) = (float(&Val::Int(a)), float(&Val::Int(b))) else {
                return Err(too_large(operator));
            };
            return fraction(operator, a, b);
        }
    };
    exact.map(Val::Int).ok_or_else(|| too_large(operator))
}

fn fraction<'v>(operator: Arithmetic, a: f64, b: f64) -> Result<Val<'v>, EvalError> {
    if b == 0.0 && divides(operator) {
        return Err(EvalError::bad_value(format!("{a} {} 0: there is no division by zero", operator.sign())));
    }
    Val::float(match operator {
        Arithmetic::Add | Arithmetic::Join => a + b,
        Arithmetic::Subtract => a - b,
        Arithmetic::Multiply => a * b,
        Arithmetic::Divide => a / b,
        Arithmetic::DivideWhole => (a / b).floor(),
        Arithmetic::Remainder => a - b * (a / b).floor(),
        Arithmetic::Power => a.powf(b),
    })
}

fn divides(operator: Arithmetic) -> bool {
    matches!(operator, Arithmetic::Divide | Arithmetic::DivideWhole | Arithmetic::Remainder)
}

#[cold]
fn too_large(operator: Arithmetic) -> EvalError {
    EvalError::bad_value(format!("the result of `{}` is too large to be a number", operator.sign()))
}

#[cold]
fn senseless(operator: Arithmetic, a: &Val<'_>, b: &Val<'_>) -> EvalError {
    let error =
        EvalError::wrong_type(format!("`{}` has no meaning between {} and {}", operator.sign(), a.kind(), b.kind()));
    match (operator, a, b) {
        (Arithmetic::Add, Val::Text(_), _) | (Arithmetic::Add, _, Val::Text(_)) => {
            error.hint("`~` joins anything as text")
        }
        (Arithmetic::Remainder, Val::Text(_), _) => error.hint("join texts with `~`, or use the filter `format`"),
        (_, Val::Null, _) | (_, _, Val::Null) => error.hint("give a default: `value|default(0, true)`"),
        _ => error,
    }
}
