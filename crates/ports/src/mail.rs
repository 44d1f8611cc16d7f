//! Mail that Baton itself sends to known people, such as a decision link. It is not sent by tool calls, so no rule,
//! override or default of a tenant applies to it, and its content is not stored.

use async_trait::async_trait;
use baton_core::id::TenantId;

/// A plain-text message.
#[derive(Clone)]
pub struct MailMessage {
    /// Unique for each message.
    pub id: String,
    /// One email address.
    pub to: String,
    /// One line.
    pub subject: String,
    pub text: String,
}

/// Why a message was not delivered, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// The tenant has no mail provider; the text names the missing setting.
    #[error("{0}")]
    NoProvider(String),
    /// The provider refuses this message permanently.
    #[error("{0}")]
    Rejected(String),
    /// The provider could not be reached, or it is unknown whether it accepted the message.
    #[error("{0}")]
    Failed(String),
}

#[async_trait]
pub trait MailSender: Send + Sync {
    /// Sends the message through the tenant's mail provider, once, within the time limit of one attempt.
    async fn send(&self, tenant: &TenantId, letter: &MailMessage) -> Result<(), MailError>;
}
