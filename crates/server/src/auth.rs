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
use baton_engine::agent_registry::QuotaStatus;
use baton_ports::clock::Clock;
use baton_ports::keys::{ApiKeyRecord, ApiKeyStore, KeyHash};
use baton_ports::{journal, records};
use sha2::{Digest, Sha256};

use crate::config::ServeConfig;
use crate::jwt::{self, JwtVerifier};
use crate::rate_limit::{RequestRateError, TokenBucket, TokenBuckets};

/// What every key begins with, so that scanners for leaked secrets can tell one.
const PREFIX: &str = "baton_";
/// How long a key that was looked up is believed; a revoked one may come in for so long.
const CACHE_TTL: Duration = Duration::from_secs(5);
/// Keys remembered at once, and as many that are not known.
const CACHE_ENTRIES_MAX: usize = 10_000;

/// A new key, before it is shown for the only time.
#[derive(Clone)]
pub struct GeneratedKey {
    pub secret: String,
    pub hash: KeyHash,
}

/// Makes a key of 32 random bytes that the caller brings.
pub fn mint(random: &[u8; 32]) -> GeneratedKey {
    let secret = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(random));
    let hash = hash(&secret);
    GeneratedKey { secret, hash }
}

fn hash(secret: &str) -> KeyHash {
    Sha256::digest(secret.as_bytes()).into()
}

/// Why somebody does not come in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthError {
    #[error("no API key: send it as `Authorization: Bearer KEY`")]
    Missing,
    #[error("this API key is not known here, has expired or was revoked")]
    Invalid,
    #[error("this token is not accepted: {0}")]
    Token(jwt::JwtError),
    #[error("the tenant `{0}` is disabled: nobody of it comes in")]
    Disabled(TenantId),
    #[error(transparent)]
    Journal(#[from] journal::JournalError),
    #[error(transparent)]
    Records(#[from] records::RecordError),
}

/// Somebody who brings a good key, and how often it may ask.
#[derive(Debug)]
pub struct AuthenticatedKey {
    key: ApiKeyRecord,
    /// Nothing: as often as one likes.
    bucket: Option<Arc<TokenBucket>>,
}

impl AuthenticatedKey {
    /// A turn for one request; how the key's own limit stands then, where it has one.
    pub(crate) fn check_rate(&self, now: Time) -> Result<Option<QuotaStatus>, RequestRateError> {
        self.bucket.as_ref().map(|bucket| bucket.take(now)).transpose().map_err(RequestRateError::Key)
    }
}

impl std::ops::Deref for AuthenticatedKey {
    type Target = ApiKeyRecord;

    fn deref(&self) -> &ApiKeyRecord {
        &self.key
    }
}

/// What hashes were found to be, and until when that is believed. Those that are unknown are kept apart: whoever makes them
/// up pushes no good key out.
#[derive(Default)]
struct KeyLookupCache {
    good: BTreeMap<KeyHash, (Time, Arc<AuthenticatedKey>)>,
    unknown: BTreeMap<KeyHash, Time>,
}

impl KeyLookupCache {
    /// What is believed of it now; the inner nothing: that it is unknown.
    fn find(&self, hash: &KeyHash, now: Time) -> Option<Option<Arc<AuthenticatedKey>>> {
        if let Some((_, bearer)) = self.good.get(hash).filter(|(until, _)| now < *until) {
            return Some(Some(bearer.clone()));
        }
        self.unknown.get(hash).filter(|until| now < **until).map(|_| None)
    }

    fn insert(&mut self, hash: KeyHash, found: Option<&Arc<AuthenticatedKey>>, now: Time) {
        let until = now + CACHE_TTL;
        match found {
            Some(bearer) => {
                if self.good.len() >= CACHE_ENTRIES_MAX {
                    self.good.clear();
                }
                self.unknown.remove(&hash);
                self.good.insert(hash, (until, bearer.clone()));
            }
            None => {
                if self.unknown.len() >= CACHE_ENTRIES_MAX {
                    self.unknown.clear();
                }
                self.good.remove(&hash);
                self.unknown.insert(hash, until);
            }
        }
    }
}

/// Keys that were looked up a moment ago.
pub struct KeyAuthenticator {
    keys: Arc<dyn ApiKeyStore>,
    clock: Arc<dyn Clock>,
    /// Of keys that say nothing else.
    per_minute: Option<NonZeroU32>,
    /// By the keys' tenants and ids.
    buckets: TokenBuckets<String>,
    /// Nothing where no tokens are taken.
    pub(crate) tokens: OnceLock<JwtVerifier>,
    cache: Mutex<KeyLookupCache>,
}

impl KeyAuthenticator {
    pub(crate) fn new(keys: Arc<dyn ApiKeyStore>, clock: Arc<dyn Clock>, config: &ServeConfig) -> Self {
        let per_minute = config.key_rate();
        Self {
            keys,
            clock,
            per_minute,
            buckets: TokenBuckets::default(),
            tokens: OnceLock::new(),
            cache: Mutex::default(),
        }
    }

    /// The key a request brings, if it opens this door.
    pub(crate) async fn authenticate(&self, headers: &HeaderMap) -> Result<Arc<AuthenticatedKey>, AuthError> {
        let header = headers.get(AUTHORIZATION).ok_or(AuthError::Missing)?;
        let text = header.to_str().map_err(|_| AuthError::Invalid)?;
        let (scheme, secret) = text.split_once(' ').ok_or(AuthError::Missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(AuthError::Missing);
        }
        let now = self.clock.now();
        let key = self.find(secret.trim(), now).await?;
        key.filter(|key| key.is_valid(now)).ok_or(AuthError::Invalid)
    }

    async fn find(&self, secret: &str, now: Time) -> Result<Option<Arc<AuthenticatedKey>>, AuthError> {
        let hash = hash(secret);
        let believed = self.lock().find(&hash, now);
        if let Some(known) = believed {
            return Ok(known);
        }
        let key = match self.tokens.get().filter(|_| JwtVerifier::is_token(secret)) {
            // One that is refused is judged anew each time: it may be good in a moment.
            Some(judge) => Some(judge.authenticate(secret).await.map_err(AuthError::Token)?),
            None => self.keys.find(&hash).await?,
        };
        let found = key.map(|key| Arc::new(self.build_key(key, now)));
        self.lock().insert(hash, found.as_ref(), now);
        Ok(found)
    }

    fn build_key(&self, key: ApiKeyRecord, now: Time) -> AuthenticatedKey {
        let per_minute = key.per_minute.map_or(self.per_minute, NonZeroU32::new);
        // Subjects of two tenants may have one name.
        let of = || format!("{}/{}", key.tenant, key.id);
        let bucket = per_minute.map(|per_minute| self.buckets.of(of(), per_minute, now));
        AuthenticatedKey { key, bucket }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, KeyLookupCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
