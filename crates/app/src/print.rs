//! All that is said on the terminal goes through here: results on standard output, everything else on standard error.

use std::io::{IsTerminal, Write};

use serde_json::Value;
use tracing_subscriber::EnvFilter;

/// A line of a command's result. A reader who has gone (a closed pipe) ends the output, not the work.
pub fn line(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A result for programs, on one line.
pub fn json(value: &Value) {
    line(value);
}

/// A result for programs, laid out for people.
pub fn pretty(value: &Value) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => line(text),
        Err(_) => line(value),
    }
}

/// Something worth knowing that is no result.
pub fn note(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

pub fn error(error: &anyhow::Error) {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let word = if colour { "\u{1b}[31merror\u{1b}[0m" } else { "error" };
    let _ = writeln!(std::io::stderr(), "{word}: {error:#}");
}

/// Whether standard output is a person's terminal that wants colour.
pub fn is_colourful() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Text in a terminal colour, where there is one.
pub fn paint(code: &str, text: &str) -> String {
    if is_colourful() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// Warnings and errors go to standard error; `BATON_LOG` asks for more.
pub fn telemetry() {
    let filter = EnvFilter::try_from_env("BATON_LOG").unwrap_or_else(|_| EnvFilter::new("error"));
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time().try_init();
}
