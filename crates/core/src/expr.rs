//! How a definition speaks about a run: conditions, references, templates and parameters.
//!
//! Four small languages share one promise. They read a run's names and nothing else: no clock but the one
//! handed in, no file, no network. They are bounded in time, memory, nesting and output ([`Limit`]), whatever
//! is written and whatever data it meets. A name the run does not know is an error that says what was there.
//!
//! - [`Condition`] decides: `jmespath`, `expr` (Jinja's expressions, Python's spelling), a plain field, or the
//!   structured `{field, operator, value}`.
//! - [`Template`] writes text. [`Params`] fills a tool's parameters and keeps their JSON types.
//! - [`Names`] is how a run shows itself to them, and [`Document`] makes one from plain JSON.
//!
//! Everything is parsed once and used many times; evaluation borrows the run's values and copies only what it
//! returns. Deliberately absent: regular expressions, includes, user functions, anything called `eval`.

mod compare;
mod condition;
mod error;
mod jinja;
pub mod jmespath;
mod literal;
mod loose;
mod meter;
mod names;
mod params;
mod path;
mod reads;
mod slice;
mod structured;
mod suggest;
mod template;

pub use condition::{BareLiteral, Condition, Language};
pub use error::{Code, EvalError, ParseError};
pub use literal::literal_list;
pub(crate) use loose::loose;
pub use meter::Limit;
pub use names::{Document, Names};
pub use params::{Dialect, Params};
pub use reads::FieldRead;
pub use structured::Operator;
pub use suggest::nearest;
pub use template::Template;
