//! The registry: all tools behind the port.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use baton_core::fault::Fault;
use baton_core::id::{RunId, TenantId};
use baton_core::money::Usd;
use baton_core::time::Time;
use baton_core::tool::{Caller, EffectClass, ToolContract, ToolInvocation, ToolOutcome};
use baton_ports::budget::ChargeCollector;
use baton_ports::catalogue::{self, ToolFilter, ToolListing};
use baton_ports::clock::Clock;
use baton_ports::sources::TOOLS_MAX;
use baton_ports::tools::{CallReport, CheckResult, ToolGateway};
use serde_json::Value;

use crate::audit;
use crate::call_state::ToolCallState;
use crate::catalogue::{ToolDescription, ToolEntry, ToolIndex, UnavailableProvider};
use crate::check::{self, EarlyOutcome};
use crate::code;
use crate::composio::{self, ComposioSource};
use crate::config::{ToolPermission, ToolSettings, ToolsConfig};
use crate::definition::{ToolDefinition, ToolKind};
use crate::error::ToolSetupError;
use crate::kinds::mcp;
use crate::mcp::{McpConnectionPool, McpSource, McpToolListing};
use crate::permit::{self, Permit};
use crate::rules::ToolRules;
use crate::tool_error::ToolError;
use crate::tool_set::{self, ToolServices};

/// Number of tools that each ranking of a search contributes.
const SEARCH_CANDIDATES: usize = 50;
/// Reciprocal rank fusion's constant (Cormack et al., 2009).
const RANK_WEIGHT: f64 = 60.0;

/// The tools of one process: the shipped ones, and those that a project defines.
pub struct ToolRegistry {
    snapshot: Arc<RwLock<CatalogueSnapshot>>,
    config: ToolsConfig,
    services: ToolServices,
    composio: Option<Arc<ComposioSource>>,
    shipped: Vec<Arc<str>>,
    /// The rules of the settings.
    rules: ToolRules,
    /// The rules with those that tenants set themselves. Replaced as a whole: a call keeps the rules it started with.
    effective_rules: RwLock<Arc<ToolRules>>,
    call_state: Arc<ToolCallState>,
    clock: Arc<dyn Clock>,
}

impl ToolRegistry {
    /// Creates a registry of the shipped tools.
    ///
    /// # Errors
    /// A setting names a tool that does not exist.
    pub fn new(config: ToolsConfig, services: &ToolServices) -> Result<Self, ToolSetupError> {
        Self::with_defined(config, Vec::new(), services)
    }

    /// Creates a registry of the shipped tools and those of a project, which replace shipped ones of the same name.
    ///
    /// # Errors
    /// As for [`Self::new`]; two definitions have the same name.
    pub fn with_defined(
        config: ToolsConfig,
        definitions: Vec<ToolDefinition>,
        services: &ToolServices,
    ) -> Result<Self, ToolSetupError> {
        Self::with_sources(config, definitions, Vec::new(), services)
    }

    /// Creates a registry that also contains MCP servers, some of whose tools may already be among the definitions.
    /// Tools that a server lists later replace them.
    ///
    /// # Errors
    /// As for [`Self::with_defined`]; two servers have the same name.
    pub fn with_sources(
        config: ToolsConfig,
        definitions: Vec<ToolDefinition>,
        sources: Vec<McpSource>,
        services: &ToolServices,
    ) -> Result<Self, ToolSetupError> {
        if let Some(reason) = config.unsatisfiable_reason() {
            return Err(ToolSetupError::Setting { place: "tools", reason });
        }
        let shelf = tool_set::entries(&config, definitions, sources, services)?;
        let composio = ComposioSource::new(&config.composio, &config.outbound, services)?.map(Arc::new);
        let catalogue = catalogue_of(&config, composio.as_deref(), shelf.entries, &shelf.links)?;
        let gates = Arc::new(ToolCallState::new(services.shared.as_ref()));
        let held = CatalogueSnapshot::new(catalogue);
        held.merged.build_indexes();
        let held = Arc::new(RwLock::new(held));
        shelf.links.iter().for_each(|link| watch_source(link, &held, &config.tool));
        let rules = ToolRules::new(&config);
        Ok(Self {
            snapshot: held,
            composio,
            shipped: shelf.shipped,
            effective_rules: RwLock::new(Arc::new(rules.clone())),
            rules,
            call_state: gates,
            clock: services.clock.clone(),
            services: services.clone(),
            config,
        })
    }

