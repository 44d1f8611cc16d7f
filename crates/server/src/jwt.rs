//! Authentication with JWTs from an identity provider (RFC 7519), signed with HS256 and a shared secret, or with
//! RS256 and a key of the provider's JWKS (RFC 7517).
//!
//! The settings alone decide which algorithms are accepted. An RS256 token is verified only against RSA keys of the
//! JWKS, an HS256 token only against the secret; any other algorithm is refused.

mod config;
mod jwks;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use baton_core::actor;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::clock::Clock;
use baton_ports::keys::{AccessRole, AccessScope, ApiKeyRecord};
use ring::hmac;
use serde::Deserialize;
use serde_json::{Map, Value};

pub use config::JwtConfig;

use jwks::JwksClient;

/// Maximum size of a token, in bytes.
const TOKEN_BYTES_MAX: usize = 8_192;
/// Maximum length of a token's subject and name, in characters.
const NAME_CHARS_MAX: usize = 200;

/// The claims that may carry the scopes: RFC 9068, and a common alternative. The first one present counts.
const SCOPE_CLAIMS: [&str; 2] = ["scope", "scp"];
/// An optional prefix of Baton's scopes, for providers that separate scopes by application.
const SCOPE_PREFIX: &str = "baton:";
const NO_SCOPES: JwtError = "its scopes cannot be read";

/// A token's header. A token with critical extensions is refused, because none are supported.
#[derive(Deserialize)]
struct JwtHeader {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

/// Why a token is refused. The text reveals nothing that the token does not contain itself.
pub(crate) type JwtError = &'static str;

/// Verifies tokens according to the settings.
pub struct JwtVerifier {
    config: JwtConfig,
    secret: Option<hmac::Key>,
    jwks: Option<JwksClient>,
    clock: Arc<dyn Clock>,
}

impl JwtVerifier {
    /// Returns `None` if no provider is configured.
    ///
    /// # Errors
    /// The settings would reject every token, or accept any.
    pub fn new(config: JwtConfig, clock: Arc<dyn Clock>) -> Result<Option<Self>, String> {
        if !config.check()? {
            return Ok(None);
        }
        let secret = config.secret.as_ref().map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.bytes()));
        let jwks = config.jwks_url.as_deref().map(|url| JwksClient::new(url, &config)).transpose()?;
        Ok(Some(Self { config, secret, jwks, clock }))
    }

    /// Whether the text has the form of a token: three parts, the first of which is an object in base64url.
    pub(crate) fn is_token(text: &str) -> bool {
        text.starts_with("eyJ") && text.split('.').count() == 3
    }

    /// Verifies the token and returns it as a key, with its tenant, role and expiry.
    pub(crate) async fn authenticate(&self, token: &str) -> Result<ApiKeyRecord, JwtError> {
        let [head, body, signature] = parts(token)?;
        let header: JwtHeader = serde_json::from_slice(&decode(head)?).map_err(|_| "its header cannot be read")?;
        if header.crit.is_some() {
            return Err("its header says that something is critical which is not known here");
        }
        let signed = &token.as_bytes()[..head.len() + 1 + body.len()];
        let signature = decode(signature)?;
        self.verify(&header, signed, &signature).await?;
        // The claims are read only after the signature is verified.
        let claims: Map<String, Value> =
            serde_json::from_slice(&decode(body)?).map_err(|_| "its claims cannot be read")?;
        self.check_claims(&claims)
    }

    async fn verify(&self, header: &JwtHeader, signed: &[u8], signature: &[u8]) -> Result<(), JwtError> {
        match (header.alg.as_str(), &self.secret, &self.jwks) {
            ("HS256", Some(secret), _) => {
                hmac::verify(secret, signed, signature).map_err(|_| "its signature is not good")
            }
            ("RS256", _, Some(jwks)) => jwks.verify(header.kid.as_deref(), signed, signature, self.clock.now()).await,
            _ => Err("it is signed by an algorithm that is not taken here"),
        }
    }

    fn check_claims(&self, claims: &Map<String, Value>) -> Result<ApiKeyRecord, JwtError> {
        let (now, leeway) = (self.clock.now(), Duration::from_secs(self.config.leeway_seconds));
        let at = |name: &str| claims.get(name).map(|value| parse_time(value).ok_or("a time of it cannot be read"));
        let expires_at = at("exp").ok_or("it does not say when it ends (`exp`)")?? + leeway;
        if now >= expires_at {
            return Err("it has expired");
        }
        for name in ["nbf", "iat"] {
            if at(name).transpose()?.is_some_and(|begins| begins > now + leeway) {
                return Err("it is not good yet");
            }
        }
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if text("iss") != Some(&self.config.issuer) {
            return Err("it is of another issuer (`iss`)");
        }
        if !audience_matches(claims.get("aud"), &self.config.audience) {
            return Err("it is for somebody else (`aud`)");
        }
        let name = text(&self.config.name_claim).filter(|name| is_name(name)).ok_or("it does not say whose it is")?;
        let subject = text("sub").filter(|name| is_name(name)).ok_or("it does not say whose it is (`sub`)")?;
        // `ana` and `ana ` would be two people that no one could tell apart.
        if actor::check_visible(name).is_err() || actor::check_visible(subject).is_err() {
            return Err("whose it is begins or ends with white space, or has a character that cannot be seen");
        }
        if actor::is_reserved(name) {
            return Err("its subject is a name reserved for Baton itself");
        }
        let tenant = match &self.config.tenant {
            Some(tenant) => tenant.as_str(),
            None => text(&self.config.tenant_claim).ok_or("it does not say which tenant it is of")?,
        };
        let tenant = TenantId::parse(tenant).map_err(|_| "its tenant is no name of a tenant")?;
        let role = role(claims.get(&self.config.role_claim)).ok_or("it says no role that is known here")?;
        Ok(ApiKeyRecord {
            id: format!("jwt:{subject}"),
            tenant,
            name: name.to_owned(),
            role,
            created_at: now,
            expires_at: Some(expires_at),
            revoked_at: None,
            per_minute: self.config.requests_per_minute,
            scopes: scopes(claims, self.config.require_scopes)?,
        })
    }
}

