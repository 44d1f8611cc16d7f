//! Replies to requests that were asked before, word for word: off unless the settings ask for it. Callers with the same
//! request at the same time wait for one call together.
//!
//! A reply is found by the tenant and by everything that may change it. A provider's key is no part of that, and never
//! comes here. What is kept is bounded in bytes and in time; the reply that was used longest ago goes first.

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
/// About what a reply takes beside its contents.
const REPLY_BYTES: usize = 512;

/// The section `models.cache` of the settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheSettings {
    pub enabled: bool,
    /// What is kept at the most.
    pub max_bytes: usize,
    /// How long a reply is kept.
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
    /// Who is being asked for.
    flights: BTreeMap<ReplyCacheKey, watch::Receiver<()>>,
}

/// What a caller finds.
enum ReplyLookup<'c> {
    Hit(Box<ModelReply>),
    /// Somebody asks already.
    InFlight(watch::Receiver<()>),
    /// Nobody does: this caller asks.
    Miss(CacheFillTurn<'c>),
}

/// The right to ask for a key; given up, the next one has it.
struct CacheFillTurn<'c> {
    cache: &'c ReplyCache,
    key: ReplyCacheKey,
    /// Those who wait see it go.
    _done: watch::Sender<()>,
}

impl ReplyCache {
    pub fn new(settings: &CacheSettings) -> Option<Self> {
        let inner = ReplyCacheState { replies: LruCache::new(settings.max_bytes), flights: BTreeMap::new() };
        settings.enabled.then(|| Self { ttl: settings.ttl, inner: Mutex::new(inner) })
    }

    /// The kept reply, or what `ask` comes to, which is then kept. `true` where nobody had to be asked for this caller.
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
                    // It ends in an error when who asks is gone, which is what is waited for.
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

    /// Keeps a reply, unless it was cut off or refused: the next one may be better.
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

/// What it takes, about: its text as JSON, which holds all of it.
fn bytes(reply: &ModelReply) -> usize {
    REPLY_BYTES + serde_json::to_string(reply).map_or(0, |text| text.len())
}

/// It was paid for when it was asked for.
fn without_cost(reply: ModelReply) -> ModelReply {
    ModelReply { cost: Usd::ZERO, latency_ms: 0, ..reply }
}

#[cfg(test)]
mod tests;
