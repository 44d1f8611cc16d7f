//! Operations on objects.

use super::arguments::EvaluatedArguments;
use super::evaluator::JinjaEvaluator;
use super::operation::ValueOperation;
use super::value::JinjaValue;
use crate::error::EvalError;

impl<'v> JinjaEvaluator<'v> {
    pub(super) fn with_fields(
        &mut self,
        operation: ValueOperation,
        value: &JinjaValue<'v>,
        given: &mut EvaluatedArguments<'v>,
    ) -> Result<JinjaValue<'v>, EvalError> {
        match operation {
            ValueOperation::Attribute => {
                let name = given.required_text("name")?;
                return self.attribute(value, &name);
            }
            ValueOperation::Get if value.is_object() || matches!(value, JinjaValue::Namespace(_)) => {
                let name = given.required_text("key")?;
                let default = given.optional("default").unwrap_or(JinjaValue::Null);
                return Ok(value.field(&name).unwrap_or(default));
            }
            _ => {}
        }
        let mut fields = self.pairs(operation, value)?;
        if operation == ValueOperation::DictSort {
            fields = self.sorted_pairs(fields, given)?;
        }
        let mut made = Vec::with_capacity(fields.len());
        for (key, field) in fields {
            made.push(match operation {
                ValueOperation::Keys => key,
                ValueOperation::Values => field,
                _ => JinjaValue::list(vec![key, field], &mut self.meter)?,
            });
        }
        JinjaValue::list(made, &mut self.meter)
    }

    fn pairs(
        &mut self,
        operation: ValueOperation,
        value: &JinjaValue<'v>,
    ) -> Result<Vec<(JinjaValue<'v>, JinjaValue<'v>)>, EvalError> {
        if !value.is_object() {
            let error = EvalError::wrong_type(format!("`{}` wants an object, not {}", operation.name(), value.kind()));
            return Err(match value {
                JinjaValue::Null => error.hint("give a default: `value|default({}, true)`"),
                _ => error,
            });
        }
        let mut pairs = Vec::new();
        for key in value.items(&mut self.meter)? {
            if let JinjaValue::Text(name) = &key
                && let Some(field) = value.field(name)
            {
                pairs.push((key, field));
            }
        }
        Ok(pairs)
    }

    fn sorted_pairs(
        &mut self,
        pairs: Vec<(JinjaValue<'v>, JinjaValue<'v>)>,
        given: &mut EvaluatedArguments<'v>,
    ) -> Result<Vec<(JinjaValue<'v>, JinjaValue<'v>)>, EvalError> {
        let exact = given.flag("case_sensitive")?;
        let by_value = given.text("by")?.is_some_and(|by| &*by == "value");
        let reverse = given.flag("reverse")?;
        let mut keyed = Vec::with_capacity(pairs.len());
        for (key, field) in pairs {
            let sort_key = self.sort_key(if by_value { &field } else { &key }, exact)?;
            keyed.push((sort_key, (key, field)));
        }
        self.sort_by_key(&mut keyed, |entry| &entry.0)?;
        let sorted = keyed.into_iter().map(|(_, pair)| pair);
        Ok(if reverse { sorted.rev().collect() } else { sorted.collect() })
    }
}
