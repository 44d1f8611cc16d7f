//! Rooms put together: a store, the tools, the models and an engine for one project.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use baton_core::agent::Agent;
use baton_core::definition::Catalog;
use baton_core::id::TenantId;
use baton_engine::driver::World;
use baton_engine::roster::{Roster, Tiers};
use baton_engine::{Agents, Engine, Library};
use baton_memory::{Memory, Parts};
use baton_models::Gateway;
use baton_models::budget::Purse;
use baton_ports::clock::{Clock, SystemClock};
use baton_ports::journal::Error;
use baton_ports::registry::{Registry as _, Version};
use baton_ports::tools::Tools;
use baton_store::sqlite::{self, Store};
use baton_tools::sandbox::{self, Launch, Pool};
use baton_tools::{Endpoints, Execution, Registry, Services};

use crate::Misuse;
use crate::project::{Project, Sorted, shown};

/// One project, put together.
pub struct System {
    pub tenant: TenantId,
    pub store: Store,
    pub tools: Arc<Registry>,
    /// Starts no process before the first program.
    pub sandbox: Pool,
    pub models: Arc<Gateway>,
    pub purse: Purse,
    pub memory: Arc<Memory>,
    pub clock: Arc<dyn Clock>,
    pub roster: Arc<Roster>,
    pub thinkers: Arc<Endpoints>,
    pub catalog: Catalog,
    pub options: baton_engine::Options,
    /// How a command line begins that speaks of this project.
    pub command: String,
}

/// Workflows that were saved: a version for each that may run, in the same order.
pub struct Saved {
    pub workflows: Sorted,
    pub versions: Vec<Version>,
}

impl System {
    /// Opens the project's database, making it where there is none.
    pub fn open(project: &Project) -> anyhow::Result<Self> {
        Self::open_at(project, &project.database())
    }

