//! Jinja templates, and Jinja's expressions on their own (`expr`, also called `python`).
//!
//! This is implemented here because existing crates bound only the number of instructions: one `'a' * 100000000` takes
//! 100 MB, and a dozen of `{% set x = x ~ x %}` double it without end. Here every value that is made and every item
//! that is visited is charged, and the run's values are read in place.
//!
//! The language is Jinja's with strict undefined names, without the statements that read other templates (`include`,
//! `extends`, `import`, `block`), plus the non-mutating methods of Python's strings, lists and dictionaries. `null` is
//! written `none`, lists and objects are written as JSON, and text is never escaped.

mod apply;
mod arguments;
mod arithmetic;
mod check;
mod convert;
mod cursor;
mod date_or_time;
mod evaluator;
mod expression;
mod fields;
mod function;
mod missing_value;
mod money;
mod node;
mod operation;
mod order;
mod parse;
mod references;
mod render;
mod sequence;
mod text;
mod token;
mod value;
mod write;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use self::evaluator::{JinjaEvaluator, RootCache};
use self::node::{JinjaExpr, JinjaProgram, JinjaStatement};
use super::context::EvalContext;
use super::error::{EvalError, ParseError};
use super::field_read::FieldRead;
use super::meter::{EvalMeter, ExprLimits, check_source};

/// A compiled template or expression. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct CompiledJinja {
    program: Arc<JinjaProgram>,
    roots: BTreeSet<String>,
}

impl CompiledJinja {
    pub(super) fn template(source: &str) -> Result<Self, ParseError> {
        check_source("template", source, ExprLimits::TEMPLATE_BYTES_MAX)?;
        Ok(Self::new(parse::template(source)?))
    }

    pub(super) fn expression(source: &str) -> Result<Self, ParseError> {
        check_source("expression", source, ExprLimits::EXPRESSION_BYTES_MAX)?;
        Ok(Self::new(parse::expression(source)?))
    }

    fn new(program: JinjaProgram) -> Self {
        Self { roots: references::roots(&program), program: Arc::new(program) }
    }

    /// Returns the root names that it references.
    pub(super) fn roots(&self) -> &BTreeSet<String> {
        &self.roots
    }

    /// Returns the fields of them that it reads.
    pub(super) fn fields(&self) -> Vec<FieldRead> {
        references::fields(&self.program)
    }

    /// Returns whether it consists of a single expression, whose value can keep its JSON type.
    pub(super) fn is_expression(&self) -> bool {
        self.only_expression().is_some()
    }

    fn only_expression(&self) -> Option<&JinjaExpr> {
        match self.program.body.as_slice() {
            [JinjaStatement::Output(expression)] => Some(expression),
            _ => None,
        }
    }

    /// Returns the rendered text, charged to `meter`.
    pub(super) fn text(&self, names: &dyn EvalContext, meter: &mut EvalMeter) -> Result<String, EvalError> {
        let roots = RootCache::new(&self.program, names);
        let mut run = JinjaEvaluator::new(&self.program, &roots, *meter);
        let mut text = String::new();
        run.render(&self.program.body, &mut text)?;
        *meter = run.meter;
        Ok(text)
    }

    /// Returns the value of its single expression, or the rendered text, charged to `meter`.
    pub(super) fn value(&self, names: &dyn EvalContext, meter: &mut EvalMeter) -> Result<Value, EvalError> {
        let Some(expression) = self.only_expression() else {
            return self.text(names, meter).map(Value::String);
        };
        let roots = RootCache::new(&self.program, names);
        let mut run = JinjaEvaluator::new(&self.program, &roots, *meter);
        let value = run.eval(expression)?;
        let value = value.into_json(&mut run.meter)?;
        *meter = run.meter;
        Ok(value)
    }

    /// Returns whether its single expression is true.
    pub(super) fn holds(&self, names: &dyn EvalContext, meter: &mut EvalMeter) -> Result<bool, EvalError> {
        let Some(expression) = self.only_expression() else {
            return Ok(!self.text(names, meter)?.is_empty());
        };
        let roots = RootCache::new(&self.program, names);
        JinjaEvaluator::new(&self.program, &roots, *meter).truth(expression)
    }
}

#[cfg(test)]
mod tests;
