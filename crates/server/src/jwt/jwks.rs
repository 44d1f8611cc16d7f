//! The keys of an identity provider. They are fetched when an unknown key is needed, cached, and fetched again
//! periodically, so that the provider can rotate them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use baton_core::time::Time;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{JwtConfig, JwtError};

/// Timeout of a request to the provider.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum size of its response in bytes, and maximum number of keys in it.
const BYTES_MAX: usize = 256 << 10;
const KEYS_MAX: usize = 100;

pub(super) struct JwksClient {
    url: String,
    client: reqwest::Client,
    used_for: Duration,
    pause: Duration,
    cache: RwLock<JwksCache>,
    /// When the keys were last requested. One task fetches at a time; others that need the same keys wait for it.
    requested_at: Mutex<Option<Time>>,
}

#[derive(Default)]
struct JwksCache {
    /// By key id. A key without an id is under the empty string.
    keys: BTreeMap<String, Arc<RsaPublicKey>>,
    fetched_at: Option<Time>,
}

#[derive(Debug)]
pub(super) struct RsaPublicKey {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<JsonWebKey>,
}

/// A key of the set. Keys of other types than RSA lack the last fields.
#[derive(Deserialize)]
struct JsonWebKey {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl JwksClient {
    pub fn new(url: &str, config: &JwtConfig) -> Result<Self, String> {
        let is_one = reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !is_one {
            return Err(format!("serve.jwt.jwks_url: `{url}` is no address of http or https"));
        }
        // Only the first installation takes effect.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client =
            reqwest::Client::builder().timeout(FETCH_TIMEOUT).redirect(reqwest::redirect::Policy::none()).build();
        Ok(Self {
            url: url.to_owned(),
            client: client.map_err(|error| format!("serve.jwt.jwks_url: {error}"))?,
            used_for: Duration::from_secs(config.jwks_seconds),
            pause: Duration::from_secs(config.jwks_pause_seconds),
            cache: RwLock::default(),
            requested_at: Mutex::new(None),
        })
    }

    /// Verifies a signature with the key of this id. If the token names no key, the only key of the set is used.
    pub async fn verify(&self, kid: Option<&str>, signed: &[u8], signature: &[u8], now: Time) -> Result<(), JwtError> {
        let key = self.key(kid, now).await.ok_or("the key it is signed with is not known here (`kid`)")?;
        let key = RsaPublicKeyComponents { n: &key.modulus, e: &key.exponent };
        key.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature).map_err(|_| "its signature is not good")
    }

    async fn key(&self, kid: Option<&str>, now: Time) -> Option<Arc<RsaPublicKey>> {
        if let Some(fresh) = self.with_cache(|known| known.find(kid).filter(|_| known.is_fresh(now, self.used_for))) {
            return Some(fresh);
        }
        self.refresh(now).await;
        self.with_cache(|known| known.find(kid))
    }

    /// Fetches the keys, unless that was attempted a moment ago. If it fails, the cached keys remain in use.
    async fn refresh(&self, now: Time) {
        let mut asked_at = self.requested_at.lock().await;
        if asked_at.is_some_and(|asked| now.since(asked) < self.pause) {
            return;
        }
        *asked_at = Some(now);
        match self.fetch().await {
            Ok(keys) => {
                let mut known = self.cache.write().unwrap_or_else(PoisonError::into_inner);
                *known = JwksCache { keys, fetched_at: Some(now) };
            }
            Err(error) => tracing::warn!(%error, url = self.url, "the keys of tokens cannot be had"),
        }
    }

    async fn fetch(&self) -> Result<BTreeMap<String, Arc<RsaPublicKey>>, String> {
        let failed = |error: reqwest::Error| error.without_url().to_string();
        let mut answer =
            self.client.get(&self.url).send().await.and_then(reqwest::Response::error_for_status).map_err(failed)?;
        let mut text = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(failed)? {
            text.extend_from_slice(&piece);
            if text.len() > BYTES_MAX {
                return Err(format!("the answer is larger than {BYTES_MAX} bytes"));
            }
        }
        read(&text)
    }

    fn with_cache<T>(&self, at: impl FnOnce(&JwksCache) -> T) -> T {
        at(&self.cache.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl JwksCache {
    fn is_fresh(&self, now: Time, used_for: Duration) -> bool {
        self.fetched_at.is_some_and(|heard| now.since(heard) < used_for)
    }

    fn find(&self, kid: Option<&str>) -> Option<Arc<RsaPublicKey>> {
        match kid {
            Some(kid) => self.keys.get(kid).cloned(),
            None if self.keys.len() == 1 => self.keys.values().next().cloned(),
            None => None,
        }
    }
}

/// The RSA signing keys of a JWK set. Keys of other kinds are skipped, because providers list them alongside.
pub(super) fn read(text: &[u8]) -> Result<BTreeMap<String, Arc<RsaPublicKey>>, String> {
    let set: JwkSet = serde_json::from_slice(text).map_err(|error| format!("the answer is no set of keys: {error}"))?;
    let rsa = set.keys.into_iter().take(KEYS_MAX).filter(JsonWebKey::signs_by_rs256);
    Ok(rsa.filter_map(|key| Some((key.kid.clone().unwrap_or_default(), Arc::new(key.to_rsa_key()?)))).collect())
}

impl JsonWebKey {
    fn signs_by_rs256(&self) -> bool {
        self.kty == "RSA"
            && self.alg.as_deref().is_none_or(|alg| alg == "RS256")
            && self.usage.as_deref().is_none_or(|usage| usage == "sig")
    }

    fn to_rsa_key(&self) -> Option<RsaPublicKey> {
        let number = |text: &Option<String>| {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(text.as_deref()?).ok()?;
            let begins = bytes.iter().position(|byte| *byte != 0)?;
            Some(bytes[begins..].to_vec())
        };
        Some(RsaPublicKey { modulus: number(&self.n)?, exponent: number(&self.e)? })
    }
}
