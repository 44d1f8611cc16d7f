//! Wires the crates together: the store, the tools, the models and an engine for one project.

mod keys;
mod tenant_settings;
mod triggers;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use baton_core::actor;
use baton_core::agent::AgentDefinition;
use baton_core::audit::AdminAction;
use baton_core::definition::DefinitionCatalog;
use baton_core::id::{RunId, TenantId};
use baton_engine::agent_registry::{AgentRegistry, TierTable};
use baton_engine::driver::EnginePorts;
use baton_engine::settings::SettingStore;
use baton_engine::{Engine, FollowedRun, StepFunctions, WorkflowCache};
use baton_memory::{MemoryPorts, MemoryService};
use baton_models::ModelGateway;
use baton_models::budget::BudgetLedger;
use baton_models::embeddings::EmbeddingBudget;
use baton_ports::audit::AuditTrail as _;
use baton_ports::clock::{Clock, SystemClock};
use baton_ports::journal::JournalError;
use baton_ports::records::RecordStore;
use baton_ports::registry::{ChangeResult, NewVersion, WorkflowChange, WorkflowRegistry as _, WorkflowVersion};
use baton_ports::tools::ToolGateway;
use baton_store::sqlite::{self, SqliteStore};
use baton_tools::sandbox::{self, SandboxPool};
use baton_tools::{AgentEndpoints, CodeExecution, LaunchCommand, ToolRegistry, ToolServices};
use serde_json::Value;

use crate::config::{ActivationPolicy, MaintenanceSettings};
use crate::project::{Project, ProjectWorkflows, ReadyWorkflow, display_path};
use crate::shutdown::{self, UncleanShutdown};
use crate::sources::TenantSources;
use crate::traces::TraceExporter;
use crate::{UsageError, print, vault};

pub use self::keys::secret_names as secrets_outside;

/// One project with its services.
pub struct ProjectSystem {
    pub tenant: TenantId,
    pub store: SqliteStore,
    /// The store's records, with the secrets in them sealed.
    pub records: Arc<dyn RecordStore>,
    pub tools: Arc<ToolRegistry>,
    /// Starts no process before the first program.
    pub sandbox: SandboxPool,
    pub models: Arc<ModelGateway>,
    pub budget: BudgetLedger,
    /// Settings of tenants.
    pub settings: Arc<SettingStore>,
    /// The tool sources that tenants added.
    pub tenant_sources: Arc<TenantSources>,
    pub memory: Arc<MemoryService>,
    /// The budget for the embeddings of memory.
    pub embeddings: EmbeddingBudget,
    pub clock: Arc<dyn Clock>,
    pub agent_registry: Arc<AgentRegistry>,
    pub agent_endpoints: Arc<AgentEndpoints>,
    pub catalog: DefinitionCatalog,
    pub options: baton_engine::EngineOptions,
    /// How a command line for this project begins.
    pub command: String,
}

/// A person interrupted the work. Nothing that was recorded is lost.
#[derive(Debug)]
pub struct InterruptedError {
    /// How a command line for the project begins.
    pub command: String,
}

impl fmt::Display for InterruptedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stopped; nothing is lost: `{} runs work` goes on", self.command)
    }
}

impl std::error::Error for InterruptedError {}

/// Saved workflows: a version for each that can run, in the same order.
pub struct SavedWorkflows {
    pub workflows: ProjectWorkflows,
    pub versions: Vec<WorkflowVersion>,
}

impl ProjectSystem {
    /// Opens the project's database, and creates it if it does not exist.
    ///
    /// # Errors
    /// The folder is not a project. A database that was created there would be hard to find again.
    pub fn open(project: &Project) -> anyhow::Result<Self> {
        if !project.exists() && !project.has_database() {
            return Err(project.not_a_project().into());
        }
        Self::open_at(project, &project.database())
    }

