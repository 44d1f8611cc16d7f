//! The keys of an identity provider: asked for when one is needed that is not known, kept, and asked for again in time, so
//! that a provider may change them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use baton_core::time::Time;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{Config, Why};

/// How long a provider may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of its answer, and keys in it.
const BYTES_MAX: usize = 256 << 10;
const KEYS_MAX: usize = 100;

pub(super) struct Jwks {
    url: String,
    client: reqwest::Client,
    used_for: Duration,
    pause: Duration,
    known: RwLock<Known>,
    /// When it was asked for last. One asks at a time; whoever needs the same waits for that one.
    asked_at: Mutex<Option<Time>>,
}

#[derive(Default)]
struct Known {
    /// By their ids; one without is under nothing.
    keys: BTreeMap<String, Arc<Public>>,
    heard_at: Option<Time>,
}

#[derive(Debug)]
pub(super) struct Public {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Written>,
}

/// A key as it is written; of other kinds than RSA the rest is not there.
#[derive(Deserialize)]
struct Written {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl Jwks {
    pub fn new(url: &str, config: &Config) -> Result<Self, String> {
        let is_one = reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !is_one {
            return Err(format!("serve.jwt.jwks_url: `{url}` is no address of http or https"));
        }
        // The first that was named stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build();
        Ok(Self {
            url: url.to_owned(),
            client: client.map_err(|error| format!("serve.jwt.jwks_url: {error}"))?,
            used_for: Duration::from_secs(config.jwks_seconds),
            pause: Duration::from_secs(config.jwks_pause_seconds),
            known: RwLock::default(),
            asked_at: Mutex::new(None),
        })
    }

    /// Holds a signature against the key of this id; where the token names none, against the only one there is.
    pub async fn verify(&self, kid: Option<&str>, signed: &[u8], signature: &[u8], now: Time) -> Result<(), Why> {
        let key = self.key(kid, now).await.ok_or("the key it is signed with is not known here (`kid`)")?;
        let key = RsaPublicKeyComponents { n: &key.modulus, e: &key.exponent };
        key.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature).map_err(|_| "its signature is not good")
    }

    async fn key(&self, kid: Option<&str>, now: Time) -> Option<Arc<Public>> {
        if let Some(fresh) = self.look(|known| known.find(kid).filter(|_| known.is_fresh(now, self.used_for))) {
            return Some(fresh);
        }
        self.ask(now).await;
        self.look(|known| known.find(kid))
    }

    /// Asks for the keys, unless that was done a moment ago. Where they cannot be had, those that are known are used on.
    async fn ask(&self, now: Time) {
        let mut asked_at = self.asked_at.lock().await;
        if asked_at.is_some_and(|asked| now.since(asked) < self.pause) {
            return;
        }
        *asked_at = Some(now);
        match self.heard().await {
            Ok(keys) => {
                let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
                *known = Known { keys, heard_at: Some(now) };
            }
            Err(error) => tracing::warn!(%error, url = self.url, "the keys of tokens cannot be had"),
        }
    }

    async fn heard(&self) -> Result<BTreeMap<String, Arc<Public>>, String> {
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

    fn look<T>(&self, at: impl FnOnce(&Known) -> T) -> T {
        at(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Known {
    fn is_fresh(&self, now: Time, used_for: Duration) -> bool {
        self.heard_at.is_some_and(|heard| now.since(heard) < used_for)
    }

    fn find(&self, kid: Option<&str>) -> Option<Arc<Public>> {
        match kid {
            Some(kid) => self.keys.get(kid).cloned(),
            None if self.keys.len() == 1 => self.keys.values().next().cloned(),
            None => None,
        }
    }
}

/// The RSA keys that sign, of a set in JSON. Others are nobody's mistake: providers list them beside.
pub(super) fn read(text: &[u8]) -> Result<BTreeMap<String, Arc<Public>>, String> {
    let set: Set = serde_json::from_slice(text).map_err(|error| format!("the answer is no set of keys: {error}"))?;
    let rsa = set.keys.into_iter().take(KEYS_MAX).filter(Written::signs_by_rs256);
    Ok(rsa.filter_map(|key| Some((key.kid.clone().unwrap_or_default(), Arc::new(key.public()?)))).collect())
}

impl Written {
    fn signs_by_rs256(&self) -> bool {
        self.kty == "RSA"
            && self.alg.as_deref().is_none_or(|alg| alg == "RS256")
            && self.usage.as_deref().is_none_or(|usage| usage == "sig")
    }

    fn public(&self) -> Option<Public> {
        let number = |text: &Option<String>| {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(text.as_deref()?).ok()?;
            let begins = bytes.iter().position(|byte| *byte != 0)?;
            Some(bytes[begins..].to_vec())
        };
        Some(Public { modulus: number(&self.n)?, exponent: number(&self.e)? })
    }
}
