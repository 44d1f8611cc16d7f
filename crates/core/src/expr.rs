//! How a definition speaks about a run: conditions, references, templates and parameters.
//!
//! Four small languages share one promise. They read a run's names and nothing else: no clock but the one
//! handed in, no file, no network. They are bounded in time, memory, nesting and output ([`ExprLimits`]), whatever
//! is written and whatever data it meets. A name the run does not know is an error that says what was there.
//!
//! - [`Condition`] decides: `jmespath`, `expr` (Jinja's expressions, Python's spelling), a plain field, or the
//!   structured `{field, operator, value}`.
//! - [`JinjaTemplate`] writes text. [`ParamsTemplate`] fills a tool's parameters and keeps their JSON types.
//! - [`EvalContext`] is how a run shows itself to them, and [`JsonContext`] makes one from plain JSON.
//!
//! Everything is parsed once and used many times; evaluation borrows the run's values and copies only what it
//! returns. Deliberately absent: regular expressions, includes, user functions, anything called `eval`.

mod compare;
mod condition;
mod context;
mod error;
mod field_read;
mod inert_reference;
mod jinja;
pub mod jmespath;
mod literal;
mod meter;
mod params;
mod path;
mod slice;
mod structured;
mod suggest;
mod template;

pub use condition::{BareLiteral, Condition, ConditionLanguage};
pub use context::{EvalContext, JsonContext};
pub use error::{EvalError, EvalErrorCode, ParseError};
pub use field_read::FieldRead;
pub(crate) use inert_reference::inert_references;
pub use literal::literal_list;
pub use meter::ExprLimits;
pub use params::{ParamsDialect, ParamsTemplate};
pub use structured::ConditionOperator;
pub use suggest::nearest;
pub use template::JinjaTemplate;
