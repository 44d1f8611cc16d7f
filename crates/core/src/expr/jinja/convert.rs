//! Values made into other values: numbers, text, JSON, dates, money.

use super::arithmetic::float;
use super::given::Given;
use super::money;
use super::operation::Operation;
use super::run::Run;
use super::value::Val;
use super::write;
use crate::expr::error::EvalError;

/// The most places a number may be rounded to.
const PLACES_MAX: i128 = 15;
/// The deepest indentation of JSON.
const INDENT_MAX: usize = 8;

impl<'v> Run<'v> {
    pub(super) fn converted(
        &mut self,
        operation: Operation,
        value: Val<'v>,
        given: &mut Given<'v>,
    ) -> Result<Val<'v>, EvalError> {
        match operation {
            Operation::Length => {
                let error = |error: EvalError| match value {
                    Val::Null => error.hint("give a default: `value|default([], true)`"),
                    _ => error,
                };
                Ok(Val::count(value.len(&mut self.meter).map_err(error)?))
            }
            Operation::Bool => Ok(Val::Bool(value.truthy())),
            Operation::Int => integer(&value, given),
            Operation::Float => decimal(&value, given),
            Operation::Abs => match value {
                Val::Int(number) => Ok(Val::Int(number.saturating_abs())),
                Val::Float(number) => Ok(Val::Float(number.abs())),
                other => Err(wrong(operation, "a number", &other)),
            },
            Operation::Round => rounded(&value, given),
            Operation::Date => {
                let date = self.clock()?.read(&value)?;
                let pattern = given.text("pattern")?;
                Ok(Val::text(date.formatted(pattern.as_deref().unwrap_or("%Y-%m-%d"))?))
            }
            Operation::Money => {
                let number = money_amount(&value)?;
                let currency = given.text("currency")?;
                let decimals = given.count("decimals")?;
                let point = given.text("point")?;
                let thousands = given.text("thousands")?;
                let style = money::Style {
                    currency: currency.as_deref(),
                    decimals,
                    point: point.as_deref().unwrap_or("."),
                    thousands: thousands.as_deref().unwrap_or(""),
                };
                Ok(Val::text(money::written(number, &style)))
            }
            Operation::ToJson => {
                let indent = given.count("indent")?.map(|indent| indent.min(INDENT_MAX));
                Ok(Val::text(write::json(&value, indent, &mut self.meter)?))
            }
            Operation::String => match value {
                Val::Text(text) => Ok(Val::Text(text)),
                other => Ok(Val::text(write::text(&other, &mut self.meter)?)),
            },
            Operation::Format => self.formatted(&value, given),
            _ => Ok(value),
        }
    }

    /// `'%s is %.2f'|format(name, price)`: the letters s, d, f and x, a width and a precision.
    fn formatted(&mut self, value: &Val<'v>, given: &mut Given<'v>) -> Result<Val<'v>, EvalError> {
        let Val::Text(pattern) = value else {
            return Err(wrong(Operation::Format, "a string", value));
        };
        let mut arguments = given.rest().into_iter();
        let mut made = String::new();
        let mut rest: &str = pattern;
        while let Some((before, after)) = rest.split_once('%') {
            write::append(before, &mut made, &mut self.meter)?;
            if let Some(after) = after.strip_prefix('%') {
                made.push('%');
                rest = after;
                continue;
            }
            let (spec, after) = Spec::read(after)?;
            let argument = arguments.next().ok_or_else(|| {
                EvalError::bad_value("the pattern of `format` asks for more values than it was given")
            })?;
            let text = self.written(&spec, argument.there()?)?;
            write::append(&text, &mut made, &mut self.meter)?;
            rest = after;
        }
        write::append(rest, &mut made, &mut self.meter)?;
        match arguments.next() {
            None => Ok(Val::text(made)),
            Some(_) => Err(EvalError::bad_value("`format` was given more values than its pattern asks for")),
        }
    }

    fn written(&mut self, spec: &Spec, value: Val<'v>) -> Result<String, EvalError> {
        let text = match (spec.letter, &value) {
            ('s', value) => write::text(value, &mut self.meter)?,
            ('d', value) => match truncated(value) {
                Some(number) => number.to_string(),
                None => return Err(wrong(Operation::Format, "a number for %d", value)),
            },
            ('x', Val::Int(number)) => format!("{number:x}"),
            ('f', value) => match float(value) {
                Some(number) => format!("{number:.*}", spec.precision.unwrap_or(6)),
                None => return Err(wrong(Operation::Format, "a number for %f", value)),
            },
            (letter, value) => return Err(wrong(Operation::Format, &format!("another value for %{letter}"), value)),
        };
        let missing = spec.width.saturating_sub(text.chars().count());
        let fill = if spec.zeros { "0" } else { " " }.repeat(missing);
        Ok(if spec.left { text + &fill } else { fill + &text })
    }
}

/// One `%…` of a format.
struct Spec {
    letter: char,
    width: usize,
    precision: Option<usize>,
    left: bool,
    zeros: bool,
}

impl Spec {
    const WIDTH_MAX: usize = 1_000;
    const PRECISION_MAX: usize = 30;

