//! Cached replies to identical requests; disabled by default. Concurrent callers with the same request wait for one
//! call together.
//!
//! The cache key consists of the tenant and everything that may change the reply. A provider's API key is not part of
//! it and never stored here. The cache is bounded in bytes and in time; the least recently used reply is evicted first.

mod key;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use baton_core::lru_cache::LruCache;
use baton_core::model::{FinishReason, ModelReply};
use baton_core::money::Usd;
use baton_core::run::ModelCallError;
use baton_core::time::{Time, duration_ms};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::fault::{code, transient};
pub(crate) use key::ReplyCacheKey;

const BYTES: usize = 64 << 20;
const TTL: Duration = Duration::from_secs(60 * 60);
/// Approximate size of a reply in addition to its contents, in bytes.
const REPLY_BYTES: usize = 512;

/// The section `models.cache` of the settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheSettings {
    pub enabled: bool,
    /// Maximum size of the cache, in bytes.
    pub max_bytes: usize,
    /// How long a reply is cached.
    #[serde(rename = "ttl_ms", with = "duration_ms")]
    pub ttl: Duration,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self { enabled: false, max_bytes: BYTES, ttl: TTL }
    }
}

#[derive(Debug)]
pub(crate) struct ReplyCache {
    ttl: Duration,
    inner: Mutex<ReplyCacheState>,
}

#[derive(Debug)]
struct ReplyCacheState {
    replies: LruCache<ReplyCacheKey, ModelReply>,
    /// The requests in flight.
    flights: BTreeMap<ReplyCacheKey, watch::Receiver<()>>,
}

/// The result of a lookup.
enum ReplyLookup<'c> {
    Hit(Box<ModelReply>),
    /// Another caller's request is in flight.
    InFlight(watch::Receiver<()>),
    /// No request is in flight: this caller makes it.
    Miss(CacheFillTurn<'c>),
}

/// The right to fetch the reply for a key; when it is dropped, the next caller gets it.
struct CacheFillTurn<'c> {
    cache: &'c ReplyCache,
    key: ReplyCacheKey,
    /// Dropping it wakes the waiting callers.
    _done: watch::Sender<()>,
}

impl ReplyCache {
    pub fn new(settings: &CacheSettings) -> Option<Self> {
        let inner = ReplyCacheState { replies: LruCache::new(settings.max_bytes), flights: BTreeMap::new() };
        settings.enabled.then(|| Self { ttl: settings.ttl, inner: Mutex::new(inner) })
    }

    /// Returns the cached reply, or the result of `ask`, which is then cached. `true` if no request was made for this
    /// caller.
    pub async fn get_or_fetch(
        &self,
        key: ReplyCacheKey,
        deadline: Instant,
        now: impl Fn() -> Time,
        ask: impl AsyncFnOnce() -> Result<ModelReply, ModelCallError>,
    ) -> Result<(ModelReply, bool), ModelCallError> {
        loop {
            match self.lookup(&key, now()) {
                ReplyLookup::Hit(reply) => return Ok((without_cost(*reply), true)),
                ReplyLookup::InFlight(mut done) => {
                    let late = || transient(code::TIMEOUT, "another call with the same request has no reply yet");
                    // It ends in an error when the fetching caller drops its turn, which is the event to wait for.
                    timeout_at(deadline, done.changed()).await.map_err(|_| late())?.unwrap_or_default();
                }
                ReplyLookup::Miss(turn) => {
                    let reply = ask().await?;
                    turn.cache.store(turn.key.clone(), &reply, now());
                    return Ok((reply, false));
                }
            }
        }
    }

    /// Caches a reply, unless it was cut off or refused: the next one may be better.
    pub fn store(&self, key: ReplyCacheKey, reply: &ModelReply, now: Time) {
        if matches!(reply.finish, FinishReason::Stop | FinishReason::ToolCalls) {
            let left = self.lock().replies.put(key, reply.clone(), bytes(reply), self.ttl, now);
            drop(left);
        }
    }

    fn lookup(&self, key: &ReplyCacheKey, now: Time) -> ReplyLookup<'_> {
        let mut inner = self.lock();
        if let Some(reply) = inner.replies.find(key, now) {
            return ReplyLookup::Hit(Box::new(reply.clone()));
        }
        if let Some(done) = inner.flights.get(key) {
            return ReplyLookup::InFlight(done.clone());
        }
        let (sender, done) = watch::channel(());
        inner.flights.insert(key.clone(), done);
        ReplyLookup::Miss(CacheFillTurn { cache: self, key: key.clone(), _done: sender })
    }

    fn lock(&self) -> MutexGuard<'_, ReplyCacheState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for CacheFillTurn<'_> {
    fn drop(&mut self) {
        self.cache.lock().flights.remove(&self.key);
    }
}

/// Approximate size: the length of the reply as JSON, which contains all of it.
fn bytes(reply: &ModelReply) -> usize {
    REPLY_BYTES + serde_json::to_string(reply).map_or(0, |text| text.len())
}

/// The cost was charged when the reply was fetched.
fn without_cost(reply: ModelReply) -> ModelReply {
    ModelReply { cost: Usd::ZERO, latency_ms: 0, ..reply }
}

#[cfg(test)]
mod tests;
