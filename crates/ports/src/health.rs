//! What a store does not get over by itself, so that whoever asks it can tell people what to do.

/// A store that acknowledges nothing more, for as long as the process lives. What can still be read is read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreOutage {
    /// What is in the database's file is not what was written there.
    #[error("the database is damaged: {reason}")]
    Damaged { reason: String },
    /// The database's files are not where they were opened: what would be written now might never be found again.
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
