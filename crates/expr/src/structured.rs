//! The structured condition: `{field, operator, value}`.

use std::cmp::Ordering;
use std::str::FromStr;

use serde_json::Value;

use super::compare::{equal, order_numbers};
use super::context::type_description;
use super::error::{EvalError, ParseError};
use super::meter::EvalMeter;
use super::suggest::nearest;

/// How a structured condition compares its field with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionOperator {
    /// `==`: numbers by value, lists and objects by content.
    Equals,
    /// `!=`
    NotEquals,
    /// `>`: two numbers, or two strings in code point order; false against null.
    GreaterThan,
    /// `<`
    LessThan,
    /// `>=`
    AtLeast,
    /// `<=`
    AtMost,
    /// `contains`: an item of a list, a substring of a string, a key of an object; false for null.
    Contains,
    /// `not_contains`
    NotContains,
    /// `in`: the field is an item or a substring of the value.
    In,
    /// `not_in`
    NotIn,
    /// `starts_with`: false unless both are strings.
    StartsWith,
    /// `ends_with`: false unless both are strings.
    EndsWith,
    /// `is_none`: the field is null or missing. Takes no value.
    IsNone,
    /// `not_none`: the field exists and is not null. Takes no value.
    NotNone,
}

/// Every accepted spelling; the first of each operator is the canonical one.
const SPELLINGS: &[(&str, ConditionOperator)] = &[
    ("==", ConditionOperator::Equals),
    ("equals", ConditionOperator::Equals),
    ("eq", ConditionOperator::Equals),
    ("!=", ConditionOperator::NotEquals),
    ("not_equals", ConditionOperator::NotEquals),
    ("ne", ConditionOperator::NotEquals),
    (">", ConditionOperator::GreaterThan),
    ("greater_than", ConditionOperator::GreaterThan),
    ("gt", ConditionOperator::GreaterThan),
    ("<", ConditionOperator::LessThan),
    ("less_than", ConditionOperator::LessThan),
    ("lt", ConditionOperator::LessThan),
    (">=", ConditionOperator::AtLeast),
    ("greater_or_equal", ConditionOperator::AtLeast),
    ("gte", ConditionOperator::AtLeast),
    ("<=", ConditionOperator::AtMost),
    ("less_or_equal", ConditionOperator::AtMost),
    ("lte", ConditionOperator::AtMost),
    ("contains", ConditionOperator::Contains),
    ("not_contains", ConditionOperator::NotContains),
    ("in", ConditionOperator::In),
    ("not_in", ConditionOperator::NotIn),
    ("starts_with", ConditionOperator::StartsWith),
    ("ends_with", ConditionOperator::EndsWith),
    ("is_none", ConditionOperator::IsNone),
    ("is_null", ConditionOperator::IsNone),
    ("not_none", ConditionOperator::NotNone),
    ("is_not_none", ConditionOperator::NotNone),
    ("not_null", ConditionOperator::NotNone),
];

impl ConditionOperator {
    /// Returns the canonical spelling.
    pub fn as_str(self) -> &'static str {
        SPELLINGS.iter().find(|(_, operator)| *operator == self).map_or("==", |(spelling, _)| spelling)
    }

    /// Returns whether the operator takes a value.
    pub fn takes_value(self) -> bool {
        !matches!(self, ConditionOperator::IsNone | ConditionOperator::NotNone)
    }

    pub(crate) fn holds(self, field: &Value, value: &Value, meter: &mut EvalMeter) -> Result<bool, EvalError> {
        match self {
            ConditionOperator::Equals => equal(field, value, meter),
            ConditionOperator::NotEquals => Ok(!equal(field, value, meter)?),
            ConditionOperator::GreaterThan => self.ordered(field, value, Ordering::is_gt),
            ConditionOperator::LessThan => self.ordered(field, value, Ordering::is_lt),
            ConditionOperator::AtLeast => self.ordered(field, value, Ordering::is_ge),
            ConditionOperator::AtMost => self.ordered(field, value, Ordering::is_le),
            ConditionOperator::Contains => self.is_contained_in(value, field, meter),
            ConditionOperator::NotContains => Ok(!self.is_contained_in(value, field, meter)?),
            ConditionOperator::In => self.is_contained_in(field, value, meter),
            ConditionOperator::NotIn => Ok(!self.is_contained_in(field, value, meter)?),
            ConditionOperator::StartsWith => Ok(texts(field, value).is_some_and(|(f, v)| f.starts_with(v))),
            ConditionOperator::EndsWith => Ok(texts(field, value).is_some_and(|(f, v)| f.ends_with(v))),
            ConditionOperator::IsNone => Ok(field.is_null()),
            ConditionOperator::NotNone => Ok(!field.is_null()),
        }
    }

    fn ordered(self, field: &Value, value: &Value, wanted: fn(Ordering) -> bool) -> Result<bool, EvalError> {
        match (field, value) {
            (Value::Null, _) | (_, Value::Null) => Ok(false),
            (Value::Number(a), Value::Number(b)) => Ok(order_numbers(a, b).is_some_and(wanted)),
            (Value::String(a), Value::String(b)) => Ok(wanted(a.cmp(b))),
            (a, b) => Err(self.unsupported_operands(a, b)),
        }
    }

    fn is_contained_in(self, part: &Value, whole: &Value, meter: &mut EvalMeter) -> Result<bool, EvalError> {
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
                meter.charge_read(whole.len())?;
                Ok(whole.contains(part.as_str()))
            }
            (Value::Object(fields), Value::String(key)) => Ok(fields.contains_key(key)),
            (Value::String(_) | Value::Object(_), Value::Null) => Ok(false),
            (whole, part) => Err(self.unsupported_operands(whole, part)),
        }
    }

    fn unsupported_operands(self, a: &Value, b: &Value) -> EvalError {
        EvalError::wrong_type(format!(
            "`{}` has no meaning between {} and {}",
            self.as_str(),
            type_description(a),
            type_description(b)
        ))
    }
}

fn texts<'v>(field: &'v Value, value: &'v Value) -> Option<(&'v str, &'v str)> {
    Some((field.as_str()?, value.as_str()?))
}

impl FromStr for ConditionOperator {
    type Err = ParseError;

    /// Parses a spelling in any case; the error suggests the nearest.
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
