//! Tools from Composio: each action of a toolkit becomes one tool, performed through Composio's REST API (v3).
//!
//! `SHOPIFY_GET_ORDER` becomes `shopify.get_order`. Actions are discovered page by page and stored in records, so a
//! start needs no network and a call loads nothing. Composio keeps the accounts' tokens; only the ids of connected
//! accounts are stored here, by tenant and entity.
//!
//! Composio accepts no idempotency key, so every action with side effects has class `once`: after an unknown outcome,
//! nothing is sent again.

mod account;
mod action;
mod action_store;
mod api;
mod app;
mod callback;
mod config;
mod connect;
mod connections;
mod connections_port;
mod discovery;
mod entity;
mod perform;
mod reconnect;
mod response;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use baton_core::id::TenantId;
use baton_ports::clock::Clock;
use baton_ports::records::RecordStore;
use baton_ports::task_inbox::TaskInbox;

use crate::catalogue::ToolEntry;
use crate::error::ToolSetupError;
use crate::outbound::OutboundClient;
use crate::tool_error::ToolError;
use crate::tool_set::ToolServices;
use crate::vendor::BaseUrl;

use action_store::ActionStore;
use api::ComposioApi;
use app::ConfiguredApp;

pub use account::ConnectionStatus;
pub use baton_ports::connections::ConnectionError;
pub use config::{AppConfig, ComposioConfig, EntitySource};
pub use connect::ConnectLink;
pub use connections::{AppConnection, PendingAccount};
pub use discovery::DiscoveryReport;
pub use entity::ComposioEntity;

/// Maximum size of a Composio response, in bytes: a page of actions with their schemas.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Composio as a source of tools: its settings, its API client and its stored state.
pub struct ComposioSource {
    api: ComposioApi,
    apps: BTreeMap<String, ConfiguredApp>,
    /// Tools by the slugs of their actions, as of the last load.
    names: RwLock<HashMap<String, Arc<str>>>,
    refresh_after: Duration,
    /// The base URL at which browsers reach this server.
    callback_base: Option<BaseUrl>,
    records: Arc<dyn RecordStore>,
    desk: Option<Arc<dyn TaskInbox>>,
    clock: Arc<dyn Clock>,
}

impl ComposioSource {
    /// Creates the source. Returns `None` if no toolkit is configured.
    ///
    /// # Errors
    /// The settings are invalid.
    pub(crate) fn new(
        config: &ComposioConfig,
        outbound: &crate::outbound::OutboundConfig,
        services: &ToolServices,
    ) -> Result<Option<Self>, ToolSetupError> {
        let wrong = |reason| ToolSetupError::Setting { place: "composio", reason };
        let apps = config.apps().map_err(wrong)?;
        if apps.is_empty() {
            return Ok(None);
        }
        let bytes = outbound.response_bytes_max.max(ANSWER_BYTES_MAX);
        let outbound = crate::outbound::OutboundConfig { response_bytes_max: bytes, ..outbound.clone() };
        Ok(Some(Self {
            api: ComposioApi::new(config, Arc::new(OutboundClient::new(outbound))),
            apps,
            names: RwLock::default(),
            refresh_after: config.refresh_after(),
            callback_base: config.callback_base.clone(),
            records: services.records.clone(),
            desk: services.task_inbox.clone(),
            clock: services.clock.clone(),
        }))
    }

    /// Returns whether a tool of this name may belong to Composio.
    pub(crate) fn may_provide(&self, tool: &str) -> bool {
        tool.split_once('.').is_some_and(|(app, _)| self.apps.contains_key(app))
    }

    /// The configured toolkits.
    pub fn toolkits(&self) -> impl Iterator<Item = &str> {
        self.apps.keys().map(String::as_str)
    }

    /// Returns whether an API key is configured.
    pub fn has_key(&self) -> bool {
        self.api.has_key()
    }

    /// Returns the tools of all stored actions.
    pub(crate) async fn entries(self: &Arc<Self>, tenant: &TenantId) -> Result<Vec<ToolEntry>, ConnectionError> {
        let (mut entries, mut names) = (Vec::new(), HashMap::new());
        for app in self.apps.values() {
            for action in self.action_store().actions(tenant, &app.slug).await? {
                names.insert(action.slug.clone(), Arc::from(action.name.as_str()));
                entries.extend(perform::entry(self, app, action));
            }
        }
        *self.names.write().unwrap_or_else(PoisonError::into_inner) = names;
        Ok(entries)
    }

    fn name_of(&self, slug: &str) -> Option<Arc<str>> {
        self.names.read().unwrap_or_else(PoisonError::into_inner).get(slug).cloned()
    }

    fn action_store(&self) -> ActionStore<'_> {
        ActionStore { records: &*self.records, clock: &*self.clock }
    }
}

impl From<ToolError> for ConnectionError {
    fn from(failure: ToolError) -> Self {
        Self::Unavailable { reason: failure.fault().message.clone() }
    }
}

#[cfg(test)]
mod tests;