    /// Replaces everything that the project defined before. Calls in progress finish with the old definitions.
    ///
    /// # Errors
    /// As for [`Self::with_sources`]; the old definitions stay in use.
    pub fn redefine(&self, definitions: Vec<ToolDefinition>, sources: Vec<McpSource>) -> Result<(), ToolSetupError> {
        let shelf = tool_set::entries(&self.config, definitions, sources, &self.services)?;
        let catalogue = catalogue_of(&self.config, self.composio.as_deref(), shelf.entries, &shelf.links)?;
        let mut held = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        held.base = catalogue;
        let laid = held.rebuild(&self.config.tool);
        drop(held);
        laid.iter().for_each(|catalogue| catalogue.build_indexes());
        shelf.links.iter().for_each(|link| watch_source(link, &self.snapshot, &self.config.tool));
        Ok(())
    }

    /// Returns Composio, if any toolkit is configured.
    pub fn composio(&self) -> Option<&Arc<ComposioSource>> {
        self.composio.as_ref()
    }

    /// Loads the stored tools of external sources, replacing those loaded before.
    /// [`ComposioSource::refresh_toolkits`] decides whether the stored ones are fresh. Versions that pin a tool keep
    /// its facts.
    ///
    /// # Errors
    /// The stored tools cannot be read; the loaded ones stay in use.
    pub async fn load_discovered(&self, tenant: &TenantId) -> Result<(), composio::ConnectionError> {
        let Some(composio) = &self.composio else { return Ok(()) };
        let learned = composio.entries(tenant).await?;
        let mut held = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        held.discovered = learned;
        let laid = held.rebuild(&self.config.tool);
        drop(held);
        laid.iter().for_each(|catalogue| catalogue.build_indexes());
        Ok(())
    }

    /// The settings for sources that tenants add.
    pub fn added_source_config(&self, is_own_tenant: bool) -> ToolsConfig {
        self.config.for_added_sources(is_own_tenant)
    }

    /// Sets a tenant's own tools, replacing those it had; no other tenant sees or calls them. A name that a shared
    /// tool has stays with that tool. Calls in progress finish with the old tools.
    ///
    /// # Errors
    /// Two tools or two servers have the same name; the old tools stay in use.
    pub fn set_tenant_tools(
        &self,
        tenant: &TenantId,
        settings: &ToolsConfig,
        definitions: Vec<ToolDefinition>,
        sources: Vec<McpSource>,
    ) -> Result<(), ToolSetupError> {
        let (entries, links) = tool_set::tenant_entries(settings, definitions, sources, &self.services)?;
        let mut held = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        if entries.is_empty() && links.is_empty() {
            held.overlays.remove(tenant);
            return Ok(());
        }
        let theirs = TenantOverlay { entries, merged: held.merged.clone(), links: links.clone() };
        held.overlays.insert(tenant.clone(), theirs);
        let laid = held.rebuild_overlay(tenant, &self.config.tool);
        drop(held);
        laid.iter().for_each(|catalogue| catalogue.build_indexes());
        links.iter().for_each(|link| watch_tenant_source(link, tenant, &self.snapshot, &self.config.tool));
        Ok(())
    }

