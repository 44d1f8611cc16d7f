//! Conversions: numbers, text, JSON, dates, money.

use super::arguments::EvaluatedArguments;
use super::arithmetic::float;
use super::evaluator::JinjaEvaluator;
use super::money;
use super::operation::ValueOperation;
use super::value::JinjaValue;
use super::write;
use crate::error::EvalError;

/// Maximum number of decimal places for rounding.
const PLACES_MAX: i128 = 15;
/// Maximum indentation of JSON.
const INDENT_MAX: usize = 8;

impl<'v> JinjaEvaluator<'v> {
    pub(super) fn converted(
        &mut self,
        operation: ValueOperation,
        value: JinjaValue<'v>,
        given: &mut EvaluatedArguments<'v>,
    ) -> Result<JinjaValue<'v>, EvalError> {
        match operation {
            ValueOperation::Length => {
                let error = |error: EvalError| match value {
                    JinjaValue::Null => error.hint("give a default: `value|default([], true)`"),
                    _ => error,
                };
                Ok(JinjaValue::count(value.len(&mut self.meter).map_err(error)?))
            }
            ValueOperation::Bool => Ok(JinjaValue::Bool(value.truthy())),
            ValueOperation::Int => integer(&value, given),
            ValueOperation::Float => decimal(&value, given),
            ValueOperation::Abs => match value {
                JinjaValue::Int(number) => Ok(JinjaValue::Int(number.saturating_abs())),
                JinjaValue::Float(number) => Ok(JinjaValue::Float(number.abs())),
                other => Err(conversion_type_error(operation, "a number", &other)),
            },
            ValueOperation::Round => rounded(&value, given),
            ValueOperation::Date => {
                let date = self.clock()?.read(&value)?;
                let pattern = given.text("pattern")?;
                Ok(JinjaValue::text(date.formatted(pattern.as_deref().unwrap_or("%Y-%m-%d"))?))
            }
            ValueOperation::Money => {
                let number = money_amount(&value)?;
                let currency = given.text("currency")?;
                let decimals = given.count("decimals")?;
                let point = given.text("point")?;
                let thousands = given.text("thousands")?;
                let style = money::MoneyFormat {
                    currency: currency.as_deref(),
                    decimals,
                    point: point.as_deref().unwrap_or("."),
                    thousands: thousands.as_deref().unwrap_or(""),
                };
                Ok(JinjaValue::text(money::format_money(number, &style)))
            }
            ValueOperation::ToJson => {
                let indent = given.count("indent")?.map(|indent| indent.min(INDENT_MAX));
                Ok(JinjaValue::text(write::json(&value, indent, &mut self.meter)?))
            }
            ValueOperation::String => match value {
                JinjaValue::Text(text) => Ok(JinjaValue::Text(text)),
                other => Ok(JinjaValue::text(write::text(&other, &mut self.meter)?)),
            },
            ValueOperation::Format => self.formatted(&value, given),
            _ => Ok(value),
        }
    }

    /// `'%s is %.2f'|format(name, price)`: the letters s, d, f and x, a width and a precision.
    fn formatted(
        &mut self,
        value: &JinjaValue<'v>,
        given: &mut EvaluatedArguments<'v>,
    ) -> Result<JinjaValue<'v>, EvalError> {
        let JinjaValue::Text(pattern) = value else {
            return Err(conversion_type_error(ValueOperation::Format, "a string", value));
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
            let (spec, after) = FormatSpec::read(after)?;
            let argument = arguments.next().ok_or_else(|| {
                EvalError::bad_value("the pattern of `format` asks for more values than it was given")
            })?;
            let text = self.written(&spec, argument.require_present()?)?;
            write::append(&text, &mut made, &mut self.meter)?;
            rest = after;
        }
        write::append(rest, &mut made, &mut self.meter)?;
        match arguments.next() {
            None => Ok(JinjaValue::text(made)),
            Some(_) => Err(EvalError::bad_value("`format` was given more values than its pattern asks for")),
        }
    }

    fn written(&mut self, spec: &FormatSpec, value: JinjaValue<'v>) -> Result<String, EvalError> {
        let text = match (spec.letter, &value) {
            ('s', value) => write::text(value, &mut self.meter)?,
            ('d', value) => match truncated(value) {
                Some(number) => number.to_string(),
                None => return Err(conversion_type_error(ValueOperation::Format, "a number for %d", value)),
            },
            ('x', JinjaValue::Int(number)) => format!("{number:x}"),
            ('f', value) => match float(value) {
                Some(number) => format!("{number:.*}", spec.precision.unwrap_or(6)),
                None => return Err(conversion_type_error(ValueOperation::Format, "a number for %f", value)),
            },
            (letter, value) => {
                return Err(conversion_type_error(
                    ValueOperation::Format,
                    &format!("another value for %{letter}"),
                    value,
                ));
            }
        };
        let missing = spec.width.saturating_sub(text.chars().count());
        let fill = if spec.zeros { "0" } else { " " }.repeat(missing);
        Ok(if spec.left { text + &fill } else { fill + &text })
    }
}

