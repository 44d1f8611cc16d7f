//! Memory errors, by what the caller should do next.

use std::time::Duration;

use super::RETRY_AFTER;
use crate::index::{self, MemoryCollection};
use crate::{embed, records};

/// Errors by what the caller should do next.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MemoryError {
    #[error("{what} is {size}, over the limit of {limit}")]
    TooLarge { what: &'static str, size: usize, limit: usize },
    #[error("{what}: {reason}")]
    Invalid { what: String, reason: String },
    #[error("there is no {what} `{name}`")]
    NotFound { what: &'static str, name: String },
    #[error("the collection `{collection}` is full: it holds {limit} pieces; remove documents, or cut larger pieces")]
    Full { collection: MemoryCollection, limit: u64 },
    /// The index was built with an embedder that is not in the settings.
    #[error(
        "`{collection}` was indexed with the embedder `{space}`, which the settings under `[memory]` do not have; \
         configure it, or run `baton knowledge reindex`"
    )]
    OtherEmbedder { collection: MemoryCollection, space: String },
    /// Nothing was stored.
    #[error("`{person}` was forgotten meanwhile, so nothing about them was kept; add it again if it is new")]
    Forgotten { person: String },
    #[error(transparent)]
    Embedding(#[from] embed::EmbeddingError),
    /// Try again.
    #[error("memory is overloaded; try again in {} ms", retry_after.as_millis())]
    Busy { retry_after: Duration },
    #[error("memory cannot be written: {reason}")]
    Unwritable { reason: String },
    #[error("memory cannot be read: {reason}")]
    Unreadable { reason: String },
}

impl From<index::IndexError> for MemoryError {
    fn from(error: index::IndexError) -> Self {
        match error {
            index::IndexError::TooLarge { what, size, limit } => Self::TooLarge { what, size, limit },
            index::IndexError::Full { collection, limit } => Self::Full { collection, limit },
            index::IndexError::Invalid { what, reason } => Self::Invalid { what, reason },
            index::IndexError::Busy { retry_after } => Self::Busy { retry_after },
            index::IndexError::Unwritable { reason } => Self::Unwritable { reason },
            index::IndexError::Unreadable { reason } => Self::Unreadable { reason },
        }
    }
}

impl From<records::RecordError> for MemoryError {
    fn from(error: records::RecordError) -> Self {
        match error {
            records::RecordError::TooLarge { what, size, limit } => Self::TooLarge { what, size, limit },
            records::RecordError::Busy { retry_after } => Self::Busy { retry_after },
            records::RecordError::Unreadable { reason } => Self::Unreadable { reason },
            records::RecordError::Unwritable { reason } => Self::Unwritable { reason },
            records::RecordError::Outage(outage) => Self::Unwritable { reason: outage.to_string() },
            // Code that changes a thread retries before it returns this.
            records::RecordError::Conflict { .. } | records::RecordError::EmptyRange { .. } => {
                Self::Busy { retry_after: RETRY_AFTER }
            }
        }
    }
}
