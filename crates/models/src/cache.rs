//! Replies to requests that were asked before, word for word: off unless the settings ask for it. Callers with the same
//! request at the same time wait for one call together.
//!
//! A reply is found by the tenant and by everything that may change it. A provider's key is no part of that, and never
//! comes here. What is kept is bounded in bytes and in time; the reply that was used longest ago goes first.

mod key;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use baton_core::model::{Finish, Reply};
use baton_core::money::Usd;
use baton_core::run::ModelFault;
use baton_core::shelf::Shelf;
use baton_core::time::{Time, duration_ms};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::fault::{code, transient};
pub(crate) use key::Key;

const BYTES: usize = 64 << 20;
const TTL: Duration = Duration::from_secs(60 * 60);
/// About what a reply takes beside its contents.
const REPLY_BYTES: usize = 512;

/// The section `models.cache` of the settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub enabled: bool,
    /// What is kept at the most.
    pub max_bytes: usize,
    /// How long a reply is kept.
    #[serde(rename = "ttl_ms", with = "duration_ms")]
    pub ttl: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: false, max_bytes: BYTES, ttl: TTL }
    }
}

#[derive(Debug)]
pub(crate) struct Cache {
    ttl: Duration,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    replies: Shelf<Key, Reply>,
    /// Who is being asked for.
    flights: BTreeMap<Key, watch::Receiver<()>>,
}

/// What a caller finds.
enum Found<'c> {
    Reply(Box<Reply>),
    /// Somebody asks already.
    Asked(watch::Receiver<()>),
    /// Nobody does: this caller asks.
    Turn(Turn<'c>),
}

/// The right to ask for a key; given up, the next one has it.
struct Turn<'c> {
    cache: &'c Cache,
    key: Key,
    /// Those who wait see it go.
    _done: watch::Sender<()>,
}

impl Cache {
    pub fn new(settings: &Settings) -> Option<Self> {
        let inner = Inner { replies: Shelf::new(settings.max_bytes), flights: BTreeMap::new() };
        settings.enabled.then(|| Self { ttl: settings.ttl, inner: Mutex::new(inner) })
    }

    /// The kept reply, or what `ask` comes to, which is then kept. `true` where nobody had to be asked for this caller.
    pub async fn reply(
        &self,
        key: Key,
        deadline: Instant,
        now: impl Fn() -> Time,
        ask: impl AsyncFnOnce() -> Result<Reply, ModelFault>,
    ) -> Result<(Reply, bool), ModelFault> {
        loop {
            match self.find(&key, now()) {
                Found::Reply(reply) => return Ok((free(*reply), true)),
                Found::Asked(mut done) => {
                    let late = || transient(code::TIMEOUT, "another call with the same request has no reply yet");
                    // It ends in an error when who asks is gone, which is what is waited for.
                    timeout_at(deadline, done.changed()).await.map_err(|_| late())?.unwrap_or_default();
                }
                Found::Turn(turn) => {
                    let reply = ask().await?;
                    turn.cache.keep(turn.key.clone(), &reply, now());
                    return Ok((reply, false));
                }
            }
        }
    }

    /// Keeps a reply, unless it was cut off or refused: the next one may be better.
    pub fn keep(&self, key: Key, reply: &Reply, now: Time) {
        if matches!(reply.finish, Finish::Stop | Finish::ToolCalls) {
            let left = self.lock().replies.put(key, reply.clone(), bytes(reply), self.ttl, now);
            drop(left);
        }
    }

    fn find(&self, key: &Key, now: Time) -> Found<'_> {
        let mut inner = self.lock();
        if let Some(reply) = inner.replies.find(key, now) {
            return Found::Reply(Box::new(reply.clone()));
        }
        if let Some(done) = inner.flights.get(key) {
            return Found::Asked(done.clone());
        }
        let (sender, done) = watch::channel(());
        inner.flights.insert(key.clone(), done);
        Found::Turn(Turn { cache: self, key: key.clone(), _done: sender })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.cache.lock().flights.remove(&self.key);
    }
}

/// What it takes, about: its text as JSON, which holds all of it.
fn bytes(reply: &Reply) -> usize {
    REPLY_BYTES + serde_json::to_string(reply).map_or(0, |text| text.len())
}

/// It was paid for when it was asked for.
fn free(reply: Reply) -> Reply {
    Reply { cost: Usd::ZERO, latency_ms: 0, ..reply }
}

#[cfg(test)]
mod tests;
