//! Settings of outgoing webhooks.

use std::time::Duration;

use baton_engine::webhook_delivery::RETRIES_S;
use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookSettings {
    /// Delays before each retry, in seconds. After the last retry the delivery is abandoned.
    pub retry_seconds: Vec<u32>,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self { retry_seconds: RETRIES_S.to_vec() }
    }
}

impl WebhookSettings {
    pub fn retries(&self) -> Vec<Duration> {
        self.retry_seconds.iter().map(|seconds| Duration::from_secs(u64::from(*seconds))).collect()
    }
}
