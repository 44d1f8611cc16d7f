//! Rooms put together: a store, the tools, the models and an engine for one project.

mod keys;
mod own;
mod triggers;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use baton_core::actor;
use baton_core::agent::Agent;
use baton_core::audit::Administered;
use baton_core::definition::Catalog;
use baton_core::id::{RunId, TenantId};
use baton_engine::driver::World;
use baton_engine::roster::{Roster, Tiers};
use baton_engine::settings::Settings;
use baton_engine::{Agents, Engine, Followed, Library};
use baton_memory::{Memory, Parts};
use baton_models::Gateway;
use baton_models::budget::Purse;
use baton_models::embeddings::Embeddings;
use baton_ports::audit::Audit as _;
use baton_ports::clock::{Clock, SystemClock};
use baton_ports::journal::Error;
use baton_ports::records::Records;
use baton_ports::registry::{Change, Changed, New, Registry as _, Version};
use baton_ports::tools::Tools;
use baton_store::sqlite::{self, Store};
use baton_tools::sandbox::{self, Pool};
use baton_tools::{Endpoints, Execution, Launch, Registry, Services};
use serde_json::Value;

use crate::config::{Activate, Upkeep};
use crate::ending::{self, Unfinished};
use crate::project::{Project, Ready, Sorted, shown};
use crate::sources::Added;
use crate::traces::Traces;
use crate::{Misuse, print, vault};

pub use self::keys::names_outside as secrets_outside;

/// One project, put together.
pub struct System {
    pub tenant: TenantId,
    pub store: Store,
    /// The store's, with secrets that lie in them sealed.
    pub records: Arc<dyn Records>,
    pub tools: Arc<Registry>,
    /// Starts no process before the first program.
    pub sandbox: Pool,
    pub models: Arc<Gateway>,
    pub purse: Purse,
    /// What tenants set for themselves.
    pub settings: Arc<Settings>,
    /// The sources of tools that tenants added.
    pub added: Arc<Added>,
    pub memory: Arc<Memory>,
    /// What memory's vectors cost.
    pub embeddings: Embeddings,
    pub clock: Arc<dyn Clock>,
    pub roster: Arc<Roster>,
    pub thinkers: Arc<Endpoints>,
    pub catalog: Catalog,
    pub options: baton_engine::Options,
    /// How a command line begins that speaks of this project.
    pub command: String,
}

/// Somebody stopped the work by hand. What was recorded is recorded, so nothing is lost.
#[derive(Debug)]
pub struct Stopped {
    /// How a command line begins that speaks of the project.
    pub command: String,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stopped; nothing is lost: `{} runs work` goes on", self.command)
    }
}

impl std::error::Error for Stopped {}

/// Workflows that were saved: a version for each that may run, in the same order.
pub struct Saved {
    pub workflows: Sorted,
    pub versions: Vec<Version>,
}

impl System {
    /// Opens the project's database, making it where there is none.
    ///
    /// # Errors
    /// A folder that is no project: nobody finds a database again that was made there.
    pub fn open(project: &Project) -> anyhow::Result<Self> {
        if !project.is_there() && !project.has_database() {
            return Err(project.not_there().into());
        }
        Self::open_at(project, &project.database())
    }

