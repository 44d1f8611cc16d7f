//! Apps of an external service whose actions are tools, and the accounts that people connect to them.

use async_trait::async_trait;
use baton_core::id::TenantId;
use serde::Serialize;
use serde_json::Value;

use crate::records;

/// Why a connection request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionError {
    /// Correct the settings or the request.
    #[error("{reason}")]
    Rejected { reason: String },
    /// The service could not be reached, or answered with an error: try again, or read its message.
    #[error("Composio: {reason}")]
    Unavailable { reason: String },
    /// The stored connection could not be read or written.
    #[error("{reason}")]
    Storage { reason: String },
}

impl From<records::RecordError> for ConnectionError {
    fn from(error: records::RecordError) -> Self {
        Self::Storage { reason: error.to_string() }
    }
}

/// An app that the settings select.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AppListing {
    /// Its slug: `shopify`.
    pub name: String,
    pub display_name: String,
    /// Empty if the service cannot be reached.
    pub description: String,
    pub category: String,
    pub total_actions: usize,
    /// Without the app's name as prefix.
    pub available_actions: Vec<String>,
    /// The tenant has a connected account that performs actions.
    pub is_connected: bool,
    pub logo_url: Option<String>,
}

/// An action of an app.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AppAction {
    pub app_name: String,
    /// Without the app's name as prefix; the tool is `APP.ACTION`.
    pub action_name: String,
    pub display_name: String,
    pub description: String,
    /// JSON Schema of each parameter by name, with whether it is `required`.
    pub parameters: Value,
    /// Whether it needs a connected account.
    pub requires_auth: bool,
}

/// The link at which a person connects an account.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuthorizationLink {
    pub authorization_url: String,
    pub connection_id: String,
    /// In the service's own format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// A request to connect an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionRequest<'w> {
    pub app: &'w str,
    /// The owner of the account: `company`, `user:ID`, `conversation:ID`, `agent:NAME` or `name:NAME`; anything else is
    /// a user's id.
    pub entity: &'w str,
    /// Where the browser is redirected afterwards; `None` means Baton's own callback endpoint, if browsers can reach
    /// it.
    pub callback: Option<&'w str>,
    /// An unguessable value for Baton's own callback endpoint.
    pub state: &'w str,
}

/// Every method works on one tenant.
#[async_trait]
pub trait AppConnections: Send + Sync {
    /// The selected apps, by name; none if the service is not used.
    async fn apps(&self, tenant: &TenantId) -> Result<Vec<AppListing>, ConnectionError>;

    /// The actions of all selected apps or of one, by app and name.
    async fn actions(&self, tenant: &TenantId, app: Option<&str>) -> Result<Vec<AppAction>, ConnectionError>;

    /// Actions that match these words, best first, at most `limit`; and why the result is incomplete.
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

    /// The tenant's accounts and their status: as stored or, with `asks`, as the service reports it now.
    async fn accounts(&self, tenant: &TenantId, asks: bool) -> Result<Vec<Value>, ConnectionError>;

    /// Revokes an account and deletes it. Returns the account, if there was one.
    async fn disconnect(&self, tenant: &TenantId, app: &str, entity: &str) -> Result<Option<Value>, ConnectionError>;

    /// Refreshes the actions of every app, or those of the newest versions. Returns what was found for each.
    async fn refresh(&self, tenant: &TenantId, newest: bool) -> Result<Vec<Value>, ConnectionError>;
}