    /// Sets the tenants' own rules, by any of a tool's names, in addition to the settings. They permit nothing that
    /// the settings forbid.
    pub fn set_tenant_permissions(&self, own: BTreeMap<TenantId, BTreeMap<Arc<str>, ToolPermission>>) {
        let rules = Arc::new(self.rules.with_tenant_permissions(own));
        *self.effective_rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    fn rules(&self) -> Arc<ToolRules> {
        self.effective_rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the tenant's tools that match these words, best match first, at most `limit`. If Composio has a key,
    /// it is searched too, and its ranking counts as much as the local one. If Composio cannot be searched, the
    /// reason is returned with the local results.
    pub async fn search(
        &self,
        tenant: &TenantId,
        words: &str,
        limit: usize,
    ) -> (Vec<ToolDescription>, Option<composio::ConnectionError>) {
        let catalogue = self.catalogue_of(tenant);
        let own: Vec<String> = catalogue.search(words, SEARCH_CANDIDATES).iter().map(ToString::to_string).collect();
        let (theirs, fault) = match self.composio.as_ref().filter(|composio| composio.has_key()) {
            Some(composio) => match composio.search(words, SEARCH_CANDIDATES).await {
                Ok(theirs) => (theirs, None),
                Err(fault) => (Vec::new(), Some(fault)),
            },
            None => (Vec::new(), None),
        };
        let mut scores = BTreeMap::<&str, f64>::new();
        for ranked in [&own, &theirs] {
            for (name, rank) in ranked.iter().zip(1_u32..) {
                *scores.entry(name).or_default() += 1.0 / (RANK_WEIGHT + f64::from(rank));
            }
        }
        let mut found: Vec<(&str, f64)> = scores.into_iter().collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
        let described = found.iter().filter_map(|(name, _)| catalogue.describe(name));
        (described.take(limit).collect(), fault)
    }

    /// Describes a shared tool.
    #[cfg(test)]
    pub(crate) fn describe_shared(&self, tool: &str) -> Option<ToolDescription> {
        self.catalogue().describe(tool)
    }

    /// Returns whether a shared tool has exactly this name, so that the name does not select a tenant's own tool.
    pub fn is_shared_tool(&self, tool: &str) -> bool {
        self.catalogue().has(tool)
    }

    /// The current shared tools.
    pub(crate) fn catalogue(&self) -> Arc<ToolIndex> {
        self.snapshot.read().unwrap_or_else(PoisonError::into_inner).merged.clone()
    }

    /// The current tools of a tenant: the shared ones and its own. A call keeps the catalogue it started with.
    fn catalogue_of(&self, tenant: &TenantId) -> Arc<ToolIndex> {
        let held = self.snapshot.read().unwrap_or_else(PoisonError::into_inner);
        held.overlays.get(tenant).map_or(&held.merged, |theirs| &theirs.merged).clone()
    }

    /// Settings that chosen providers lack, so that calls of them are refused.
    pub fn unavailable_providers(&self) -> Vec<UnavailableProvider> {
        self.catalogue().unavailable_providers()
    }

    /// Returns the cached result with its audit row. It costs nothing, because no service was called.
    fn cached_result(&self, call: &ToolInvocation, output: Arc<Value>, entry: &ToolEntry) -> CallReport {
        let outcome = ToolOutcome::Done { output, cost: Usd::ZERO, cached: true };
        let audit = audit::row(call.clone(), Some(entry), &outcome, self.clock.now(), None);
        CallReport { outcome, audit, charges: ChargeCollector::default() }
    }

    /// The fault of a call whose service is not contacted for a while.
    fn circuit_open_fault(&self, call: &ToolInvocation, retry_after: Duration, entry: &ToolEntry) -> Fault {
        let message = format!(
            "the service of `{}` failed several times running and is left alone for {} s",
            call.tool,
            retry_after.as_secs().max(1)
        );
        let language = self.rules.of(&call.tenant).language(&call.caller);
        code::localize(Fault::new(code::CIRCUIT_OPEN, message), &entry.category, language)
    }

    /// Returns the result of a refused call, with its audit row.
    fn refuse(&self, call: &ToolInvocation, fault: Fault, entry: Option<&ToolEntry>) -> CallReport {
        let language = self.rules.of(&call.tenant).language(&call.caller);
        let category = entry.map_or("", |entry| &entry.category);
        let fault = code::localize(fault, category, language);
        let outcome = ToolOutcome::NotDone { fault, retryable: false, retry_after: None };
        let audit = audit::row(call.clone(), entry, &outcome, self.clock.now(), None);
        CallReport { outcome, audit, charges: ChargeCollector::default() }
    }
}

/// Builds the catalogue. Every setting must name a tool that exists or may appear later.
fn catalogue_of(
    config: &ToolsConfig,
    composio: Option<&ComposioSource>,
    entries: Vec<ToolEntry>,
    links: &[Arc<McpConnectionPool>],
) -> Result<ToolIndex, ToolSetupError> {
    let catalogue = ToolIndex::new(entries, &config.tool);
    // A server that is down may provide it, or an app that was not discovered yet.
    let may_come = |name: &str| {
        composio.is_some_and(|composio| composio.may_provide(name))
            || links.iter().any(|link| link.source.may_provide(name))
    };
    let tuned = config.tool.keys().chain(config.tenants.values().flat_map(|tenant| tenant.tool.keys()));
    for name in tuned {
        if catalogue.find(name).is_none() && !catalogue.has_app(name) && !may_come(name) {
            let nearest = catalogue.nearest(name).map(str::to_owned);
            return Err(ToolSetupError::NoSuchTool { name: name.clone(), nearest });
        }
    }
    catalogue.check_outage_providers(&config.tool)?;
    Ok(catalogue)
}

/// The tools that a tenant added for itself.
struct TenantOverlay {
    entries: Vec<ToolEntry>,
    /// Connections, which live as long as the tools do.
    links: Vec<Arc<McpConnectionPool>>,
    /// The shared tools and these.
    merged: Arc<ToolIndex>,
}

/// The catalogue that calls see, and the parts it is built from.
struct CatalogueSnapshot {
    /// Shipped and defined tools, including those of MCP servers.
    base: ToolIndex,
    /// Tools discovered from external sources.
    discovered: Vec<ToolEntry>,
    /// Replaced as a whole: a call keeps the one it started with.
    merged: Arc<ToolIndex>,
    overlays: BTreeMap<TenantId, TenantOverlay>,
}

impl CatalogueSnapshot {
    fn new(own: ToolIndex) -> Self {
        Self { merged: Arc::new(own.clone()), base: own, discovered: Vec::new(), overlays: BTreeMap::new() }
    }

    /// Builds the catalogue that calls see from now on. Its indexes are built after the lock is released, so that
    /// calls do not wait for them.
    fn rebuild(&mut self, tuning: &BTreeMap<String, ToolSettings>) -> Vec<Arc<ToolIndex>> {
        self.merged = Arc::new(self.base.with_entries(self.discovered.iter().cloned(), tuning));
        let all = self.merged.clone();
        let theirs = self.overlays.values_mut().map(|theirs| theirs.rebuild(&all, tuning));
        theirs.chain([all.clone()]).collect()
    }

    fn rebuild_overlay(
        &mut self,
        tenant: &TenantId,
        tuning: &BTreeMap<String, ToolSettings>,
    ) -> Option<Arc<ToolIndex>> {
        Some(self.overlays.get_mut(tenant)?.rebuild(&self.merged, tuning))
    }
}

impl TenantOverlay {
    fn rebuild(&mut self, all: &ToolIndex, tuning: &BTreeMap<String, ToolSettings>) -> Arc<ToolIndex> {
        self.merged = Arc::new(all.with_entries(self.entries.iter().cloned(), tuning));
        self.merged.clone()
    }
}

/// Updates the catalogue whenever a server reports other tools.
fn watch_source(
    link: &Arc<McpConnectionPool>,
    held: &Arc<RwLock<CatalogueSnapshot>>,
    tuning: &BTreeMap<String, ToolSettings>,
) {
    let (own, held, tuning) = (Arc::downgrade(link), Arc::downgrade(held), tuning.clone());
    link.on_listing(move |source, listing| {
        let (Some(link), Some(held)) = (own.upgrade(), held.upgrade()) else { return };
        let entries = listed_entries(&link, source, listing);
        let mut held = held.write().unwrap_or_else(PoisonError::into_inner);
        held.base = held.base.with_source_entries(source.name(), entries, &tuning);
        let laid = held.rebuild(&tuning);
        drop(held);
        laid.iter().for_each(|catalogue| catalogue.build_indexes());
    });
}

/// Updates the catalogue whenever a tenant's own server reports other tools.
fn watch_tenant_source(
    link: &Arc<McpConnectionPool>,
    tenant: &TenantId,
    held: &Arc<RwLock<CatalogueSnapshot>>,
    tuning: &BTreeMap<String, ToolSettings>,
) {
    let (own, held, tuning, tenant) = (Arc::downgrade(link), Arc::downgrade(held), tuning.clone(), tenant.clone());
    link.on_listing(move |source, listing| {
        let (Some(link), Some(held)) = (own.upgrade(), held.upgrade()) else { return };
        let entries = listed_entries(&link, source, listing);
        let mut held = held.write().unwrap_or_else(PoisonError::into_inner);
        let Some(theirs) = held.overlays.get_mut(&tenant) else { return };
        // A connection that was replaced meanwhile is ignored.
        if !theirs.links.iter().any(|kept| Arc::ptr_eq(kept, &link)) {
            return;
        }
        theirs.entries.retain(|entry| entry.source.as_deref() != Some(source.name()));
        let room = TOOLS_MAX.saturating_sub(theirs.entries.len());
        if entries.len() > room {
            tracing::warn!(%tenant, source = source.name(), "it has more tools than a tenant's sources may; some are left out");
        }
        theirs.entries.extend(entries.into_iter().take(room));
        let laid = held.rebuild_overlay(&tenant, &tuning);
        drop(held);
        laid.iter().for_each(|catalogue| catalogue.build_indexes());
    });
}

/// Converts a server's list to tools that use this connection.
fn listed_entries(link: &Arc<McpConnectionPool>, source: &McpSource, listing: &McpToolListing) -> Vec<ToolEntry> {
    let (tools, _) = source.tools(listing);
    let entry = |tool: ToolDefinition| match tool.kind {
        ToolKind::Remote { tool: name, output, .. } => {
            Some(mcp::entry(tool.profile, name, output.as_deref(), link.clone()))
        }
        ToolKind::Script(_) | ToolKind::Http(_) | ToolKind::Operation(_) => None,
    };
    tools.into_iter().filter_map(entry).collect()
}

#[async_trait]
impl catalogue::ToolCatalogue for ToolRegistry {
    fn shipped(&self) -> &[Arc<str>] {
        &self.shipped
    }

    fn list(&self, tenant: &TenantId, wanted: &ToolFilter<'_>) -> Vec<ToolListing> {
        self.catalogue_of(tenant).list(wanted)
    }

    fn describe(&self, tenant: &TenantId, tool: &str) -> Option<ToolDescription> {
        self.catalogue_of(tenant).describe(tool)
    }

    fn base_tool(&self, tool: &str) -> Option<Arc<str>> {
        self.catalogue().find(tool).map(|entry| entry.base.clone())
    }

    fn is_enabled(&self, tenant: &TenantId, tool: &str) -> bool {
        let catalogue = self.catalogue_of(tenant);
        let Some(entry) = catalogue.find(tool) else { return false };
        let call = ToolInvocation {
            tenant: tenant.clone(),
            run: RunId::new(""),
            workflow: String::new(),
            key: String::new(),
            tool: tool.to_owned(),
            arguments: Arc::default(),
            class: EffectClass::Pure,
            agent: None,
            provider: None,
            attempt: 0,
            at: Time::EPOCH,
            replies: Vec::new(),
            caller: Caller::default(),
        };
        let rules = self.rules();
        let permission = rules.of(tenant).tool(&catalogue, &call, entry);
        permission.and_then(|permission| permission.enabled).unwrap_or(true)
    }

    async fn search(&self, tenant: &TenantId, words: &str, limit: usize) -> (Vec<ToolDescription>, Option<String>) {
        let (found, fault) = Self::search(self, tenant, words, limit).await;
        (found, fault.map(|fault| fault.to_string()))
    }
}

#[async_trait]
impl ToolGateway for ToolRegistry {
    async fn check(&self, call: &ToolInvocation, approved: Option<&str>) -> CheckResult {
        let (catalogue, now) = (self.catalogue_of(&call.tenant), self.clock.now());
        match check::admit(&catalogue, &self.rules(), &self.call_state, call, approved, now).await {
            Ok(admitted) => {
                CheckResult::Permitted(Box::new(Permit::new(admitted, self.call_state.clone(), self.clock.clone())))
            }
            Err(EarlyOutcome::NeedsApproval(needed)) => CheckResult::NeedsApproval(needed),
            Err(EarlyOutcome::RateLimited { retry_after }) => CheckResult::RateLimited { retry_after },
            Err(EarlyOutcome::CircuitOpen { retry_after, entry }) => CheckResult::CircuitOpen {
                retry_after,
                fault: Box::new(self.circuit_open_fault(call, retry_after, &entry)),
            },
            Err(EarlyOutcome::CacheHit { output, entry }) => {
                CheckResult::Answered(Box::new(self.cached_result(call, output, &entry)))
            }
            Err(EarlyOutcome::Refused { fault, entry }) => {
                CheckResult::Answered(Box::new(self.refuse(call, fault, entry.as_deref())))
            }
        }
    }

    async fn look_up(&self, call: &ToolInvocation, limit: Duration) -> ToolOutcome {
        let unknown = |message: String| ToolOutcome::Unknown { fault: Fault::new(code::OUTCOME_UNKNOWN, message) };
        let catalogue = self.catalogue_of(&call.tenant);
        let Some(entry) = catalogue.find(&call.tool) else {
            return unknown(format!("there is no tool `{}` any more that could be asked", call.tool));
        };
        let request = match check::settle(&catalogue, &self.rules(), call, entry) {
            Ok(request) => request,
            Err(reason) => return unknown(reason),
        };
        match tokio::time::timeout(limit, entry.performer_of(call).tool.look_up(&request)).await {
            Ok(Ok(output)) => ToolOutcome::Done { output: output.into(), cost: Usd::ZERO, cached: false },
            Ok(Err(failure @ ToolError::NeedsInput { .. })) => unknown(failure.fault().message.clone()),
            Ok(Err(failure)) => {
                permit::outcome(failure.map_fault(|fault| code::localize(fault, &entry.category, request.language)))
            }
            Err(_elapsed) => {
                unknown(format!("`{}` was asked and did not answer in {} ms", call.tool, limit.as_millis()))
            }
        }
    }

    fn facts(&self, tool: &str) -> Option<Arc<ToolContract>> {
        self.catalogue().find(tool).map(|entry| entry.facts.clone())
    }

    fn names(&self) -> Vec<String> {
        self.catalogue().names().map(str::to_owned).collect()
    }

    fn facts_for(&self, tenant: &TenantId, tool: &str) -> Option<Arc<ToolContract>> {
        self.catalogue_of(tenant).find(tool).map(|entry| entry.facts.clone())
    }

    fn own_names(&self, tenant: &TenantId) -> Vec<String> {
        let held = self.snapshot.read().unwrap_or_else(PoisonError::into_inner);
        let own = held.overlays.get(tenant).into_iter().flat_map(|theirs| &theirs.entries);
        // A name that a shared tool has stays with that tool.
        own.filter(|entry| held.merged.find(&entry.name).is_none()).map(|entry| entry.name.to_string()).collect()
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod undo;
