//! A reference into a run's names: `weather.temp`, `weather[temp]`, `slots[0].start`.

use std::borrow::Cow;

use serde_json::Value;

use super::context::{self, EvalContext};
use super::error::{EvalError, ParseError};
use super::field_read::FieldRead;
use super::meter::{ExprLimits, check_source};

/// The field that stands for a step's whole output.
pub(crate) const STEP_OUTPUT: &str = "output";

static NULL: Value = Value::Null;

/// A root name and the fields below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReferencePath {
    root: String,
    fields: Vec<String>,
}

impl ReferencePath {
    /// Reads `root.field[other].0`. Brackets and dots are equivalent; quotes inside brackets are allowed.
    pub(crate) fn parse(source: &str) -> Result<Self, ParseError> {
        check_source("reference", source, ExprLimits::EXPRESSION_BYTES_MAX)?;
        let mut rest = source;
        let root = take_name(&mut rest).ok_or_else(|| ParseError::new("a reference begins with a name").at(0))?;
        let mut fields = Vec::new();
        while !rest.is_empty() {
            let at = source.len() - rest.len();
            let field = take_field(&mut rest).ok_or_else(|| {
                ParseError::new(format!("`{source}` is not a reference"))
                    .at(at)
                    .hint("write it as `name.field`, `name[field]` or `name[0]`")
            })?;
            fields.push(field.to_owned());
            if fields.len() > ExprLimits::OUTPUT_DEPTH_MAX {
                return Err(ParseError::new(format!(
                    "the reference goes more than {} fields deep",
                    ExprLimits::OUTPUT_DEPTH_MAX
                ))
                .at(at));
            }
        }
        Ok(Self { root: root.to_owned(), fields })
    }

    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// Returns the fields of the root that it reads, if any.
    pub(super) fn read(&self) -> Option<FieldRead> {
        FieldRead::of(&self.root, self.fields.iter().map(String::as_str))
    }

    /// Returns the equivalent template expression.
    pub(crate) fn expression(&self) -> String {
        let is_name = |field: &str| {
            field.starts_with(|c: char| c.is_alphabetic() || c == '_')
                && field.chars().all(|c| c.is_alphanumeric() || c == '_')
        };
        self.fields.iter().fold(self.root.clone(), |path, field| match field.as_str() {
            name if is_name(name) => format!("{path}.{name}"),
            number if number.parse::<u32>().is_ok() => format!("{path}[{number}]"),
            other => format!("{path}['{other}']"),
        })
    }

    /// Returns the current value of the path: null if a known root has no such field, an error if the root is unknown.
    pub(crate) fn value<'n>(&self, names: &'n dyn EvalContext) -> Result<Cow<'n, Value>, EvalError> {
        let fields = self.fields.as_slice();
        Ok(match context::lookup_root(names, &self.root)? {
            Cow::Borrowed(value) => {
                let fields = self.below_step(fields, value, names);
                Cow::Borrowed(fields.iter().try_fold(value, |value, field| get(value, field)).unwrap_or(&NULL))
            }
            Cow::Owned(mut value) => {
                let fields = self.below_step(fields, &value, names);
                Cow::Owned(
                    fields
                        .iter()
                        .try_fold(&mut value, |value, field| get_mut(value, field))
                        .map(Value::take)
                        .unwrap_or_default(),
                )
            }
        })
    }

    fn below_step<'f>(&self, fields: &'f [String], value: &Value, names: &dyn EvalContext) -> &'f [String] {
        match fields {
            [first, rest @ ..] if is_whole_step_output(names, &self.root, first, value) => rest,
            _ => fields,
        }
    }
}

/// Returns whether `root.field` is the whole of a step's output, rather than a field of it.
pub(crate) fn is_whole_step_output(names: &dyn EvalContext, root: &str, field: &str, value: &Value) -> bool {
    field == STEP_OUTPUT && get(value, STEP_OUTPUT).is_none() && names.is_step(root)
}

/// Returns the field of an object, or the element of a list if the field is its index.
pub(crate) fn get<'v>(value: &'v Value, field: &str) -> Option<&'v Value> {
    match value {
        Value::Object(fields) => fields.get(field),
        Value::Array(items) => items.get(field.parse::<usize>().ok()?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn get_mut<'v>(value: &'v mut Value, field: &str) -> Option<&'v mut Value> {
    match value {
        Value::Object(fields) => fields.get_mut(field),
        Value::Array(items) => items.get_mut(field.parse::<usize>().ok()?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// Takes a name from the front: letters, digits, `_` and `-`, not starting with a digit or `-`.
fn take_name<'s>(rest: &mut &'s str) -> Option<&'s str> {
    let first = rest.chars().next()?;
    if first.is_ascii_digit() || first == '-' {
        return None;
    }
    take_word(rest)
}

fn take_word<'s>(rest: &mut &'s str) -> Option<&'s str> {
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).unwrap_or(rest.len());
    let (word, left) = rest.split_at(end);
    *rest = left;
    (!word.is_empty()).then_some(word)
}

fn take_field<'s>(rest: &mut &'s str) -> Option<&'s str> {
    if let Some(left) = rest.strip_prefix('.') {
        *rest = left;
        return take_word(rest);
    }
    let (inside, left) = rest.strip_prefix('[')?.split_once(']')?;
    *rest = left;
    let quoted = ['\'', '"'].into_iter().find_map(|quote| inside.strip_prefix(quote)?.strip_suffix(quote));
    match quoted {
        Some(key) => Some(key),
        None => {
            let mut word = inside;
            take_word(&mut word).filter(|_| word.is_empty())
        }
    }
}
