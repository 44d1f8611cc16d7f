//! Who comes in: API keys, and tokens of an identity provider's, as bearer tokens.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_engine::roster::Standing;
use baton_ports::clock::Clock;
use baton_ports::keys::{Hash, Key, Keys};
use baton_ports::{journal, records};
use sha2::{Digest, Sha256};

use crate::config::Config;
use crate::jwt::{self, Judge};
use crate::rate::{Bucket, Buckets, NoTurn};

/// What every key begins with, so that scanners for leaked secrets can tell one.
const PREFIX: &str = "baton_";
/// How long a key that was looked up is believed; a revoked one may come in for so long.
const BELIEVED: Duration = Duration::from_secs(5);
/// Keys remembered at once, and as many that are not known.
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
    #[error("this token is not accepted: {0}")]
    Token(jwt::Why),
    #[error("the tenant `{0}` is disabled: nobody of it comes in")]
    Disabled(TenantId),
    #[error(transparent)]
    Unreadable(#[from] journal::Error),
    #[error(transparent)]
    Untold(#[from] records::Error),
}

/// Somebody who brings a good key, and how often it may ask.
#[derive(Debug)]
pub struct Bearer {
    key: Key,
    /// Nothing: as often as one likes.
    bucket: Option<Arc<Bucket>>,
}

impl Bearer {
    /// A turn for one request; how the key's own limit stands then, where it has one.
    pub(crate) fn turn(&self, now: Time) -> Result<Option<Standing>, NoTurn> {
        self.bucket.as_ref().map(|bucket| bucket.take(now)).transpose().map_err(NoTurn::Key)
    }
}

impl std::ops::Deref for Bearer {
    type Target = Key;

    fn deref(&self) -> &Key {
        &self.key
    }
}

/// What hashes were found to be, and until when that is believed. Those that are unknown are kept apart: whoever makes them
/// up pushes no good key out.
#[derive(Default)]
struct Remembered {
    good: BTreeMap<Hash, (Time, Arc<Bearer>)>,
    unknown: BTreeMap<Hash, Time>,
}

impl Remembered {
    /// What is believed of it now; the inner nothing: that it is unknown.
    fn find(&self, hash: &Hash, now: Time) -> Option<Option<Arc<Bearer>>> {
        if let Some((_, bearer)) = self.good.get(hash).filter(|(until, _)| now < *until) {
            return Some(Some(bearer.clone()));
        }
        self.unknown.get(hash).filter(|until| now < **until).map(|_| None)
    }

    fn keep(&mut self, hash: Hash, found: Option<&Arc<Bearer>>, now: Time) {
        let until = now + BELIEVED;
        match found {
            Some(bearer) => {
                if self.good.len() >= REMEMBERED_MAX {
                    self.good.clear();
                }
                self.unknown.remove(&hash);
                self.good.insert(hash, (until, bearer.clone()));
            }
            None => {
                if self.unknown.len() >= REMEMBERED_MAX {
                    self.unknown.clear();
                }
                self.good.remove(&hash);
                self.unknown.insert(hash, until);
            }
        }
    }
}

/// Keys that were looked up a moment ago.
pub struct Known {
    keys: Arc<dyn Keys>,
    clock: Arc<dyn Clock>,
    /// Of keys that say nothing else.
    per_minute: Option<NonZeroU32>,
    /// By the keys' tenants and ids.
    buckets: Buckets<String>,
    /// Nothing where no tokens are taken.
    pub(crate) tokens: OnceLock<Judge>,
    remembered: Mutex<Remembered>,
}

impl Known {
    pub(crate) fn new(keys: Arc<dyn Keys>, clock: Arc<dyn Clock>, config: &Config) -> Self {
        let per_minute = config.per_key();
        Self {
            keys,
            clock,
            per_minute,
            buckets: Buckets::default(),
            tokens: OnceLock::new(),
            remembered: Mutex::default(),
        }
    }

    /// The key a request brings, if it opens this door.
    pub(crate) async fn bearer(&self, headers: &HeaderMap) -> Result<Arc<Bearer>, Refused> {
        let header = headers.get(AUTHORIZATION).ok_or(Refused::Missing)?;
        let text = header.to_str().map_err(|_| Refused::Invalid)?;
        let (scheme, secret) = text.split_once(' ').ok_or(Refused::Missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Refused::Missing);
        }
        let now = self.clock.now();
        let key = self.find(secret.trim(), now).await?;
        key.filter(|key| key.is_valid(now)).ok_or(Refused::Invalid)
    }

    async fn find(&self, secret: &str, now: Time) -> Result<Option<Arc<Bearer>>, Refused> {
        let hash = hash(secret);
        let believed = self.lock().find(&hash, now);
        if let Some(known) = believed {
            return Ok(known);
        }
        let key = match self.tokens.get().filter(|_| Judge::is_token(secret)) {
            // One that is refused is judged anew each time: it may be good in a moment.
            Some(judge) => Some(judge.key(secret).await.map_err(Refused::Token)?),
            None => self.keys.find(&hash).await?,
        };
        let found = key.map(|key| Arc::new(self.bearing(key, now)));
        self.lock().keep(hash, found.as_ref(), now);
        Ok(found)
    }

    fn bearing(&self, key: Key, now: Time) -> Bearer {
        let per_minute = key.per_minute.map_or(self.per_minute, NonZeroU32::new);
        // Subjects of two tenants may have one name.
        let of = || format!("{}/{}", key.tenant, key.id);
        let bucket = per_minute.map(|per_minute| self.buckets.of(of(), per_minute, now));
        Bearer { key, bucket }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