    pub fn open_at(project: &Project, database: &Path) -> anyhow::Result<Self> {
        if let Some(folder) = database.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", shown(folder)))?;
        }
        let store = Store::open(database, sqlite::Options::default()).map_err(|error| match error {
            Error::Unopenable { reason } => anyhow::anyhow!("the database cannot be opened for writing: {reason}"),
            other => other.into(),
        })?;
        Self::over(project, store)
    }

    /// Over an open store.
    pub fn over(project: &Project, store: Store) -> anyhow::Result<Self> {
        Self::by_clock(project, store, Arc::new(SystemClock))
    }

    /// Over an open store, by a clock of the caller's.
    pub fn by_clock(project: &Project, store: Store, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let settings = &project.settings;
        let sandbox = sandbox(&settings.sandbox)?;
        let models = Gateway::new(&settings.models, &project.replies, clock.clone());
        let models = models.map_err(|error| Misuse::new(error.to_string()).code(error.code()))?;
        let purse = Purse::new(Arc::new(store.clone()), settings.budgets.clone(), clock.clone());
        let models = models.recording(Arc::new(store.clone())).sharing(Arc::new(store.clone()));
        let models = Arc::new(models.spending(purse.clone()));
        let parts = Parts {
            index: Arc::new(store.clone()),
            records: Arc::new(store.clone()),
            models: Some(models.clone()),
            clock: clock.clone(),
        };
        let memory = Memory::new(&settings.memory, parts);
        let memory = Arc::new(memory.map_err(|wrong| Misuse::new(format!("memory: {wrong}")))?);
        let services = Services::new(Arc::new(store.clone()), clock.clone())
            .with_memory(memory.clone())
            .with_execution(Execution { limits: sandbox.limits(), sandbox: Arc::new(sandbox.clone()) });
        let tools = Registry::with_defined(settings.tools.clone(), project.tools.clone(), &services);
        let tools = Arc::new(tools.map_err(|error| Misuse::new(error.to_string()))?);
        let tenant = project.tenant()?;
        let tiers = Tiers::new(settings.agents.clone()).map_err(Misuse::new)?;
        let roster = Arc::new(Roster::new(Arc::new(store.clone()), tiers));
        let thinkers = Arc::new(Endpoints::new(&settings.tools));
        let catalog = catalog_of(&*tools, project.agents.clone());
        let options = baton_engine::Options { code: sandbox.limits(), ..settings.engine.options() };
        let command = project.command();
        Ok(Self {
            tenant,
            store,
            tools,
            sandbox,
            models,
            purse,
            memory,
            clock,
            roster,
            thinkers,
            catalog,
            options,
            command,
        })
    }

    /// Makes the agents known that were registered with the tenant. Those of the project's own files stand in for them.
    pub async fn learn(&mut self, project: &Project) -> anyhow::Result<()> {
        let registered = self.roster.registered(&self.tenant).await?;
        let others = registered.into_iter().filter(|(name, _)| !project.own_agents.contains(name));
        self.catalog.agents.extend(others);
        Ok(())
    }

    /// Saves every workflow of the project that may run; one that is unchanged keeps its revision.
    pub async fn save(&mut self, project: &Project) -> anyhow::Result<Saved> {
        self.learn(project).await?;
        let workflows = project.sorted(&mut self.catalog)?;
        let mut versions = Vec::new();
        for ready in &workflows.ready {
            let (text, now) = (ready.text.clone().into(), self.clock.now());
            versions.push(self.store.save(&self.tenant, &ready.name, &ready.label, text, &ready.hash, now).await?);
        }
        Ok(Saved { workflows, versions })
    }

    /// Settles what was spent and gives back what is held of budgets: call it once nothing is asked any more.
    pub async fn close(&self) {
        if let Err(error) = self.purse.close().await {
            tracing::warn!(%error, "what is held of budgets could not be given back; it counts as spent for a while");
        }
    }

    /// From here on an engine accepts runs and moves none: whoever serves the project does.
    pub fn accept_only(&mut self) {
        self.options.awake_max = 0;
    }

    /// An engine over the store. Where nobody has set up a model, replies come from files.
    pub async fn engine(&self) -> anyhow::Result<Engine> {
        let world = World {
            journal: Arc::new(self.store.clone()),
            tools: self.tools.clone(),
            models: self.models.clone(),
            sandbox: Arc::new(self.sandbox.clone()),
            thinkers: self.thinkers.clone(),
            roster: self.roster.clone(),
            think: Arc::new(Agents::default()),
            clock: self.clock.clone(),
            library: Library::new(Arc::new(self.store.clone())),
        };
        Ok(Engine::begin(world, self.options.clone()).await?)
    }
}

/// Programs run in processes of this very binary. None is started before the first program.
pub fn sandbox(config: &sandbox::Config) -> anyhow::Result<Pool> {
    let launch = Launch::own(vec!["sandbox-child".into()]).context("this binary cannot be found")?;
    Ok(Pool::new(config.clone(), launch).map_err(|error| Misuse::new(error.to_string()))?)
}

/// What definitions may name: these agents, and all tools there are.
pub fn catalog_of(tools: &dyn Tools, agents: BTreeMap<String, Agent>) -> Catalog {
    let facts = tools.names().into_iter().filter_map(|name| Some((name.clone(), tools.facts(&name)?)));
    Catalog { agents, tools: facts.collect(), workflows: BTreeMap::new() }
}

/// What definitions of a project may name, with the agents that were registered with it where it has a database.
pub fn whole_catalog(project: &Project) -> anyhow::Result<Catalog> {
    if !project.database().exists() {
        return catalog(project);
    }
    let mut system = System::open(project)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(system.learn(project))?;
    Ok(system.catalog)
}

/// What definitions of a project may name, without its database.
pub fn catalog(project: &Project) -> anyhow::Result<Catalog> {
    let store = Store::in_memory(sqlite::Options::default())?;
    Ok(System::over(project, store)?.catalog)
}
