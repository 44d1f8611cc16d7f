//! What a measurement runs in: a fresh store in a scratch folder, the shipped tools, scripted models.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use baton_core::bundle::Hash;
use baton_core::definition;
use baton_core::id::{RunId, TenantId};
use baton_engine::driver::World;
use baton_engine::roster::{Roster, Tiers};
use baton_engine::{Agents, Engine, Library, Start};
use baton_models::Gateway;
use baton_ports::clock::{Clock, SystemClock};
use baton_ports::journal::Journal;
use baton_ports::registry::Registry as _;
use baton_store::sqlite::{Options, Store};
use baton_tools::{Endpoints, Registry, Services};
use serde_json::Value;

pub const TENANT: &str = "bench";

/// Folders that are there now.
static SCRATCHES: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A folder that goes with the value.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("baton-bench-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(&folder)?;
        scratches().insert(folder.clone());
        Ok(Self(folder))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is the temporary folder's to clean.
        let _ = std::fs::remove_dir_all(&self.0);
        scratches().remove(&self.0);
    }
}

fn scratches() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    SCRATCHES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the folders of a case that was given up.
pub fn sweep() {
    for folder in scratches().iter() {
        let _ = std::fs::remove_dir_all(folder);
    }
}

pub fn store(folder: &Path) -> anyhow::Result<Store> {
    Ok(Store::open(folder.join("baton.db"), Options::default())?)
}

/// The shipped tools over a store.
fn tools(store: &Store) -> anyhow::Result<Registry> {
    let services = Services::new(Arc::new(store.clone()), Arc::new(SystemClock)).sharing(Arc::new(store.clone()));
    Ok(Registry::new(baton_tools::Config::default(), &services)?)
}

/// An engine over a store, its journal wrapped where something is to be recorded.
pub async fn engine(store: &Store, journal: Arc<dyn Journal>) -> anyhow::Result<Engine> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let models = Gateway::new(&baton_models::Config::default(), &[], clock.clone())?;
    let world = World {
        sandbox: Arc::new(crate::wire::sandbox(&baton_tools::sandbox::Config::default())?),
        thinkers: Arc::new(Endpoints::new(&baton_tools::Config::default())),
        roster: Arc::new(Roster::new(Arc::new(store.clone()), Tiers::default())),
        journal,
        tools: Arc::new(tools(store)?),
        models: Arc::new(models),
        think: Arc::new(Agents::default()),
        clock,
        library: Library::new(Arc::new(store.clone())),
    };
    Ok(Engine::begin(world, baton_engine::Options::default()).await?)
}

/// Serves until whoever started this process has gone or kills it: its end of the pipe closes.
pub async fn served() -> anyhow::Result<()> {
    let closed = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    tokio::task::spawn_blocking(closed).await??;
    Ok(())
}

/// Saves a workflow written as YAML and says its bundle's hash.
pub async fn save(store: &Store, yaml: &str) -> anyhow::Result<Hash> {
    let catalog = crate::wire::catalog_of(&tools(store)?, None, std::collections::BTreeMap::new());
    let checked = definition::check(yaml.as_bytes(), &catalog);
    let Some((workflow, bundle)) = checked.ready() else {
        anyhow::bail!("the measured workflow is not ready: {:?}", checked.diagnostics);
    };
    let (text, hash) = bundle.seal()?;
    store.save(&tenant(), &workflow.name, "1", text.into(), &hash, SystemClock.now()).await?;
    Ok(hash)
}

pub fn tenant() -> TenantId {
    TENANT.into()
}

pub fn start(run: RunId, workflow: &str, bundle: &Hash, input: Value) -> Start {
    Start {
        run,
        tenant: tenant(),
        workflow: workflow.to_owned(),
        bundle: bundle.clone(),
        input,
        context: Value::Null,
        caller: baton_core::tool::Caller::default(),
    }
}
