//! Response schemas of Composio.

use serde_json::Value;
use utoipa::ToSchema;

#[derive(ToSchema)]
#[schema(as = Apps)]
pub(in crate::api) struct ComposioAppList {
    apps: Vec<ComposioApp>,
}

/// An app that the settings choose.
#[derive(ToSchema)]
pub(super) struct ComposioApp {
    name: String,
    display_name: String,
    /// Empty where Composio cannot be asked.
    description: String,
    category: String,
    total_actions: u64,
    available_actions: Vec<String>,
    /// Somebody has connected an account that performs actions.
    is_connected: bool,
    logo_url: Option<String>,
}

#[derive(ToSchema)]
#[schema(as = Actions)]
pub(in crate::api) struct ComposioActionList {
    actions: Vec<ComposioAction>,
    /// Nothing on the last page.
    next_cursor: Option<String>,
    /// Why a search is less than it could be.
    degraded_reason: Option<String>,
}

/// What an app can do. It is the tool `APP.ACTION`.
#[derive(ToSchema)]
pub(super) struct ComposioAction {
    app_name: String,
    action_name: String,
    display_name: String,
    description: String,
    /// What is said of each parameter by name, with whether it is `required`.
    #[schema(value_type = Object)]
    parameters: Value,
    /// Whether it needs a connected account.
    requires_auth: bool,
}

/// Where a person goes to connect an account.
#[derive(ToSchema)]
#[schema(as = Connecting)]
pub(in crate::api) struct ConnectionStart {
    authorization_url: String,
    connection_id: String,
    expires_at: Option<String>,
}

#[derive(ToSchema)]
#[schema(as = Connections)]
pub(in crate::api) struct ComposioConnectionList {
    connections: Vec<ComposioConnection>,
}

/// The account that one entity connected to one app.
#[derive(ToSchema)]
pub(super) struct ComposioConnection {
    app: String,
    /// `company`, `user:ID`, `conversation:ID`, `agent:NAME` or `name:NAME`.
    entity: String,
    /// Composio's id of the account.
    account: String,
    /// In Composio's words; only an `ACTIVE` one performs actions.
    state: String,
    reason: Option<String>,
    /// Milliseconds since 1970, as `checked_at`.
    connected_at: i64,
    checked_at: i64,
    /// The account that takes its place once a person has finished connecting it.
    #[schema(value_type = Option<Object>)]
    next: Option<Value>,
}

#[derive(ToSchema)]
#[schema(as = Disconnected)]
pub(in crate::api) struct DisconnectionSchema {
    disconnected: ComposioConnection,
}

#[derive(ToSchema)]
#[schema(as = Refreshed)]
pub(in crate::api) struct ToolkitRefresh {
    toolkits: Vec<DiscoveredToolkit>,
}

#[derive(ToSchema)]
#[schema(as = Discovered)]
pub(super) struct DiscoveredToolkit {
    toolkit: String,
    /// The version that is pinned from now on.
    version: String,
    actions: u64,
    /// What of them is no tool, or not fully.
    #[schema(value_type = Vec<Object>)]
    doubts: Vec<Value>,
}
