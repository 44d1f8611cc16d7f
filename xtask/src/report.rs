//! The output of xtask, on standard output and standard error.
//!
//! If a reader closes the pipe early (`cargo xtask measure | head`), that is not an error, so failed writes are
//! ignored.

use std::fmt::Display;
use std::io::Write;

/// Prints one line to standard output.
pub fn line(text: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// Prints one line to standard error, for the passed-through standard error of a process.
pub fn stderr_line(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Prints an error with its chain of causes, outermost first.
pub fn error(error: &anyhow::Error) {
    stderr_line(format_args!("error: {error:#}"));
}
