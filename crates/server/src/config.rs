//! What `[serve]` of `baton.toml` may say.

use std::num::NonZeroU32;
use std::path::Path;

use axum::http::Uri;
use serde::Deserialize;

use crate::cors::CorsConfig;
use crate::jwt;
use crate::state::{BODY_BYTES_MAX, ServerLimits};
use crate::tls;

const MB: usize = 1 << 20;
/// Of one body.
const BODY_MB_MAX: u32 = (BODY_BYTES_MAX / MB) as u32;

/// Everything has a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServeConfig {
    /// Requests of one key in a minute, where the key itself has no other limit; 0: as many as one likes.
    pub requests_per_minute: u32,
    /// Requests in a minute from one address with keys that are not known here; 0: as many as one likes.
    pub unknown_keys_per_minute: u32,
    /// Megabytes of all request bodies together, of requests that are read or not answered yet; one that comes beyond them
    /// is answered 503. At least 16, which one body may have.
    pub request_bodies_mb: u32,
    /// Tokens of an identity provider's.
    pub jwt: jwt::JwtConfig,
    /// Pages of other origins that may ask.
    pub cors: CorsConfig,
    /// Without it no TLS is spoken.
    pub tls: Option<tls::TlsFiles>,
    /// Where people reach this server, for links in letters: `https://baton.example`. The address that is listened at,
    /// where that is this machine's own and nothing is told.
    pub public_url: Option<String>,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            requests_per_minute: 100,
            unknown_keys_per_minute: 300,
            request_bodies_mb: 256,
            jwt: jwt::JwtConfig::default(),
            cors: CorsConfig::default(),
            tls: None,
            public_url: None,
        }
    }
}

impl ServeConfig {
    /// # Errors
    /// What of it cannot be served, by its name.
    pub fn check(&self) -> Result<(), String> {
        self.cors.check()?;
        if let Some(url) = &self.public_url {
            let parsed = url.parse::<Uri>().ok().filter(|uri| uri.host().is_some() && uri.query().is_none());
            if !parsed.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https"))) {
                return Err(format!("`serve.public_url`: `{url}` is no address; write it as `https://baton.example`"));
            }
        }
        if self.request_bodies_mb < BODY_MB_MAX {
            return Err(format!(
                "request_bodies_mb: {} is less than the {BODY_MB_MAX} that one body may have",
                self.request_bodies_mb
            ));
        }
        self.tls.as_ref().map_or(Ok(()), tls::TlsFiles::check)
    }

    /// What one process takes in, as the settings have it.
    pub fn limits(&self) -> ServerLimits {
        ServerLimits { bodies_bytes: self.request_bodies_mb as usize * MB, ..ServerLimits::default() }
    }

    /// With files found where the project lies.
    #[must_use]
    pub fn resolve_paths(mut self, folder: &Path) -> Self {
        self.tls = self.tls.map(|files| files.resolve_paths(folder));
        self
    }

    pub(crate) fn key_rate(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.requests_per_minute)
    }

    pub(crate) fn unknown_key_rate(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.unknown_keys_per_minute)
    }
}
