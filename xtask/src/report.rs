//! What xtask says, on standard output and standard error.
//!
//! A reader that closes the pipe early (`cargo xtask measure | head`) is not an error, so failed writes are let go.

use std::fmt::Display;
use std::io::Write;

/// One line on standard output.
pub fn line(text: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// One line on standard error, for what passes through from a process that wrote it there.
pub fn stderr_line(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// An error with its chain of causes, outermost first.
pub fn error(error: &anyhow::Error) {
    stderr_line(format_args!("error: {error:#}"));
}
