//! `baton audit erase`.

use baton_ports::audit::{AuditTrail, ErasureSubject};
use baton_ports::clock::{Clock, SystemClock};
use serde_json::json;

use super::TenantTrail;
use crate::{CommandExit, print};

pub async fn run(
    trail: &TenantTrail,
    mut person: ErasureSubject,
    by: &str,
    as_json: bool,
) -> anyhow::Result<CommandExit> {
    let rows = match &trail.system {
        Some(system) => {
            let known = baton_tools::identifiers_of(&system.store, &trail.tenant, &person.id).await?;
            person.other_names.extend(known);
            system.store.erase(&trail.tenant, &person, by, SystemClock.now()).await?
        }
        None => 0,
    };
    if as_json {
        print::pretty(&json!({ "erased_rows": rows, "also_known_by": person.other_names.len() }));
    } else if rows == 0 {
        print::line("no row names this person");
    } else {
        print::line(format_args!(
            "{} erased; the chain still holds, and says that it was done",
            print::count_noun(rows, "row")
        ));
    }
    Ok(CommandExit::Completed)
}
