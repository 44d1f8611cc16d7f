//! Tools out of Composio: the actions of its toolkits, one tool an action, performed by its REST API (v3).
//!
//! `SHOPIFY_GET_ORDER` is `shopify.get_order`. What actions there are is discovered page by page and kept in records, so
//! a start needs no network and a call loads nothing. Composio keeps the accounts' tokens; kept here are only the ids of
//! connected accounts, by tenant and entity.
//!
//! Composio takes no idempotency key. So what acts is class `once`: after an unclear answer nothing is sent again.

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

/// Bytes of one answer of Composio's that are read: a page of actions with their schemas.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// The source: its settings, its API, and what is kept of it.
pub struct ComposioSource {
    api: ComposioApi,
    apps: BTreeMap<String, ConfiguredApp>,
    /// Tools by the slugs of their actions, as they were taken in last.
    names: RwLock<HashMap<String, Arc<str>>>,
    refresh_after: Duration,
    /// Where browsers reach us.
    callback_base: Option<BaseUrl>,
    records: Arc<dyn RecordStore>,
    desk: Option<Arc<dyn TaskInbox>>,
    clock: Arc<dyn Clock>,
}

impl ComposioSource {
    /// Nothing where no toolkit is chosen.
    ///
    /// # Errors
    /// Settings that cannot be kept.
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

    /// Whether a tool of this name may be one of Composio's.
    pub(crate) fn may_provide(&self, tool: &str) -> bool {
        tool.split_once('.').is_some_and(|(app, _)| self.apps.contains_key(app))
    }

    /// The toolkits that are chosen.
    pub fn toolkits(&self) -> impl Iterator<Item = &str> {
        self.apps.keys().map(String::as_str)
    }

    /// Whether there is a key to call Composio with.
    pub fn has_key(&self) -> bool {
        self.api.has_key()
    }

    /// The tools of all actions that are kept.
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
