//! The tools that come with Baton, in one list. To add one, add a file and a line here.

mod outage;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use baton_ports::circuits::ServiceCircuitStore;
use baton_ports::clock::Clock;
use baton_ports::embed::Embedder;
use baton_ports::memory::MemoryStore;
use baton_ports::rate_limits::RateLimitStore;
use baton_ports::records::RecordStore;
use baton_ports::task_inbox::TaskInbox;
use baton_ports::tool_cache::ToolCache;

use crate::by_tenant::ByTenant;
use crate::call_state::SharedCallState;
use crate::catalogue::{SettingsDigest, ToolEntry, ToolIdentity};
use crate::config::ToolsConfig;
use crate::definition::{ToolDefinition, ToolKind};
use crate::error::ToolSetupError;
use crate::kinds::execute_code::{self, CodeExecution};
use crate::kinds::{
    calculator, filter_list, http, http_request, mcp, operation, query_database, script, transform_json, web_search,
};
use crate::mcp::{McpConnectionPool, McpSource};
use crate::outbound::OutboundClient;
use crate::providers::{calendar, crm, email, memory, message, payment, ticket};

/// The default time-out of a tool.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// The services that shipped tools use.
#[derive(Clone)]
pub struct ToolServices {
    pub records: Arc<dyn RecordStore>,
    pub clock: Arc<dyn Clock>,
    /// Without it there are no memory tools.
    pub memory: Option<Arc<dyn MemoryStore>>,
    /// Computes embeddings for external indexes.
    pub embedder: Option<Arc<dyn Embedder>>,
    /// Without it there is no `execute_code`.
    pub execution: Option<CodeExecution>,
    /// Without it nobody is notified of problems that only a person can repair.
    pub task_inbox: Option<Arc<dyn TaskInbox>>,
    /// Without it this process has its own call counts, cache and circuits.
    pub(crate) shared: Option<SharedCallState>,
}

impl ToolServices {
    /// The services that every tool requires.
    pub fn new(records: Arc<dyn RecordStore>, clock: Arc<dyn Clock>) -> Self {
        Self { records, clock, memory: None, embedder: None, execution: None, task_inbox: None, shared: None }
    }

    pub fn with_memory(self, memory: Arc<dyn MemoryStore>) -> Self {
        Self { memory: Some(memory), ..self }
    }

    pub fn with_embedder(self, embedder: Arc<dyn Embedder>) -> Self {
        Self { embedder: Some(embedder), ..self }
    }

    pub fn with_execution(self, execution: CodeExecution) -> Self {
        Self { execution: Some(execution), ..self }
    }

    /// Shares rates, cached results and circuits with all processes over this store.
    #[must_use]
    pub fn with_shared_state<S: RateLimitStore + ToolCache + ServiceCircuitStore + 'static>(
        self,
        store: Arc<S>,
    ) -> Self {
        let shared = SharedCallState { rate_limits: store.clone(), cache: store.clone(), circuits: store };
        Self { shared: Some(shared), ..self }
    }

    pub fn with_task_inbox(self, desk: Arc<dyn TaskInbox>) -> Self {
        Self { task_inbox: Some(desk), ..self }
    }
}

/// Stands in for a definition's digest: the program itself defines what a shipped tool does.
const SHIPPED: [u8; 32] = [0; 32];

/// All tools, and the connections to the MCP servers that some of them belong to.
pub(crate) struct ToolSet {
    pub(crate) entries: Vec<ToolEntry>,
    /// The names of those that exist without a project.
    pub(crate) shipped: Vec<Arc<str>>,
    pub(crate) links: Vec<Arc<McpConnectionPool>>,
}