/// One `%…` of a format string.
struct FormatSpec {
    letter: char,
    width: usize,
    precision: Option<usize>,
    left: bool,
    zeros: bool,
}

impl FormatSpec {
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

/// Takes a number from the front; a number that is too large counts as the maximum.
fn number(source: &str) -> (Option<usize>, &str) {
    let digits = source.len() - source.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (digits, rest) = source.split_at(digits);
    if digits.is_empty() {
        return (None, rest);
    }
    (Some(digits.parse().unwrap_or(usize::MAX)), rest)
}

fn integer<'v>(value: &JinjaValue<'v>, given: &mut EvaluatedArguments<'v>) -> Result<JinjaValue<'v>, EvalError> {
    let default = given.optional("default");
    let number = match value {
        JinjaValue::Bool(flag) => Some(i128::from(*flag)),
        JinjaValue::Text(text) => text.trim().parse().ok().or_else(|| text.trim().parse().ok().and_then(whole_part)),
        other => truncated(other),
    };
    converted_or(number.map(JinjaValue::Int), default, value, "a whole number")
}

fn decimal<'v>(value: &JinjaValue<'v>, given: &mut EvaluatedArguments<'v>) -> Result<JinjaValue<'v>, EvalError> {
    let default = given.optional("default");
    let number = match value {
        JinjaValue::Bool(flag) => Some(f64::from(u8::from(*flag))),
        JinjaValue::Text(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        other => float(other),
    };
    converted_or(number.map(JinjaValue::Float), default, value, "a number")
}

fn converted_or<'v>(
    number: Option<JinjaValue<'v>>,
    default: Option<JinjaValue<'v>>,
    value: &JinjaValue<'v>,
    what: &str,
) -> Result<JinjaValue<'v>, EvalError> {
    match (number, default, value) {
        (Some(number), _, _) => Ok(number),
        (None, Some(default), _) => Ok(default),
        (None, None, JinjaValue::Text(text)) => {
            let shown: String = text.chars().take(40).collect();
            Err(EvalError::bad_value(format!("`{shown}` is not {what}")).hint("give a default: `value|int(0)`"))
        }
        (None, None, other) => Err(EvalError::wrong_type(format!("{} cannot be made {what}", other.kind()))),
    }
}

fn truncated(value: &JinjaValue<'_>) -> Option<i128> {
    match value {
        JinjaValue::Int(number) => Some(*number),
        JinjaValue::Float(number) => whole_part(*number),
        _ => None,
    }
}

fn whole_part(number: f64) -> Option<i128> {
    const EXACT_MAX: f64 = 1e30;
    #[expect(clippy::cast_possible_truncation, reason = "checked to be in range; the fraction is meant to go")]
    (number.abs() < EXACT_MAX).then_some(number as i128)
}

fn rounded<'v>(value: &JinjaValue<'v>, given: &mut EvaluatedArguments<'v>) -> Result<JinjaValue<'v>, EvalError> {
    let places = match given.optional("precision").map(JinjaValue::require_present).transpose()? {
        None => None,
        Some(JinjaValue::Int(places)) => Some(i32::try_from(places.clamp(-PLACES_MAX, PLACES_MAX)).unwrap_or(0)),
        Some(other) => return Err(given.type_error("precision", "a whole number", &other)),
    };
    let method = given.text("method")?;
    let Some(number) = float(value) else {
        return Err(conversion_type_error(ValueOperation::Round, "a number", value));
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
        JinjaValue::Int(number) if places.unwrap_or(0) >= 0 => Ok(JinjaValue::Int(*number)),
        _ => JinjaValue::float(rounded / scale),
    }
}

fn money_amount(value: &JinjaValue<'_>) -> Result<f64, EvalError> {
    let number = match value {
        JinjaValue::Text(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        other => float(other),
    };
    number.ok_or_else(|| conversion_type_error(ValueOperation::Money, "a number", value))
}

fn conversion_type_error(operation: ValueOperation, wanted: &str, given: &JinjaValue<'_>) -> EvalError {
    let error = EvalError::wrong_type(format!("`{}` wants {wanted}, not {}", operation.name(), given.kind()));
    match given {
        JinjaValue::Null => error.hint("give a default: `value|default(0, true)`"),
        _ => error,
    }
}
