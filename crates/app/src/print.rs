//! All terminal output goes through here: results to standard output, everything else to standard error.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use baton_engine::EngineError;
use baton_ports::health::StoreOutage;
use baton_ports::journal::JournalError;
use baton_ports::records::RecordError;
use serde_json::Value;
use tracing_subscriber::EnvFilter;

use crate::UsageError;

/// Prints a line of a command's result. If the reader has closed the pipe, output stops but the work goes on.
pub fn line(text: impl Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints a result for programs, on one line.
pub fn json(value: &Value) {
    line(value);
}

/// Prints a result as indented JSON, for people.
pub fn pretty(value: &Value) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => line(text),
        Err(_) => line(value),
    }
}

/// Prints information that is not part of the result.
pub fn note(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

pub fn error(error: &anyhow::Error) {
    let outage = store_outage(error);
    let bracket = match outage {
        Some(outage) => format!("[{}]", outage.code()),
        None => error.downcast_ref::<UsageError>().map(UsageError::code_suffix).unwrap_or_default(),
    };
    let hint = outage.map(|outage| format!("\n  hint: {}", outage.hint())).unwrap_or_default();
    let word = if is_colourful(&std::io::stderr()) { "\u{1b}[31merror\u{1b}[0m" } else { "error" };
    let _ = writeln!(std::io::stderr(), "{word}{bracket}: {error:#}{hint}");
}

/// Returns the outage of the store that an error reports, through whichever layer it came: the work may meet the outage
/// before the engine is told of it. Errors of the layers are transparent, so no error names the outage as its source.
fn store_outage(error: &anyhow::Error) -> Option<&StoreOutage> {
    error.chain().find_map(|cause| {
        let direct = cause.downcast_ref::<StoreOutage>();
        direct
            .or_else(|| cause.downcast_ref().and_then(journal_outage))
            .or_else(|| cause.downcast_ref().and_then(record_outage))
            .or_else(|| match cause.downcast_ref()? {
                EngineError::Journal(error) => journal_outage(error),
                EngineError::Records(error) => record_outage(error),
                _ => None,
            })
    })
}

fn journal_outage(error: &JournalError) -> Option<&StoreOutage> {
    if let JournalError::Outage(outage) = error { Some(outage) } else { None }
}

fn record_outage(error: &RecordError) -> Option<&StoreOutage> {
    if let RecordError::Outage(outage) = error { Some(outage) } else { None }
}

/// `1 model`, `2 models`.
pub fn count_noun<N: Display + PartialEq + From<u8>>(count: N, what: &str) -> String {
    count_words(count, what, &format!("{what}s"))
}

/// `1 reply`, `2 replies`.
pub fn count_words<N: Display + PartialEq + From<u8>>(count: N, one: &str, many: &str) -> String {
    format!("{count} {}", if count == N::from(1) { one } else { many })
}

/// A duration in words, in at most two units.
pub fn format_duration(time: Duration) -> String {
    let (seconds, ms) = (time.as_secs(), time.subsec_millis());
    match seconds {
        0 => format!("{ms} ms"),
        1..60 => format!("{seconds}.{} s", ms / 100),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// Whether the output is a terminal and colour is enabled.
fn is_colourful(to: &impl IsTerminal) -> bool {
    to.is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Text in a terminal colour, if colour is enabled.
pub fn paint(code: &str, text: &str) -> String {
    if is_colourful(&std::io::stdout()) { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// The variable that selects the log format.
const FORMAT: &str = "BATON_LOG_FORMAT";
/// The log filter of commands without `BATON_LOG`: errors, warnings that a budget is nearly spent, and warnings that a
/// tool source does not respond. Messages of the MCP library about that are off because commands print their own.
const COMMAND_LOG_FILTER: &str = "error,rmcp=off,baton_store::sqlite::budget=warn,baton::project=warn";
/// Nobody reads each response of a server, so it also logs warnings.
const SERVER_LOG_FILTER: &str = "warn,rmcp=off";

/// Sets up logging to standard error: lines for people, or one JSON object per line with `BATON_LOG_FORMAT=json`.
///
/// # Errors
/// The format is neither `text` nor `json`.
pub fn telemetry(serves: bool) -> Result<(), UsageError> {
    let unless_told = if serves { SERVER_LOG_FILTER } else { COMMAND_LOG_FILTER };
    let filter = EnvFilter::try_from_env("BATON_LOG").unwrap_or_else(|_| EnvFilter::new(unless_told));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // If a log line cannot be written (the disk is full, or the reader has gone), reporting that error would fail too
    // and end the thread that logged.
    let lines = lines.log_internal_errors(false);
    // The first subscriber that was installed stays.
    let _ = match std::env::var(FORMAT).as_deref().unwrap_or("text") {
        "json" => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
        "text" | "" => lines.without_time().with_ansi(is_colourful(&std::io::stderr())).try_init(),
        other => return Err(UsageError::new(format!("{FORMAT}: `{other}` is neither `text` nor `json`"))),
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_in_two_parts_at_most() {
        let said = |ms| format_duration(Duration::from_millis(ms));
        assert_eq!([0, 999, 1_000, 59_999].map(said), ["0 ms", "999 ms", "1.0 s", "59.9 s"]);
        assert_eq!([60_000, 3_599_000].map(said), ["1 min 0 s", "59 min 59 s"]);
        assert_eq!([3_600_000, 86_400_000, 90_000_000].map(said), ["1 h 0 min", "1 d 0 h", "1 d 1 h"]);
    }

    #[test]
    fn an_outage_of_the_store_is_found_in_the_error_of_every_layer() {
        let outage = || StoreOutage::Damaged { reason: "malformed".to_owned() };
        let errors: [anyhow::Error; 5] = [
            outage().into(),
            JournalError::from(outage()).into(),
            RecordError::from(outage()).into(),
            EngineError::from(JournalError::from(outage())).into(),
            anyhow::Error::from(EngineError::from(RecordError::from(outage()))).context("the run cannot be read"),
        ];
        for error in errors {
            assert_eq!(store_outage(&error).map(StoreOutage::code), Some("STORE_DAMAGED"), "{error:?}");
        }
        assert!(store_outage(&anyhow::anyhow!("something else")).is_none());
    }
}
