//! Apps of a service outside whose actions are tools, and the accounts that people connect to them.

use async_trait::async_trait;
use baton_core::id::TenantId;
use serde::Serialize;
use serde_json::Value;

use crate::records;

/// Why it was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionError {
    /// Correct the settings or the request.
    #[error("{reason}")]
    Rejected { reason: String },
    /// The service could not be asked, or answered with an error: try again, or look at what it says.
    #[error("Composio: {reason}")]
    Unavailable { reason: String },
    /// What is kept of it could not be read or written.
    #[error("{reason}")]
    Storage { reason: String },
}

impl From<records::RecordError> for ConnectionError {
    fn from(error: records::RecordError) -> Self {
        Self::Storage { reason: error.to_string() }
    }
}

/// An app that the settings choose.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AppListing {
    /// Its slug: `shopify`.
    pub name: String,
    pub display_name: String,
    /// Empty where the service cannot be asked.
    pub description: String,
    pub category: String,
    pub total_actions: usize,
    /// Without the app's name before them.
    pub available_actions: Vec<String>,
    /// Somebody of the tenant has connected an account that performs actions.
    pub is_connected: bool,
    pub logo_url: Option<String>,
}

/// What an app can do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AppAction {
    pub app_name: String,
    /// Without the app's name before it; the tool is `APP.ACTION`.
    pub action_name: String,
    pub display_name: String,
    pub description: String,
    /// JSON Schema of each parameter by name, with whether it is `required`.
    pub parameters: Value,
    /// Whether it needs a connected account.
    pub requires_auth: bool,
}

/// Where a person goes to connect an account.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuthorizationLink {
    pub authorization_url: String,
    pub connection_id: String,
    /// As the service writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// A request to connect an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionRequest<'w> {
    pub app: &'w str,
    /// Whose account it is: `company`, `user:ID`, `conversation:ID`, `agent:NAME` or `name:NAME`; anything else is a user's id.
    pub entity: &'w str,
    /// Where the person's browser goes then; nothing: to our own door, where browsers reach it.
    pub callback: Option<&'w str>,
    /// What nobody can guess, for our own door.
    pub state: &'w str,
}

/// Everything is one tenant's.
#[async_trait]
pub trait AppConnections: Send + Sync {
    /// The apps that are chosen, by name; none where the service is not used.
    async fn apps(&self, tenant: &TenantId) -> Result<Vec<AppListing>, ConnectionError>;

    /// The actions of all apps or of one that is chosen, by app and name.
    async fn actions(&self, tenant: &TenantId, app: Option<&str>) -> Result<Vec<AppAction>, ConnectionError>;

    /// Actions that these words fit, the best first, at most so many; and why that is less than it could be.
    async fn search(
        &self,
        tenant: &TenantId,
        words: &str,
        limit: usize,
    ) -> Result<(Vec<AppAction>, Option<String>), ConnectionError>;

    async fn connect(
        &self,
        tenant: &TenantId,
        wish: ConnectionRequest<'_>,
    ) -> Result<AuthorizationLink, ConnectionError>;

    /// The tenant's accounts and how they stand: as it is kept, or, where `asks`, as the service says now.
    async fn accounts(&self, tenant: &TenantId, asks: bool) -> Result<Vec<Value>, ConnectionError>;

    /// Revokes an account and forgets it; what it was, where there was one.
    async fn disconnect(&self, tenant: &TenantId, app: &str, entity: &str) -> Result<Option<Value>, ConnectionError>;

    /// Looks up the actions of every app now, or of the newest versions; what was found of each.
    async fn refresh(&self, tenant: &TenantId, newest: bool) -> Result<Vec<Value>, ConnectionError>;
}
