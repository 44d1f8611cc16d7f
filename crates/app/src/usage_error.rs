//! Errors in the caller's input, with exit code 2. The message states what is incorrect, where, and how to fix it.

use std::fmt;

use baton_core::definition::source::SourceSpan;
use baton_core::definition::{self, Diagnostic};

#[derive(Debug, Default)]
pub struct UsageError {
    code: Option<&'static str>,
    message: String,
    /// The place in a text, as [`definition::excerpt`] shows it.
    place: String,
    hint: Option<String>,
}

impl UsageError {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// Creates an error from a finding in a file, with its place.
    pub fn from_diagnostic(found: &Diagnostic, file: &str, source: &str) -> Self {
        Self {
            code: Some(found.code.as_str()),
            message: found.message.clone(),
            place: definition::excerpt(found.span, file, source),
            hint: found.hint.clone(),
        }
    }

    /// Adds a stable code.
    pub fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// Shows the place in a text. Shows nothing for a span without a place.
    pub fn at(mut self, span: SourceSpan, file: &str, source: &str) -> Self {
        self.place = definition::excerpt(span, file, source);
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The code in the form that follows the word `error`.
    pub fn code_suffix(&self) -> String {
        self.code.map(|code| format!("[{code}]")).unwrap_or_default()
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.place.is_empty() {
            write!(f, "\n{}", self.place.trim_end_matches('\n'))?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for UsageError {}
