//! Jinja templates, and the expressions of Jinja on their own (`expr`, also called `python`).
//!
//! Written here rather than taken from a crate because the crates bound only the number of instructions: one
//! `'a' * 100000000` takes 100 MB, and a dozen of `{% set x = x ~ x %}` double it without end. Here every value
//! that is made and every item that is walked is paid for, and the run's values are read where they lie.
//!
//! The language is Jinja's with strict undefined names, less what reads other templates (`include`, `extends`,
//! `import`, `block`), plus the methods of Python's strings, lists and dictionaries that change nothing. `null` is
//! written `none`, lists and objects are written as JSON, and text is never escaped.

mod apply;
mod arithmetic;
mod check;
mod convert;
mod cursor;
mod expression;
mod fields;
mod function;
mod given;
mod mentioned;
mod missing;
mod moment;
mod money;
mod node;
mod operation;
mod order;
mod parse;
mod render;
mod run;
mod sequence;
mod text;
mod token;
mod value;
mod write;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use self::node::{Expr, Program, Statement};
use self::run::{Roots, Run};
use super::error::{EvalError, ParseError};
use super::meter::{Limit, Meter, check_source};
use super::names::Names;
use super::reads::FieldRead;

/// A compiled template or expression. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Compiled {
    program: Arc<Program>,
    roots: BTreeSet<String>,
}

impl Compiled {
    pub(super) fn template(source: &str) -> Result<Self, ParseError> {
        check_source("template", source, Limit::TEMPLATE_BYTES_MAX)?;
        Ok(Self::new(parse::template(source)?))
    }

    pub(super) fn expression(source: &str) -> Result<Self, ParseError> {
        check_source("expression", source, Limit::EXPRESSION_BYTES_MAX)?;
        Ok(Self::new(parse::expression(source)?))
    }

    fn new(program: Program) -> Self {
        Self { roots: mentioned::roots(&program), program: Arc::new(program) }
    }

    /// The root names it mentions.
    pub(super) fn roots(&self) -> &BTreeSet<String> {
        &self.roots
    }

    /// The fields of them that it reads.
    pub(super) fn fields(&self) -> Vec<FieldRead> {
        mentioned::fields(&self.program)
    }

    /// Whether it is one expression and nothing around it, whose value can keep its JSON type.
    pub(super) fn is_expression(&self) -> bool {
        self.only_expression().is_some()
    }

    fn only_expression(&self) -> Option<&Expr> {
        match self.program.body.as_slice() {
            [Statement::Output(expression)] => Some(expression),
            _ => None,
        }
    }

    /// What it writes, paid for with `meter`.
    pub(super) fn text(&self, names: &dyn Names, meter: &mut Meter) -> Result<String, EvalError> {
        let roots = Roots::new(&self.program, names);
        let mut run = Run::new(&self.program, &roots, *meter);
        let mut text = String::new();
        run.render(&self.program.body, &mut text)?;
        *meter = run.meter;
        Ok(text)
    }

    /// The value of its one expression, else what it writes, paid for with `meter`.
    pub(super) fn value(&self, names: &dyn Names, meter: &mut Meter) -> Result<Value, EvalError> {
        let Some(expression) = self.only_expression() else {
            return self.text(names, meter).map(Value::String);
        };
        let roots = Roots::new(&self.program, names);
        let mut run = Run::new(&self.program, &roots, *meter);
        let value = run.eval(expression)?;
        let value = value.into_json(&mut run.meter)?;
        *meter = run.meter;
        Ok(value)
    }

    /// Whether its one expression counts as true.
    pub(super) fn holds(&self, names: &dyn Names, meter: &mut Meter) -> Result<bool, EvalError> {
        let Some(expression) = self.only_expression() else {
            return Ok(!self.text(names, meter)?.is_empty());
        };
        let roots = Roots::new(&self.program, names);
        Run::new(&self.program, &roots, *meter).truth(expression)
    }
}

#[cfg(test)]
mod tests;