    fn read(source: &str) -> Result<(Self, &str), EvalError> {
        let flags = source.len() - source.trim_start_matches(['-', '0']).len();
        let (flags, rest) = source.split_at(flags);
        let (width, rest) = number(rest);
        let (precision, rest) = match rest.strip_prefix('.') {
            Some(rest) => {
                let (precision, rest) = number(rest);
                (Some(precision.unwrap_or(0)), rest)
            }
            None => (None, rest),
        };
        let width = width.unwrap_or(0);
        if width > Self::WIDTH_MAX || precision.is_some_and(|precision| precision > Self::PRECISION_MAX) {
            let (width, precision) = (Self::WIDTH_MAX, Self::PRECISION_MAX);
            return Err(EvalError::bad_value(format!(
                "`format` is at most {width} columns wide and {precision} places precise"
            )));
        }
        let letter = rest.chars().next().filter(|letter| "sdfx".contains(*letter));
        let letter = letter.ok_or_else(|| {
            EvalError::bad_value("a `%` in the pattern of `format` is followed by none of s, d, f, x or %")
        })?;
        let spec = Self { letter, width, precision, left: flags.contains('-'), zeros: flags.contains('0') };
        Ok((spec, &rest[1..]))
    }
}

/// A number off the front; too large a one counts as the largest.
fn number(source: &str) -> (Option<usize>, &str) {
    let digits = source.len() - source.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (digits, rest) = source.split_at(digits);
    if digits.is_empty() {
        return (None, rest);
    }
    (Some(digits.parse().unwrap_or(usize::MAX)), rest)
}

fn integer<'v>(value: &Val<'v>, given: &mut Given<'v>) -> Result<Val<'v>, EvalError> {
    let default = given.optional("default");
    let number = match value {
        Val::Bool(flag) => Some(i128::from(*flag)),
        Val::Text(text) => text.trim().parse().ok().or_else(|| text.trim().parse().ok().and_then(whole_part)),
        other => truncated(other),
    };
    converted_or(number.map(Val::Int), default, value, "a whole number")
}

fn decimal<'v>(value: &Val<'v>, given: &mut Given<'v>) -> Result<Val<'v>, EvalError> {
    let default = given.optional("default");
    let number = match value {
        Val::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Val::Text(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        other => float(other),
    };
    converted_or(number.map(Val::Float), default, value, "a number")
}

fn converted_or<'v>(
    number: Option<Val<'v>>,
    default: Option<Val<'v>>,
    value: &Val<'v>,
    what: &str,
) -> Result<Val<'v>, EvalError> {
    match (number, default, value) {
        (Some(number), _, _) => Ok(number),
        (None, Some(default), _) => Ok(default),
        (None, None, Val::Text(text)) => {
            let shown: String = text.chars().take(40).collect();
            Err(EvalError::bad_value(format!("`{shown}` is not {what}")).hint("give a default: `value|int(0)`"))
        }
        (None, None, other) => Err(EvalError::wrong_type(format!("{} cannot be made {what}", other.kind()))),
    }
}

fn truncated(value: &Val<'_>) -> Option<i128> {
    match value {
        Val::Int(number) => Some(*number),
        Val::Float(number) => whole_part(*number),
        _ => None,
    }
}

fn whole_part(number: f64) -> Option<i128> {
    const EXACT_MAX: f64 = 1e30;
    #[expect(clippy::cast_possible_truncation, reason = "checked to be in range; the fraction is meant to go")]
    (number.abs() < EXACT_MAX).then_some(number as i128)
}

fn rounded<'v>(value: &Val<'v>, given: &mut Given<'v>) -> Result<Val<'v>, EvalError> {
    let places = match given.optional("precision").map(Val::there).transpose()? {
        None => None,
        Some(Val::Int(places)) => Some(i32::try_from(places.clamp(-PLACES_MAX, PLACES_MAX)).unwrap_or(0)),
        Some(other) => return Err(given.wrong("precision", "a whole number", &other)),
    };
    let method = given.text("method")?;
    let Some(number) = float(value) else {
        return Err(wrong(Operation::Round, "a number", value));
    };
    let scale = 10_f64.powi(places.unwrap_or(0));
    let scaled = number * scale;
    let rounded = match method.as_deref() {
        None | Some("common") => scaled.round(),
        Some("ceil") => scaled.ceil(),
        Some("floor") => scaled.floor(),
        Some(other) => {
            return Err(EvalError::bad_value(format!("`round` knows no method `{other}`"))
                .hint("the methods are common, ceil and floor"));
        }
    };
    match value {
        Val::Int(number) if places.unwrap_or(0) >= 0 => Ok(Val::Int(*number)),
        _ => Val::float(rounded / scale),
    }
}

fn money_amount(value: &Val<'_>) -> Result<f64, EvalError> {
    let number = match value {
        Val::Text(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        other => float(other),
    };
    number.ok_or_else(|| wrong(Operation::Money, "a number", value))
}

fn wrong(operation: Operation, wanted: &str, given: &Val<'_>) -> EvalError {
    let error = EvalError::wrong_type(format!("`{}` wants {wanted}, not {}", operation.name(), given.kind()));
    match given {
        Val::Null => error.hint("give a default: `value|default(0, true)`"),
        _ => error,
    }
}
