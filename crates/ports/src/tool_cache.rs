//! Answers of tools that only read, kept for a while for all processes of a project.

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;
use serde_json::Value;

use crate::journal::JournalError;

/// Bytes of JSON that one answer may have; a larger one is not kept.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Answers that are kept; the oldest make room.
pub const ANSWERS_MAX: u64 = 100_000;
/// Bytes of all answers that are kept; the oldest make room.
pub const BYTES_MAX: u64 = 64 << 20;

/// SHA-256 of everything an answer may depend on.
pub type ToolCacheKey = [u8; 32];

/// An answer and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct CachedAnswer {
    pub tenant: TenantId,
    pub tool: Arc<str>,
    pub key: ToolCacheKey,
    pub output: Arc<Value>,
    /// What `output` takes in memory, about, in bytes.
    pub memory_bytes: usize,
    /// For whom the tool was called, where that is known. An erasure clears all answers of the tenant: which of them say
    /// something of a person, nobody can tell.
    pub user_id: Option<String>,
    pub conversation_id: Option<String>,
    pub created_at: Time,
    pub expires_at: Time,
}

/// Answers by tenant and key.
#[async_trait]
pub trait ToolCache: Send + Sync {
    /// What is kept and still holds at `now`.
    async fn find(&self, tenant: &TenantId, key: &ToolCacheKey, now: Time) -> Result<Option<Arc<Value>>, JournalError>;

    /// Keeps an answer in place of the one under the same key. It is found by every process once this returns; a crash
    /// may lose it.
    async fn keep(&self, answer: CachedAnswer) -> Result<(), JournalError>;
}
