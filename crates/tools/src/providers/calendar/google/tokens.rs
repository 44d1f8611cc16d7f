//! Access tokens: one at a time, cached until shortly before it expires.

use std::sync::Arc;
use std::time::Duration;

use baton_core::tool::EffectClass;
use baton_ports::clock::Clock;
use serde_json::Value;
use tokio::sync::Mutex;

use super::credentials::GoogleCredentials;
use crate::code;
use crate::config::SecretString;
use crate::tool_error::ToolError;
use crate::vendor::VendorApi;

/// How long before its expiry a token is no longer used.
const EXPIRY_MARGIN: Duration = Duration::from_secs(60);
/// Time-out of a token request.
const LIMIT: Duration = Duration::from_secs(5);
/// Assumed lifetime of a token whose response states none, in seconds.
const DEFAULT_LIFETIME_SECONDS: i64 = 300;

pub(super) struct AccessTokenCache {
    credentials: GoogleCredentials,
    vendor: VendorApi,
    clock: Arc<dyn Clock>,
    /// Locked during a fetch, so that concurrent callers send one request.
    cached: Mutex<Option<AccessToken>>,
}

struct AccessToken {
    secret: SecretString,
    /// Milliseconds since the epoch.
    until: i64,
}

impl AccessTokenCache {
    pub(super) fn new(credentials: GoogleCredentials, vendor: VendorApi, clock: Arc<dyn Clock>) -> Self {
        Self { credentials, vendor, clock, cached: Mutex::new(None) }
    }

    /// Returns a valid token. If the service has refused `refused`, returns another one.
    pub(super) async fn token(&self, refused: Option<&SecretString>) -> Result<SecretString, ToolError> {
        let mut kept = self.cached.lock().await;
        let early = i64::try_from(EXPIRY_MARGIN.as_millis()).unwrap_or(0);
        let good = |token: &&AccessToken| {
            let is_refused = refused == Some(&token.secret);
            token.until - early > self.clock.now().as_ms() && !is_refused
        };
        if let Some(token) = kept.as_ref().filter(good) {
            return Ok(token.secret.clone());
        }
        // If this future is dropped, the next caller fetches.
        *kept = None;
        let token = self.fetch().await?;
        let secret = token.secret.clone();
        *kept = Some(token);
        Ok(secret)
    }

    async fn fetch(&self) -> Result<AccessToken, ToolError> {
        let now = self.clock.now().as_ms();
        let not_ours = |message: String| ToolError::permanent(code::CALENDAR_NOT_CONFIGURED, message);
        let grant = self.credentials.grant(now.div_euclid(1_000)).map_err(not_ours)?;
        let fields: Vec<(&str, &str)> = grant.fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let ask = self.vendor.post(&[]).form(&fields).timeout(LIMIT);
        let ask = grant.secrets.iter().fold(ask, |ask, secret| ask.redacting(secret));
        let body = ask.send(EffectClass::Read).await?.value();
        let Some(text) = body.get("access_token").and_then(Value::as_str).filter(|text| !text.is_empty()) else {
            return Err(ToolError::transient(code::CALENDAR_UNAVAILABLE, "the token's answer has no `access_token`"));
        };
        let lasts = body.get("expires_in").and_then(Value::as_i64).unwrap_or(DEFAULT_LIFETIME_SECONDS).clamp(0, 86_400);
        Ok(AccessToken { secret: SecretString::new(text), until: now + lasts * 1_000 })
    }
}
