//! The way in: all tools behind the port.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::fault::Fault;
use baton_core::money::Usd;
use baton_core::tool::{Call, Facts, Outcome};
use baton_ports::clock::Clock;
use baton_ports::tools::{Checked, Performed, Tools};
use serde_json::Value;

use crate::audit;
use crate::catalogue::{Catalogue, Description, Entry};
use crate::check::{self, Stopped};
use crate::code;
use crate::config::Config;
use crate::definition::Definition;
use crate::error::Error;
use crate::gates::Gates;
use crate::permit::{self, Permit};
use crate::rules::Rules;
use crate::shipped::{self, Services};

/// The tools of one process: those that are shipped, and those a project defines.
pub struct Registry {
    catalogue: Catalogue,
    rules: Rules,
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
        let entries = shipped::entries(&config, definitions, services)?;
        let catalogue = Catalogue::new(entries, &config.tool);
        let tuned = config.tool.keys().chain(config.tenants.values().flat_map(|tenant| tenant.tool.keys()));
        for name in tuned {
            if catalogue.find(name).is_none() {
                let nearest = catalogue.nearest(name).map(str::to_owned);
                return Err(Error::NoSuchTool { name: name.clone(), nearest });
            }
        }
        let gates = Arc::new(Gates::new());
        Ok(Self { catalogue, rules: Rules::new(&config), gates, clock: services.clock.clone() })
    }

    /// What is known of a tool, for lists and pages.
    pub fn describe(&self, tool: &str) -> Option<Description> {
        self.catalogue.find(tool).map(|entry| entry.description())
    }

    /// The answer that is kept, with its row. It costs nothing: nobody was asked.
    fn known(&self, call: &Call, output: Value, entry: &Entry) -> Performed {
        let outcome = Outcome::Done { output, cost: Usd::ZERO, cached: true };
        let audit = audit::row(call.clone(), Some(entry), &outcome, self.clock.now(), Duration::ZERO);
        Performed { outcome, audit }
    }

    /// The answer to a call that was not let through, with its row.
    fn refuse(&self, call: &Call, fault: Fault, entry: Option<&Entry>) -> Performed {
        let language = self.rules.of(&call.tenant).language(&call.caller);
        let category = entry.map_or("", |entry| &entry.category);
        let fault = code::speak(fault, category, language);
        let outcome = Outcome::NotDone { fault, retryable: false, retry_after: None };
        let audit = audit::row(call.clone(), entry, &outcome, self.clock.now(), Duration::ZERO);
        Performed { outcome, audit }
    }
}

#[async_trait]
impl Tools for Registry {
    async fn check(&self, call: &Call, approved: Option<&str>) -> Checked {
        match check::admit(&self.catalogue, &self.rules, &self.gates, call, approved, self.clock.now()) {
            Ok(admitted) => Checked::Permitted(Box::new(Permit::new(admitted, self.gates.clone(), self.clock.clone()))),
            Err(Stopped::NeedsApproval { hash }) => Checked::NeedsApproval { hash },
            Err(Stopped::RateLimited { retry_after }) => Checked::RateLimited { retry_after },
            Err(Stopped::CircuitOpen { retry_after }) => Checked::CircuitOpen { retry_after },
            Err(Stopped::Known { output, entry }) => Checked::Answered(Box::new(self.known(call, output, &entry))),
            Err(Stopped::Refused { fault, entry }) => {
                Checked::Answered(Box::new(self.refuse(call, fault, entry.as_deref())))
            }
        }
    }

    async fn look_up(&self, call: &Call, limit: Duration) -> Outcome {
        let unknown = |message: String| Outcome::Unknown { fault: Fault::new(code::OUTCOME_UNKNOWN, message) };
        let Some(entry) = self.catalogue.find(&call.tool) else {
            return unknown(format!("there is no tool `{}` any more that could be asked", call.tool));
        };
        let request = match check::settle(&self.rules, call, entry) {
            Ok(request) => request,
            Err(reason) => return unknown(reason),
        };
        match tokio::time::timeout(limit, entry.tool.look_up(&request)).await {
            Ok(Ok(output)) => Outcome::Done { output, cost: Usd::ZERO, cached: false },
            Ok(Err(failure)) => {
                permit::outcome(failure.map_fault(|fault| code::speak(fault, &entry.category, request.language)))
            }
            Err(_elapsed) => {
                unknown(format!("`{}` was asked and did not answer in {} ms", call.tool, limit.as_millis()))
            }
        }
    }

    fn facts(&self, tool: &str) -> Option<Facts> {
        self.catalogue.find(tool).map(|entry| entry.facts.clone().costing(entry.cost))
    }

    fn names(&self) -> Vec<String> {
        self.catalogue.names().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests;
