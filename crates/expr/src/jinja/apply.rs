//! Operations, dispatched by kind.

use super::arguments::EvaluatedArguments;
use super::evaluator::JinjaEvaluator;
use super::operation::ValueOperation;
use super::value::JinjaValue;
use crate::error::EvalError;

impl<'v> JinjaEvaluator<'v> {
    /// Applies an operation to a value. Only `default` accepts a missing value.
    pub(super) fn apply(
        &mut self,
        operation: ValueOperation,
        value: JinjaValue<'v>,
        mut given: EvaluatedArguments<'v>,
    ) -> Result<JinjaValue<'v>, EvalError> {
        if operation == ValueOperation::Default {
            let result = self.default(value, &mut given)?;
            given.finish()?;
            return Ok(result);
        }
        let value = value.require_present()?;
        self.meter.charge_steps(1)?;
        let given_to = &mut given;
        let result = match operation {
            ValueOperation::Capitalize
            | ValueOperation::EndsWith
            | ValueOperation::Escape
            | ValueOperation::Find
            | ValueOperation::Indent
            | ValueOperation::IsAlpha
            | ValueOperation::IsDigit
            | ValueOperation::JoinItems
            | ValueOperation::Lines
            | ValueOperation::Lower
            | ValueOperation::PadZeros
            | ValueOperation::Replace
            | ValueOperation::Split
            | ValueOperation::StartsWith
            | ValueOperation::Title
            | ValueOperation::Trim
            | ValueOperation::TrimEnd
            | ValueOperation::TrimStart
            | ValueOperation::Truncate
            | ValueOperation::Upper
            | ValueOperation::UrlEncode
            | ValueOperation::WordCount => self.with_text(operation, &value, given_to),
            ValueOperation::Batch
            | ValueOperation::Count
            | ValueOperation::Cycle
            | ValueOperation::First
            | ValueOperation::GroupBy
            | ValueOperation::Index
            | ValueOperation::Join
            | ValueOperation::Last
            | ValueOperation::List
            | ValueOperation::Map
            | ValueOperation::Max
            | ValueOperation::Min
            | ValueOperation::Reject
            | ValueOperation::RejectAttribute
            | ValueOperation::Reverse
            | ValueOperation::Select
            | ValueOperation::SelectAttribute
            | ValueOperation::Sort
            | ValueOperation::Sum
            | ValueOperation::Unique => self.with_items(operation, value, given_to),
            ValueOperation::Attribute
            | ValueOperation::DictSort
            | ValueOperation::Get
            | ValueOperation::Items
            | ValueOperation::Keys
            | ValueOperation::Values => self.with_fields(operation, &value, given_to),
            ValueOperation::Abs
            | ValueOperation::Bool
            | ValueOperation::Date
            | ValueOperation::Default
            | ValueOperation::Float
            | ValueOperation::Format
            | ValueOperation::Int
            | ValueOperation::Length
            | ValueOperation::Money
            | ValueOperation::Round
            | ValueOperation::Safe
            | ValueOperation::String
            | ValueOperation::ToJson => self.converted(operation, value, given_to),
        }?;
        given.finish()?;
        Ok(result)
    }

    /// Returns the value, or the default if it is missing; with `true`, also if it is null or empty.
    fn default(
        &mut self,
        value: JinjaValue<'v>,
        given: &mut EvaluatedArguments<'v>,
    ) -> Result<JinjaValue<'v>, EvalError> {
        let other = given.optional("value").unwrap_or_else(|| JinjaValue::text(""));
        let also_empty = given.flag("boolean")?;
        let replaced = value.is_missing() || (also_empty && !value.truthy());
        Ok(if replaced { other } else { value })
    }
}