fn parts(token: &str) -> Result<[&str; 3], JwtError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err("it is longer than a token may be");
    }
    let parts: Vec<&str> = token.splitn(4, '.').collect();
    parts.try_into().map_err(|_| "it has not three parts")
}

fn decode(part: &str) -> Result<Vec<u8>, JwtError> {
    BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| "a part of it is not base64url")
}

/// Seconds since 1970, possibly fractional.
#[expect(clippy::cast_possible_truncation, reason = "bounded before")]
fn parse_time(value: &Value) -> Option<Time> {
    let seconds = value.as_f64().filter(|seconds| (0.0..1e11).contains(seconds))?;
    Some(Time::from_ms((seconds * 1_000.0) as i64))
}

fn audience_matches(audience: Option<&Value>, us: &str) -> bool {
    match audience {
        Some(Value::String(one)) => one == us,
        Some(Value::Array(several)) => several.iter().any(|one| one == us),
        _ => false,
    }
}

fn is_name(name: &str) -> bool {
    !name.trim().is_empty() && name.chars().count() <= NAME_CHARS_MAX
}

/// The first known role in the claim. Providers often list roles of their own too.
fn role(said: Option<&Value>) -> Option<AccessRole> {
    match said? {
        Value::String(one) => one.split_whitespace().find_map(AccessRole::parse),
        Value::Array(several) => several.iter().filter_map(Value::as_str).find_map(AccessRole::parse),
        _ => None,
    }
}

/// The scopes of a token: the known scope words, alone or as `baton:WORD`. Scopes of other applications are
/// ignored. `None` means all scopes of the role; it applies if the token names no known scope and `must_say` is
/// false.
fn scopes(claims: &Map<String, Value>, must_say: bool) -> Result<Option<BTreeSet<AccessScope>>, JwtError> {
    let said: Vec<&str> = match SCOPE_CLAIMS.into_iter().find_map(|name| claims.get(name)) {
        None => Vec::new(),
        Some(Value::String(words)) => words.split_whitespace().collect(),
        Some(Value::Array(several)) => {
            let words: Option<Vec<&str>> = several.iter().map(Value::as_str).collect();
            words.ok_or(NO_SCOPES)?.into_iter().flat_map(str::split_whitespace).collect()
        }
        Some(_) => return Err(NO_SCOPES),
    };
    let ours = |word: &str| AccessScope::parse(word.strip_prefix(SCOPE_PREFIX).unwrap_or(word));
    let scopes: BTreeSet<AccessScope> = said.into_iter().filter_map(ours).collect();
    Ok((must_say || !scopes.is_empty()).then_some(scopes))
}

#[cfg(test)]
mod tests;