    pub fn open_at(project: &Project, database: &Path) -> anyhow::Result<Self> {
        if let Some(folder) = database.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", shown(folder)))?;
        }
        let store = Store::open(database, sqlite::Options::default()).map_err(|error| match error {
            Error::Unopenable { reason } => anyhow::anyhow!("the database cannot be opened for writing: {reason}"),
            Error::Outage(outage) => outage.into(),
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
        let tenant = project.tenant()?;
        let secrets = keys::all(project, &store)?;
        let keyed = keys::Keyed::by(project, &secrets)?;
        let models = gateway(project, &keyed.models, clock.clone())?;
        let purse = Purse::new(Arc::new(store.clone()), settings.budgets.clone(), clock.clone());
        let models = models.recording(Arc::new(store.clone())).sharing(Arc::new(store.clone()));
        let models = Arc::new(models.spending(purse.clone()));
        let parts = Parts {
            index: Arc::new(store.clone()),
            records: Arc::new(store.clone()),
            models: Some(models.clone()),
            clock: clock.clone(),
        };
        let embeddings = Embeddings::new(models.clone(), purse.clone());
        let memory = Memory::paid_by(&keyed.memory, parts, Some(Arc::new(embeddings.clone())));
        let memory = Arc::new(memory.map_err(|wrong| Misuse::new(format!("memory: {wrong}")))?);
        let services = Services::new(Arc::new(store.clone()), clock.clone())
            .with_memory(memory.clone())
            .with_embedder(memory.embedder())
            .with_desk(Arc::new(store.clone()))
            .sharing(Arc::new(store.clone()))
            .with_execution(Execution { limits: sandbox.limits(), sandbox: Arc::new(sandbox.clone()) });
        let sources = project.servers.iter().map(|server| server.source.clone()).collect();
        let settings_of_tools = baton_tools::Config { secrets, ..settings.tools.clone() }.within(&project.root);
        let records =
            Arc::new(vault::Sealing::new(Arc::new(store.clone()), vault::Ring::of(&settings.secrets, &project.root)?));
        let tools = Registry::with_sources(settings_of_tools, project.tools.clone(), sources, &services);
        let tools = Arc::new(tools.map_err(|error| Misuse::new(error.to_string()))?);
        let added = Arc::new(Added::new(tools.clone(), Arc::new(store.clone()), tenant.clone()));
        let hands =
            own::All { tools: tools.clone(), purse: purse.clone(), added: added.clone(), house: tenant.clone() };
        let settings_of_tenants = Arc::new(Settings::new(Arc::new(store.clone()), Arc::new(hands)));
        let tiers = Tiers::new(settings.agents.clone()).map_err(Misuse::new)?;
        let roster = Arc::new(Roster::new(Arc::new(store.clone()), tiers));
        let thinkers = Arc::new(Endpoints::new(&settings.tools));
        let catalog = catalog_of(&*tools, None, project.agents.clone());
        let options = baton_engine::Options { code: sandbox.limits(), ..settings.engine.options() };
        let command = project.command();
        Ok(Self {
            tenant,
            store,
            records,
            tools,
            sandbox,
            models,
            purse,
            settings: settings_of_tenants,
            added,
            memory,
            embeddings,
            clock,
            roster,
            thinkers,
            catalog,
            options,
            command,
        })
    }

    /// Makes the agents known that were registered with the tenant, and the tools of Composio. Those of the project's own
    /// files stand in for them.
    pub async fn learn(&mut self, project: &Project) -> anyhow::Result<()> {
        self.learn_tools().await?;
        let registered = self.roster.registered(&self.tenant).await?;
        let others = registered.into_iter().filter(|(name, _)| !project.own_agents.contains(name));
        self.catalog.agents.extend(others);
        Ok(())
    }

    /// Makes the tools known that the tenant added, and those of Composio: those that are kept, looked up again where they
    /// are old. What cannot be looked up is said, and what is kept holds.
    pub async fn learn_tools(&mut self) -> anyhow::Result<()> {
        self.settings.take_in().await?;
        if let Some(composio) = self.tools.composio() {
            for (toolkit, fault) in composio.freshen(&self.tenant).await? {
                print::note(format_args!("note: the actions of `{toolkit}` could not be looked up: {fault}"));
            }
            self.tools.learn(&self.tenant).await?;
        }
        self.catalog.tools = catalog_of(&*self.tools, Some(&self.tenant), BTreeMap::new()).tools;
        Ok(())
    }

    /// Saves every workflow of the project that may run; one that is unchanged keeps its revision.
    pub async fn save(&mut self, project: &Project) -> anyhow::Result<Saved> {
        self.learn(project).await?;
        let workflows = project.sorted(&mut self.catalog)?;
        let mut versions = Vec::new();
        for ready in &workflows.ready {
            versions.push(self.keep(ready, project.settings.workflows.activate).await?);
        }
        Ok(Saved { workflows, versions })
    }

    /// Keeps a workflow of the project's files; one that is unchanged keeps its revision.
    pub async fn keep(&self, ready: &Ready, activate: Activate) -> anyhow::Result<Version> {
        let new = New {
            label: ready.label.clone(),
            bundle: ready.text.clone().into(),
            hash: ready.hash.clone(),
            made_by: None,
            activate: activate == Activate::AtOnce,
        };
        let kept = self.store.change(&self.tenant, &ready.name, Change::Add(new), None, self.clock.now()).await?;
        match kept {
            Changed::Done { version, .. } => Ok(version),
            Changed::Stale { .. } | Changed::Missing => anyhow::bail!("`{}` could not be kept", ready.name),
        }
    }

    /// Tells in a tenant's audit trail what was done by hand, on this machine: to what, as it was before and is since.
    pub async fn tell_act(
        &self,
        tenant: &TenantId,
        (action, target): (&str, &str),
        before: Option<Value>,
        after: Option<Value>,
    ) -> anyhow::Result<()> {
        let (action, target, by) = (action.to_owned(), Some(target.to_owned()), actor::COMMAND_LINE.to_owned());
        let act = Administered { action, target, by, key_id: None, before, after };
        Ok(self.store.note(act.row(tenant, self.clock.now())).await?)
    }

    /// A run of the project's own tenant as the store has it, whole.
    pub async fn recorded(&self, run: &RunId) -> anyhow::Result<Followed> {
        self.recorded_of(&self.tenant, run).await
    }

    pub async fn recorded_of(&self, tenant: &TenantId, run: &RunId) -> anyhow::Result<Followed> {
        let library = Library::new(Arc::new(self.store.clone()));
        Ok(Followed::read(&self.store, &library, tenant, run).await?)
    }

    /// Works with an engine until the work is done, somebody stops it by hand, or the store acknowledges nothing any more: what
    /// is waited for would never come. Else as [`serving`](Self::serving) does.
    ///
    /// # Errors
    /// [`Stopped`], or [`Unfinished`] where not everything could be given back then; a
    /// [`StoreOutage`](baton_ports::health::StoreOutage); the work's own.
    pub async fn working<T>(&self, work: impl AsyncFnOnce(&Engine) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let ending = ending::hear().context("signals cannot be heard")?;
        let until_stopped = async |engine: &Engine| {
            tokio::select! {
                done = work(engine) => done,
                () = ending.asked() => Err(Stopped { command: self.command.clone() }.into()),
                outage = self.store.until_outage() => Err(outage.into()),
            }
        };
        self.serving(until_stopped).await
    }

    /// Works with an engine, stops it, and gives back what is held, whatever came of the work: what broke off half-way held
    /// budgets and runs too. The work's own failure is told before one of the stopping; that it was stopped by hand is
    /// none, since whoever did that is to hear what was not given back.
    pub async fn serving<T>(&self, work: impl AsyncFnOnce(&Engine) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let engine = self.engine().await?;
        let traces = Traces::wanted(self, &engine)?;
        let done = work(&engine).await;
        // Whoever was told to stop does not wait here for longer than it may: `ending` sees to that.
        let within = self.options.stop_within;
        let stopped = engine.stop_within(ending::left().map_or(within, |left| left.min(within))).await;
        if let Some(traces) = traces {
            traces.close().await;
        }
        self.close().await;
        match done {
            Err(error) if !error.is::<Stopped>() => Err(error),
            done => {
                stopped.context(Unfinished)?;
                done
            }
        }
    }

    /// Work that no engine has a part in: whatever comes of it, what it spent is settled and nothing stays held.
    pub async fn paying<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let done = match self.settings.take_in().await {
            Ok(()) => work.await,
            Err(error) => Err(error.into()),
        };
        self.close().await;
        done
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
        self.settings.take_in().await?;
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

/// A project's models, which nothing is recorded of and which share nothing with other processes.
pub fn models(project: &Project, clock: Arc<dyn Clock>) -> anyhow::Result<Gateway> {
    let keyed = keys::Keyed::outside(project)?;
    gateway(project, &keyed.models, clock)
}

fn gateway(project: &Project, config: &baton_models::Config, clock: Arc<dyn Clock>) -> anyhow::Result<Gateway> {
    let models = Gateway::new(config, &project.replies, clock);
    Ok(models.map_err(|error| Misuse::new(error.to_string()).code(error.code()))?)
}

/// Programs run in processes of this very binary. None is started before the first program.
pub fn sandbox(config: &sandbox::Config) -> anyhow::Result<Pool> {
    let launch = Launch::own(vec!["sandbox-child".into()]).context("this binary cannot be found")?;
    Ok(Pool::new(config.clone(), launch).map_err(|error| Misuse::new(error.to_string()))?)
}

/// What definitions may name: these agents, and all tools there are but hooks of the settings; those that a tenant added for
/// itself where it is told whose definitions they are.
pub fn catalog_of(tools: &dyn Tools, tenant: Option<&TenantId>, agents: BTreeMap<String, Agent>) -> Catalog {
    let own = tenant.into_iter().flat_map(|tenant| {
        let facts = move |name: &String| tools.facts_for(tenant, name);
        tools.own_names(tenant).into_iter().filter_map(move |name| Some((name.clone(), facts(&name)?)))
    });
    let names = tools.names().into_iter().filter(|name| !Upkeep::is_hook(name));
    let facts = names.filter_map(|name| Some((name.clone(), tools.facts(&name)?))).chain(own);
    Catalog { agents, tools: facts.collect(), workflows: BTreeMap::new() }
}

/// What definitions of a project may name, with the agents that were registered with it where it has a database, and the
/// tools of Composio where it uses some: they are kept in the database, which is then made.
pub async fn known(project: &Project) -> anyhow::Result<Catalog> {
    let uses_composio = !project.settings.tools.composio.toolkits.is_empty();
    if !project.has_database() && !uses_composio {
        return catalog(project);
    }
    let mut system = System::open(project)?;
    system.learn(project).await?;
    Ok(system.catalog)
}

/// [`known`], for who is not asynchronous.
pub fn whole_catalog(project: &Project) -> anyhow::Result<Catalog> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(known(project))
}

/// What definitions of a project may name, without its database.
pub fn catalog(project: &Project) -> anyhow::Result<Catalog> {
    let store = Store::in_memory(sqlite::Options::default())?;
    Ok(System::over(project, store)?.catalog)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use baton_core::money::{Quote, Usd};
    use baton_core::time::Time;
    use baton_engine::roster::{Changes, Settings as Tiering};
    use baton_models::budget::Paid;
    use baton_ports::budget::{Account, Budget as _};
    use baton_ports::models::Asker;

    use super::*;

    #[tokio::test]
    async fn work_that_breaks_off_gives_back_what_it_held_of_budgets() {
        let folder = tempfile::tempdir().expect("a folder");
        let project = Project::open(folder.path()).expect("a project");
        let store = Store::in_memory(sqlite::Options::default()).expect("opens");
        let system = System::over(&project, store).expect("is put together");
        let asker = Asker::of(system.tenant.clone(), "k");
        let held = async || -> Usd {
            let lines = system.store.standings(&system.tenant, system.clock.now()).await.expect("reads");
            lines.iter().map(|line| line.held).sum()
        };
        let broken: anyhow::Result<()> = system
            .working(async |_engine| {
                let (cent, soon) = (Usd::from_f64(0.01), tokio::time::Instant::now() + Duration::from_secs(5));
                let hold = system.purse.reserve(&asker, Account::default(), Quote::exactly(cent), soon).await;
                hold.map_err(|refused| anyhow::anyhow!("{}", refused.fault.fault))?.paid(Paid::default());
                anyhow::ensure!(held().await > Usd::ZERO, "it holds something ahead");
                anyhow::bail!("broke off")
            })
            .await;
        assert_eq!(broken.expect_err("it broke off").to_string(), "broke off");
        assert_eq!(held().await, Usd::ZERO);
    }

    fn rated(records: &Store, per_minute: u32, per_hour: u32) -> Roster {
        let changes = Changes { per_minute: Some(per_minute), per_hour: Some(per_hour), ..Changes::default() };
        let settings = Tiering {
            tier: Some("free".to_owned()),
            tiers: [("free".to_owned(), changes)].into(),
            ..Tiering::default()
        };
        Roster::new(Arc::new(records.clone()), Tiers::new(settings).expect("a table"))
    }

    /// How many of so many have a turn, asked of rosters in turn.
    async fn turns(rosters: &[&Roster], count: usize, at: &str) -> usize {
        let now: Time = at.parse().expect("a time");
        let tenant = TenantId::from("acme");
        let asked = (0..count).map(|place| rosters[place % rosters.len()].turn(&tenant, now));
        futures::future::join_all(asked).await.into_iter().filter(Result::is_ok).count()
    }

    #[tokio::test]
    async fn all_processes_together_let_in_no_more_than_the_tier_says() {
        let records = Store::in_memory(sqlite::Options::default()).expect("opens");
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
        let records = Store::in_memory(sqlite::Options::default()).expect("opens");
        let one = rated(&records, 1, 0);
        let (tenant, now) = (TenantId::from("acme"), "2026-11-22T10:00:45Z".parse().expect("a time"));
        let standing = one.turn(&tenant, now).await.expect("a turn").expect("a limit");
        assert_eq!((standing.limit, standing.per, standing.remaining), (1, "minute", 0));
        let full = one.turn(&tenant, now).await.expect_err("is full");
        assert!(full.to_string().contains("tier `free`") && full.to_string().contains("in 15 s"), "{full}");
        assert!(one.turn(&TenantId::from("other"), now).await.is_ok(), "each tenant has its own");
        let free = Roster::new(Arc::new(records), Tiers::default());
        assert_eq!(free.turn(&tenant, now).await.expect("a turn"), None);
    }
}
