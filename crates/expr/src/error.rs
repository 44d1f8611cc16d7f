//! Errors of an expression: in its text, or with the values it reads.

use std::fmt;

/// The text is not an expression of its language.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    /// The error, as a sentence without a full stop.
    pub message: String,
    /// The position of the error in the source, in bytes, if there is a single one.
    pub offset: Option<usize>,
    /// A suggested fix, if there is one.
    pub hint: Option<String>,
}

impl ParseError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), offset: None, hint: None }
    }

    pub(crate) fn at(mut self, offset: usize) -> Self {
        self.offset = Some(offset);
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a hint if the nearest name is close enough.
    pub(crate) fn did_you_mean(mut self, nearest: Option<&str>) -> Self {
        if let Some(name) = nearest {
            self.hint = Some(format!("did you mean `{name}`?"));
        }
        self
    }

    /// Returns the same error, located within a larger structure.
    pub(crate) fn within(mut self, place: &str) -> Self {
        self.message = place_message(place, &self.message);
        self
    }
}

/// The expression is valid, but its evaluation failed with these values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    /// The error, as a sentence without a full stop.
    pub message: String,
    /// A suggested fix, if there is one.
    pub hint: Option<String>,
    /// The stable code of this kind of failure.
    pub code: EvalErrorCode,
    /// The path of the missing field of an object, such as `secrets.shop`, if that is the error.
    pub absent: Option<String>,
}

impl EvalError {
    pub(crate) fn new(code: EvalErrorCode, message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code, absent: None }
    }

    pub(crate) fn wrong_type(message: impl Into<String>) -> Self {
        Self::new(EvalErrorCode::WrongType, message)
    }

    pub(crate) fn bad_value(message: impl Into<String>) -> Self {
        Self::new(EvalErrorCode::BadValue, message)
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Returns the same error, located within a larger structure.
    pub(crate) fn within(mut self, place: &str) -> Self {
        self.message = place_message(place, &self.message);
        self
    }
}

/// Prefixes the position of an error, joining nested positions: ``in `to.0`: …``.
fn place_message(place: &str, message: &str) -> String {
    match message.strip_prefix("in `") {
        Some(inner) => format!("in `{place}.{inner}"),
        None => format!("in `{place}`: {message}"),
    }
}

/// The kinds of errors that a caller may distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EvalErrorCode {
    /// A name that the run does not know.
    UnknownName,
    /// A missing field, in a language that requires it.
    MissingField,
    /// A value of a type that the operation does not accept.
    WrongType,
    /// A value of the right type that is invalid: not a date, a division by zero.
    BadValue,
    /// The expression exceeded a limit.
    Limit,
}

impl EvalErrorCode {
    /// All codes, in order.
    pub const ALL: [Self; 5] = [Self::UnknownName, Self::MissingField, Self::WrongType, Self::BadValue, Self::Limit];

    /// Returns a short title of the code.
    pub fn title(self) -> &'static str {
        match self {
            EvalErrorCode::UnknownName => "a name that is not known",
            EvalErrorCode::MissingField => "a field that is not there",
            EvalErrorCode::WrongType => "a value of a type the operation has no meaning for",
            EvalErrorCode::BadValue => "a value that cannot be used",
            EvalErrorCode::Limit => "a limit was reached",
        }
    }

    /// Returns the code as written in messages and in the documentation.
    pub fn as_str(self) -> &'static str {
        match self {
            EvalErrorCode::UnknownName => "EXPR-001",
            EvalErrorCode::MissingField => "EXPR-002",
            EvalErrorCode::WrongType => "EXPR-003",
            EvalErrorCode::BadValue => "EXPR-004",
            EvalErrorCode::Limit => "EXPR-005",
        }
    }
}

impl fmt::Display for EvalErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
