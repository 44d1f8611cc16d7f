//! A shared value with optional overrides for single tenants.

use std::collections::BTreeMap;

use baton_core::id::TenantId;

use crate::config::{TenantToolsConfig, ToolsConfig};

#[derive(Clone, Debug)]
pub(crate) struct ByTenant<T> {
    shared: T,
    own: BTreeMap<TenantId, T>,
}

impl<T> ByTenant<T> {
    /// Creates a value that is the same for all tenants.
    pub(crate) fn uniform(shared: T) -> Self {
        Self { shared, own: BTreeMap::new() }
    }

    /// Reads a part of the settings. A tenant's own value replaces the shared one.
    pub(crate) fn read(config: &ToolsConfig, shared: T, own: impl Fn(&TenantToolsConfig) -> Option<T>) -> Self {
        let own = config.tenants.iter().filter_map(|(id, tenant)| Some((id.clone(), own(tenant)?)));
        Self { shared, own: own.collect() }
    }

    pub(crate) fn of(&self, tenant: &TenantId) -> &T {
        self.own.get(tenant).unwrap_or(&self.shared)
    }

    /// Returns the value of one tenant.
    pub(crate) fn into_tenant(mut self, tenant: &TenantId) -> T {
        self.own.remove(tenant).unwrap_or(self.shared)
    }

    pub(crate) fn default_value(&self) -> &T {
        &self.shared
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.shared).chain(self.own.values())
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        std::iter::once(&mut self.shared).chain(self.own.values_mut())
    }

    /// Maps each value with a function that cannot fail.
    pub(crate) fn map_values<U>(&self, make: impl Fn(&T) -> U) -> ByTenant<U> {
        let own = self.own.iter().map(|(id, one)| (id.clone(), make(one)));
        ByTenant { shared: make(&self.shared), own: own.collect() }
    }

    /// Maps each value with a function that can fail. The first argument of `make` is the path of the settings:
    /// `tools` or `tools.tenants.NAME`.
    pub(crate) fn try_map<U, E>(&self, make: impl Fn(&str, &T) -> Result<U, E>) -> Result<ByTenant<U>, E> {
        let shared = make("tools", &self.shared)?;
        let own = self.own.iter().map(|(id, one)| Ok((id.clone(), make(&format!("tools.tenants.{id}"), one)?)));
        Ok(ByTenant { shared, own: own.collect::<Result<_, E>>()? })
    }
}
