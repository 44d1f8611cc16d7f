//! `baton customers`: exports or erases the data about one customer, as the API does.

use std::path::Path;

use baton_core::id::TenantId;
use baton_engine::Engine;
use baton_server::customers::{CustomerError, CustomerService, ErasureRequest, VACUUM_BYTES_MAX};
use serde_json::Value;

use super::knowledge::external_index::KnowledgeStores;
use super::runs::record;
use crate::cli::{CustomerArgs, CustomersCommand};
use crate::project::Project;
use crate::wiring::ProjectSystem;
use crate::{CommandExit, UsageError, print};

pub async fn run(folder: &Path, args: CustomersCommand) -> anyhow::Result<CommandExit> {
    let project = Project::open(folder)?;
    match args {
        CustomersCommand::Export { id, by, of } => {
            let (system, tenant) = open(&project, &of)?;
            let shelf = KnowledgeStores::of(&project, &system);
            let work =
                async |engine: &Engine| Ok(stores(&system, engine, &shelf).export(&tenant, &id, &by, None).await);
            print::pretty(&system.run_with_engine(work).await?.map_err(usage_error)?);
        }
        CustomersCommand::Erase { id, also, end_runs, vacuum, by, of } => {
            let (system, tenant) = open(&project, &of)?;
            let shelf = KnowledgeStores::of(&project, &system);
            let vacuum_bytes_max = if vacuum { u64::MAX } else { VACUUM_BYTES_MAX };
            let wish = ErasureRequest { id, aliases: also, end_runs, vacuum_bytes_max, by, key_id: None };
            let work = async |engine: &Engine| Ok(stores(&system, engine, &shelf).erase(&tenant, wish).await);
            print_erased(&system.run_with_engine(work).await?.map_err(usage_error)?, of.json);
        }
    }
    Ok(CommandExit::Completed)
}

fn open(project: &Project, of: &CustomerArgs) -> anyhow::Result<(ProjectSystem, TenantId)> {
    let system = record::system(project)?;
    let tenant = match &of.tenant {
        Some(name) => TenantId::parse(name).map_err(|error| UsageError::new(error.to_string()))?,
        None => system.tenant.clone(),
    };
    Ok((system, tenant))
}

/// Errors that the caller can correct become usage errors.
fn usage_error(error: CustomerError) -> anyhow::Error {
    match error {
        CustomerError::StillLive(_) | CustomerError::PartlyErased(_) => {
            UsageError::new(error.to_string()).hint("`--end-runs` ends them first").into()
        }
        CustomerError::InvalidId => UsageError::new(error.to_string()).into(),
        CustomerError::Journal(_)
        | CustomerError::Records(_)
        | CustomerError::Memory(_)
        | CustomerError::Knowledge(_)
        | CustomerError::Engine(_)
        | CustomerError::Changing => error.into(),
    }
}

/// The stores that hold customers' data.
pub(super) fn stores<'s>(
    system: &'s ProjectSystem,
    engine: &'s Engine,
    shelf: &'s KnowledgeStores,
) -> CustomerService<'s> {
    CustomerService {
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

fn print_erased(erased: &Value, as_json: bool) {
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
