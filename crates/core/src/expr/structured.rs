//! The structured condition: `{field, operator, value}`.

use std::cmp::Ordering;
use std::str::FromStr;

use serde_json::Value;

use super::compare::{equal, order_numbers};
use super::error::{EvalError, ParseError};
use super::meter::Meter;
use super::names::kind;
use super::suggest::nearest;

/// How a structured condition compares its field with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `==`: numbers by value, lists and objects by content.
    Equals,
    /// `!=`
    NotEquals,
    /// `>`: two numbers, or two strings by their letters; false against null.
    GreaterThan,
    /// `<`
    LessThan,
    /// `>=`
    AtLeast,
    /// `<=`
    AtMost,
    /// `contains`: a list its item, a string its part, an object its key; false for null.
    Contains,
    /// `not_contains`
    NotContains,
    /// `in`: the field is an item of the value, or a part of it.
    In,
    /// `not_in`
    NotIn,
    /// `starts_with`: false unless both are strings.
    StartsWith,
    /// `ends_with`: false unless both are strings.
    EndsWith,
    /// `is_none`: the field is null or missing. Takes no value.
    IsNone,
    /// `not_none`: the field is there and not null. Takes no value.
    NotNone,
}

/// Every spelling that is understood; the first of each operator is the one we write.
const SPELLINGS: &[(&str, Operator)] = &[
    ("==", Operator::Equals),
    ("equals", Operator::Equals),
    ("eq", Operator::Equals),
    ("!=", Operator::NotEquals),
    ("not_equals", Operator::NotEquals),
    ("ne", Operator::NotEquals),
    (">", Operator::GreaterThan),
    ("greater_than", Operator::GreaterThan),
    ("gt", Operator::GreaterThan),
    ("<", Operator::LessThan),
    ("less_than", Operator::LessThan),
    ("lt", Operator::LessThan),
    (">=", Operator::AtLeast),
    ("greater_or_equal", Operator::AtLeast),
    ("gte", Operator::AtLeast),
    ("<=", Operator::AtMost),
    ("less_or_equal", Operator::AtMost),
    ("lte", Operator::AtMost),
    ("contains", Operator::Contains),
    ("not_contains", Operator::NotContains),
    ("in", Operator::In),
    ("not_in", Operator::NotIn),
    ("starts_with", Operator::StartsWith),
    ("ends_with", Operator::EndsWith),
    ("is_none", Operator::IsNone),
    ("is_null", Operator::IsNone),
    ("not_none", Operator::NotNone),
    ("is_not_none", Operator::NotNone),
    ("not_null", Operator::NotNone),
];

impl Operator {
    /// The spelling we write.
    pub fn as_str(self) -> &'static str {
        SPELLINGS.iter().find(|(_, operator)| *operator == self).map_or("==", |(spelling, _)| spelling)
    }

    /// Whether the operator compares with a value at all.
    pub fn takes_value(self) -> bool {
        !matches!(self, Operator::IsNone | Operator::NotNone)
    }

    pub(crate) fn holds(self, field: &Value, value: &Value, meter: &mut Meter) -> Result<bool, EvalError> {
        match self {
            Operator::Equals => equal(field, value, meter),
            Operator::NotEquals => Ok(!equal(field, value, meter)?),
            Operator::GreaterThan => self.ordered(field, value, Ordering::is_gt),
            Operator::LessThan => self.ordered(field, value, Ordering::is_lt),
            Operator::AtLeast => self.ordered(field, value, Ordering::is_ge),
            Operator::AtMost => self.ordered(field, value, Ordering::is_le),
            Operator::Contains => self.held_in(value, field, meter),
            Operator::NotContains => Ok(!self.held_in(value, field, meter)?),
            Operator::In => self.held_in(field, value, meter),
            Operator::NotIn => Ok(!self.held_in(field, value, meter)?),
            Operator::StartsWith => Ok(texts(field, value).is_some_and(|(f, v)| f.starts_with(v))),
            Operator::EndsWith => Ok(texts(field, value).is_some_and(|(f, v)| f.ends_with(v))),
            Operator::IsNone => Ok(field.is_null()),
            Operator::NotNone => Ok(!field.is_null()),
        }
    }

    fn ordered(self, field: &Value, value: &Value, wanted: fn(Ordering) -> bool) -> Result<bool, EvalError> {
        match (field, value) {
            (Value::Null, _) | (_, Value::Null) => Ok(false),
            (Value::Number(a), Value::Number(b)) => Ok(order_numbers(a, b).is_some_and(wanted)),
            (Value::String(a), Value::String(b)) => Ok(wanted(a.cmp(b))),
            (a, b) => Err(self.senseless(a, b)),
        }
    }

    fn held_in(self, part: &Value, whole: &Value, meter: &mut Meter) -> Result<bool, EvalError> {
        match (whole, part) {
            (Value::Null, _) => Ok(false),
            (Value::Array(items), part) => {
                for item in items {
                    if equal(item, part, meter)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            (Value::String(whole), Value::String(part)) => {
                meter.read(whole.len())?;
                Ok(whole.contains(part.as_str()))
            }
            (Value::Object(fields), Value::String(key)) => Ok(fields.contains_key(key)),
            (Value::String(_) | Value::Object(_), Value::Null) => Ok(false),
            (whole, part) => Err(self.senseless(whole, part)),
        }
    }

    fn senseless(self, a: &Value, b: &Value) -> EvalError {
        EvalError::wrong_type(format!("`{}` has no meaning between {} and {}", self.as_str(), kind(a), kind(b)))
    }
}

fn texts<'v>(field: &'v Value, value: &'v Value) -> Option<(&'v str, &'v str)> {
    Some((field.as_str()?, value.as_str()?))
}

impl FromStr for Operator {
    type Err = ParseError;

    /// Reads a spelling in any case; the error suggests the nearest.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let spelling = text.trim().to_lowercase();
        if let Some((_, operator)) = SPELLINGS.iter().find(|(known, _)| *known == spelling) {
            return Ok(*operator);
        }
        let error = ParseError::new(format!("unknown operator `{text}`"));
        match nearest(&spelling, SPELLINGS.iter().map(|(known, _)| *known)) {
            Some(name) => Err(error.did_you_mean(Some(name))),
            None => Err(error.hint(
                "the operators are ==, !=, >, <, >=, <=, contains, not_contains, in, not_in, starts_with, ends_with, is_none, not_none",
            )),
        }
    }
}
