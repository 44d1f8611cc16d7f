//! Operations, each sent to its kind.

use super::given::Given;
use super::operation::Operation;
use super::run::Run;
use super::value::Val;
use crate::expr::error::EvalError;

impl<'v> Run<'v> {
    /// Does an operation with a value. Only `default` may be given one that is not there.
    pub(super) fn apply(
        &mut self,
        operation: Operation,
        value: Val<'v>,
        mut given: Given<'v>,
    ) -> Result<Val<'v>, EvalError> {
        if operation == Operation::Default {
            let result = self.default(value, &mut given)?;
            given.finish()?;
            return Ok(result);
        }
        let value = value.there()?;
        self.meter.steps(1)?;
        let given_to = &mut given;
        let result = match operation {
            Operation::Capitalize
            | Operation::EndsWith
            | Operation::Escape
            | Operation::Find
            | Operation::Indent
            | Operation::IsAlpha
            | Operation::IsDigit
            | Operation::JoinItems
            | Operation::Lines
            | Operation::Lower
            | Operation::PadZeros
            | Operation::Replace
            | Operation::Split
            | Operation::StartsWith
            | Operation::Title
            | Operation::Trim
            | Operation::TrimEnd
            | Operation::TrimStart
            | Operation::Truncate
            | Operation::Upper
            | Operation::UrlEncode
            | Operation::WordCount => self.with_text(operation, &value, given_to),
            Operation::Batch
            | Operation::Count
            | Operation::Cycle
            | Operation::First
            | Operation::GroupBy
            | Operation::Index
            | Operation::Join
            | Operation::Last
            | Operation::List
            | Operation::Map
            | Operation::Max
            | Operation::Min
            | Operation::Reject
            | Operation::RejectAttribute
            | Operation::Reverse
            | Operation::Select
            | Operation::SelectAttribute
            | Operation::Sort
            | Operation::Sum
            | Operation::Unique => self.with_items(operation, value, given_to),
            Operation::Attribute
            | Operation::DictSort
            | Operation::Get
            | Operation::Items
            | Operation::Keys
            | Operation::Values => self.with_fields(operation, &value, given_to),
            Operation::Abs
            | Operation::Bool
            | Operation::Date
            | Operation::Default
            | Operation::Float
            | Operation::Format
            | Operation::Int
            | Operation::Length
            | Operation::Money
            | Operation::Round
            | Operation::Safe
            | Operation::String
            | Operation::ToJson => self.converted(operation, value, given_to),
        }?;
        given.finish()?;
        Ok(result)
    }

    /// The value, or the other if it is not there; with `true`, also if it is null or empty.
    fn default(&mut self, value: Val<'v>, given: &mut Given<'v>) -> Result<Val<'v>, EvalError> {
        let other = given.optional("value").unwrap_or_else(|| Val::text(""));
        let also_empty = given.flag("boolean")?;
        let replaced = value.is_missing() || (also_empty && !value.truthy());
        Ok(if replaced { other } else { value })
    }
}
