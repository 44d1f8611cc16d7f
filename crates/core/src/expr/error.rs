//! What can be wrong with an expression: with its text, or with what it met.

use std::fmt;

/// The text is not an expression of its language.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    /// What is wrong, in a sentence without a full stop.
    pub message: String,
    /// Where in the source it is wrong, in bytes, when one place is to blame.
    pub offset: Option<usize>,
    /// The way out, when there is one to suggest.
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

    /// The hint, if the nearest name is near enough to be worth saying.
    pub(crate) fn did_you_mean(mut self, nearest: Option<&str>) -> Self {
        if let Some(name) = nearest {
            self.hint = Some(format!("did you mean `{name}`?"));
        }
        self
    }

    /// The same error, said of one place inside a larger thing.
    pub(crate) fn within(mut self, place: &str) -> Self {
        self.message = place_message(place, &self.message);
        self
    }
}

/// The expression is sound, but not with the values it met.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    /// What went wrong, in a sentence without a full stop.
    pub message: String,
    /// The way out, when there is one to suggest.
    pub hint: Option<String>,
    /// The stable code of this kind of failure.
    pub code: EvalErrorCode,
    /// The way to the field that an object does not have, such as `secrets.shop`, where that is what went wrong.
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

    /// The same error, said of one place inside a larger thing.
    pub(crate) fn within(mut self, place: &str) -> Self {
        self.message = place_message(place, &self.message);
        self
    }
}

/// Says where an error is, joining the places of nested things: ``in `to.0`: …``.
fn place_message(place: &str, message: &str) -> String {
    match message.strip_prefix("in `") {
        Some(inner) => format!("in `{place}.{inner}"),
        None => format!("in `{place}`: {message}"),
    }
}

/// The kinds of failure a caller may want to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EvalErrorCode {
    /// A name the run does not know.
    UnknownName,
    /// A field that is not there, where the language wants it to be.
    MissingField,
    /// A value of a type the operation has no meaning for.
    WrongType,
    /// A value of the right type that cannot be used: not a date, a division by zero.
    BadValue,
    /// The expression asked for more than an expression may have.
    Limit,
}

impl EvalErrorCode {
    /// Every code there is, in order.
    pub const ALL: [Self; 5] = [Self::UnknownName, Self::MissingField, Self::WrongType, Self::BadValue, Self::Limit];

    /// The code in a few words.
    pub fn title(self) -> &'static str {
        match self {
            EvalErrorCode::UnknownName => "a name that is not known",
            EvalErrorCode::MissingField => "a field that is not there",
            EvalErrorCode::WrongType => "a value of a type the operation has no meaning for",
            EvalErrorCode::BadValue => "a value that cannot be used",
            EvalErrorCode::Limit => "a limit was reached",
        }
    }

    /// The code as it is written in messages and in the documentation.
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
