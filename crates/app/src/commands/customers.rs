//! `baton customers`: what is kept of one, handed over or erased, as the API does it.

use std::path::Path;

use baton_core::id::TenantId;
use baton_engine::Engine;
use baton_server::customers::{Customers as Stores, Error, VACUUM_BYTES_MAX, Wish};
use serde_json::Value;

use super::knowledge::outside::Shelf;
use super::runs::record;
use crate::cli::{Customers, CustomersOf};
use crate::project::Project;
use crate::wire::System;
use crate::{Exit, Misuse, print};

pub async fn run(folder: &Path, args: Customers) -> anyhow::Result<Exit> {
    let project = Project::open(folder)?;
    match args {
        Customers::Export { id, by, of } => {
            let (system, tenant) = open(&project, &of)?;
            let shelf = Shelf::of(&project, &system);
            let work =
                async |engine: &Engine| Ok(stores(&system, engine, &shelf).export(&tenant, &id, &by, None).await);
            print::pretty(&system.working(work).await?.map_err(plain)?);
        }
        Customers::Erase { id, also, end_runs, vacuum, by, of } => {
            let (system, tenant) = open(&project, &of)?;
            let shelf = Shelf::of(&project, &system);
            let vacuum_bytes_max = if vacuum { u64::MAX } else { VACUUM_BYTES_MAX };
            let wish = Wish { id, also, end_runs, vacuum_bytes_max, by, key_id: None };
            let work = async |engine: &Engine| Ok(stores(&system, engine, &shelf).erase(&tenant, wish).await);
            told(&system.working(work).await?.map_err(plain)?, of.json);
        }
    }
    Ok(Exit::Completed)
}

fn open(project: &Project, of: &CustomersOf) -> anyhow::Result<(System, TenantId)> {
    let system = record::system(project)?;
    let tenant = match &of.tenant {
        Some(name) => TenantId::parse(name).map_err(|error| Misuse::new(error.to_string()))?,
        None => system.tenant.clone(),
    };
    Ok((system, tenant))
}

/// What whoever asked can do something about is said to them as that.
fn plain(error: Error) -> anyhow::Error {
    match error {
        Error::Live(_) | Error::Rest(_) => Misuse::new(error.to_string()).hint("`--end-runs` ends them first").into(),
        Error::Id => Misuse::new(error.to_string()).into(),
        Error::Journal(_)
        | Error::Records(_)
        | Error::Memory(_)
        | Error::Knowledge(_)
        | Error::Engine(_)
        | Error::Changing => error.into(),
    }
}

/// What customers' data lie behind.
pub(super) fn stores<'s>(system: &'s System, engine: &'s Engine, shelf: &'s Shelf) -> Stores<'s> {
    Stores {
        engine,
        read: &system.store,
        records: &*system.records,
        audit: &system.store,
        memory: &*system.memory,
        knowledge: shelf,
        erasure: &system.store,
        clock: &*system.clock,
    }
}

fn told(erased: &Value, as_json: bool) {
    if as_json {
        return print::pretty(erased);
    }
    match (erased["found"].as_bool(), erased["erased_at"].as_str()) {
        (Some(false), Some(at)) => print::line(format_args!("nothing of this customer is left: erased at {at}")),
        (Some(false), None) => print::line("nothing of a customer of this id was found"),
        _ => print::line("erased for good:"),
    }
    let counts = erased["erased"].as_object().into_iter().flatten().filter(|(kind, _)| *kind != "left");
    for (kind, count) in counts {
        match count {
            Value::Object(of) => {
                for (kind, count) in of.iter().filter(|(_, count)| count.as_u64() != Some(0)) {
                    print::line(format_args!("  {:<18} {count}", kind.replace('_', " ")));
                }
            }
            count if count.as_u64() == Some(0) => {}
            count => print::line(format_args!("  {:<18} {count}", kind.replace('_', " "))),
        }
    }
    for (space, keys) in erased["erased"]["left"].as_object().into_iter().flatten() {
        let keys: Vec<&str> = keys.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        print::line(format_args!("left, for it is about others too: {} {}", space.replace('_', " "), keys.join(", ")));
    }
    if let Some(reason) = erased["file"]["unfinished"].as_str() {
        print::line(format_args!(
            "all is deleted, and copies may be in the log or in freed pages of the file: {reason}"
        ));
        print::line("`baton serve` overwrites them within minutes, or the same command does");
    } else if erased["file"]["vacuumed"] == false {
        print::line("the database is large and was not written anew; `--vacuum` does that: stop `baton serve` first");
    }
}
