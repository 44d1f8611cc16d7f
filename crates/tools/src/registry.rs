//! The way in: all tools behind the port.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use baton_core::fault::Fault;
use baton_core::id::{RunId, TenantId};
use baton_core::money::Usd;
use baton_core::time::Time;
use baton_core::tool::{Call, Caller, Class, Facts, Outcome};
use baton_ports::budget::Tab;
use baton_ports::catalogue::{self, Listed, Wanted};
use baton_ports::clock::Clock;
use baton_ports::sources::TOOLS_MAX;
use baton_ports::tools::{Checked, Performed, Tools};
use serde_json::Value;

use crate::audit;
use crate::catalogue::{Catalogue, Description, Entry, Lack};
use crate::check::{self, Stopped};
use crate::code;
use crate::composio::{self, Composio};
use crate::config::{Config, Permission, Tuning};
use crate::definition::{Definition, Kind};
use crate::error::Error;
use crate::failure::Failure;
use crate::gates::Gates;
use crate::kinds::mcp;
use crate::mcp::{Link, Listing, Source as McpSource};
use crate::permit::{self, Permit};
use crate::rules::Rules;
use crate::shipped::{self, Services};

/// Tools that each ranking of a search names.
const SEARCHED: usize = 50;
/// Reciprocal rank fusion's constant (Cormack et al., 2009).
const RANK_WEIGHT: f64 = 60.0;

/// The tools of one process: those that are shipped, and those a project defines.
pub struct Registry {
    held: Arc<RwLock<Held>>,
    config: Config,
    services: Services,
    composio: Option<Arc<Composio>>,
    shipped: Vec<Arc<str>>,
    /// As the settings have them.
    rules: Rules,
    /// The same with what tenants set themselves. Replaced as a whole: a call keeps those it began with.
    in_force: RwLock<Arc<Rules>>,
    gates: Arc<Gates>,
    clock: Arc<dyn Clock>,
}

impl Registry {
    /// The shipped tools.
    ///
    /// # Errors
    /// A setting for a tool that there is not.
    pub fn new(config: Config, services: &Services) -> Result<Self, Error> {
        Self::with_defined(config, Vec::new(), services)
    }

    /// The shipped tools and those of a project, which stand in for shipped ones of the same name.
    ///
    /// # Errors
    /// As for [`Self::new`]; two definitions of one name.
    pub fn with_defined(config: Config, definitions: Vec<Definition>, services: &Services) -> Result<Self, Error> {
        Self::with_sources(config, definitions, Vec::new(), services)
    }

    /// The same with MCP servers, of whose tools some may be among the definitions already. Those that a server turns out
    /// to have later take their place.
    ///
    /// # Errors
    /// As for [`Self::with_defined`]; two servers of one name.
    pub fn with_sources(
        config: Config,
        definitions: Vec<Definition>,
        sources: Vec<McpSource>,
        services: &Services,
    ) -> Result<Self, Error> {
        if let Some(reason) = config.impossible() {
            return Err(Error::Setting { place: "tools", reason });
        }
        let shelf = shipped::entries(&config, definitions, sources, services)?;
        let composio = Composio::new(&config.composio, &config.outbound, services)?.map(Arc::new);
        let catalogue = catalogue_of(&config, composio.as_deref(), shelf.entries, &shelf.links)?;
        let gates = Arc::new(Gates::new(services.shared.as_ref()));
        let held = Held::new(catalogue);
        held.all.prepare();
        let held = Arc::new(RwLock::new(held));
        shelf.links.iter().for_each(|link| renew(link, &held, &config.tool));
        let rules = Rules::new(&config);
        Ok(Self {
            held,
            composio,
            shipped: shelf.shipped,
            in_force: RwLock::new(Arc::new(rules.clone())),
            rules,
            gates,
            clock: services.clock.clone(),
            services: services.clone(),
            config,
        })
    }

