//! The limits of one expression, and the meter that enforces them.

use serde_json::Value;

use super::error::{EvalError, EvalErrorCode, ParseError};

/// The limits of every expression, for every source and every input.
///
/// Together they keep one evaluation under about 100 ms and 16 MB on a slow core.
#[derive(Debug)]
pub struct ExprLimits;

impl ExprLimits {
    /// Maximum size of a condition or expression, in bytes of source.
    pub const EXPRESSION_BYTES_MAX: usize = 16 * 1024;
    /// Maximum size of a template, in bytes of source. Larger than for expressions, because prompts are templates.
    pub const TEMPLATE_BYTES_MAX: usize = 128 * 1024;
    /// Maximum nesting of brackets, calls and projections in JMESPath and in literal lists.
    pub const NESTING_MAX: usize = 128;
    /// Maximum nesting of brackets, calls and blocks in a template or an `expr`.
    pub const TEMPLATE_NESTING_MAX: usize = 64;
    /// Maximum recursion depth of an evaluation, including macros.
    pub const DEPTH_MAX: usize = 320;
    /// Maximum steps of one evaluation. One step is a visited node, a visited item, or 64 bytes of text read or
    /// written.
    pub const STEPS_MAX: u32 = 2_000_000;
    /// Maximum size of all new values of one evaluation, in bytes, including dropped ones.
    pub const GROWTH_BYTES_MAX: usize = 8 * 1024 * 1024;
    /// Maximum size of a result, in bytes of JSON or text.
    pub const OUTPUT_BYTES_MAX: usize = 256 * 1024;
    /// Maximum nesting of a result. Below the 128 levels that JSON readers accept, so that a result in an envelope can
    /// be read back.
    pub const OUTPUT_DEPTH_MAX: usize = 96;
    /// Maximum number of items from `range`.
    pub const RANGE_MAX: usize = 10_000;
    /// Maximum number of values in a tree of parameters.
    pub const PARAMS_NODES_MAX: usize = 20_000;
}

/// Rejects a source longer than `max` bytes before it is parsed.
pub(crate) fn check_source(what: &str, source: &str, max: usize) -> Result<(), ParseError> {
    if source.len() <= max {
        return Ok(());
    }
    Err(ParseError::new(format!("the {what} is {} bytes long and may be at most {max}", source.len()))
        .hint("compute the value in a `transform` node or a tool, and name its result here"))
}

/// Counts the cost of one evaluation, and ends it when a limit is reached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EvalMeter {
    steps_left: u32,
    bytes_left: usize,
    depth: usize,
}

/// Number of bytes read or written for the cost of one step.
const BYTES_PER_STEP: usize = 64;

impl EvalMeter {
    pub(crate) fn new() -> Self {
        Self { steps_left: ExprLimits::STEPS_MAX, bytes_left: ExprLimits::GROWTH_BYTES_MAX, depth: 0 }
    }

    /// Charges `count` steps.
    #[inline]
    pub(crate) fn charge_steps(&mut self, count: usize) -> Result<(), EvalError> {
        match u32::try_from(count).ok().and_then(|n| self.steps_left.checked_sub(n)) {
            Some(left) => {
                self.steps_left = left;
                Ok(())
            }
            None => Err(out_of_steps()),
        }
    }

    /// Charges for reading `bytes` bytes.
    #[inline]
    pub(crate) fn charge_read(&mut self, bytes: usize) -> Result<(), EvalError> {
        self.charge_steps(1 + bytes / BYTES_PER_STEP)
    }

    /// Charges for making `bytes` bytes, before they are made.
    #[inline]
    pub(crate) fn charge_growth(&mut self, bytes: usize) -> Result<(), EvalError> {
        match self.bytes_left.checked_sub(bytes) {
            Some(left) => self.bytes_left = left,
            None => return Err(out_of_memory()),
        }
        self.charge_read(bytes)
    }

    /// Enters one level of recursion; [`EvalMeter::leave`] exits it.
    #[inline]
    pub(crate) fn enter(&mut self) -> Result<(), EvalError> {
        self.depth += 1;
        if self.depth > ExprLimits::DEPTH_MAX {
            return Err(too_deep());
        }
        self.charge_steps(1)
    }

