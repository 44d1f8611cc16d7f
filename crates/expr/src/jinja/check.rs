//! Tests of a value with `is`.

use super::arguments::EvaluatedArguments;
use super::arithmetic::{compare, contains};
use super::evaluator::JinjaEvaluator;
use super::node::JinjaComparator;
use super::operation::ValueTest;
use super::value::JinjaValue;
use crate::error::EvalError;

impl<'v> JinjaEvaluator<'v> {
    /// Returns whether a value passes a test. Only `defined` and `undefined` accept a missing value.
    pub(super) fn test(
        &mut self,
        test: ValueTest,
        value: &JinjaValue<'v>,
        mut given: EvaluatedArguments<'v>,
    ) -> Result<bool, EvalError> {
        self.meter.charge_steps(1)?;
        let missing = value.is_missing();
        let answer = match test {
            ValueTest::Defined => !missing,
            ValueTest::Undefined => missing,
            _ if missing => return value.clone().require_present().map(|_| false),
            ValueTest::Null => matches!(value, JinjaValue::Null),
            ValueTest::True => matches!(value, JinjaValue::Bool(true)),
            ValueTest::False => matches!(value, JinjaValue::Bool(false)),
            ValueTest::Boolean => matches!(value, JinjaValue::Bool(_)),
            ValueTest::Integer => matches!(value, JinjaValue::Int(_)),
            ValueTest::Float => matches!(value, JinjaValue::Float(_)),
            ValueTest::Number => matches!(value, JinjaValue::Int(_) | JinjaValue::Float(_)),
            ValueTest::String => matches!(value, JinjaValue::Text(_)),
            ValueTest::Mapping => value.is_object(),
            ValueTest::Sequence => value.is_list() || matches!(value, JinjaValue::Text(_)),
            ValueTest::Iterable => value.is_list() || value.is_object() || matches!(value, JinjaValue::Text(_)),
            ValueTest::Empty => value.len(&mut self.meter)? == 0,
            ValueTest::Lower => is_cased(test, value, |text| text == text.to_lowercase())?,
            ValueTest::Upper => is_cased(test, value, |text| text == text.to_uppercase())?,
            ValueTest::Even | ValueTest::Odd => match value {
                JinjaValue::Int(number) => (number % 2 == 0) == (test == ValueTest::Even),
                other => return Err(test_type_error(test, "a whole number", other)),
            },
            ValueTest::DivisibleBy => match (value, given.required("number")?) {
                (JinjaValue::Int(_), JinjaValue::Int(0)) => {
                    return Err(EvalError::bad_value("nothing is divisible by 0"));
                }
                (JinjaValue::Int(number), JinjaValue::Int(by)) => number.checked_rem(by).is_none_or(|rest| rest == 0),
                (JinjaValue::Int(_), other) | (_, other) => return Err(test_type_error(test, "whole numbers", &other)),
            },
            ValueTest::In => contains(&given.required("items")?, value, &mut self.meter)?,
            ValueTest::Containing => contains(value, &given.required("item")?, &mut self.meter)?,
            ValueTest::StartingWith | ValueTest::EndingWith => {
                let part = given.required_text("part")?;
                match value {
                    JinjaValue::Text(text) if test == ValueTest::StartingWith => text.starts_with(&*part),
                    JinjaValue::Text(text) => text.ends_with(&*part),
                    other => return Err(test_type_error(test, "a string", other)),
                }
            }
            ValueTest::Equal => self.compared(JinjaComparator::Equal, value, &mut given)?,
            ValueTest::NotEqual => self.compared(JinjaComparator::NotEqual, value, &mut given)?,
            ValueTest::Less => self.compared(JinjaComparator::Less, value, &mut given)?,
            ValueTest::LessOrEqual => self.compared(JinjaComparator::LessOrEqual, value, &mut given)?,
            ValueTest::Greater => self.compared(JinjaComparator::Greater, value, &mut given)?,
            ValueTest::GreaterOrEqual => self.compared(JinjaComparator::GreaterOrEqual, value, &mut given)?,
        };
        given.finish()?;
        Ok(answer)
    }

    fn compared(
        &mut self,
        comparator: JinjaComparator,
        value: &JinjaValue<'v>,
        given: &mut EvaluatedArguments<'v>,
    ) -> Result<bool, EvalError> {
        compare(comparator, value, &given.required("other")?, &mut self.meter)
    }
}

fn is_cased(test: ValueTest, value: &JinjaValue<'_>, holds: impl Fn(&str) -> bool) -> Result<bool, EvalError> {
    match value {
        JinjaValue::Text(text) => Ok(holds(text)),
        other => Err(test_type_error(test, "a string", other)),
    }
}

fn test_type_error(test: ValueTest, wanted: &str, given: &JinjaValue<'_>) -> EvalError {
    EvalError::wrong_type(format!("`is {}` wants {wanted}, not {}", test.name(), given.kind()))
}