    /// Takes these in place of what the project defined before; calls that have begun end as they began.
    ///
    /// # Errors
    /// As for [`Self::with_sources`]; what was there stays.
    pub fn redefine(&self, definitions: Vec<Definition>, sources: Vec<McpSource>) -> Result<(), Error> {
        let shelf = shipped::entries(&self.config, definitions, sources, &self.services)?;
        let catalogue = catalogue_of(&self.config, self.composio.as_deref(), shelf.entries, &shelf.links)?;
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.own = catalogue;
        let laid = held.lay(&self.config.tool);
        drop(held);
        laid.iter().for_each(|catalogue| catalogue.prepare());
        shelf.links.iter().for_each(|link| renew(link, &self.held, &self.config.tool));
        Ok(())
    }

    /// Composio, where a toolkit of it is chosen.
    pub fn composio(&self) -> Option<&Arc<Composio>> {
        self.composio.as_ref()
    }

    /// Takes in the tools that are kept of sources outside, in place of those taken in before. Whether what is kept is
    /// fresh is [`Composio::freshen`]'s. Versions that pin a tool keep its facts.
    ///
    /// # Errors
    /// What is kept cannot be read; what was known stays.
    pub async fn learn(&self, tenant: &TenantId) -> Result<(), composio::Fault> {
        let Some(composio) = &self.composio else { return Ok(()) };
        let learned = composio.entries(tenant).await?;
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.learned = learned;
        let laid = held.lay(&self.config.tool);
        drop(held);
        laid.iter().for_each(|catalogue| catalogue.prepare());
        Ok(())
    }

    /// The settings that sources of a tenant's own go by.
    pub fn settings_of_added(&self, is_own_tenant: bool) -> Config {
        self.config.for_added(is_own_tenant)
    }

    /// From here on these are a tenant's own tools, in place of those it had; nobody else sees or calls them. A name that
    /// everybody's tool has stays that tool's. Calls that have begun end as they began.
    ///
    /// # Errors
    /// Two tools or two servers of one name; what was there stays.
    pub fn add_own(
        &self,
        tenant: &TenantId,
        settings: &Config,
        definitions: Vec<Definition>,
        sources: Vec<McpSource>,
    ) -> Result<(), Error> {
        let (entries, links) = shipped::added(settings, definitions, sources, &self.services)?;
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if entries.is_empty() && links.is_empty() {
            held.theirs.remove(tenant);
            return Ok(());
        }
        let theirs = Theirs { entries, all: held.all.clone(), links: links.clone() };
        held.theirs.insert(tenant.clone(), theirs);
        let laid = held.lay_theirs(tenant, &self.config.tool);
        drop(held);
        laid.iter().for_each(|catalogue| catalogue.prepare());
        links.iter().for_each(|link| renew_own(link, tenant, &self.held, &self.config.tool));
        Ok(())
    }

