//! Posts to addresses that tenants name, and never by accident to an internal one.

use async_trait::async_trait;

/// The response of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostResponse {
    pub status: u16,
    /// The requested delay before the next request, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// Requests to the address are not allowed; retrying does not help.
    #[error("{0}")]
    Rejected(String),
    /// It could not be reached, or did not answer in time; whether it received the request is unknown.
    #[error("{0}")]
    Failed(String),
}

#[async_trait]
pub trait WebhookClient: Send + Sync {
    /// Whether requests to the address are allowed, as far as can be decided before DNS resolution; the error is the
    /// reason.
    fn check(&self, url: &str) -> Result<(), String>;

    /// Posts a JSON body with these headers, within the time limit of one attempt.
    async fn post(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> Result<PostResponse, PostError>;
}
