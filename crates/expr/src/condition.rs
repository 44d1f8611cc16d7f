//! A condition: parsed once, evaluated many times.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::str::FromStr;

use serde_json::Value;

use super::compare::truthy;
use super::context::EvalContext;
use super::error::{EvalError, ParseError};
use super::field_read::FieldRead;
use super::jinja;
use super::jmespath;
use super::meter::{EvalMeter, ValueExtent};
use super::path::ReferencePath;
use super::structured::ConditionOperator;
use super::suggest::nearest;

/// The languages in which a condition may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionLanguage {
    /// JMESPath, as published, with bare `true`, `false` and `null` read as literals if no such field exists.
    JmesPath,
    /// Jinja's expressions with Python's spelling; also called `python`.
    Expr,
    /// A reference such as `weather.temp`, which holds if its value is true.
    Field,
}

const LANGUAGES: &[(&str, ConditionLanguage)] = &[
    ("jmespath", ConditionLanguage::JmesPath),
    ("expr", ConditionLanguage::Expr),
    ("python", ConditionLanguage::Expr),
    ("field", ConditionLanguage::Field),
];

impl FromStr for ConditionLanguage {
    type Err = ParseError;

    fn from_str(name: &str) -> Result<Self, ParseError> {
        if let Some((_, language)) = LANGUAGES.iter().find(|(known, _)| *known == name) {
            return Ok(*language);
        }
        let error = ParseError::new(format!("unknown expression language `{name}`"));
        match nearest(name, LANGUAGES.iter().map(|(known, _)| *known)) {
            Some(name) => Err(error.did_you_mean(Some(name))),
            None => Err(error.hint("the languages are jmespath, expr (also called python) and field")),
        }
    }
}

/// A bare word of a JMESPath condition that is read as a literal if no such field exists.
///
/// The standard spelling is the word in backticks, which `validate` suggests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BareLiteral {
    /// `true`, `false` or `null`.
    pub word: String,
    /// Its position in the source, in bytes.
    pub offset: usize,
}

/// A compiled condition about a run. Cheap to evaluate, safe to share between threads.
#[derive(Debug, Clone)]
pub struct Condition {
    body: ConditionBody,
    roots: BTreeSet<String>,
    bare: Vec<BareLiteral>,
}

#[derive(Debug, Clone)]
enum ConditionBody {
    JmesPath(jmespath::JmesPathExpression),
    Expr(jinja::CompiledJinja),
    Field(ReferencePath),
    Structured(ReferencePath, ConditionOperator, Value),
}

impl Condition {
    /// Compiles a source in one language.
    ///
    /// # Errors
    /// The source is too long, nests too deep, is not valid in the language, or calls an unknown function.
    pub fn parse(language: ConditionLanguage, source: &str) -> Result<Self, ParseError> {
        match language {
            ConditionLanguage::JmesPath => Self::jmespath(source),
            ConditionLanguage::Expr => Self::expr(source),
            ConditionLanguage::Field => Self::field(source),
        }
    }

    /// Compiles `{field, operator, value}`.
    ///
    /// A missing field of a known root is null; ordering against null is false; an unknown root is an error.
    ///
    /// # Errors
    /// The field is not a reference, or the operator is unknown.
    pub fn structured(field: &str, operator: &str, value: Value) -> Result<Self, ParseError> {
        let path = ReferencePath::parse(field)?;
        let operator = operator.parse()?;
        Ok(Self {
            roots: BTreeSet::from([path.root().to_owned()]),
            body: ConditionBody::Structured(path, operator, value),
            bare: Vec::new(),
        })
    }

    fn jmespath(source: &str) -> Result<Self, ParseError> {
        reject_braces(source)?;
        let mut expression = jmespath::JmesPathExpression::parse(source, jmespath::JmesPathDialect::Condition)?;
        Ok(Self {
            roots: std::mem::take(&mut expression.roots),
            bare: std::mem::take(&mut expression.bare),
            body: ConditionBody::JmesPath(expression),
        })
    }

    fn expr(source: &str) -> Result<Self, ParseError> {
        reject_braces(source)?;
        let expression = jinja::CompiledJinja::expression(source)?;
        Ok(Self { roots: expression.roots().clone(), body: ConditionBody::Expr(expression), bare: Vec::new() })
    }

    fn field(source: &str) -> Result<Self, ParseError> {
        let path = ReferencePath::parse(source.trim())?;
        Ok(Self { roots: BTreeSet::from([path.root().to_owned()]), body: ConditionBody::Field(path), bare: Vec::new() })
    }

    /// Returns whether the condition holds: the truth of its value in its language.
    ///
    /// # Errors
    /// See [`Condition::value`].
    pub fn holds(&self, names: &dyn EvalContext) -> Result<bool, EvalError> {
        let mut meter = EvalMeter::new();
        match &self.body {
            ConditionBody::JmesPath(expression) => expression.holds(names),
            ConditionBody::Expr(expression) => expression.holds(names, &mut meter),
            ConditionBody::Field(path) => Ok(truthy(path.value(names)?.as_ref())),
            ConditionBody::Structured(path, operator, value) => {
                operator.holds(path.value(names)?.as_ref(), value, &mut meter)
            }
        }
    }

    /// Returns the value of the condition's expression.
    ///
    /// # Errors
    /// An unknown root name; an operation that is undefined for its values; a limit reached; in `expr` also a missing
    /// field without a default.
    pub fn value(&self, names: &dyn EvalContext) -> Result<Value, EvalError> {
        let mut meter = EvalMeter::new();
        let value = match &self.body {
            ConditionBody::JmesPath(expression) => return expression.evaluate(names),
            ConditionBody::Expr(expression) => expression.value(names, &mut meter)?,
            ConditionBody::Field(path) => match path.value(names)? {
                Cow::Borrowed(value) => meter.copy(value)?,
                Cow::Owned(value) => value,
            },
            ConditionBody::Structured(..) => Value::Bool(self.holds(names)?),
        };
        ValueExtent::of(&value).check()?;
        Ok(value)
    }

    /// Returns the root names that the condition references.
    pub fn roots(&self) -> &BTreeSet<String> {
        &self.roots
    }

    /// Returns the fields of root names that the condition reads.
    pub fn fields(&self) -> Vec<FieldRead> {
        match &self.body {
            ConditionBody::JmesPath(expression) => expression.fields(),
            ConditionBody::Expr(expression) => expression.fields(),
            ConditionBody::Field(path) | ConditionBody::Structured(path, ..) => path.read().into_iter().collect(),
        }
    }

    /// Returns the bare words read as literals if no such field exists; empty except for JMESPath.
    pub fn bare_literals(&self) -> &[BareLiteral] {
        &self.bare
    }
}

/// A condition is already an expression: template braces around it are a mistake, not an object.
fn reject_braces(source: &str) -> Result<(), ParseError> {
    if source.trim_start().starts_with("{{") {
        return Err(ParseError::new("a condition is written without `{{ }}`").at(0));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
