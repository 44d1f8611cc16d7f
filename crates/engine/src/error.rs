//! Errors of the engine: why work was not accepted.

use std::fmt;
use std::time::Duration;

use baton_core::graph::input::InputError;
use baton_core::id::RunId;
use baton_ports::journal;

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The id that the caller chose belongs to a run that is active or done.
    #[error("a run `{run}` exists already")]
    Exists { run: RunId },
    /// The input does not match the workflow's declaration.
    #[error(transparent)]
    Input(#[from] InputError),
    #[error("no run `{run}`")]
    NoSuchRun { run: RunId },
    /// The version is unknown or cannot be compiled by this binary.
    #[error("version `{bundle}` cannot be run: {reason}")]
    BadVersion { bundle: String, reason: String },
    #[error(transparent)]
    Journal(#[from] journal::JournalError),
    #[error("{message}")]
    BadAgent { message: String },
    #[error(transparent)]
    Records(#[from] baton_ports::records::RecordError),
    #[error("the engine stopped")]
    Stopped,
    /// The time to stop ended before everything was handed over.
    #[error(transparent)]
    Unfinished(Box<ShutdownError>),
    /// An entry or item cannot be encoded or decoded.
    #[error("an entry cannot be written down or read back: {0}")]
    Encoding(#[from] serde_json::Error),
}

/// What was left when the time to stop was over. Nothing that was acknowledged is lost: other processes take over once
/// this process is gone.
#[derive(Debug, PartialEq, Eq)]
pub struct ShutdownError {
    /// Number of runs that were still being claimed or moved.
    pub count: usize,
    /// The first of these runs.
    pub first_runs: Vec<RunId>,
    /// The time allowed for stopping.
    pub within: Duration,
    /// Why the store did not take back what this process owned; `None` if it did.
    pub release_error: Option<String>,
}

impl fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not all was handed over within {} s:", self.within.as_secs())?;
        if self.count > 0 {
            let named: Vec<&str> = self.first_runs.iter().map(RunId::as_str).collect();
            let more = if self.count > named.len() { ", …" } else { "" };
            write!(f, " {} runs were still moving ({}{more})", self.count, named.join(", "))?;
        }
        if let Some(kept) = &self.release_error {
            let and = if self.count > 0 { ", and" } else { "" };
            write!(f, "{and} what this process owns could not be given back: {kept}")?;
        }
        write!(f, "; nothing that was acknowledged is lost, and it is taken over once this process is gone")
    }
}

impl std::error::Error for ShutdownError {}
