//! `baton audit`: lists the audit trail, verifies its integrity, and erases a person from it.

mod erase;
mod list;
mod verify;

use std::path::Path;

use baton_core::id::TenantId;
use baton_ports::audit::{AuditFilter, AuditTrail as _, ErasureSubject};

use crate::cli::{AuditCommand, AuditTenantArgs};
use crate::project::Project;
use crate::wiring::ProjectSystem;
use crate::{CommandExit, UsageError, print};

pub async fn run(folder: &Path, args: AuditCommand) -> anyhow::Result<CommandExit> {
    let project = Project::open(folder)?;
    match args {
        AuditCommand::List(args) => list::run(&mut TenantTrail::open(&project, &args.of)?, &args).await,
        AuditCommand::Show { seq, of } => show(&TenantTrail::open(&project, &of)?, seq, of.json).await,
        AuditCommand::Verify { expect, of } => verify::run(&TenantTrail::open(&project, &of)?, expect, of.json).await,
        AuditCommand::Erase { person, also, by, of } => {
            erase::run(
                &TenantTrail::open(&project, &of)?,
                ErasureSubject { id: person, other_names: also, ..ErasureSubject::default() },
                &by,
                of.json,
            )
            .await
        }
    }
}

/// One tenant's audit trail. Does not create a database if nothing has run.
struct TenantTrail {
    tenant: TenantId,
    system: Option<ProjectSystem>,
}

impl TenantTrail {
    fn open(project: &Project, of: &AuditTenantArgs) -> anyhow::Result<Self> {
        let tenant = match &of.tenant {
            Some(name) => TenantId::parse(name).map_err(|error| UsageError::new(error.to_string()))?,
            None => project.tenant()?,
        };
        let system = if project.has_database() { Some(ProjectSystem::open(project)?) } else { None };
        Ok(Self { tenant, system })
    }
}

async fn show(trail: &TenantTrail, seq: u64, as_json: bool) -> anyhow::Result<CommandExit> {
    let filter = AuditFilter { cursor: seq.checked_sub(1), limit: 1, ..AuditFilter::default() };
    let found = match &trail.system {
        Some(system) => system.store.trail(&trail.tenant, filter).await?,
        None => Vec::new(),
    };
    let Some(entry) = found.first().filter(|entry| entry.seq == seq) else {
        return Err(UsageError::new(format!("the audit trail of `{}` has no row {seq}", trail.tenant))
            .hint("`baton audit list` shows the newest ones")
            .into());
    };
    if !as_json {
        list::print_entries(std::slice::from_ref(entry));
    }
    print::pretty(&entry.as_json());
    Ok(CommandExit::Completed)
}
