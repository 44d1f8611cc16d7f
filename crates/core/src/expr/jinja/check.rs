//! What can be asked of a value with `is`.

use super::arithmetic::{compare, contains};
use super::given::Given;
use super::node::Comparator;
use super::operation::Test;
use super::run::Run;
use super::value::Val;
use crate::expr::error::EvalError;

impl<'v> Run<'v> {
    /// Whether a value passes a test. Only `defined` and `undefined` may ask about one that is not there.
    pub(super) fn test(&mut self, test: Test, value: &Val<'v>, mut given: Given<'v>) -> Result<bool, EvalError> {
        self.meter.steps(1)?;
        let missing = value.is_missing();
        let answer = match test {
            Test::Defined => !missing,
            Test::Undefined => missing,
            _ if missing => return value.clone().there().map(|_| false),
            Test::Null => matches!(value, Val::Null),
            Test::True => matches!(value, Val::Bool(true)),
            Test::False => matches!(value, Val::Bool(false)),
            Test::Boolean => matches!(value, Val::Bool(_)),
            Test::Integer => matches!(value, Val::Int(_)),
            Test::Float => matches!(value, Val::Float(_)),
            Test::Number => matches!(value, Val::Int(_) | Val::Float(_)),
            Test::String => matches!(value, Val::Text(_)),
            Test::Mapping => value.is_object(),
            Test::Sequence => value.is_list() || matches!(value, Val::Text(_)),
            Test::Iterable => value.is_list() || value.is_object() || matches!(value, Val::Text(_)),
            Test::Empty => value.len(&mut self.meter)? == 0,
            Test::Lower => is_cased(test, value, |text| text == text.to_lowercase())?,
            Test::Upper => is_cased(test, value, |text| text == text.to_uppercase())?,
            Test::Even | Test::Odd => match value {
                Val::Int(number) => (number % 2 == 0) == (test == Test::Even),
                other => return Err(wrong(test, "a whole number", other)),
            },
            Test::DivisibleBy => match (value, given.required("number")?) {
                (Val::Int(_), Val::Int(0)) => return Err(EvalError::bad_value("nothing is divisible by 0")),
                (Val::Int(number), Val::Int(by)) => number.checked_rem(by).is_none_or(|rest| rest == 0),
                (Val::Int(_), other) | (_, other) => return Err(wrong(test, "whole numbers", &other)),
            },
            Test::In => contains(&given.required("items")?, value, &mut self.meter)?,
            Test::Containing => contains(value, &given.required("item")?, &mut self.meter)?,
            Test::StartingWith | Test::EndingWith => {
                let part = given.required_text("part")?;
                match value {
                    Val::Text(text) if test == Test::StartingWith => text.starts_with(&*part),
                    Val::Text(text) => text.ends_with(&*part),
                    other => return Err(wrong(test, "a string", other)),
                }
            }
            Test::Equal => self.compared(Comparator::Equal, value, &mut given)?,
            Test::NotEqual => self.compared(Comparator::NotEqual, value, &mut given)?,
            Test::Less => self.compared(Comparator::Less, value, &mut given)?,
            Test::LessOrEqual => self.compared(Comparator::LessOrEqual, value, &mut given)?,
            Test::Greater => self.compared(Comparator::Greater, value, &mut given)?,
            Test::GreaterOrEqual => self.compared(Comparator::GreaterOrEqual, value, &mut given)?,
        };
        given.finish()?;
        Ok(answer)
    }

    fn compared(&mut self, comparator: Comparator, value: &Val<'v>, given: &mut Given<'v>) -> Result<bool, EvalError> {
        compare(comparator, value, &given.required("other")?, &mut self.meter)
    }
}

fn is_cased(test: Test, value: &Val<'_>, holds: impl Fn(&str) -> bool) -> Result<bool, EvalError> {
    match value {
        Val::Text(text) => Ok(holds(text)),
        other => Err(wrong(test, "a string", other)),
    }
}

fn wrong(test: Test, wanted: &str, given: &Val<'_>) -> EvalError {
    EvalError::wrong_type(format!("`is {}` wants {wanted}, not {}", test.name(), given.kind()))
}
