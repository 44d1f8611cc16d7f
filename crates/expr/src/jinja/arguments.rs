//! The arguments of one call.

use super::value::{JinjaText, JinjaValue};
use crate::error::EvalError;

/// Evaluated arguments, taken one by one: positional ones first, then named ones.
#[derive(Default)]
pub(super) struct EvaluatedArguments<'v> {
    to: &'static str,
    positional: std::vec::IntoIter<JinjaValue<'v>>,
    named: Vec<(&'v str, JinjaValue<'v>)>,
}

impl<'v> EvaluatedArguments<'v> {
    pub(super) fn new(
        to: &'static str,
        positional: Vec<JinjaValue<'v>>,
        named: Vec<(&'v str, JinjaValue<'v>)>,
    ) -> Self {
        Self { to, positional: positional.into_iter(), named }
    }

    /// Returns the next argument, positional or given as `name=`.
    pub(super) fn optional(&mut self, name: &str) -> Option<JinjaValue<'v>> {
        self.positional.next().or_else(|| {
            let at = self.named.iter().position(|(given, _)| *given == name)?;
            Some(self.named.swap_remove(at).1)
        })
    }

    /// Returns all remaining positional arguments.
    pub(super) fn rest(&mut self) -> Vec<JinjaValue<'v>> {
        self.positional.by_ref().collect()
    }

    /// Returns all remaining named arguments.
    pub(super) fn named(&mut self) -> Vec<(&'v str, JinjaValue<'v>)> {
        std::mem::take(&mut self.named)
    }

    pub(super) fn required(&mut self, name: &str) -> Result<JinjaValue<'v>, EvalError> {
        match self.optional(name) {
            Some(value) => value.require_present(),
            None => Err(EvalError::bad_value(format!("`{}` needs the argument `{name}`", self.to))),
        }
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<JinjaText<'v>>, EvalError> {
        match self.optional(name).map(JinjaValue::require_present).transpose()? {
            None | Some(JinjaValue::Null) => Ok(None),
            Some(JinjaValue::Text(text)) => Ok(Some(text)),
            Some(other) => Err(self.type_error(name, "a string", &other)),
        }
    }

    pub(super) fn required_text(&mut self, name: &str) -> Result<JinjaText<'v>, EvalError> {
        match self.required(name)? {
            JinjaValue::Text(text) => Ok(text),
            other => Err(self.type_error(name, "a string", &other)),
        }
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<bool, EvalError> {
        Ok(self.optional(name).map(JinjaValue::require_present).transpose()?.is_some_and(|value| value.truthy()))
    }

    pub(super) fn count(&mut self, name: &str) -> Result<Option<usize>, EvalError> {
        match self.optional(name).map(JinjaValue::require_present).transpose()? {
            None | Some(JinjaValue::Null) => Ok(None),
            Some(JinjaValue::Int(number)) if number >= 0 => Ok(Some(usize::try_from(number).unwrap_or(usize::MAX))),
            Some(other) => Err(self.type_error(name, "a number of 0 or more", &other)),
        }
    }

    /// Rejects arguments that were not taken.
    pub(super) fn finish(mut self) -> Result<(), EvalError> {
        if let Some((name, _)) = self.named.first() {
            return Err(EvalError::bad_value(format!("`{}` has no argument `{name}`", self.to)));
        }
        match self.positional.next() {
            None => Ok(()),
            Some(_) => Err(EvalError::bad_value(format!("`{}` was given too many arguments", self.to))),
        }
    }

    pub(super) fn type_error(&self, name: &str, wanted: &str, given: &JinjaValue<'_>) -> EvalError {
        EvalError::wrong_type(format!("`{}` wants {wanted} as `{name}` and was given {}", self.to, given.kind()))
    }
}