    pub fn open_at(project: &Project, database: &Path) -> anyhow::Result<Self> {
        if let Some(folder) = database.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", display_path(folder)))?;
        }
        let store = SqliteStore::open(database, sqlite::StoreOptions::default()).map_err(|error| match error {
            JournalError::Unopenable { reason } => {
                anyhow::anyhow!("the database cannot be opened for writing: {reason}")
            }
            JournalError::Outage(outage) => outage.into(),
            other => other.into(),
        })?;
        Self::from_store(project, store)
    }

    /// Builds the system over an open store.
    pub fn from_store(project: &Project, store: SqliteStore) -> anyhow::Result<Self> {
        Self::with_clock(project, store, Arc::new(SystemClock))
    }

    /// Builds the system over an open store, with the caller's clock.
    pub fn with_clock(project: &Project, store: SqliteStore, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let settings = &project.settings;
        let sandbox = sandbox(&settings.sandbox)?;
        let tenant = project.tenant()?;
        let secrets = keys::all_secrets(project, &store)?;
        let keyed = keys::KeyedConfigs::resolve_keys(project, &secrets)?;
        let models = gateway(project, &keyed.models, clock.clone())?;
        let ledger = BudgetLedger::new(Arc::new(store.clone()), settings.budgets.clone(), clock.clone());
        let models = models.with_decisions(Arc::new(store.clone())).with_circuits(Arc::new(store.clone()));
        let models = Arc::new(models.with_budget(ledger.clone()));
        let parts = MemoryPorts {
            index: Arc::new(store.clone()),
            records: Arc::new(store.clone()),
            models: Some(models.clone()),
            clock: clock.clone(),
        };
        let embeddings = EmbeddingBudget::new(models.clone(), ledger.clone());
        let memory = MemoryService::with_billing(&keyed.memory, parts, Some(Arc::new(embeddings.clone())));
        let memory = Arc::new(memory.map_err(|wrong| UsageError::new(format!("memory: {wrong}")))?);
        let services = ToolServices::new(Arc::new(store.clone()), clock.clone())
            .with_memory(memory.clone())
            .with_embedder(memory.embedder())
            .with_task_inbox(Arc::new(store.clone()))
            .with_shared_state(Arc::new(store.clone()))
            .with_execution(CodeExecution { limits: sandbox.limits(), sandbox: Arc::new(sandbox.clone()) });
        let sources = project.servers.iter().map(|server| server.source.clone()).collect();
        let settings_of_tools = baton_tools::ToolsConfig { secrets, ..settings.tools.clone() }.within(&project.root);
        let records = Arc::new(vault::SealedRecords::new(
            Arc::new(store.clone()),
            vault::KeyRing::of(&settings.secrets, &project.root)?,
        ));
        let tools = ToolRegistry::with_sources(settings_of_tools, project.tools.clone(), sources, &services);
        let tools = Arc::new(tools.map_err(|error| UsageError::new(error.to_string()))?);
        let added = Arc::new(TenantSources::new(tools.clone(), Arc::new(store.clone()), tenant.clone()));
        let hands = tenant_settings::SettingConsumers {
            tools: tools.clone(),
            budget: ledger.clone(),
            tenant_sources: added.clone(),
            own_tenant: tenant.clone(),
        };
        let settings_of_tenants = Arc::new(SettingStore::new(Arc::new(store.clone()), Arc::new(hands)));
        let tiers = TierTable::new(settings.agents.clone()).map_err(UsageError::new)?;
        let agents = Arc::new(AgentRegistry::new(Arc::new(store.clone()), tiers));
        let thinkers = Arc::new(AgentEndpoints::new(&settings.tools));
        let catalog = catalog_of(&*tools, None, project.agents.clone());
        let options = baton_engine::EngineOptions { code: sandbox.limits(), ..settings.engine.options() };
        let command = project.command();
        Ok(Self {
            tenant,
            store,
            records,
            tools,
            sandbox,
            models,
            budget: ledger,
            settings: settings_of_tenants,
            tenant_sources: added,
            memory,
            embeddings,
            clock,
            agent_registry: agents,
            agent_endpoints: thinkers,
            catalog,
            options,
            command,
        })
    }

    /// Loads the agents that are registered with the tenant, and the tools of Composio. Definitions in the project's
    /// own files take precedence.
    pub async fn load_extensions(&mut self, project: &Project) -> anyhow::Result<()> {
        self.load_tools().await?;
        let registered = self.agent_registry.registered(&self.tenant).await?;
        let others = registered.into_iter().filter(|(name, _)| !project.own_agents.contains(name));
        self.catalog.agents.extend(others);
        Ok(())
    }

    /// Loads the tools that the tenant added, and those of Composio. Cached tools are fetched again if they are old. If
    /// that fails, a warning is logged and the cached tools stay in use.
    pub async fn load_tools(&mut self) -> anyhow::Result<()> {
        self.settings.reload().await?;
        if let Some(composio) = self.tools.composio() {
            for (toolkit, fault) in composio.refresh_toolkits(&self.tenant).await? {
                print::note(format_args!("note: the actions of `{toolkit}` could not be looked up: {fault}"));
            }
            self.tools.load_discovered(&self.tenant).await?;
        }
        self.catalog.tools = catalog_of(&*self.tools, Some(&self.tenant), BTreeMap::new()).tools;
        Ok(())
    }

    /// Saves every workflow of the project that can run. An unchanged workflow keeps its revision.
    pub async fn save_workflows(&mut self, project: &Project) -> anyhow::Result<SavedWorkflows> {
        self.load_extensions(project).await?;
        let workflows = project.check_workflows(&mut self.catalog)?;
        let mut versions = Vec::new();
        for ready in &workflows.ready {
            versions.push(self.save_version(ready, project.settings.workflows.activate).await?);
        }
        Ok(SavedWorkflows { workflows, versions })
    }

    /// Saves a workflow of the project's files. An unchanged workflow keeps its revision.
    pub async fn save_version(
        &self,
        ready: &ReadyWorkflow,
        activate: ActivationPolicy,
    ) -> anyhow::Result<WorkflowVersion> {
        let new = NewVersion {
            label: ready.label.clone(),
            bundle: ready.text.clone().into(),
            hash: ready.hash.clone(),
            made_by: None,
            activate: activate == ActivationPolicy::AtOnce,
        };
        let kept =
            self.store.change(&self.tenant, &ready.name, WorkflowChange::Add(new), None, self.clock.now()).await?;
        match kept {
            ChangeResult::Done { version, .. } => Ok(version),
            ChangeResult::Stale { .. } | ChangeResult::Missing => anyhow::bail!("`{}` could not be kept", ready.name),
        }
    }

    /// Records an action on this machine in a tenant's audit trail: the target, and its state before and after.
    pub async fn audit_action(
        &self,
        tenant: &TenantId,
        (action, target): (&str, &str),
        before: Option<Value>,
        after: Option<Value>,
    ) -> anyhow::Result<()> {
        let (action, target, by) = (action.to_owned(), Some(target.to_owned()), actor::COMMAND_LINE.to_owned());
        let act = AdminAction { action, target, by, key_id: None, before, after };
        Ok(self.store.append_row(act.row(tenant, self.clock.now())).await?)
    }

    /// Reads a whole run of the project's own tenant from the store.
    pub async fn recorded_run(&self, run: &RunId) -> anyhow::Result<FollowedRun> {
        self.recorded_run_of(&self.tenant, run).await
    }

    pub async fn recorded_run_of(&self, tenant: &TenantId, run: &RunId) -> anyhow::Result<FollowedRun> {
        let library = WorkflowCache::new(Arc::new(self.store.clone()));
        Ok(FollowedRun::read(&self.store, &library, tenant, run).await?)
    }

    /// Runs work with an engine until the work is done, a person interrupts it, or the store acknowledges no more
    /// writes, because then the work would wait forever. Otherwise behaves like
    /// [`serve_with_engine`](Self::serve_with_engine).
    ///
    /// # Errors
    /// [`InterruptedError`], or [`UncleanShutdown`] if not everything could be released then; a
    /// [`StoreOutage`](baton_ports::health::StoreOutage); the error of the work itself.
    pub async fn run_with_engine<T>(&self, work: impl AsyncFnOnce(&Engine) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let ending = shutdown::install().context("signals cannot be heard")?;
        let until_stopped = async |engine: &Engine| {
            tokio::select! {
                done = work(engine) => done,
                () = ending.requested() => Err(InterruptedError { command: self.command.clone() }.into()),
                outage = self.store.until_outage() => Err(outage.into()),
            }
        };
        self.serve_with_engine(until_stopped).await
    }

    /// Runs work with an engine, stops the engine, and releases what is held, whatever the result of the work. Work
    /// that stopped half-way held budgets and runs too. An error of the work takes precedence over an error of the
    /// shutdown. An interruption does not: the person who interrupted must learn what was not released.
    pub async fn serve_with_engine<T>(
        &self,
        work: impl AsyncFnOnce(&Engine) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let engine = self.engine().await?;
        let traces = TraceExporter::from_environment(self, &engine)?;
        let done = work(&engine).await;
        // A process that was asked to stop must not wait here for longer than its limit. `ending` enforces that.
        let within = self.options.stop_within;
        let stopped = engine.stop_within(shutdown::time_left().map_or(within, |left| left.min(within))).await;
        if let Some(traces) = traces {
            traces.close().await;
        }
        self.close().await;
        match done {
            Err(error) if !error.is::<InterruptedError>() => Err(error),
            done => {
                stopped.context(UncleanShutdown)?;
                done
            }
        }
    }

    /// Runs work without an engine. Whatever its result, its spending is settled and nothing stays reserved.
    pub async fn settle_after<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let done = match self.settings.reload().await {
            Ok(()) => work.await,
            Err(error) => Err(error.into()),
        };
        self.close().await;
        done
    }

    /// Settles spending and releases reserved budgets. Call it after the last model or tool call.
    pub async fn close(&self) {
        if let Err(error) = self.budget.close().await {
            tracing::warn!(%error, "what is held of budgets could not be given back; it counts as spent for a while");
        }
    }

    /// Makes engines accept runs without executing them. The process that serves the project executes them.
    pub fn accept_only(&mut self) {
        self.options.awake_max = 0;
    }

    /// An engine over the store. If no model is configured, replies come from files.
    pub async fn engine(&self) -> anyhow::Result<Engine> {
        self.settings.reload().await?;
        let world = EnginePorts {
            journal: Arc::new(self.store.clone()),
            tools: self.tools.clone(),
            models: self.models.clone(),
            sandbox: Arc::new(self.sandbox.clone()),
            thinkers: self.agent_endpoints.clone(),
            agent_registry: self.agent_registry.clone(),
            think: Arc::new(StepFunctions::default()),
            clock: self.clock.clone(),
            workflows: WorkflowCache::new(Arc::new(self.store.clone())),
        };
        Ok(Engine::begin(world, self.options.clone()).await?)
    }
}

