//! `baton models`: facts about models, their costs, and why each was chosen.

mod circuits;
mod decisions;
mod evaluate;
mod explain;
mod import;
mod list;
mod savings;
mod show;

use std::path::Path;
use std::sync::Arc;

use baton_core::id::TenantId;
use baton_expr::nearest;
use baton_models::ModelGateway;
use baton_ports::clock::SystemClock;
use baton_store::sqlite::SqliteStore;

use crate::cli::models::ModelsCommand;
use crate::project::Project;
use crate::wiring::{self, ProjectSystem};
use crate::{CommandExit, UsageError};

pub async fn run(folder: &Path, args: ModelsCommand) -> anyhow::Result<CommandExit> {
    let project = Project::open(folder)?;
    match args {
        ModelsCommand::List(args) => list::run(&project, &args).await,
        ModelsCommand::Show(args) => show::run(&project, &args).await,
        ModelsCommand::Import(args) => import::run(&project, &args),
        ModelsCommand::Evaluate(args) => evaluate::run(&project, &args),
        ModelsCommand::Circuits(args) => circuits::run(&project, &args).await,
        ModelsCommand::Decisions(args) => decisions::run(&project, &args).await,
        ModelsCommand::Explain(args) => explain::run(&project, &args).await,
        ModelsCommand::Savings(args) => savings::run(&project, &args).await,
    }
}

/// The project's models, as a process that calls them sees them, with circuits that other processes reported.
struct ProjectModels {
    tenant: TenantId,
    gateway: ModelGateway,
}

impl ProjectModels {
    async fn read(project: &Project) -> anyhow::Result<Self> {
        let settings = &project.settings;
        let tenant = TenantId::parse(&settings.tenant).map_err(|error| UsageError::new(format!("tenant: {error}")))?;
        let gateway = wiring::models(project, Arc::new(SystemClock))?;
        let gateway = match store(project)? {
            Some(store) => gateway.with_circuits(Arc::new(store)),
            None => gateway,
        };
        gateway.sync_circuits().await;
        Ok(Self { tenant, gateway })
    }

    /// The error for an unknown model name, with the closest known name.
    fn unknown_model(&self, name: &str) -> UsageError {
        let all = self.gateway.models(&self.tenant);
        let profiles = baton_models::profile::ALL.map(baton_models::profile::word);
        let names = all.iter().map(|model| model.name.as_str()).chain(profiles);
        let hint = match nearest(name, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`baton models list` shows all".to_owned(),
        };
        UsageError::new(format!("no model `{name}` is known")).hint(hint)
    }
}

/// The project's database, if it exists. Never creates it.
fn store(project: &Project) -> anyhow::Result<Option<SqliteStore>> {
    if !project.has_database() {
        return Ok(None);
    }
    ProjectSystem::open(project).map(|system| Some(system.store))
}
