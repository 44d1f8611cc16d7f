//! Embeddings: converts texts to vectors that are close to each other if the texts have similar meanings.

use std::time::Duration;

use async_trait::async_trait;
use baton_core::id::TenantId;
use serde::{Deserialize, Serialize};

/// Maximum number of texts in one request.
pub const TEXTS_MAX: usize = 256;
/// Maximum number of dimensions of a vector.
pub const DIMENSIONS_MAX: usize = 4_096;

/// What vectors must share to be comparable: the embedder and the number of dimensions.
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

/// The role of a text; some embedders treat queries and passages differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmbeddingRole {
    Query,
    Passage,
}

/// Errors by what the caller should do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmbeddingError {
    /// It failed now, and may succeed later.
    #[error("the embedder `{space}` cannot be asked: {reason}")]
    Unavailable { space: String, reason: String, retry_after: Option<Duration> },
    /// The same request will be refused again.
    #[error("the embedder `{space}` refused: {reason}")]
    Rejected { space: String, reason: String },
    /// No request was sent: the budget does not allow it, or the price is unknown. `code` is that of a model call.
    #[error("the embedder `{space}` is not asked: {reason}")]
    OverBudget { space: String, code: String, reason: String, retry_after: Option<Duration> },
}

/// The tenant that pays for vectors, and the API key whose own budget also pays, if there is one.
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

/// Reserves and charges the cost of embeddings.
#[async_trait]
pub trait EmbeddingBilling: Send + Sync {
    /// Reserves the possible cost of a request of at most `tokens` tokens with this model, before it is sent.
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

/// The money reserved for one request. If it is dropped unsettled, the reserved amount is charged.
pub trait EmbeddingCharge: Send {
    /// The request was answered, with this many tokens counted; `None` if they were not counted.
    fn settle(self: Box<Self>, tokens: Option<u64>, latency: Duration);

    /// It cost nothing: the request never reached the server, or was refused there.
    fn release(self: Box<Self>);
}

/// An embedder of one vector space.
#[async_trait]
pub trait Embedder: Send + Sync {
    fn space(&self) -> &VectorSpace;

    /// Returns one vector per text, in the same order: finite, of length 1, or all zeroes for an empty text. At most
    /// [`TEXTS_MAX`] texts. The payer is charged.
    async fn embed(
        &self,
        payer: &EmbeddingPayer,
        texts: &[String],
        role: EmbeddingRole,
    ) -> Result<Vec<Vec<f32>>, EmbeddingError>;
}