/// A project's models, without records and without state shared between processes.
pub fn models(project: &Project, clock: Arc<dyn Clock>) -> anyhow::Result<ModelGateway> {
    let keyed = keys::KeyedConfigs::resolve_without_store(project)?;
    gateway(project, &keyed.models, clock)
}

fn gateway(
    project: &Project,
    config: &baton_models::ModelsConfig,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<ModelGateway> {
    let models = ModelGateway::new(config, &project.replies, clock);
    Ok(models.map_err(|error| UsageError::new(error.to_string()).code(error.code()))?)
}

/// Programs run in child processes of this same binary. None is started before the first program.
pub fn sandbox(config: &sandbox::SandboxConfig) -> anyhow::Result<SandboxPool> {
    let launch = LaunchCommand::current_exe(vec!["sandbox-child".into()]).context("this binary cannot be found")?;
    Ok(SandboxPool::new(config.clone(), launch).map_err(|error| UsageError::new(error.to_string()))?)
}

/// The agents and tools that definitions may name: these agents, and all tools except hooks of the settings. With a
/// tenant, also the tools that it added for itself.
pub fn catalog_of(
    tools: &dyn ToolGateway,
    tenant: Option<&TenantId>,
    agents: BTreeMap<String, AgentDefinition>,
) -> DefinitionCatalog {
    let own = tenant.into_iter().flat_map(|tenant| {
        let facts = move |name: &String| tools.facts_for(tenant, name);
        tools.own_names(tenant).into_iter().filter_map(move |name| Some((name.clone(), facts(&name)?)))
    });
    let names = tools.names().into_iter().filter(|name| !MaintenanceSettings::is_hook(name));
    let facts = names.filter_map(|name| Some((name.clone(), tools.facts(&name)?))).chain(own);
    DefinitionCatalog { agents, tools: facts.collect(), workflows: BTreeMap::new() }
}

/// The catalogue for definitions of a project. Includes registered agents if the project has a database, and the tools
/// of Composio if it uses any. Those are cached in the database, which is created if needed.
pub async fn registered_catalog(project: &Project) -> anyhow::Result<DefinitionCatalog> {
    let uses_composio = !project.settings.tools.composio.toolkits.is_empty();
    if !project.has_database() && !uses_composio {
        return catalog(project);
    }
    let mut system = ProjectSystem::open(project)?;
    system.load_extensions(project).await?;
    Ok(system.catalog)
}

/// [`registered_catalog`], for callers that are not asynchronous.
pub fn blocking_catalog(project: &Project) -> anyhow::Result<DefinitionCatalog> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(registered_catalog(project))
}

