//! Names and fields that are not there, and what to say of them if somebody uses them.

use std::rc::Rc;

use serde_json::Value;

use super::value::Val;
use crate::expr::error::{Code, EvalError};
use crate::expr::names::{self, Names};

/// Something that is not there. It is asked about, defaulted and passed by far more often than it is an error,
/// so the error is only made when it is one.
#[derive(Clone)]
pub(super) enum Missing<'v> {
    /// A name the run does not know.
    Name { names: &'v dyn Names, name: &'v str },
    /// A field or an item of a value; `path` is how the value was named.
    Field { path: String, field: String, of: Val<'v> },
    /// The first or last of no items.
    End(&'static str),
}

impl<'v> Missing<'v> {
    pub(super) fn field(path: impl Into<String>, field: impl Into<String>, of: &Val<'v>) -> Val<'v> {
        Val::Missing(Rc::new(Missing::Field { path: path.into(), field: field.into(), of: of.clone() }))
    }

    #[cold]
    pub(super) fn error(&self) -> EvalError {
        const DEFAULT: &str = "where it may be missing, give a default: `| default('…')`";
        match self {
            Missing::Name { names, name } => names::unknown(*names, name),
            Missing::Field { path, field, of } => {
                let absent =
                    |what: &str| EvalError::new(Code::MissingField, format!("`{path}` has no {what} `{field}`"));
                match of {
                    Val::Json(object @ Value::Object(_)) => names::missing(path, field, object),
                    Val::List(_) | Val::Json(_) => absent("item").hint(DEFAULT),
                    Val::Object(_) | Val::Namespace(_) | Val::Loop(_) => absent("field").hint(DEFAULT),
                    other => EvalError::new(
                        Code::MissingField,
                        format!("`{path}` is {}, so it has no field `{field}`", other.kind()),
                    ),
                }
            }
            Missing::End(which) => {
                EvalError::new(Code::MissingField, format!("there is no {which} item: the list is empty"))
                    .hint(format!("give a default: `items|{which}|default('…')`"))
            }
        }
    }
}
