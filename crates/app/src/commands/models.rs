//! `baton models`: what is known of models, what they cost, and why each was asked.

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

use baton_core::expr::nearest;
use baton_core::id::TenantId;
use baton_models::Gateway;
use baton_ports::clock::SystemClock;
use baton_store::sqlite::Store;

use crate::cli::models::Models;
use crate::project::Project;
use crate::wire::{self, System};
use crate::{Exit, Misuse};

pub async fn run(folder: &Path, args: Models) -> anyhow::Result<Exit> {
    let project = Project::open(folder)?;
    match args {
        Models::List(args) => list::run(&project, &args).await,
        Models::Show(args) => show::run(&project, &args).await,
        Models::Import(args) => import::run(&project, &args),
        Models::Evaluate(args) => evaluate::run(&project, &args),
        Models::Circuits(args) => circuits::run(&project, &args).await,
        Models::Decisions(args) => decisions::run(&project, &args).await,
        Models::Explain(args) => explain::run(&project, &args).await,
        Models::Savings(args) => savings::run(&project, &args).await,
    }
}

/// The project's models, as a process that asks them sees them: other processes' words on circuits included.
struct Known {
    tenant: TenantId,
    gateway: Gateway,
}

impl Known {
    async fn read(project: &Project) -> anyhow::Result<Self> {
        let settings = &project.settings;
        let tenant = TenantId::parse(&settings.tenant).map_err(|error| Misuse::new(format!("tenant: {error}")))?;
        let gateway = wire::models(project, Arc::new(SystemClock))?;
        let gateway = match store(project)? {
            Some(store) => gateway.sharing(Arc::new(store)),
            None => gateway,
        };
        gateway.listen().await;
        Ok(Self { tenant, gateway })
    }

    /// A name that is no model's, told with the nearest that is.
    fn unknown(&self, name: &str) -> Misuse {
        let all = self.gateway.models(&self.tenant);
        let profiles = baton_models::profile::ALL.map(baton_models::profile::word);
        let names = all.iter().map(|model| model.name.as_str()).chain(profiles);
        let hint = match nearest(name, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`baton models list` shows all".to_owned(),
        };
        Misuse::new(format!("no model `{name}` is known")).hint(hint)
    }
}

/// The project's database, where it has one: looking makes none.
fn store(project: &Project) -> anyhow::Result<Option<Store>> {
    if !project.has_database() {
        return Ok(None);
    }
    System::open(project).map(|system| Some(system.store))
}