/// The catalogue for definitions of a project, without its database.
pub fn catalog(project: &Project) -> anyhow::Result<DefinitionCatalog> {
    let store = SqliteStore::in_memory(sqlite::StoreOptions::default())?;
    Ok(ProjectSystem::from_store(project, store)?.catalog)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use baton_core::money::{PriceQuote, Usd};
    use baton_core::time::Time;
    use baton_engine::agent_registry::{TierOverrides, TierSettings};
    use baton_models::budget::AttemptCharge;
    use baton_ports::budget::{BudgetStore as _, SpendAccount};
    use baton_ports::models::ModelCaller;

    use super::*;

    #[tokio::test]
    async fn work_that_breaks_off_gives_back_what_it_held_of_budgets() {
        let folder = tempfile::tempdir().expect("a folder");
        let project = Project::open(folder.path()).expect("a project");
        let store = SqliteStore::in_memory(sqlite::StoreOptions::default()).expect("opens");
        let system = ProjectSystem::from_store(&project, store).expect("is put together");
        let asker = ModelCaller::of(system.tenant.clone(), "k");
        let held = async || -> Usd {
            let lines = system.store.standings(&system.tenant, system.clock.now()).await.expect("reads");
            lines.iter().map(|line| line.held).sum()
        };
        let broken: anyhow::Result<()> = system
            .run_with_engine(async |_engine| {
                let (cent, soon) = (Usd::from_f64(0.01), tokio::time::Instant::now() + Duration::from_secs(5));
                let hold =
                    system.budget.reserve(&asker, SpendAccount::default(), PriceQuote::exactly(cent), soon).await;
                hold.map_err(|refused| anyhow::anyhow!("{}", refused.fault.fault))?.settle(AttemptCharge::default());
                anyhow::ensure!(held().await > Usd::ZERO, "it holds something ahead");
                anyhow::bail!("broke off")
            })
            .await;
        assert_eq!(broken.expect_err("it broke off").to_string(), "broke off");
        assert_eq!(held().await, Usd::ZERO);
    }

    fn rated(records: &SqliteStore, per_minute: u32, per_hour: u32) -> AgentRegistry {
        let changes =
            TierOverrides { per_minute: Some(per_minute), per_hour: Some(per_hour), ..TierOverrides::default() };
        let settings = TierSettings {
            tier: Some("free".to_owned()),
            tiers: [("free".to_owned(), changes)].into(),
            ..TierSettings::default()
        };
        AgentRegistry::new(Arc::new(records.clone()), TierTable::new(settings).expect("a table"))
    }

    /// How many of `count` requests get a quota, made to the registries in turn.
    async fn turns(rosters: &[&AgentRegistry], count: usize, at: &str) -> usize {
        let now: Time = at.parse().expect("a time");
        let tenant = TenantId::from("acme");
        let asked = (0..count).map(|place| rosters[place % rosters.len()].take_quota(&tenant, now));
        futures::future::join_all(asked).await.into_iter().filter(Result::is_ok).count()
    }

    #[tokio::test]
    async fn all_processes_together_let_in_no_more_than_the_tier_says() {
        let records = SqliteStore::in_memory(sqlite::StoreOptions::default()).expect("opens");
        let (one, two) = (rated(&records, 40, 100), rated(&records, 40, 100));
        let first = turns(&[&one, &two], 200, "2026-11-22T10:00:30Z").await;
        assert_eq!(first, 40);
        assert_eq!(turns(&[&one], 5, "2026-11-22T10:00:59Z").await, 0);
        assert_eq!(turns(&[&one, &two], 200, "2026-11-22T10:01:00Z").await, 40, "another minute");
        let rest = turns(&[&one, &two], 200, "2026-11-22T10:02:00Z").await;
        assert!((8..=20).contains(&rest), "the hour has a hundred, of which little is lost: {rest}");
        assert_eq!(turns(&[&one, &two], 200, "2026-11-22T11:00:00Z").await, 40, "another hour");
    }

    #[tokio::test]
    async fn whoever_has_no_turn_is_told_when_the_next_one_is_and_who_has_no_limit_has_all() {
        let records = SqliteStore::in_memory(sqlite::StoreOptions::default()).expect("opens");
        let one = rated(&records, 1, 0);
        let (tenant, now) = (TenantId::from("acme"), "2026-11-22T10:00:45Z".parse().expect("a time"));
        let standing = one.take_quota(&tenant, now).await.expect("a turn").expect("a limit");
        assert_eq!((standing.limit, standing.per, standing.remaining), (1, "minute", 0));
        let full = one.take_quota(&tenant, now).await.expect_err("is full");
        assert!(full.to_string().contains("tier `free`") && full.to_string().contains("in 15 s"), "{full}");
        assert!(one.take_quota(&TenantId::from("other"), now).await.is_ok(), "each tenant has its own");
        let free = AgentRegistry::new(Arc::new(records), TierTable::default());
        assert_eq!(free.take_quota(&tenant, now).await.expect("a turn"), None);
    }
}
