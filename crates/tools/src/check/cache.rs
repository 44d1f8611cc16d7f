//! Stage: an equal call was made recently, and its cached result is still valid.
//!
//! Only calls without side effects are cached, and each tenant has its own cache. With a cache shared by all
//! processes, no process keeps a local copy: erased data is gone everywhere.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use baton_core::canonical::{self, ListPart};
use baton_core::id::TenantId;
use baton_core::lru_cache::LruCache;
use baton_core::time::Time;
use baton_ports::journal::JournalError;
use baton_ports::tool_cache::{CachedAnswer, ToolCache, ToolCacheKey};
use serde_json::Value;

use super::EarlyOutcome;
use crate::catalogue::ToolEntry;
use crate::config::ToolPermission;
use crate::request::PreparedRequest;

/// Approximate maximum memory of the cached results, in bytes.
const BYTES_MAX: usize = 64 << 20;
/// Overhead of one cached result, in bytes.
const ANSWER_BYTES: usize = 256;

/// The cache key of a result, and how long the result stays valid.
pub(crate) struct ToolCacheSlot {
    key: ToolCacheKey,
    ttl: Duration,
}

impl ToolCacheSlot {
    /// Stores the result for later equal requests. A result that cannot be stored is simply requested again.
    pub(crate) async fn keep(
        self,
        cache: &dyn ToolCache,
        (request, entry): (&PreparedRequest, &ToolEntry),
        output: Arc<Value>,
        memory_bytes: usize,
        now: Time,
    ) {
        let call = &request.call;
        let answer = CachedAnswer {
            tenant: call.tenant.clone(),
            tool: entry.name.clone(),
            key: self.key,
            output,
            memory_bytes,
            user_id: call.caller.user_id.clone(),
            conversation_id: call.caller.conversation_id.clone(),
            created_at: now,
            expires_at: now + self.ttl,
        };
        if let Err(error) = cache.keep(answer).await {
            tracing::warn!(%error, tool = call.tool, "the answer cannot be kept");
        }
    }
}

/// Returns the cached result, or the slot where the result will be stored.
pub(super) async fn check(
    cache: &dyn ToolCache,
    permission: Option<&ToolPermission>,
    request: &PreparedRequest,
    entry: &Arc<ToolEntry>,
    now: Time,
) -> Result<Option<ToolCacheSlot>, EarlyOutcome> {
    let told = permission.and_then(|permission| permission.cache_seconds).map(Duration::from_secs);
    let holds_for = told.or(entry.cache).unwrap_or_default();
    // Human replies are not part of the arguments: the same arguments may lead to another result.
    if holds_for.is_zero() || request.call.class.has_side_effects() || !request.call.replies.is_empty() {
        return Ok(None);
    }
    let key = key(request, entry);
    match cache.find(&request.call.tenant, &key, now).await {
        Ok(Some(output)) => Err(EarlyOutcome::CacheHit { output, entry: entry.clone() }),
        Ok(None) => Ok(Some(ToolCacheSlot { key, ttl: holds_for })),
        // Treated as a cache miss.
        Err(error) => {
            tracing::warn!(%error, tool = request.call.tool, "kept answers cannot be read");
            Ok(Some(ToolCacheSlot { key, ttl: holds_for }))
        }
    }
}

fn key(request: &PreparedRequest, entry: &ToolEntry) -> ToolCacheKey {
    let call = &request.call;
    // The result of a tool that was replaced or removed meanwhile must not be returned for the tool that has its name
    // now.
    let asked = [
        ListPart::Text(Some(call.tenant.as_str())),
        ListPart::Text(Some(&entry.name)),
        ListPart::Text(Some(entry.identity.text())),
        ListPart::Value(&call.arguments),
        ListPart::Text(Some(&request.zone)),
        ListPart::Text(Some(request.language.tag())),
        ListPart::Text(call.agent.as_deref()),
        ListPart::Text(call.provider.as_deref()),
        // Results may be specific to one user, so they are not shared between users.
        ListPart::Text(call.caller.user_id.as_deref()),
        ListPart::Text(call.caller.conversation_id.as_deref()),
        ListPart::Text(call.caller.entity_id_source.as_deref()),
    ];
    canonical::digest_of_list(asked)
}

/// Results cached in this process, for a registry that shares nothing with other processes. The caller that stored a
/// result and later callers share the same value.
pub(crate) struct LocalToolCache(Mutex<LruCache<(TenantId, ToolCacheKey), Arc<Value>>>);

impl Default for LocalToolCache {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(BYTES_MAX)))
    }
}

#[async_trait]
impl ToolCache for LocalToolCache {
    async fn find(&self, tenant: &TenantId, key: &ToolCacheKey, now: Time) -> Result<Option<Arc<Value>>, JournalError> {
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(shelf.find(&(tenant.clone(), *key), now).cloned())
    }

    async fn keep(&self, answer: CachedAnswer) -> Result<(), JournalError> {
        let bytes = ANSWER_BYTES + answer.memory_bytes;
        let holds_for = answer.expires_at.since(answer.created_at);
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = shelf.put((answer.tenant, answer.key), answer.output, bytes, holds_for, answer.created_at);
        drop(shelf);
        // Freeing a large value takes time; do it outside the lock, so that no other call waits.
        drop(left);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use baton_sim::conformance;

    use super::LocalToolCache;

    #[tokio::test]
    async fn one_process_alone_keeps_answers_as_the_store_does() {
        conformance::tool_cache(async || LocalToolCache::default()).await;
    }
}
