//! Who comes in: API keys as bearer tokens.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use baton_core::time::Time;
use baton_ports::clock::Clock;
use baton_ports::journal;
use baton_ports::keys::{Hash, Key, Keys};
use sha2::{Digest, Sha256};

/// What every key begins with, so that scanners for leaked secrets can tell one.
const PREFIX: &str = "baton_";
/// How long a key that was looked up is believed; a revoked one may come in for so long.
const BELIEVED: Duration = Duration::from_secs(5);
/// Keys remembered at once.
const REMEMBERED_MAX: usize = 10_000;

/// A new key, before it is shown for the only time.
#[derive(Clone)]
pub struct Minted {
    pub secret: String,
    pub hash: Hash,
}

/// Makes a key of 32 random bytes that the caller brings.
pub fn mint(random: &[u8; 32]) -> Minted {
    let secret = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(random));
    let hash = hash(&secret);
    Minted { secret, hash }
}

fn hash(secret: &str) -> Hash {
    Sha256::digest(secret.as_bytes()).into()
}

/// Why somebody does not come in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("no API key: send it as `Authorization: Bearer KEY`")]
    Missing,
    #[error("this API key is not known here, has expired or was revoked")]
    Invalid,
    #[error(transparent)]
    Unreadable(#[from] journal::Error),
}

/// What a hash was found to be, and until when that is believed.
type Remembered = BTreeMap<Hash, (Time, Option<Arc<Key>>)>;

/// Keys that were looked up a moment ago.
pub struct Known {
    keys: Arc<dyn Keys>,
    clock: Arc<dyn Clock>,
    remembered: Mutex<Remembered>,
}

impl Known {
    pub(crate) fn new(keys: Arc<dyn Keys>, clock: Arc<dyn Clock>) -> Self {
        Self { keys, clock, remembered: Mutex::default() }
    }

    /// The key a request brings, if it opens this door.
    pub(crate) async fn bearer(&self, headers: &HeaderMap) -> Result<Arc<Key>, Refused> {
        let header = headers.get(AUTHORIZATION).ok_or(Refused::Missing)?;
        let text = header.to_str().map_err(|_| Refused::Invalid)?;
        let (scheme, secret) = text.split_once(' ').ok_or(Refused::Missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Refused::Missing);
        }
        let now = self.clock.now();
        let key = self.find(hash(secret.trim()), now).await?;
        key.filter(|key| key.is_valid(now)).ok_or(Refused::Invalid)
    }

    async fn find(&self, hash: Hash, now: Time) -> Result<Option<Arc<Key>>, Refused> {
        if let Some((_, known)) = self.lock().get(&hash).filter(|(until, _)| now < *until) {
            return Ok(known.clone());
        }
        let found = self.keys.find(&hash).await?.map(Arc::new);
        let mut remembered = self.lock();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(hash, (now + BELIEVED, found.clone()));
        Ok(found)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
