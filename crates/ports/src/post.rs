//! Posting to addresses that tenants name, and never by accident to one inside.

use async_trait::async_trait;

/// What an address answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostResponse {
    pub status: u16,
    /// How many milliseconds it asks to wait before the next.
    pub retry_after_ms: Option<u64>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// The address may not be asked, however often it is tried.
    #[error("{0}")]
    Rejected(String),
    /// It could not be reached, or did not answer in time; whether it was heard is not known.
    #[error("{0}")]
    Failed(String),
}

#[async_trait]
pub trait WebhookClient: Send + Sync {
    /// Whether the address may be asked, as far as can be said before it is looked up; the error is the reason.
    fn check(&self, url: &str) -> Result<(), String>;

    /// Posts a body of JSON with these headers, within the time one attempt has.
    async fn post(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> Result<PostResponse, PostError>;
}
