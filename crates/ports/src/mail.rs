//! Letters that Baton writes itself, to people it knows: a decision link. They are no tool's calls, so no rule, override or
//! default of a tenant reaches them, and nothing of what they say is kept.

use async_trait::async_trait;
use baton_core::id::TenantId;

/// A letter in plain text.
#[derive(Clone)]
pub struct MailMessage {
    /// No two letters have the same.
    pub id: String,
    /// One e-mail address.
    pub to: String,
    /// One line.
    pub subject: String,
    pub text: String,
}

/// Why a letter did not arrive, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// The tenant has nobody who delivers mail; the text says which setting is missing.
    #[error("{0}")]
    NoProvider(String),
    /// The provider does not take this letter, however often it is tried.
    #[error("{0}")]
    Rejected(String),
    /// The provider could not be reached, or it is not known whether it took the letter.
    #[error("{0}")]
    Failed(String),
}

#[async_trait]
pub trait MailSender: Send + Sync {
    /// Sends it by the tenant's mail provider, once, within the time one attempt has.
    async fn send(&self, tenant: &TenantId, letter: &MailMessage) -> Result<(), MailError>;
}