/// Shipped tools come first, so that a project's own tool of the same name replaces them.
pub(crate) fn entries(
    config: &ToolsConfig,
    definitions: Vec<ToolDefinition>,
    sources: Vec<McpSource>,
    services: &ToolServices,
) -> Result<ToolSet, ToolSetupError> {
    let ToolServices { records, clock, memory, embedder, execution, task_inbox: _, shared: _ } = services;
    let outbound = Arc::new(OutboundClient::new(config.outbound.clone()));
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
    let identified = |entry: ToolEntry| entry.with_identity(ToolIdentity::of_source(&settings, &SHIPPED));
    let entries = outage::apply_outage_settings(config, entries, services, &outbound)?;
    let mut entries: Vec<ToolEntry> = entries.into_iter().map(identified).collect();
    let shipped = entries.iter().map(|entry| entry.name.clone()).collect();
    let (own, links) = defined(config, definitions, sources, services, &outbound)?;
    entries.extend(own);
    Ok(ToolSet { entries, shipped, links })
}

/// Tools that are added while the system runs, under [`ToolsConfig::for_added_sources`].
pub(crate) fn tenant_entries(
    config: &ToolsConfig,
    definitions: Vec<ToolDefinition>,
    sources: Vec<McpSource>,
    services: &ToolServices,
) -> Result<(Vec<ToolEntry>, Vec<Arc<McpConnectionPool>>), ToolSetupError> {
    defined(config, definitions, sources, services, &Arc::new(OutboundClient::new(config.outbound.clone())))
}

/// Tools of definitions, and the connections to the MCP servers that some of them belong to.
fn defined(
    config: &ToolsConfig,
    definitions: Vec<ToolDefinition>,
    sources: Vec<McpSource>,
    services: &ToolServices,
    outbound: &Arc<OutboundClient>,
) -> Result<(Vec<ToolEntry>, Vec<Arc<McpConnectionPool>>), ToolSetupError> {
    let ToolServices { records, clock, .. } = services;
    let secrets = Arc::new(config.secrets.clone());
    let connect = |source: McpSource| Arc::new(McpConnectionPool::new(source, secrets.clone(), outbound.clone()));
    let mut links: Vec<Arc<McpConnectionPool>> = Vec::new();
    for source in sources {
        if links.iter().any(|link| link.source.name() == source.name()) {
            return Err(ToolSetupError::DefinedTwice { name: source.name().to_owned() });
        }
        links.push(connect(source));
    }
    let (mut entries, mut names) = (Vec::new(), BTreeSet::new());
    let settings = SettingsDigest::of(config);
    for definition in definitions {
        if !names.insert(definition.name().to_owned()) {
            return Err(ToolSetupError::DefinedTwice { name: definition.name().to_owned() });
        }
        let digest = definition.digest;
        let entry = match definition.kind {
            ToolKind::Script(script) => script::entry(definition.profile, script, records.clone(), clock.clone()),
            ToolKind::Http(http) => http::entry(definition.profile, *http, outbound.clone(), secrets.clone()),
            ToolKind::Operation(called) => {
                operation::entry(definition.profile, *called, outbound.clone(), secrets.clone())
            }
            ToolKind::Remote { source, tool, output } => {
                let is_its = |link: &&Arc<McpConnectionPool>| link.source.name() == source.name();
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
            Some(digest) => entry.with_identity(ToolIdentity::of_source(&settings, &digest)),
            None => entry,
        });
    }
    Ok((entries, links))
}

fn calendar_entry(
    config: &ToolsConfig,
    services: &ToolServices,
    outbound: &Arc<OutboundClient>,
) -> Result<ToolEntry, ToolSetupError> {
    let settings = ByTenant::read(config, config.calendar.clone(), |tenant| tenant.calendar.clone());
    let ToolServices { records, clock, .. } = services;
    let means =
        calendar::CalendarServices { records: records.clone(), clock: clock.clone(), outbound: outbound.clone() };
    calendar::entry(&settings, &means).map_err(|reason| ToolSetupError::Setting { place: "calendar", reason })
}

fn query_entry(config: &ToolsConfig) -> Result<ToolEntry, ToolSetupError> {
    for database in config.databases.values() {
        database.check().map_err(|reason| ToolSetupError::Setting { place: "databases", reason })?;
    }
    Ok(query_database::entry(config.databases.clone()))
}
