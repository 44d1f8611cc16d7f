//! Turning texts into vectors that lie near each other where the texts mean much the same.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// Texts of one request.
pub const TEXTS_MAX: usize = 256;
/// Numbers of one vector.
pub const DIMENSIONS_MAX: usize = 4_096;

/// What vectors must share to be compared: who made them, and how many numbers they have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// The embedder's name and version; another version is another space.
    pub name: String,
    pub dimensions: usize,
}

impl std::fmt::Display for Space {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} dimensions)", self.name, self.dimensions)
    }
}

/// What a text is for; some embedders treat questions and passages differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Query,
    Passage,
}

/// Sorted by the caller's next move.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing came of it now; it may another time.
    #[error("the embedder `{space}` cannot be asked: {reason}")]
    Unavailable { space: String, reason: String, retry_after: Option<Duration> },
    /// The same request will be refused again.
    #[error("the embedder `{space}` refused: {reason}")]
    Rejected { space: String, reason: String },
}

/// One embedder, of one space.
#[async_trait]
pub trait Embedder: Send + Sync {
    fn space(&self) -> &Space;

    /// One vector per text, in their order: finite, of length 1, or all zeroes for a text that says nothing. At most
    /// [`TEXTS_MAX`] texts.
    async fn embed(&self, texts: &[String], role: Role) -> Result<Vec<Vec<f32>>, Error>;
}
