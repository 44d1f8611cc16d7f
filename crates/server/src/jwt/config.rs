//! What `[serve.jwt]` may say.

use std::fmt;

use serde::Deserialize;

/// Bytes of a shared secret: as many as the digest has (RFC 7518, 3.2).
const SECRET_BYTES_MIN: usize = 32;

/// Whose tokens open the door. Without `secret` and `jwks_url` none does.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JwtConfig {
    /// What tokens must say as `iss`.
    pub issuer: String,
    /// What tokens must say as `aud`, alone or among others.
    pub audience: String,
    /// Of tokens that are signed by HS256; 32 bytes or more. Best given as a variable, `BATON_SERVE__JWT__SECRET`.
    pub secret: Option<JwtSecret>,
    /// Where the keys are of tokens that are signed by RS256.
    pub jwks_url: Option<String>,
    /// How long those keys are used before they are asked for again.
    pub jwks_seconds: u64,
    /// A key that is not known is asked for at most this often.
    pub jwks_pause_seconds: u64,
    /// How far the issuer's clock and ours may be apart.
    pub leeway_seconds: u64,
    /// The tenant of every token; without it the claim says which.
    pub tenant: Option<String>,
    pub tenant_claim: String,
    /// A role of ours, or a list with one among others.
    pub role_claim: String,
    /// What people know somebody by.
    pub name_claim: String,
    /// A token that says no scope of ours may do nothing; else it may all that its role may.
    pub require_scopes: bool,
    /// Requests of one subject in a minute; 0: as many as they like.
    pub requests_per_minute: Option<u32>,
}

/// Hidden wherever it is shown.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct JwtSecret(String);

impl JwtSecret {
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for JwtSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl From<&str> for JwtSecret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl Default for JwtConfig {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            audience: String::new(),
            secret: None,
            jwks_url: None,
            jwks_seconds: 300,
            jwks_pause_seconds: 30,
            leeway_seconds: 30,
            tenant: None,
            tenant_claim: "tenant_id".to_owned(),
            role_claim: "role".to_owned(),
            name_claim: "sub".to_owned(),
            require_scopes: false,
            requests_per_minute: None,
        }
    }
}

impl JwtConfig {
    /// Whether tokens are taken at all, or what is wrong.
    pub(super) fn check(&self) -> Result<bool, String> {
        if self.secret.is_none() && self.jwks_url.is_none() {
            return Ok(false);
        }
        let needed = [("issuer", &self.issuer), ("audience", &self.audience)];
        if let Some((name, _)) = needed.into_iter().find(|(_, value)| value.trim().is_empty()) {
            return Err(format!("serve.jwt.{name} is not written, so anybody's tokens would open the door"));
        }
        if let Some(secret) = self.secret.as_ref().filter(|secret| secret.0.len() < SECRET_BYTES_MIN) {
            let found = secret.0.len();
            return Err(format!("serve.jwt.secret has {found} bytes; it takes {SECRET_BYTES_MIN} or more"));
        }
        Ok(true)
    }
}
