//! An expression's view of a run: root names and their values.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::error::{EvalError, EvalErrorCode};
use super::suggest::nearest;

/// Maximum number of names listed in an error; the rest is only counted.
const NAMES_SHOWN_MAX: usize = 12;

/// Maximum number of names compared for a "did you mean".
const NAMES_COMPARED_MAX: usize = 1_000;

/// The names that an expression may use, and the instant at which it is evaluated.
///
/// Only the roots that an expression references are looked up, so an implementation may make a value on demand
/// (`Cow::Owned`) without paying for unused ones.
pub trait EvalContext {
    /// Returns the value of a root name; `None` if the run does not know the name, `null` if it has no value.
    fn lookup(&self, root: &str) -> Option<Cow<'_, Value>>;

    /// Returns every known root name, for error messages and for an expression that reads everything (`@`).
    fn known_names(&self) -> Vec<String>;

    /// Returns whether the root is a node or step, whose value is its output: then `step.output` means `step` itself if
    /// the value has no field `output` of its own.
    fn is_step(&self, _root: &str) -> bool {
        false
    }

    /// Returns the instant of `now()`, `today()` and the date tests.
    fn now(&self) -> Timestamp;

    /// Returns the IANA time zone in which dates are read and written.
    fn zone(&self) -> &str {
        "UTC"
    }
}

/// A plain JSON document as names: its keys are the roots. A value that is not an object has no names.
#[derive(Debug, Clone)]
pub struct JsonContext<'d> {
    root: &'d Value,
    now: Timestamp,
    zone: &'d str,
}

impl<'d> JsonContext<'d> {
    /// Returns the keys of `root`, evaluated at the instant `now`, in UTC.
    pub fn new(root: &'d Value, now: Timestamp) -> Self {
        Self { root, now, zone: "UTC" }
    }

    /// Returns the keys of `root` where the instant does not matter: `now()` is the epoch.
    pub fn timeless(root: &'d Value) -> Self {
        Self::new(root, Timestamp::UNIX_EPOCH)
    }

    /// Returns the same document, with dates in this IANA time zone.
    pub fn in_zone(self, zone: &'d str) -> Self {
        Self { zone, ..self }
    }

    fn fields(&self) -> Option<&'d Map<String, Value>> {
        self.root.as_object()
    }
}

impl EvalContext for JsonContext<'_> {
    fn lookup(&self, root: &str) -> Option<Cow<'_, Value>> {
        self.fields()?.get(root).map(Cow::Borrowed)
    }

    fn known_names(&self) -> Vec<String> {
        self.fields().map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    fn zone(&self) -> &str {
        self.zone
    }
}

/// Returns the value of a root, or an error that lists the known names.
pub(crate) fn lookup_root<'n>(names: &'n dyn EvalContext, root: &str) -> Result<Cow<'n, Value>, EvalError> {
    names.lookup(root).ok_or_else(|| unknown_name_error(names, root))
}

/// Returns the error for an unknown root.
#[cold]
pub(crate) fn unknown_name_error(names: &dyn EvalContext, root: &str) -> EvalError {
    let mut known = names.known_names();
    known.sort();
    let error = EvalError::new(EvalErrorCode::UnknownName, format!("unknown name `{root}`: {}", list(&known)));
    match nearest(root, known.iter().map(String::as_str).take(NAMES_COMPARED_MAX)) {
        Some(name) => error.hint(format!("did you mean `{name}`?")),
        None => error,
    }
}

/// Returns the error for a field that is missing from `value`; `path` names that value.
#[cold]
pub(crate) fn missing_field_error(path: &str, field: &str, value: &Value) -> EvalError {
    let Value::Object(fields) = value else {
        return EvalError::new(
            EvalErrorCode::MissingField,
            format!("`{path}` is {}, so it has no field `{field}`", type_description(value)),
        );
    };
    let keys: Vec<&str> = fields.keys().map(String::as_str).collect();
    let mut error =
        EvalError::new(EvalErrorCode::MissingField, format!("`{path}` has no field `{field}`: {}", list(&keys)));
    error.absent = Some(format!("{path}.{field}"));
    match nearest(field, keys.into_iter().take(NAMES_COMPARED_MAX)) {
        Some(name) => error.hint(format!("did you mean `{name}`?")),
        None => error.hint("where it may be missing, give a default: `| default('…')`"),
    }
}

fn list<S: AsRef<str>>(names: &[S]) -> String {
    if names.is_empty() {
        return "there are none here".to_owned();
    }
    let shown: Vec<String> = names.iter().take(NAMES_SHOWN_MAX).map(|name| format!("`{}`", name.as_ref())).collect();
    let rest = names.len().saturating_sub(NAMES_SHOWN_MAX);
    let more = if rest == 0 { String::new() } else { format!(" and {rest} more") };
    format!("there are {}{more}", shown.join(", "))
}

/// Returns the type of a value with its article, for messages.
pub(crate) fn type_description(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
