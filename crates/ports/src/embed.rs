//! Turning texts into vectors that lie near each other where the texts mean much the same.

use std::time::Duration;

use async_trait::async_trait;
use baton_core::id::TenantId;
use serde::{Deserialize, Serialize};

/// Texts of one request.
pub const TEXTS_MAX: usize = 256;
/// Numbers of one vector.
pub const DIMENSIONS_MAX: usize = 4_096;

/// What vectors must share to be compared: who made them, and how many numbers they have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VectorSpace {
    /// The embedder's name and version; another version is another space.
    pub name: String,
    pub dimensions: usize,
}

impl std::fmt::Display for VectorSpace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} dimensions)", self.name, self.dimensions)
    }
}

/// What a text is for; some embedders treat questions and passages differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmbeddingRole {
    Query,
    Passage,
}

/// Sorted by the caller's next move.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmbeddingError {
    /// Nothing came of it now; it may another time.
    #[error("the embedder `{space}` cannot be asked: {reason}")]
    Unavailable { space: String, reason: String, retry_after: Option<Duration> },
    /// The same request will be refused again.
    #[error("the embedder `{space}` refused: {reason}")]
    Rejected { space: String, reason: String },
    /// It was not asked: there is no money for it, or nobody knows its price. `code` is that of a model call.
    #[error("the embedder `{space}` is not asked: {reason}")]
    OverBudget { space: String, code: String, reason: String, retry_after: Option<Duration> },
}

/// Whose money vectors cost: a tenant's, and where they are made for one of its API keys, out of that key's own budget too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddingPayer {
    pub tenant: TenantId,
    pub key_id: Option<String>,
}

impl From<TenantId> for EmbeddingPayer {
    fn from(tenant: TenantId) -> Self {
        Self { tenant, key_id: None }
    }
}

impl From<&TenantId> for EmbeddingPayer {
    fn from(tenant: &TenantId) -> Self {
        tenant.clone().into()
    }
}

impl From<&str> for EmbeddingPayer {
    fn from(tenant: &str) -> Self {
        TenantId::from(tenant).into()
    }
}

/// Who pays for vectors that cost something.
#[async_trait]
pub trait EmbeddingBilling: Send + Sync {
    /// Reserves what a request of at most so many tokens may cost somebody with this model, before it goes out.
    ///
    /// # Errors
    /// [`EmbeddingError::OverBudget`].
    async fn reserve(
        &self,
        payer: &EmbeddingPayer,
        space: &VectorSpace,
        model: &str,
        tokens: u64,
    ) -> Result<Box<dyn EmbeddingCharge>, EmbeddingError>;
}

/// Money for one request. Dropped without a word, it is settled at what was reserved.
pub trait EmbeddingCharge: Send {
    /// The request was answered, with so many tokens counted; nothing where nobody counted them.
    fn settle(self: Box<Self>, tokens: Option<u64>, latency: Duration);

    /// It cost nothing: it never reached its server, or was refused there.
    fn release(self: Box<Self>);
}

/// One embedder, of one space.
#[async_trait]
pub trait Embedder: Send + Sync {
    fn space(&self) -> &VectorSpace;

    /// One vector per text, in their order: finite, of length 1, or all zeroes for a text that says nothing. At most
    /// [`TEXTS_MAX`] texts. What it costs is the payer's.
    async fn embed(
        &self,
        payer: &EmbeddingPayer,
        texts: &[String],
        role: EmbeddingRole,
    ) -> Result<Vec<Vec<f32>>, EmbeddingError>;
}
