//! Authentication with bearer tokens: API keys, and JWTs from an identity provider.

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

/// The prefix of every key, so that scanners for leaked secrets can recognise one.
const PREFIX: &str = "baton_";
/// How long a lookup is cached. A revoked key may be accepted for this time.
const CACHE_TTL: Duration = Duration::from_secs(5);
/// Maximum number of cached keys, and of cached unknown hashes.
const CACHE_ENTRIES_MAX: usize = 10_000;

/// A new key, before it is shown for the only time.
#[derive(Clone)]
pub struct GeneratedKey {
    pub secret: String,
    pub hash: KeyHash,
}

/// Creates a key from 32 random bytes that the caller provides.
pub fn mint(random: &[u8; 32]) -> GeneratedKey {
    let secret = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(random));
    let hash = hash(&secret);
    GeneratedKey { secret, hash }
}

fn hash(secret: &str) -> KeyHash {
    Sha256::digest(secret.as_bytes()).into()
}

/// Why authentication failed.
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

/// A valid key, with its rate limit.
#[derive(Debug)]
pub struct AuthenticatedKey {
    key: ApiKeyRecord,
    /// `None` if the key has no rate limit.
    bucket: Option<Arc<TokenBucket>>,
}

impl AuthenticatedKey {
    /// Takes one request from the key's rate limit. Returns its quota, if the key has a limit.
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

/// Cached lookups, with their expiry. Unknown hashes are kept separately, so that made-up keys cannot evict valid
/// ones.
#[derive(Default)]
struct KeyLookupCache {
    good: BTreeMap<KeyHash, (Time, Arc<AuthenticatedKey>)>,
    unknown: BTreeMap<KeyHash, Time>,
}

impl KeyLookupCache {
    /// The cached result. The inner `None` means that the hash is known to be unknown.
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

/// Authenticates keys, with a short-lived cache.
pub struct KeyAuthenticator {
    keys: Arc<dyn ApiKeyStore>,
    clock: Arc<dyn Clock>,
    /// The rate limit of keys without one of their own.
    per_minute: Option<NonZeroU32>,
    /// By tenant and key id.
    buckets: TokenBuckets<String>,
    /// Unset if JWTs are not accepted.
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

    /// Authenticates the key in the request's headers.
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
            // A rejected token is not cached: it may be valid a moment later.
            Some(verifier) => Some(verifier.authenticate(secret).await.map_err(AuthError::Token)?),
            None => self.keys.find(&hash).await?,
        };
        let found = key.map(|key| Arc::new(self.build_key(key, now)));
        self.lock().insert(hash, found.as_ref(), now);
        Ok(found)
    }

    fn build_key(&self, key: ApiKeyRecord, now: Time) -> AuthenticatedKey {
        let per_minute = key.per_minute.map_or(self.per_minute, NonZeroU32::new);
        // Subjects of two tenants may have the same name.
        let of = || format!("{}/{}", key.tenant, key.id);
        let bucket = per_minute.map(|per_minute| self.buckets.of(of(), per_minute, now));
        AuthenticatedKey { key, bucket }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, KeyLookupCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
