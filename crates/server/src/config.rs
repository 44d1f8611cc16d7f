//! What `[serve]` of `baton.toml` may say.

use std::num::NonZeroU32;
use std::path::Path;

use serde::Deserialize;

use crate::cors::Cors;
use crate::jwt;
use crate::tls;

/// Everything has a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Requests of one key in a minute, where the key itself has no other limit; 0: as many as one likes.
    pub requests_per_minute: u32,
    /// Requests in a minute from one address with keys that are not known here; 0: as many as one likes.
    pub unknown_keys_per_minute: u32,
    /// Tokens of an identity provider's.
    pub jwt: jwt::Config,
    /// Pages of other origins that may ask.
    pub cors: Cors,
    /// Without it no TLS is spoken.
    pub tls: Option<tls::Files>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            requests_per_minute: 100,
            unknown_keys_per_minute: 300,
            jwt: jwt::Config::default(),
            cors: Cors::default(),
            tls: None,
        }
    }
}

impl Config {
    /// # Errors
    /// What of it cannot be served, by its name.
    pub fn check(&self) -> Result<(), String> {
        self.cors.check()?;
        self.tls.as_ref().map_or(Ok(()), tls::Files::check)
    }

    /// With files found where the project lies.
    #[must_use]
    pub fn within(mut self, folder: &Path) -> Self {
        self.tls = self.tls.map(|files| files.within(folder));
        self
    }

    pub(crate) fn per_key(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.requests_per_minute)
    }

    pub(crate) fn per_stranger(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.unknown_keys_per_minute)
    }
}
