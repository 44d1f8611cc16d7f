//! The tools that come with Baton, in one list. Adding one is a file and a line here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use baton_ports::clock::Clock;
use baton_ports::memory::Memory;
use baton_ports::records::Records;

use crate::catalogue::Entry;
use crate::config::Config;
use crate::definition::{Definition, Kind};
use crate::error::Error;
use crate::kinds::execute_code::{self, Execution};
use crate::kinds::{calculator, filter_list, http, http_request, operation, script, transform_json};
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
    /// Without it there is no `execute_code`.
    pub execution: Option<Execution>,
}

impl Services {
    /// Those no tool can do without.
    pub fn new(records: Arc<dyn Records>, clock: Arc<dyn Clock>) -> Self {
        Self { records, clock, memory: None, execution: None }
    }

    pub fn with_memory(self, memory: Arc<dyn Memory>) -> Self {
        Self { memory: Some(memory), ..self }
    }

    pub fn with_execution(self, execution: Execution) -> Self {
        Self { execution: Some(execution), ..self }
    }
}

/// Shipped tools first, so that a project's own of the same name stands in for them.
pub(crate) fn entries(config: &Config, definitions: Vec<Definition>, services: &Services) -> Result<Vec<Entry>, Error> {
    let Services { records, clock, memory, execution } = services;
    let outbound = Arc::new(Outbound::new(config.outbound.clone()));
    let mut entries = vec![
        calculator::entry(),
        filter_list::entry(),
        transform_json::entry(),
        http_request::entry(outbound.clone()),
        calendar_entry(config, records, clock)?,
        crm::entry(records, clock),
        email::entry(&config.email, records, clock),
    ];
    entries.extend(execution.clone().map(execute_code::entry));
    entries.extend(message::entries(records, clock));
    entries.extend(ticket::entries(records, clock));
    entries.extend(payment_entries(config, records, clock));
    entries.extend(memory.iter().flat_map(|memory| memory::entries(memory, clock)));
    let secrets = Arc::new(config.secrets.clone());
    let mut defined = BTreeSet::new();
    for definition in definitions {
        if !defined.insert(definition.name().to_owned()) {
            return Err(Error::DefinedTwice { name: definition.name().to_owned() });
        }
        entries.push(match definition.kind {
            Kind::Script(script) => script::entry(definition.profile, script, records.clone(), clock.clone()),
            Kind::Http(http) => http::entry(definition.profile, *http, outbound.clone(), secrets.clone()),
            Kind::Operation(called) => operation::entry(definition.profile, *called, outbound.clone(), secrets.clone()),
        });
    }
    Ok(entries)
}

fn calendar_entry(config: &Config, records: &Arc<dyn Records>, clock: &Arc<dyn Clock>) -> Result<Entry, Error> {
    let tenants = config.tenants.iter().filter_map(|(id, tenant)| Some((id.clone(), tenant.calendar.clone()?)));
    let tenants = tenants.collect::<std::collections::BTreeMap<_, _>>();
    for calendar in tenants.values().chain([&config.calendar]) {
        calendar.check().map_err(|reason| Error::Setting { place: "calendar", reason })?;
    }
    Ok(calendar::entry(config.calendar.clone(), tenants, records.clone(), clock.clone()))
}

fn payment_entries(config: &Config, records: &Arc<dyn Records>, clock: &Arc<dyn Clock>) -> Vec<Entry> {
    let tenants = config.tenants.iter().filter_map(|(id, tenant)| Some((id.clone(), tenant.payment.clone()?)));
    payment::entries(config.payment.clone(), tenants.collect(), records, clock)
}
