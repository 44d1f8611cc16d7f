//! What goes wrong, sorted by the caller's next move.

use std::time::Duration;

use super::RETRY_AFTER;
use crate::index::{self, Collection};
use crate::{embed, records};

/// Sorted by the caller's next move.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("{what} is {size}, over the limit of {limit}")]
    TooLarge { what: &'static str, size: usize, limit: usize },
    #[error("{what}: {reason}")]
    Invalid { what: String, reason: String },
    #[error("there is no {what} `{name}`")]
    NotFound { what: &'static str, name: String },
    #[error("the collection `{collection}` is full: it holds {limit} pieces; remove documents, or cut larger pieces")]
    Full { collection: Collection, limit: u64 },
    /// What is searched was made by an embedder that these settings do not have.
    #[error(
        "`{collection}` was indexed with the embedder `{space}`, which the settings under `[memory]` do not have; \
         configure it, or run `baton knowledge reindex`"
    )]
    OtherEmbedder { collection: Collection, space: String },
    /// Nothing was kept.
    #[error("`{person}` was forgotten meanwhile, so nothing about them was kept; add it again if it is new")]
    Forgotten { person: String },
    #[error(transparent)]
    Embedding(#[from] embed::Error),
    /// Try again.
    #[error("memory is overloaded; try again in {} ms", retry_after.as_millis())]
    Busy { retry_after: Duration },
    #[error("memory cannot be written: {reason}")]
    Unwritable { reason: String },
    #[error("memory cannot be read: {reason}")]
    Unreadable { reason: String },
}

impl From<index::Error> for Error {
    fn from(error: index::Error) -> Self {
        match error {
            index::Error::TooLarge { what, size, limit } => Self::TooLarge { what, size, limit },
            index::Error::Full { collection, limit } => Self::Full { collection, limit },
            index::Error::Invalid { what, reason } => Self::Invalid { what, reason },
            index::Error::Busy { retry_after } => Self::Busy { retry_after },
            index::Error::Unwritable { reason } => Self::Unwritable { reason },
            index::Error::Unreadable { reason } => Self::Unreadable { reason },
        }
    }
}

impl From<records::Error> for Error {
    fn from(error: records::Error) -> Self {
        match error {
            records::Error::TooLarge { what, size, limit } => Self::TooLarge { what, size, limit },
            records::Error::Busy { retry_after } => Self::Busy { retry_after },
            records::Error::Unreadable { reason } => Self::Unreadable { reason },
            records::Error::Unwritable { reason } => Self::Unwritable { reason },
            records::Error::Outage(outage) => Self::Unwritable { reason: outage.to_string() },
            // Whoever changes a thread tries again before this is said.
            records::Error::Conflict { .. } | records::Error::EmptyRange { .. } => {
                Self::Busy { retry_after: RETRY_AFTER }
            }
        }
    }
}
