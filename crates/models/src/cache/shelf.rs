//! Kept replies, by key and by when they were last used.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use baton_core::model::Reply;
use baton_core::time::Time;
use tokio::sync::watch;

use super::Key;

/// About what a reply takes beside its contents.
const REPLY_BYTES: usize = 512;

#[derive(Debug)]
pub(super) struct Shelf {
    replies: HashMap<Key, Kept>,
    /// Keys by the turn they were last used at.
    used: BTreeMap<u64, Key>,
    turn: u64,
    bytes: usize,
    bytes_max: usize,
    ttl: Duration,
    /// Who is being asked for.
    pub flights: HashMap<Key, watch::Receiver<()>>,
}

#[derive(Debug)]
struct Kept {
    reply: Reply,
    bytes: usize,
    at: Time,
    used: u64,
}

impl Shelf {
    pub fn new(bytes_max: usize, ttl: Duration) -> Self {
        Self {
            replies: HashMap::new(),
            used: BTreeMap::new(),
            turn: 0,
            bytes: 0,
            bytes_max,
            ttl,
            flights: HashMap::new(),
        }
    }

    pub fn find(&mut self, key: &Key, now: Time) -> Option<Reply> {
        if self.replies.get(key)?.at + self.ttl <= now {
            self.remove(key);
            return None;
        }
        self.turn += 1;
        let kept = self.replies.get_mut(key)?;
        self.used.remove(&kept.used);
        kept.used = self.turn;
        self.used.insert(self.turn, key.clone());
        Some(kept.reply.clone())
    }

    /// A reply larger than the whole is not kept.
    pub fn put(&mut self, key: Key, reply: Reply, now: Time) {
        self.remove(&key);
        let bytes = bytes(&reply);
        if bytes > self.bytes_max {
            return;
        }
        while self.bytes + bytes > self.bytes_max {
            let Some((_, oldest)) = self.used.first_key_value() else { break };
            let oldest = oldest.clone();
            self.remove(&oldest);
        }
        self.turn += 1;
        self.bytes += bytes;
        self.used.insert(self.turn, key.clone());
        self.replies.insert(key, Kept { reply, bytes, at: now, used: self.turn });
    }

    fn remove(&mut self, key: &Key) {
        if let Some(kept) = self.replies.remove(key) {
            self.used.remove(&kept.used);
            self.bytes -= kept.bytes;
        }
    }
}

/// What it takes, about: its text as JSON, which holds all of it.
fn bytes(reply: &Reply) -> usize {
    REPLY_BYTES + serde_json::to_string(reply).map_or(0, |text| text.len())
}
