//! Missing names and fields, and the errors for using them.

use std::rc::Rc;

use serde_json::Value;

use super::value::JinjaValue;
use crate::context::{self, EvalContext};
use crate::error::{EvalError, EvalErrorCode};

/// A missing value. It is tested, defaulted and passed on far more often than it is an error, so the error is only made
/// when it is needed.
#[derive(Clone)]
pub(super) enum MissingValue<'v> {
    /// A name that the run does not know.
    Name { names: &'v dyn EvalContext, name: &'v str },
    /// A field or an item of a value; `path` is how the value was named.
    Field { path: String, field: String, of: JinjaValue<'v> },
    /// The first or last item of an empty list.
    End(&'static str),
}

impl<'v> MissingValue<'v> {
    pub(super) fn field(path: impl Into<String>, field: impl Into<String>, of: &JinjaValue<'v>) -> JinjaValue<'v> {
        JinjaValue::Missing(Rc::new(MissingValue::Field { path: path.into(), field: field.into(), of: of.clone() }))
    }

    #[cold]
    pub(super) fn error(&self) -> EvalError {
        const DEFAULT: &str = "where it may be missing, give a default: `| default('…')`";
        match self {
            MissingValue::Name { names, name } => context::unknown_name_error(*names, name),
            MissingValue::Field { path, field, of } => {
                let absent = |what: &str| {
                    EvalError::new(EvalErrorCode::MissingField, format!("`{path}` has no {what} `{field}`"))
                };
                match of {
                    JinjaValue::Json(object @ Value::Object(_)) => context::missing_field_error(path, field, object),
                    JinjaValue::List(_) | JinjaValue::Json(_) => absent("item").hint(DEFAULT),
                    JinjaValue::Object(_) | JinjaValue::Namespace(_) | JinjaValue::Loop(_) => {
                        absent("field").hint(DEFAULT)
                    }
                    other => EvalError::new(
                        EvalErrorCode::MissingField,
                        format!("`{path}` is {}, so it has no field `{field}`", other.kind()),
                    ),
                }
            }
            MissingValue::End(which) => {
                EvalError::new(EvalErrorCode::MissingField, format!("there is no {which} item: the list is empty"))
                    .hint(format!("give a default: `items|{which}|default('…')`"))
            }
        }
    }
}
