//! JMESPath, the whole published language, over borrowed JSON and within limits.
//!
//! This is implemented here because existing crates evaluate without a bound: twenty pipes of `[@, @]` make a million
//! values. This implementation reads the run's values in place, counts every step, and reports the byte position of a
//! syntax error. It passes the public compliance suite in `testdata/jmespath`.

mod call;
mod function;
mod node;
mod parse;
mod search;
mod token;

use std::collections::BTreeSet;

use serde_json::Value;

use self::node::JmesPathNode;
use self::search::{JmesPathEvaluator, JmesPathScope};
use super::condition::BareLiteral;
use super::context::EvalContext;
use super::error::{EvalError, ParseError};
use super::field_read::FieldRead;
use super::meter::{ExprLimits, ValueExtent, check_source};

/// Why a search returned no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// The source is not JMESPath.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The source is valid, but its evaluation failed for this document.
    #[error(transparent)]
    Eval(#[from] EvalError),
}

/// Searches a JSON document with a JMESPath expression, exactly as published: a missing root field is null.
///
/// # Errors
/// The source does not parse, a function rejects its arguments, or a limit is reached.
pub fn search(source: &str, document: &Value) -> Result<Value, SearchError> {
    let expression = JmesPathExpression::parse(source, JmesPathDialect::Published)?;
    Ok(expression.value(JmesPathScope::Json(document))?)
}

/// Searches a JSON document as a workflow condition does: bare `true`, `false` and `null` are literals if the document
/// has no such field. A missing root field is still null.
///
/// # Errors
/// As [`search`].
pub fn search_as_condition(source: &str, document: &Value) -> Result<Value, SearchError> {
    let expression = JmesPathExpression::parse(source, JmesPathDialect::Condition)?;
    Ok(expression.value(JmesPathScope::Json(document))?)
}

/// Whether bare `true`, `false` and `null` may be literals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JmesPathDialect {
    Published,
    Condition,
}

/// A compiled JMESPath expression.
#[derive(Debug, Clone)]
pub(super) struct JmesPathExpression {
    node: JmesPathNode,
    pub(super) roots: BTreeSet<String>,
    pub(super) bare: Vec<BareLiteral>,
}

impl JmesPathExpression {
    pub(super) fn parse(source: &str, dialect: JmesPathDialect) -> Result<Self, ParseError> {
        check_source("expression", source, ExprLimits::EXPRESSION_BYTES_MAX)?;
        let (node, bare) = parse::parse(source, dialect)?;
        let mut roots = BTreeSet::new();
        node.roots(&mut roots);
        Ok(Self { node, roots, bare })
    }

    /// Returns the fields of root names that it reads.
    pub(super) fn fields(&self) -> Vec<FieldRead> {
        let mut found = Vec::new();
        self.node.fields(&mut found);
        found
    }

    /// Returns the value over a run's names. An unknown root is an error.
    pub(super) fn evaluate(&self, names: &dyn EvalContext) -> Result<Value, EvalError> {
        self.value(JmesPathScope::Names(names))
    }

    /// Returns whether the value is true in JMESPath: only false, null and empty values are false.
    pub(super) fn holds(&self, names: &dyn EvalContext) -> Result<bool, EvalError> {
        let value = JmesPathEvaluator::new().eval(&self.node, JmesPathScope::Names(names))?;
        Ok(search::truthy(&value))
    }

    fn value(&self, scope: JmesPathScope<'_>) -> Result<Value, EvalError> {
        let mut search = JmesPathEvaluator::new();
        let value = search.eval(&self.node, scope)?;
        ValueExtent::of(&value).check()?;
        search.owned_value(value)
    }
}

#[cfg(test)]
mod tests;
