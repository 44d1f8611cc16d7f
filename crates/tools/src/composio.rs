//! Tools out of Composio: the actions of its toolkits, one tool an action, performed by its REST API (v3).
//!
//! `SHOPIFY_GET_ORDER` is `shopify.get_order`. What actions there are is discovered page by page and kept in records, so
//! a start needs no network and a call loads nothing. Composio keeps the accounts' tokens; kept here are only the ids of
//! connected accounts, by tenant and entity.
//!
//! Composio takes no idempotency key. So what acts is class `once`: after an unclear answer nothing is sent again.

mod account;
mod action;
mod api;
mod app;
mod config;
mod connect;
mod connections;
mod discovery;
mod entity;
mod perform;
mod reconnect;
mod returning;
mod shelf;
mod shown;
mod verdict;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use baton_core::id::TenantId;
use baton_ports::clock::Clock;
use baton_ports::desk::Desk;
use baton_ports::records::Records;

use crate::catalogue::Entry;
use crate::error::Error;
use crate::failure::Failure;
use crate::outbound::Outbound;
use crate::shipped::Services;
use crate::vendor::Base;

use api::Api;
use app::App;
use shelf::Shelf;

pub use account::State;
pub use baton_ports::connections::Fault;
pub use config::{AppConfig, Config, EntitySource};
pub use connect::Link;
pub use connections::{Connection, Next};
pub use discovery::Discovered;
pub use entity::Entity;

/// Bytes of one answer of Composio's that are read: a page of actions with their schemas.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// The source: its settings, its API, and what is kept of it.
pub struct Composio {
    api: Api,
    apps: BTreeMap<String, App>,
    /// Tools by the slugs of their actions, as they were taken in last.
    names: RwLock<HashMap<String, Arc<str>>>,
    refresh_after: Duration,
    /// Where browsers reach us.
    callback_base: Option<Base>,
    records: Arc<dyn Records>,
    desk: Option<Arc<dyn Desk>>,
    clock: Arc<dyn Clock>,
}

impl Composio {
    /// Nothing where no toolkit is chosen.
    ///
    /// # Errors
    /// Settings that cannot be kept.
    pub(crate) fn new(
        config: &Config,
        outbound: &crate::outbound::Config,
        services: &Services,
    ) -> Result<Option<Self>, Error> {
        let wrong = |reason| Error::Setting { place: "composio", reason };
        let apps = config.apps().map_err(wrong)?;
        if apps.is_empty() {
            return Ok(None);
        }
        let bytes = outbound.response_bytes_max.max(ANSWER_BYTES_MAX);
        let outbound = crate::outbound::Config { response_bytes_max: bytes, ..outbound.clone() };
        Ok(Some(Self {
            api: Api::new(config, Arc::new(Outbound::new(outbound))),
            apps,
            names: RwLock::default(),
            refresh_after: config.refresh_after(),
            callback_base: config.callback_base.clone(),
            records: services.records.clone(),
            desk: services.desk.clone(),
            clock: services.clock.clone(),
        }))
    }

    /// Whether a tool of this name may be one of Composio's.
    pub(crate) fn may_have(&self, tool: &str) -> bool {
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
    pub(crate) async fn entries(self: &Arc<Self>, tenant: &TenantId) -> Result<Vec<Entry>, Fault> {
        let (mut entries, mut names) = (Vec::new(), HashMap::new());
        for app in self.apps.values() {
            for action in self.shelf().actions(tenant, &app.slug).await? {
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

    fn shelf(&self) -> Shelf<'_> {
        Shelf { records: &*self.records, clock: &*self.clock }
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::Unavailable { reason: failure.fault().message.clone() }
    }
}

#[cfg(test)]
mod tests;