    /// From here on these rules of tenants' own hold, by any of the tools' names, beside the settings'. They make nothing possible
    /// that the settings do not.
    pub fn rule(&self, own: BTreeMap<TenantId, BTreeMap<Arc<str>, Permission>>) {
        let rules = Arc::new(self.rules.with_own(own));
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    fn rules(&self) -> Arc<Rules> {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tools of a tenant that these words fit, the best first, at most so many. Where Composio has a key it is asked too, and
    /// its ranks count as much as our own; why it could not be asked comes with what was found without it.
    pub async fn search(
        &self,
        tenant: &TenantId,
        words: &str,
        limit: usize,
    ) -> (Vec<Description>, Option<composio::Fault>) {
        let catalogue = self.catalogue_of(tenant);
        let own: Vec<String> = catalogue.search(words, SEARCHED).iter().map(ToString::to_string).collect();
        let (theirs, fault) = match self.composio.as_ref().filter(|composio| composio.has_key()) {
            Some(composio) => match composio.search(words, SEARCHED).await {
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

    /// What is known of one of everybody's tools.
    #[cfg(test)]
    pub(crate) fn describe_shared(&self, tool: &str) -> Option<Description> {
        self.catalogue().describe(tool)
    }

    /// Whether everybody has a tool of this very name, so that a tenant's own is not called by it.
    pub fn is_everybodys(&self, tool: &str) -> bool {
        self.catalogue().has(tool)
    }

    /// Everybody's tools as they are now.
    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).all.clone()
    }

    /// A tenant's tools as they are now: everybody's, and its own. A call keeps those it began with.
    fn catalogue_of(&self, tenant: &TenantId) -> Arc<Catalogue> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.theirs.get(tenant).map_or(&held.all, |theirs| &theirs.all).clone()
    }

    /// What providers that were chosen lack, so that calls of them are refused.
    pub fn lacks(&self) -> Vec<Lack> {
        self.catalogue().lacks()
    }

    /// The answer that is kept, with its row. It costs nothing: nobody was asked.
    fn known(&self, call: &Call, output: Arc<Value>, entry: &Entry) -> Performed {
        let outcome = Outcome::Done { output, cost: Usd::ZERO, cached: true };
        let audit = audit::row(call.clone(), Some(entry), &outcome, self.clock.now(), None);
        Performed { outcome, audit, tab: Tab::default() }
    }

    /// What is said of a call whose service is left alone for a while.
    fn left_alone(&self, call: &Call, retry_after: Duration, entry: &Entry) -> Fault {
        let message = format!(
            "the service of `{}` failed several times running and is left alone for {} s",
            call.tool,
            retry_after.as_secs().max(1)
        );
        let language = self.rules.of(&call.tenant).language(&call.caller);
        code::speak(Fault::new(code::CIRCUIT_OPEN, message), &entry.category, language)
    }

    /// The answer to a call that was not let through, with its row.
    fn refuse(&self, call: &Call, fault: Fault, entry: Option<&Entry>) -> Performed {
        let language = self.rules.of(&call.tenant).language(&call.caller);
        let category = entry.map_or("", |entry| &entry.category);
        let fault = code::speak(fault, category, language);
        let outcome = Outcome::NotDone { fault, retryable: false, retry_after: None };
        let audit = audit::row(call.clone(), entry, &outcome, self.clock.now(), None);
        Performed { outcome, audit, tab: Tab::default() }
    }
}

/// What there is, where each setting is of something that is there or may come.
fn catalogue_of(
    config: &Config,
    composio: Option<&Composio>,
    entries: Vec<Entry>,
    links: &[Arc<Link>],
) -> Result<Catalogue, Error> {
    let catalogue = Catalogue::new(entries, &config.tool);
    // A server that is down may have it, or an app that was not looked up yet.
    let may_come = |name: &str| {
        composio.is_some_and(|composio| composio.may_have(name)) || links.iter().any(|link| link.source.may_have(name))
    };
    let tuned = config.tool.keys().chain(config.tenants.values().flat_map(|tenant| tenant.tool.keys()));
    for name in tuned {
        if catalogue.find(name).is_none() && !catalogue.has_app(name) && !may_come(name) {
            let nearest = catalogue.nearest(name).map(str::to_owned);
            return Err(Error::NoSuchTool { name: name.clone(), nearest });
        }
    }
    catalogue.stands_by(&config.tool)?;
    Ok(catalogue)
}

/// The tools that a tenant added for itself.
struct Theirs {
    entries: Vec<Entry>,
    /// They live as long as the tools do.
    links: Vec<Arc<Link>>,
    /// Everybody's and these.
    all: Arc<Catalogue>,
}

/// What calls see, and what it is made of.
struct Held {
    /// What is shipped and defined, the tools of MCP servers among it.
    own: Catalogue,
    /// What was learned of sources outside.
    learned: Vec<Entry>,
    /// Replaced as a whole: a call keeps the one it began with.
    all: Arc<Catalogue>,
    theirs: BTreeMap<TenantId, Theirs>,
}

impl Held {
    fn new(own: Catalogue) -> Self {
        Self { all: Arc::new(own.clone()), own, learned: Vec::new(), theirs: BTreeMap::new() }
    }

    /// Puts together what calls see from then on. It is prepared once the lock is given back: calls do not wait for that.
    fn lay(&mut self, tuning: &BTreeMap<String, Tuning>) -> Vec<Arc<Catalogue>> {
        self.all = Arc::new(self.own.and(self.learned.iter().cloned(), tuning));
        let all = self.all.clone();
        let theirs = self.theirs.values_mut().map(|theirs| theirs.lay(&all, tuning));
        theirs.chain([all.clone()]).collect()
    }

    fn lay_theirs(&mut self, tenant: &TenantId, tuning: &BTreeMap<String, Tuning>) -> Option<Arc<Catalogue>> {
        Some(self.theirs.get_mut(tenant)?.lay(&self.all, tuning))
    }
}

impl Theirs {
    fn lay(&mut self, all: &Catalogue, tuning: &BTreeMap<String, Tuning>) -> Arc<Catalogue> {
        self.all = Arc::new(all.and(self.entries.iter().cloned(), tuning));
        self.all.clone()
    }
}

/// Lays other tools of a server into the catalogue whenever it says that it has others.
fn renew(link: &Arc<Link>, held: &Arc<RwLock<Held>>, tuning: &BTreeMap<String, Tuning>) {
    let (own, held, tuning) = (Arc::downgrade(link), Arc::downgrade(held), tuning.clone());
    link.publishing(move |source, listing| {
        let (Some(link), Some(held)) = (own.upgrade(), held.upgrade()) else { return };
        let entries = listed(&link, source, listing);
        let mut held = held.write().unwrap_or_else(PoisonError::into_inner);
        held.own = held.own.renewed(source.name(), entries, &tuning);
        let laid = held.lay(&tuning);
        drop(held);
        laid.iter().for_each(|catalogue| catalogue.prepare());
    });
}

/// The same of a server that is a tenant's own.
fn renew_own(link: &Arc<Link>, tenant: &TenantId, held: &Arc<RwLock<Held>>, tuning: &BTreeMap<String, Tuning>) {
    let (own, held, tuning, tenant) = (Arc::downgrade(link), Arc::downgrade(held), tuning.clone(), tenant.clone());
    link.publishing(move |source, listing| {
        let (Some(link), Some(held)) = (own.upgrade(), held.upgrade()) else { return };
        let entries = listed(&link, source, listing);
        let mut held = held.write().unwrap_or_else(PoisonError::into_inner);
        let Some(theirs) = held.theirs.get_mut(&tenant) else { return };
        // One that was replaced meanwhile has nothing to say.
        if !theirs.links.iter().any(|kept| Arc::ptr_eq(kept, &link)) {
            return;
        }
        theirs.entries.retain(|entry| entry.source.as_deref() != Some(source.name()));
        let room = TOOLS_MAX.saturating_sub(theirs.entries.len());
        if entries.len() > room {
            tracing::warn!(%tenant, source = source.name(), "it has more tools than a tenant's sources may; some are left out");
        }
        theirs.entries.extend(entries.into_iter().take(room));
        let laid = held.lay_theirs(&tenant, &tuning);
        drop(held);
        laid.iter().for_each(|catalogue| catalogue.prepare());
    });
}

/// What a server lists, as tools that go through this connection.
fn listed(link: &Arc<Link>, source: &McpSource, listing: &Listing) -> Vec<Entry> {
    let (tools, _) = source.tools(listing);
    let entry = |tool: Definition| match tool.kind {
        Kind::Remote { tool: name, output, .. } => {
            Some(mcp::entry(tool.profile, name, output.as_deref(), link.clone()))
        }
        Kind::Script(_) | Kind::Http(_) | Kind::Operation(_) => None,
    };
    tools.into_iter().filter_map(entry).collect()
}

#[async_trait]
impl catalogue::Catalogue for Registry {
    fn shipped(&self) -> &[Arc<str>] {
        &self.shipped
    }

    fn list(&self, tenant: &TenantId, wanted: &Wanted<'_>) -> Vec<Listed> {
        self.catalogue_of(tenant).list(wanted)
    }

    fn describe(&self, tenant: &TenantId, tool: &str) -> Option<Description> {
        self.catalogue_of(tenant).describe(tool)
    }

    fn base_of(&self, tool: &str) -> Option<Arc<str>> {
        self.catalogue().find(tool).map(|entry| entry.base.clone())
    }

    fn is_enabled(&self, tenant: &TenantId, tool: &str) -> bool {
        let catalogue = self.catalogue_of(tenant);
        let Some(entry) = catalogue.find(tool) else { return false };
        let call = Call {
            tenant: tenant.clone(),
            run: RunId::new(""),
            workflow: String::new(),
            key: String::new(),
            tool: tool.to_owned(),
            arguments: Arc::default(),
            class: Class::Pure,
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

    async fn search(&self, tenant: &TenantId, words: &str, limit: usize) -> (Vec<Description>, Option<String>) {
        let (found, fault) = Self::search(self, tenant, words, limit).await;
        (found, fault.map(|fault| fault.to_string()))
    }
}

#[async_trait]
impl Tools for Registry {
    async fn check(&self, call: &Call, approved: Option<&str>) -> Checked {
        let (catalogue, now) = (self.catalogue_of(&call.tenant), self.clock.now());
        match check::admit(&catalogue, &self.rules(), &self.gates, call, approved, now).await {
            Ok(admitted) => Checked::Permitted(Box::new(Permit::new(admitted, self.gates.clone(), self.clock.clone()))),
            Err(Stopped::NeedsApproval(needed)) => Checked::NeedsApproval(needed),
            Err(Stopped::RateLimited { retry_after }) => Checked::RateLimited { retry_after },
            Err(Stopped::CircuitOpen { retry_after, entry }) => {
                Checked::CircuitOpen { retry_after, fault: Box::new(self.left_alone(call, retry_after, &entry)) }
            }
            Err(Stopped::Known { output, entry }) => Checked::Answered(Box::new(self.known(call, output, &entry))),
            Err(Stopped::Refused { fault, entry }) => {
                Checked::Answered(Box::new(self.refuse(call, fault, entry.as_deref())))
            }
        }
    }

    async fn look_up(&self, call: &Call, limit: Duration) -> Outcome {
        let unknown = |message: String| Outcome::Unknown { fault: Fault::new(code::OUTCOME_UNKNOWN, message) };
        let catalogue = self.catalogue_of(&call.tenant);
        let Some(entry) = catalogue.find(&call.tool) else {
            return unknown(format!("there is no tool `{}` any more that could be asked", call.tool));
        };
        let request = match check::settle(&catalogue, &self.rules(), call, entry) {
            Ok(request) => request,
            Err(reason) => return unknown(reason),
        };
        match tokio::time::timeout(limit, entry.performer_of(call).tool.look_up(&request)).await {
            Ok(Ok(output)) => Outcome::Done { output: output.into(), cost: Usd::ZERO, cached: false },
            Ok(Err(failure @ Failure::Asks { .. })) => unknown(failure.fault().message.clone()),
            Ok(Err(failure)) => {
                permit::outcome(failure.map_fault(|fault| code::speak(fault, &entry.category, request.language)))
            }
            Err(_elapsed) => {
                unknown(format!("`{}` was asked and did not answer in {} ms", call.tool, limit.as_millis()))
            }
        }
    }

    fn facts(&self, tool: &str) -> Option<Arc<Facts>> {
        self.catalogue().find(tool).map(|entry| entry.facts.clone())
    }

    fn names(&self) -> Vec<String> {
        self.catalogue().names().map(str::to_owned).collect()
    }

    fn facts_for(&self, tenant: &TenantId, tool: &str) -> Option<Arc<Facts>> {
        self.catalogue_of(tenant).find(tool).map(|entry| entry.facts.clone())
    }

    fn own_names(&self, tenant: &TenantId) -> Vec<String> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let own = held.theirs.get(tenant).into_iter().flat_map(|theirs| &theirs.entries);
        // A name that everybody's tool has stays that tool's.
        own.filter(|entry| held.all.find(&entry.name).is_none()).map(|entry| entry.name.to_string()).collect()
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod undo;
