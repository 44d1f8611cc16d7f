//! The tools that come with Baton, in one list. Adding one is a file and a line here.

mod outage;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use baton_ports::circuits::ServiceCircuits;
use baton_ports::clock::Clock;
use baton_ports::desk::Desk;
use baton_ports::embed::Embedder;
use baton_ports::memory::Memory;
use baton_ports::rate_limits::RateLimits;
use baton_ports::records::Records;
use baton_ports::tool_cache::ToolCache;

use crate::by_tenant::ByTenant;
use crate::catalogue::{Entry, Identity, SettingsDigest};
use crate::config::Config;
use crate::definition::{Definition, Kind};
use crate::error::Error;
use crate::gates::Shared;
use crate::kinds::execute_code::{self, Execution};
use crate::kinds::{
    calculator, filter_list, http, http_request, mcp, operation, query_database, script, transform_json, web_search,
};
use crate::mcp::{Link, Source};
use crate::outbound::Outbound;
use crate::providers::{calendar, crm, email, memory, message, payment, ticket};

/// The time-out of a tool that says nothing of it.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// What shipped tools keep things in, and ask.
#[derive(Clone)]
pub struct Services {
    pub records: Arc<dyn Records>,
    pub clock: Arc<dyn Clock>,
    /// Without it there are no tools of memory.
    pub memory: Option<Arc<dyn Memory>>,
    /// Makes vectors for indexes outside.
    pub embedder: Option<Arc<dyn Embedder>>,
    /// Without it there is no `execute_code`.
    pub execution: Option<Execution>,
    /// Without it nobody is told of what only a person can mend.
    pub desk: Option<Arc<dyn Desk>>,
    /// Without it this process counts calls, keeps answers and finds out which services fail for itself alone.
    pub(crate) shared: Option<Shared>,
}

impl Services {
    /// Those no tool can do without.
    pub fn new(records: Arc<dyn Records>, clock: Arc<dyn Clock>) -> Self {
        Self { records, clock, memory: None, embedder: None, execution: None, desk: None, shared: None }
    }

    pub fn with_memory(self, memory: Arc<dyn Memory>) -> Self {
        Self { memory: Some(memory), ..self }
    }

    pub fn with_embedder(self, embedder: Arc<dyn Embedder>) -> Self {
        Self { embedder: Some(embedder), ..self }
    }

    pub fn with_execution(self, execution: Execution) -> Self {
        Self { execution: Some(execution), ..self }
    }

    /// Rates, answers and circuits are those of all processes over this store.
    #[must_use]
    pub fn sharing<S: RateLimits + ToolCache + ServiceCircuits + 'static>(self, store: Arc<S>) -> Self {
        let shared = Shared { rate_limits: store.clone(), cache: store.clone(), circuits: store };
        Self { shared: Some(shared), ..self }
    }

    pub fn with_desk(self, desk: Arc<dyn Desk>) -> Self {
        Self { desk: Some(desk), ..self }
    }
}

/// In the place of a definition's digest: what a shipped tool does is this program's.
const SHIPPED: [u8; 32] = [0; 32];

/// All tools, and what connects to the MCP servers that some of them are of.
pub(crate) struct Shelf {
    pub(crate) entries: Vec<Entry>,
    /// The names of those that are there without a project.
    pub(crate) shipped: Vec<Arc<str>>,
    pub(crate) links: Vec<Arc<Link>>,
}

