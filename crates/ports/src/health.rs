//! Outages that a store cannot recover from by itself, so that callers can tell people what to do.

/// A store that acknowledges nothing more, for the lifetime of the process. What is still readable can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreOutage {
    /// The content of the database file is not what was written.
    #[error("the database is damaged: {reason}")]
    Damaged { reason: String },
    /// The database files are no longer at the path where they were opened: new writes might never be found again.
    #[error("the database's files were taken away: {reason}")]
    Moved { reason: String },
}

/// The code of [`StoreOutage::Damaged`]: `docs/errors/api/STORE_DAMAGED.md`.
pub const STORE_DAMAGED: &str = "STORE_DAMAGED";
/// The code of [`StoreOutage::Moved`]: `docs/errors/api/STORE_MOVED.md`.
pub const STORE_MOVED: &str = "STORE_MOVED";

impl StoreOutage {
    /// Stable and documented.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Damaged { .. } => STORE_DAMAGED,
            Self::Moved { .. } => STORE_MOVED,
        }
    }

    /// The way out, in one sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Damaged { .. } => {
                "stop the process, keep a copy of the files, see what `baton doctor --full` and `baton verify` say, and \
                 restore the newest backup"
            }
            Self::Moved { .. } => {
                "stop the process, put the files back where they were (the log beside the database), run `baton verify`, \
                 start it again, and ask again under the same `Idempotency-Key`"
            }
        }
    }
}
