//! Classifies an uncaught exception of a program.

use monty_types::{ExcType, MontyException};

use crate::sandbox::frame::{MESSAGE_BYTES_MAX, ProgramFailureKind};

/// Determines the cause. Exceeded limits are exceptions of the interpreter, recognised by their message; a program
/// that raises the same message fails in the same way.
pub(super) fn cause(error: &MontyException) -> ProgramFailureKind {
    let begins = |words: &str| error.message().is_some_and(|message| message.starts_with(words));
    match error.exc_type() {
        ExcType::TimeoutError if begins("time limit exceeded") => ProgramFailureKind::Time,
        ExcType::MemoryError if begins("memory limit exceeded") => ProgramFailureKind::Memory,
        ExcType::RecursionError => ProgramFailureKind::Recursion,
        ExcType::SyntaxError | ExcType::NotImplementedError if error.traceback().is_empty() => {
            ProgramFailureKind::Invalid
        }
        _ => ProgramFailureKind::Raised,
    }
}

/// Returns the traceback; only its start and its end, if it is long.
pub(super) fn traceback(error: &MontyException) -> String {
    const LEFT_OUT: &str = "\n…\n";
    let text = error.to_string();
    if text.len() <= MESSAGE_BYTES_MAX {
        return text;
    }
    let half = (MESSAGE_BYTES_MAX - LEFT_OUT.len()) / 2;
    let beginning = (0..=half).rev().find_map(|end| text.get(..end)).unwrap_or_default();
    let end = (text.len() - half..=text.len()).find_map(|from| text.get(from..)).unwrap_or_default();
    format!("{beginning}{LEFT_OUT}{end}")
}
