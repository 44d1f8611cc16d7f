//! Text templates.

use std::collections::BTreeSet;

use serde_json::Value;

use super::context::EvalContext;
use super::error::{EvalError, ParseError};
use super::field_read::FieldRead;
use super::jinja::CompiledJinja;
use super::meter::{EvalMeter, ValueExtent};

/// A compiled Jinja template. Cheap to clone, safe to share between threads.
#[derive(Debug, Clone)]
pub struct JinjaTemplate {
    compiled: CompiledJinja,
}

impl JinjaTemplate {
    /// Compiles a template.
    ///
    /// # Errors
    /// The source is too long, nests too deep, is not a template, or names an unknown filter, test, function or method.
    pub fn parse(source: &str) -> Result<Self, ParseError> {
        Ok(Self { compiled: CompiledJinja::template(source)? })
    }

    /// Renders the text.
    ///
    /// # Errors
    /// An unknown name or a missing field without a default; an operation that is undefined for its values; a limit
    /// reached.
    pub fn render(&self, names: &dyn EvalContext) -> Result<String, EvalError> {
        self.compiled.text(names, &mut EvalMeter::new())
    }

    /// Returns the value of a template that is exactly one `{{ expression }}`, with its JSON type; otherwise the text.
    ///
    /// # Errors
    /// As for [`JinjaTemplate::render`].
    pub fn value(&self, names: &dyn EvalContext) -> Result<Value, EvalError> {
        let value = self.evaluate(names, &mut EvalMeter::new())?;
        ValueExtent::of(&value).check()?;
        Ok(value)
    }

    /// Returns the value, as one of several charged to `meter`. The caller must check its size.
    pub(super) fn evaluate(&self, names: &dyn EvalContext, meter: &mut EvalMeter) -> Result<Value, EvalError> {
        self.compiled.value(names, meter)
    }

    /// Returns whether the template is exactly one `{{ expression }}`, so that [`JinjaTemplate::value`] keeps its JSON
    /// type.
    pub fn is_expression(&self) -> bool {
        self.compiled.is_expression()
    }

    /// Returns the fields of root names that it reads.
    pub fn fields(&self) -> Vec<FieldRead> {
        self.compiled.fields()
    }

    /// Returns the root names that the template references.
    pub fn roots(&self) -> &BTreeSet<String> {
        self.compiled.roots()
    }
}
