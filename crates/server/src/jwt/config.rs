//! The settings under `[serve.jwt]`.

use std::fmt;

use serde::Deserialize;

/// Minimum size of a shared secret in bytes: the size of the digest (RFC 7518, section 3.2).
const SECRET_BYTES_MIN: usize = 32;

/// Which tokens are accepted. Without `secret` and `jwks_url`, none are.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JwtConfig {
    /// The required `iss` claim.
    pub issuer: String,
    /// The audience that must be in the `aud` claim, alone or among others.
    pub audience: String,
    /// The secret of tokens signed with HS256; at least 32 bytes. Preferably set by the variable
    /// `BATON_SERVE__JWT__SECRET`.
    pub secret: Option<JwtSecret>,
    /// The address of the keys for tokens signed with RS256.
    pub jwks_url: Option<String>,
    /// How long these keys are used before they are fetched again, in seconds.
    pub jwks_seconds: u64,
    /// Minimum time between two fetches for an unknown key, in seconds.
    pub jwks_pause_seconds: u64,
    /// The tolerated difference between the issuer's clock and the server's, in seconds.
    pub leeway_seconds: u64,
    /// The tenant of every token. If it is not set, the tenant comes from a claim.
    pub tenant: Option<String>,
    pub tenant_claim: String,
    /// The claim with a role of Baton, or with a list that contains one.
    pub role_claim: String,
    /// The claim with the name by which people know the subject.
    pub name_claim: String,
    /// If set, a token without a known scope has no access. Otherwise it has all scopes of its role.
    pub require_scopes: bool,
    /// Requests per minute of one subject; 0 means no limit.
    pub requests_per_minute: Option<u32>,
}

/// A secret that is redacted in all output.
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
    /// Whether tokens are accepted at all.
    ///
    /// # Errors
    /// An invalid setting.
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
