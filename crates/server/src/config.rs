//! The settings under `[serve]` in `baton.toml`.

use std::num::NonZeroU32;
use std::path::Path;

use axum::http::Uri;
use serde::Deserialize;

use crate::cors::CorsConfig;
use crate::jwt;
use crate::state::{BODY_BYTES_MAX, ServerLimits};
use crate::tls;

const MB: usize = 1 << 20;
/// Maximum size of one body, in megabytes.
const BODY_MB_MAX: u32 = (BODY_BYTES_MAX / MB) as u32;

/// The server's settings. All have defaults.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServeConfig {
    /// Requests per minute of one key, if the key has no limit of its own; 0 means no limit.
    pub requests_per_minute: u32,
    /// Requests per minute from one address with unknown keys; 0 means no limit.
    pub unknown_keys_per_minute: u32,
    /// Budget for all request bodies that are being read or not answered yet, in megabytes. A body beyond it is
    /// answered with 503. At least 16, the maximum for one body.
    pub request_bodies_mb: u32,
    /// JWTs from an identity provider.
    pub jwt: jwt::JwtConfig,
    /// Origins whose pages may send requests.
    pub cors: CorsConfig,
    /// Enables TLS.
    pub tls: Option<tls::TlsFiles>,
    /// The address at which people reach this server, for links in mails: `https://baton.example`. If it is not set
    /// and the server listens on a loopback address, that address is used.
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
    /// Checks the settings.
    ///
    /// # Errors
    /// The first invalid setting, by its name.
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

    /// The limits of one process that follow from the settings.
    pub fn limits(&self) -> ServerLimits {
        ServerLimits { bodies_bytes: self.request_bodies_mb as usize * MB, ..ServerLimits::default() }
    }

    /// Resolves relative file paths against the project's folder.
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
