//! The arguments of one call.

use super::value::{Text, Val};
use crate::expr::error::EvalError;

/// Evaluated arguments, taken one by one: by place while there are any, then by name.
#[derive(Default)]
pub(super) struct Given<'v> {
    to: &'static str,
    positional: std::vec::IntoIter<Val<'v>>,
    named: Vec<(&'v str, Val<'v>)>,
}

impl<'v> Given<'v> {
    pub(super) fn new(to: &'static str, positional: Vec<Val<'v>>, named: Vec<(&'v str, Val<'v>)>) -> Self {
        Self { to, positional: positional.into_iter(), named }
    }

    /// The next argument, which may also be given as `name=`.
    pub(super) fn optional(&mut self, name: &str) -> Option<Val<'v>> {
        self.positional.next().or_else(|| {
            let at = self.named.iter().position(|(given, _)| *given == name)?;
            Some(self.named.swap_remove(at).1)
        })
    }

    /// Every plain argument left.
    pub(super) fn rest(&mut self) -> Vec<Val<'v>> {
        self.positional.by_ref().collect()
    }

    /// Every named argument left.
    pub(super) fn named(&mut self) -> Vec<(&'v str, Val<'v>)> {
        std::mem::take(&mut self.named)
    }

    pub(super) fn required(&mut self, name: &str) -> Result<Val<'v>, EvalError> {
        match self.optional(name) {
            Some(value) => value.there(),
            None => Err(EvalError::bad_value(format!("`{}` needs the argument `{name}`", self.to))),
        }
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<Text<'v>>, EvalError> {
        match self.optional(name).map(Val::there).transpose()? {
            None | Some(Val::Null) => Ok(None),
            Some(Val::Text(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(name, "a string", &other)),
        }
    }

    pub(super) fn required_text(&mut self, name: &str) -> Result<Text<'v>, EvalError> {
        match self.required(name)? {
            Val::Text(text) => Ok(text),
            other => Err(self.wrong(name, "a string", &other)),
        }
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<bool, EvalError> {
        Ok(self.optional(name).map(Val::there).transpose()?.is_some_and(|value| value.truthy()))
    }

    pub(super) fn count(&mut self, name: &str) -> Result<Option<usize>, EvalError> {
        match self.optional(name).map(Val::there).transpose()? {
            None | Some(Val::Null) => Ok(None),
            Some(Val::Int(number)) if number >= 0 => Ok(Some(usize::try_from(number).unwrap_or(usize::MAX))),
            Some(other) => Err(self.wrong(name, "a number of 0 or more", &other)),
        }
    }

    /// Refuses what nobody took.
    pub(super) fn finish(mut self) -> Result<(), EvalError> {
        if let Some((name, _)) = self.named.first() {
            return Err(EvalError::bad_value(format!("`{}` has no argument `{name}`", self.to)));
        }
        match self.positional.next() {
            None => Ok(()),
            Some(_) => Err(EvalError::bad_value(format!("`{}` was given too many arguments", self.to))),
        }
    }

    pub(super) fn wrong(&self, name: &str, wanted: &str, given: &Val<'_>) -> EvalError {
        EvalError::wrong_type(format!("`{}` wants {wanted} as `{name}` and was given {}", self.to, given.kind()))
    }
}
