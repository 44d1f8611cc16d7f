//! Why work was not taken on.

use baton_core::graph::input::Unfit;
use baton_core::id::RunId;
use baton_ports::journal;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller chose an id that runs or is done.
    #[error("a run `{run}` exists already")]
    Exists { run: RunId },
    /// The input is not what the workflow declares.
    #[error(transparent)]
    Input(#[from] Unfit),
    #[error("no run `{run}`")]
    NoSuchRun { run: RunId },
    /// The version is unknown or cannot be compiled by this binary.
    #[error("version `{bundle}` cannot be run: {reason}")]
    BadVersion { bundle: String, reason: String },
    #[error(transparent)]
    Journal(#[from] journal::Error),
    #[error("{message}")]
    BadAgent { message: String },
    #[error(transparent)]
    Records(#[from] baton_ports::records::Error),
    #[error("the engine stopped")]
    Stopped,
    /// An entry or item cannot be written down or read back.
    #[error("an entry cannot be encoded: {0}")]
    Encoding(#[from] serde_json::Error),
}
