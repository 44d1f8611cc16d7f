//! The environment of a measurement: a fresh store in a scratch folder, the shipped tools and scripted models.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use baton_core::bundle::ContentHash;
use baton_core::definition;
use baton_core::id::{RunId, TenantId};
use baton_engine::agent_registry::{AgentRegistry, TierTable};
use baton_engine::driver::EnginePorts;
use baton_engine::{Engine, RunStart, StepFunctions, WorkflowCache};
use baton_models::ModelGateway;
use baton_ports::clock::{Clock, SystemClock};
use baton_ports::journal::JournalStore;
use baton_ports::registry::WorkflowRegistry as _;
use baton_store::sqlite::{SqliteStore, StoreOptions};
use baton_tools::{AgentEndpoints, ToolRegistry, ToolServices};
use serde_json::Value;

pub const TENANT: &str = "bench";

/// Scratch folders that exist now.
static SCRATCHES: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A folder that is removed when the value is dropped.
pub struct ScratchFolder(PathBuf);

impl ScratchFolder {
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

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        // A folder that cannot be removed is left to the cleanup of the temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
        scratches().remove(&self.0);
    }
}

fn scratches() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    SCRATCHES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the folders of a case that was abandoned.
pub fn remove_scratch_folders() {
    for folder in scratches().iter() {
        let _ = std::fs::remove_dir_all(folder);
    }
}

pub fn store(folder: &Path) -> anyhow::Result<SqliteStore> {
    Ok(SqliteStore::open(folder.join("baton.db"), StoreOptions::default())?)
}

/// The shipped tools over a store.
fn tools(store: &SqliteStore) -> anyhow::Result<ToolRegistry> {
    let services =
        ToolServices::new(Arc::new(store.clone()), Arc::new(SystemClock)).with_shared_state(Arc::new(store.clone()));
    Ok(ToolRegistry::new(baton_tools::ToolsConfig::default(), &services)?)
}

/// An engine over a store. The journal may be wrapped to record calls.
pub async fn engine(store: &SqliteStore, journal: Arc<dyn JournalStore>) -> anyhow::Result<Engine> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let models = ModelGateway::new(&baton_models::ModelsConfig::default(), &[], clock.clone())?;
    let world = EnginePorts {
        sandbox: Arc::new(crate::wiring::sandbox(&baton_tools::sandbox::SandboxConfig::default())?),
        thinkers: Arc::new(AgentEndpoints::new(&baton_tools::ToolsConfig::default())),
        agent_registry: Arc::new(AgentRegistry::new(Arc::new(store.clone()), TierTable::default())),
        journal,
        tools: Arc::new(tools(store)?),
        models: Arc::new(models),
        think: Arc::new(StepFunctions::default()),
        clock,
        workflows: WorkflowCache::new(Arc::new(store.clone())),
    };
    Ok(Engine::begin(world, baton_engine::EngineOptions::default()).await?)
}

/// Serves until the parent process exits or kills this one. The end of the parent closes the pipe.
pub async fn serve_until_closed() -> anyhow::Result<()> {
    let closed = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    tokio::task::spawn_blocking(closed).await??;
    Ok(())
}

/// Saves a workflow in YAML and returns the hash of its bundle.
pub async fn save(store: &SqliteStore, yaml: &str) -> anyhow::Result<ContentHash> {
    let catalog = crate::wiring::catalog_of(&tools(store)?, None, std::collections::BTreeMap::new());
    let checked = definition::check(yaml.as_bytes(), &catalog);
    let Some((workflow, bundle)) = checked.runnable() else {
        anyhow::bail!("the measured workflow is not ready: {:?}", checked.diagnostics);
    };
    let (text, hash) = bundle.seal()?;
    store.save(&tenant(), &workflow.name, "1", text.into(), &hash, SystemClock.now()).await?;
    Ok(hash)
}

pub fn tenant() -> TenantId {
    TENANT.into()
}

pub fn start(run: RunId, workflow: &str, bundle: &ContentHash, input: Value) -> RunStart {
    RunStart {
        run,
        tenant: tenant(),
        workflow: workflow.to_owned(),
        bundle: bundle.clone(),
        input,
        context: Value::Null,
        caller: baton_core::tool::Caller::default(),
    }
}
