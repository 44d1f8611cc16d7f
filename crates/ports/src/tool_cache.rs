//! A cache for answers of read-only tools, shared by all processes of a project.

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;
use serde_json::Value;

use crate::journal::JournalError;

/// Maximum size of one answer as JSON, in bytes; a larger one is not cached.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Maximum number of cached answers; the oldest are evicted first.
pub const ANSWERS_MAX: u64 = 100_000;
/// Maximum size of all cached answers, in bytes; the oldest are evicted first.
pub const BYTES_MAX: u64 = 64 << 20;

/// SHA-256 of everything that an answer may depend on.
pub type ToolCacheKey = [u8; 32];

/// A cached answer and its owner.
#[derive(Clone, Debug, PartialEq)]
pub struct CachedAnswer {
    pub tenant: TenantId,
    pub tool: Arc<str>,
    pub key: ToolCacheKey,
    pub output: Arc<Value>,
    /// Approximate size of `output` in memory, in bytes.
    pub memory_bytes: usize,
    /// The user for whom the tool was called, if known. An erasure clears all answers of the tenant, since it cannot be
    /// known which of them are about a person.
    pub user_id: Option<String>,
    pub conversation_id: Option<String>,
    pub created_at: Time,
    pub expires_at: Time,
}

/// Answers by tenant and key.
#[async_trait]
pub trait ToolCache: Send + Sync {
    /// The answer that is still valid at `now`.
    async fn find(&self, tenant: &TenantId, key: &ToolCacheKey, now: Time) -> Result<Option<Arc<Value>>, JournalError>;

    /// Stores an answer, replacing the one under the same key. Every process finds it once this returns; a crash may
    /// lose it.
    async fn keep(&self, answer: CachedAnswer) -> Result<(), JournalError>;
}