/// Shipped tools first, so that a project's own of the same name stands in for them.
pub(crate) fn entries(
    config: &Config,
    definitions: Vec<Definition>,
    sources: Vec<Source>,
    services: &Services,
) -> Result<Shelf, Error> {
    let Services { records, clock, memory, embedder, execution, desk: _, shared: _ } = services;
    let outbound = Arc::new(Outbound::new(config.outbound.clone()));
    let mut entries = vec![
        calculator::entry(),
        filter_list::entry(),
        transform_json::entry(),
        http_request::entry(outbound.clone()),
        query_entry(config)?,
        web_search::entry(config.web_search.clone(), outbound.clone()),
        calendar_entry(config, services, &outbound)?,
        crm::entry(config, records, clock, &outbound)?,
        email::entry(config, records, clock, &outbound)?,
    ];
    entries.extend(execution.clone().map(execute_code::entry));
    entries.extend(message::entries(config, records, clock, &outbound)?);
    entries.extend(ticket::entries(config, records, clock, &outbound)?);
    entries.extend(payment::entries(config, records, clock, &outbound)?);
    if let Some(memory) = memory {
        entries.extend(memory::entries(config, memory, embedder.as_ref(), clock, &outbound)?);
    }
    let settings = SettingsDigest::of(config);
    let identified = |entry: Entry| entry.identified(Identity::of_words(&settings, &SHIPPED));
    let entries = outage::standing(config, entries, services, &outbound)?;
    let mut entries: Vec<Entry> = entries.into_iter().map(identified).collect();
    let shipped = entries.iter().map(|entry| entry.name.clone()).collect();
    let (own, links) = defined(config, definitions, sources, services, &outbound)?;
    entries.extend(own);
    Ok(Shelf { entries, shipped, links })
}

/// Tools that somebody adds while the system runs, by [`Config::for_added`].
pub(crate) fn added(
    config: &Config,
    definitions: Vec<Definition>,
    sources: Vec<Source>,
    services: &Services,
) -> Result<(Vec<Entry>, Vec<Arc<Link>>), Error> {
    defined(config, definitions, sources, services, &Arc::new(Outbound::new(config.outbound.clone())))
}

/// Tools of definitions, and what connects to the MCP servers that some of them are of.
fn defined(
    config: &Config,
    definitions: Vec<Definition>,
    sources: Vec<Source>,
    services: &Services,
    outbound: &Arc<Outbound>,
) -> Result<(Vec<Entry>, Vec<Arc<Link>>), Error> {
    let Services { records, clock, .. } = services;
    let secrets = Arc::new(config.secrets.clone());
    let connect = |source: Source| Arc::new(Link::new(source, secrets.clone(), outbound.clone()));
    let mut links: Vec<Arc<Link>> = Vec::new();
    for source in sources {
        if links.iter().any(|link| link.source.name() == source.name()) {
            return Err(Error::DefinedTwice { name: source.name().to_owned() });
        }
        links.push(connect(source));
    }
    let (mut entries, mut names) = (Vec::new(), BTreeSet::new());
    let settings = SettingsDigest::of(config);
    for definition in definitions {
        if !names.insert(definition.name().to_owned()) {
            return Err(Error::DefinedTwice { name: definition.name().to_owned() });
        }
        let digest = definition.digest;
        let entry = match definition.kind {
            Kind::Script(script) => script::entry(definition.profile, script, records.clone(), clock.clone()),
            Kind::Http(http) => http::entry(definition.profile, *http, outbound.clone(), secrets.clone()),
            Kind::Operation(called) => operation::entry(definition.profile, *called, outbound.clone(), secrets.clone()),
            Kind::Remote { source, tool, output } => {
                let is_its = |link: &&Arc<Link>| link.source.name() == source.name();
                let link = match links.iter().find(is_its) {
                    Some(link) => link.clone(),
                    None => {
                        links.push(connect(source));
                        links[links.len() - 1].clone()
                    }
                };
                mcp::entry(definition.profile, tool, output.as_deref(), link)
            }
        };
        entries.push(match digest {
            Some(digest) => entry.identified(Identity::of_words(&settings, &digest)),
            None => entry,
        });
    }
    Ok((entries, links))
}

fn calendar_entry(config: &Config, services: &Services, outbound: &Arc<Outbound>) -> Result<Entry, Error> {
    let settings = ByTenant::read(config, config.calendar.clone(), |tenant| tenant.calendar.clone());
    let Services { records, clock, .. } = services;
    let means = calendar::Means { records: records.clone(), clock: clock.clone(), outbound: outbound.clone() };
    calendar::entry(&settings, &means).map_err(|reason| Error::Setting { place: "calendar", reason })
}

fn query_entry(config: &Config) -> Result<Entry, Error> {
    for database in config.databases.values() {
        database.check().map_err(|reason| Error::Setting { place: "databases", reason })?;
    }
    Ok(query_database::entry(config.databases.clone()))
}