    #[inline]
    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Charges for a value and copies it.
    pub(crate) fn copy(&mut self, value: &Value) -> Result<Value, EvalError> {
        self.charge_copy(value)?;
        Ok(value.clone())
    }

    fn charge_copy(&mut self, value: &Value) -> Result<(), EvalError> {
        const VALUE_BYTES: usize = size_of::<Value>();
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => self.charge_growth(VALUE_BYTES),
            Value::String(text) => self.charge_growth(VALUE_BYTES + text.len()),
            Value::Array(items) => {
                self.charge_growth(VALUE_BYTES)?;
                items.iter().try_for_each(|item| self.charge_copy(item))
            }
            Value::Object(fields) => {
                self.charge_growth(VALUE_BYTES)?;
                fields.iter().try_for_each(|(key, value)| {
                    self.charge_growth(VALUE_BYTES + key.len())?;
                    self.charge_copy(value)
                })
            }
        }
    }
}

#[cold]
fn out_of_steps() -> EvalError {
    EvalError::new(
        EvalErrorCode::Limit,
        format!("the expression did not finish within {} steps", ExprLimits::STEPS_MAX),
    )
    .hint("loop over fewer items, or do the work in a tool")
}

#[cold]
fn out_of_memory() -> EvalError {
    EvalError::new(
        EvalErrorCode::Limit,
        format!("the expression made more than {} MB of values", ExprLimits::GROWTH_BYTES_MAX / (1024 * 1024)),
    )
    .hint("name only the fields you need, or do the work in a tool")
}

#[cold]
fn too_deep() -> EvalError {
    EvalError::new(
        EvalErrorCode::Limit,
        format!("the expression nests more than {} levels deep", ExprLimits::DEPTH_MAX),
    )
    .hint("a macro that calls itself has to end sooner")
}

/// The size of a value when written: bytes of compact JSON (without escapes) and levels of nesting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ValueExtent {
    pub(crate) bytes: usize,
    pub(crate) depth: usize,
}

impl ValueExtent {
    pub(crate) fn of(value: &Value) -> Self {
        match value {
            Value::Null | Value::Bool(_) => Self { bytes: 4, depth: 0 },
            Value::Number(_) => Self { bytes: 8, depth: 0 },
            Value::String(text) => Self { bytes: text.len() + 2, depth: 0 },
            Value::Array(items) => {
                let mut whole = Self { bytes: 2, depth: 0 };
                items.iter().for_each(|item| whole.add(Self::of(item), 1));
                Self { depth: whole.depth + 1, ..whole }
            }
            Value::Object(fields) => {
                let mut whole = Self { bytes: 2, depth: 0 };
                fields.iter().for_each(|(key, value)| whole.add(Self::of(value), key.len() + 4));
                Self { depth: whole.depth + 1, ..whole }
            }
        }
    }

    /// Adds a part, and the `around` bytes that separate it from the others.
    pub(crate) fn add(&mut self, part: Self, around: usize) {
        self.bytes += part.bytes + around;
        self.depth = self.depth.max(part.depth);
    }

    /// Rejects a result that could not be stored or read back.
    pub(crate) fn check(self) -> Result<(), EvalError> {
        if self.bytes > ExprLimits::OUTPUT_BYTES_MAX {
            return Err(too_much_output());
        }
        if self.depth > ExprLimits::OUTPUT_DEPTH_MAX {
            return Err(EvalError::new(
                EvalErrorCode::Limit,
                format!(
                    "the result nests {} levels deep and may nest at most {}",
                    self.depth,
                    ExprLimits::OUTPUT_DEPTH_MAX
                ),
            )
            .hint("name the inner field you need instead of the whole value"));
        }
        Ok(())
    }
}

/// Returns the error for a result that is too large.
#[cold]
pub(crate) fn too_much_output() -> EvalError {
    EvalError::new(
        EvalErrorCode::Limit,
        format!("the result is larger than {} KB", ExprLimits::OUTPUT_BYTES_MAX / 1024),
    )
    .hint("name only the fields you need")
}
