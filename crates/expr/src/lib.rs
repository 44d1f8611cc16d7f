//! Expressions in definitions: conditions, references, templates and parameters.
//!
//! Four small languages share one promise. They read a run's names and nothing else: no clock except the instant they
//! are given, no files, no network. They are bounded in time, memory, nesting and output ([`ExprLimits`]) for every
//! source and every input. A name that the run does not know is an error that lists the known names.
//!
//! - [`Condition`] decides: `jmespath`, `expr` (Jinja's expressions, Python's spelling), a plain field, or the
//!   structured `{field, operator, value}`.
//! - [`JinjaTemplate`] writes text. [`ParamsTemplate`] fills a tool's parameters and keeps their JSON types.
//! - [`EvalContext`] gives them access to a run, and [`JsonContext`] makes one from plain JSON.
//!
//! Everything is parsed once and used many times; evaluation borrows the run's values and copies only what it returns.
//! Deliberately absent: regular expressions, includes, user functions, and any form of `eval`.

// What a definition may contain.
mod condition;
mod params;
mod template;

// What an expression reads, what limits it, and how it fails.
mod context;
mod error;
mod meter;
mod suggest;

// The languages behind conditions, templates and parameters.
mod jinja;
pub mod jmespath;
mod path;
mod structured;

// Questions about an expression's text, without evaluating it.
mod field_read;
mod inert_reference;

// Values, and how the languages compare, read and slice them.
mod compare;
mod literal;
mod slice;

pub use condition::{BareLiteral, Condition, ConditionLanguage};
pub use context::{EvalContext, JsonContext};
pub use error::{EvalError, EvalErrorCode, ParseError};
pub use field_read::FieldRead;
pub use inert_reference::{InertReference, inert_references};
pub use literal::literal_list;
pub use meter::ExprLimits;
pub use params::{ParamsDialect, ParamsTemplate};
pub use structured::ConditionOperator;
pub use suggest::nearest;
pub use template::JinjaTemplate;
