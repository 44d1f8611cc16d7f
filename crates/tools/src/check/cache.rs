//! Stage: the same was asked a little while ago, and the answer still holds.
//!
//! Only what asks is kept, never what acts; each tenant has answers of its own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use baton_core::canonical::{self, Part};
use baton_core::shelf::Shelf;
use baton_core::time::Time;
use serde_json::Value;

use super::Stopped;
use crate::catalogue::Entry;
use crate::config::Permission;
use crate::request::Request;

/// Bytes of memory that answers take, about.
const BYTES_MAX: usize = 64 << 20;
/// What an answer takes beside its own.
const ANSWER_BYTES: usize = 256;

/// SHA-256 over all that an answer may depend on.
type Key = [u8; 32];

/// Answers kept in this process. Whoever asked first has the same one, and whoever asks again is given it.
pub(crate) struct Answers(Mutex<Shelf<Key, Arc<Value>>>);

/// Where an answer belongs, and for how long it holds.
pub(crate) struct Place {
    key: Key,
    holds_for: Duration,
}

/// Answers from what is kept, or says where the answer will belong.
pub(super) fn check(
    answers: &Answers,
    permission: Option<&Permission>,
    request: &Request,
    entry: &Arc<Entry>,
    now: Time,
) -> Result<Option<Place>, Stopped> {
    let told = permission.and_then(|permission| permission.cache_seconds).map(Duration::from_secs);
    let holds_for = told.or(entry.cache).unwrap_or_default();
    // What people answered is no argument: the same arguments may come to something else.
    if holds_for.is_zero() || request.call.class.acts() || !request.call.replies.is_empty() {
        return Ok(None);
    }
    let key = key(request, entry);
    match answers.find(&key, now) {
        Some(output) => Err(Stopped::Known { output, entry: entry.clone() }),
        None => Ok(Some(Place { key, holds_for })),
    }
}

fn key(request: &Request, entry: &Entry) -> Key {
    let call = &request.call;
    // What a tool answered that was replaced meanwhile, or taken away, is no answer of the one that has its name now.
    let made = entry.made.to_string();
    let asked = [
        Part::Text(Some(call.tenant.as_str())),
        Part::Text(Some(&entry.name)),
        Part::Text(Some(&made)),
        Part::Value(&call.arguments),
        Part::Text(Some(&request.zone)),
        Part::Text(Some(request.language.tag())),
        Part::Text(call.agent.as_deref()),
        Part::Text(call.provider.as_deref()),
        // What may be known of one person is not told to another.
        Part::Text(call.caller.user_id.as_deref()),
        Part::Text(call.caller.conversation_id.as_deref()),
        Part::Text(call.caller.entity_id_source.as_deref()),
    ];
    canonical::digest_of_list(asked)
}

impl Answers {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Shelf::new(BYTES_MAX)))
    }

    fn find(&self, key: &Key, now: Time) -> Option<Arc<Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).find(key, now).cloned()
    }

    /// `bytes` is what the answer takes in memory.
    pub(crate) fn keep(&self, place: Place, output: Arc<Value>, bytes: usize, now: Time) {
        let bytes = ANSWER_BYTES + bytes;
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = shelf.put(place.key, output, bytes, place.holds_for, now);
        drop(shelf);
        // A large one takes its time to be given up, and nobody waits for that.
        drop(left);
    }
}
