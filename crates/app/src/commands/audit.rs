//! `baton audit`: what was done, whether the trail is whole, and erasing a person from it.

mod erase;
mod list;
mod verify;

use std::path::Path;

use baton_core::id::TenantId;
use baton_ports::audit::{Audit as _, Filter, Person};

use crate::cli::{Audit, AuditOf};
use crate::project::Project;
use crate::wire::System;
use crate::{Exit, Misuse, print};

pub async fn run(folder: &Path, args: Audit) -> anyhow::Result<Exit> {
    let project = Project::open(folder)?;
    match args {
        Audit::List(args) => list::run(&mut Trail::open(&project, &args.of)?, &args).await,
        Audit::Show { seq, of } => show(&Trail::open(&project, &of)?, seq, of.json).await,
        Audit::Verify { expect, of } => verify::run(&Trail::open(&project, &of)?, expect, of.json).await,
        Audit::Erase { person, also, by, of } => {
            erase::run(&Trail::open(&project, &of)?, Person { id: person, also, ..Person::default() }, &by, of.json)
                .await
        }
    }
}

/// One tenant's trail. Looking makes no database where nothing has run.
struct Trail {
    tenant: TenantId,
    system: Option<System>,
}

impl Trail {
    fn open(project: &Project, of: &AuditOf) -> anyhow::Result<Self> {
        let tenant = match &of.tenant {
            Some(name) => TenantId::parse(name).map_err(|error| Misuse::new(error.to_string()))?,
            None => project.tenant()?,
        };
        let system = if project.has_database() { Some(System::open(project)?) } else { None };
        Ok(Self { tenant, system })
    }
}

async fn show(trail: &Trail, seq: u64, as_json: bool) -> anyhow::Result<Exit> {
    let filter = Filter { cursor: seq.checked_sub(1), limit: 1, ..Filter::default() };
    let found = match &trail.system {
        Some(system) => system.store.trail(&trail.tenant, filter).await?,
        None => Vec::new(),
    };
    let Some(entry) = found.first().filter(|entry| entry.seq == seq) else {
        return Err(Misuse::new(format!("the audit trail of `{}` has no row {seq}", trail.tenant))
            .hint("`baton audit list` shows the newest ones")
            .into());
    };
    if !as_json {
        list::tell(std::slice::from_ref(entry));
    }
    print::pretty(&entry.as_json());
    Ok(Exit::Completed)
}
