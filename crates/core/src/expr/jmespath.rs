//! JMESPath, the whole published language, over borrowed JSON and within limits.
//!
//! Written here rather than taken from a crate because the crates evaluate without a bound: twenty pipes of
//! `[@, @]` make a million values. This one reads the run's values where they lie, counts every step, and says
//! at which byte a source goes wrong. The public compliance suite in `testdata/jmespath` runs against it.

mod call;
mod function;
mod node;
mod parse;
mod search;
mod token;

use std::collections::BTreeSet;

use serde_json::Value;

use self::node::Node;
use self::search::{Scope, Search};
use super::condition::BareLiteral;
use super::error::{EvalError, ParseError};
use super::meter::{Extent, Limit, check_source};
use super::names::Names;
use super::reads::FieldRead;

/// Why a search gave no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// The source is not JMESPath.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The source is, but not for this document.
    #[error(transparent)]
    Eval(#[from] EvalError),
}

/// Searches a JSON document with a JMESPath expression, exactly as published: a missing root field is null.
///
/// # Errors
/// A source that does not parse, a function that refuses its arguments, or a limit reached.
pub fn search(source: &str, document: &Value) -> Result<Value, SearchError> {
    let expression = Expression::parse(source, Dialect::Published)?;
    Ok(expression.value(Scope::Json(document))?)
}

/// Searches a JSON document as a condition of a workflow does: bare `true`, `false` and `null` are literals where the
/// document has no such field. A missing root field is null all the same.
///
/// # Errors
/// As [`search`].
pub fn search_as_condition(source: &str, document: &Value) -> Result<Value, SearchError> {
    let expression = Expression::parse(source, Dialect::Condition)?;
    Ok(expression.value(Scope::Json(document))?)
}

/// Whether bare `true`, `false` and `null` may be literals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Published,
    Condition,
}

/// A compiled JMESPath expression.
#[derive(Debug, Clone)]
pub(super) struct Expression {
    node: Node,
    pub(super) roots: BTreeSet<String>,
    pub(super) bare: Vec<BareLiteral>,
}

impl Expression {
    pub(super) fn parse(source: &str, dialect: Dialect) -> Result<Self, ParseError> {
        check_source("expression", source, Limit::EXPRESSION_BYTES_MAX)?;
        let (node, bare) = parse::parse(source, dialect)?;
        let mut roots = BTreeSet::new();
        node.roots(&mut roots);
        Ok(Self { node, roots, bare })
    }

    /// The fields of root names that it reads.
    pub(super) fn fields(&self) -> Vec<FieldRead> {
        let mut found = Vec::new();
        self.node.fields(&mut found);
        found
    }

    /// The value over a run's names, where an unknown root is an error.
    pub(super) fn over(&self, names: &dyn Names) -> Result<Value, EvalError> {
        self.value(Scope::Names(names))
    }

    /// Whether the value counts as true, as JMESPath sees it: only false, null and what is empty is not.
    pub(super) fn holds(&self, names: &dyn Names) -> Result<bool, EvalError> {
        let value = Search::new().eval(&self.node, Scope::Names(names))?;
        Ok(search::truthy(&value))
    }

    fn value(&self, scope: Scope<'_>) -> Result<Value, EvalError> {
        let mut search = Search::new();
        let value = search.eval(&self.node, scope)?;
        Extent::of(&value).check()?;
        search.own(value)
    }
}

#[cfg(test)]
mod tests;
