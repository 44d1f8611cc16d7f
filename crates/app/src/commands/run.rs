//! `baton run`: a run from its start to its end, or to where it waits, told as it goes.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use baton_core::id::RunId;
use baton_core::run::{Ask, Entry, Incoming, MESSAGE, Run, Signal, State, seed_status};
use baton_engine::{Engine, Recorded, Start};
use baton_ports::read::Read as _;
use baton_ports::registry::Version;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use super::json as given;
use crate::cli;
use crate::project::Project;
use crate::wire::System;
use crate::{Exit, Misuse, print};

mod progress;

pub use progress::Progress;

/// A timer nearer than this is waited for; one farther off ends the command with the run waiting.
const TIMER_WAIT_MAX: Duration = Duration::from_secs(60);
/// Entries read at once.
const ENTRIES_PAGE: usize = 1_000;

pub async fn run(folder: &Path, args: cli::Run) -> anyhow::Result<Exit> {
    let (folder, workflow) = locate(folder, &args.workflow);
    let project = Project::open(&folder)?;
    let mut system = System::open(&project)?;
    let versions = system.save(&project).await?;
    let version = pick(&project, &versions, &workflow)?;
    let input = given::with_sets(given::given("--input", &args.input)?, &args.sets)?;
    let id = match &args.id {
        Some(id) => RunId::parse(id).map_err(|error| Misuse::new(error.to_string()))?,
        None => RunId::new(uuid::Uuid::now_v7().to_string()),
    };
    let start = Start {
        run: id.clone(),
        tenant: system.tenant.clone(),
        workflow: version.workflow.clone(),
        bundle: version.bundle.clone(),
        input,
        context: given::given("--context", &args.context)?,
        caller: baton_core::tool::Caller::default(),
    };
    let engine = system.engine().await?;
    let mut follower = Follower::of(&engine, &system, id.clone());
    engine.start(start).await.map_err(|error| match error {
        baton_engine::Error::Exists { .. } => Misuse::new(error.to_string()).hint("choose another --id").into(),
        other => anyhow::Error::from(other),
    })?;
    if args.detach {
        engine.stop().await?;
        print::line(&id);
        return Ok(Exit::Waiting);
    }
    follower.tell((!args.json).then(|| Progress::new(&id, &version)));
    let ended = follower.to_rest(args.says.into()).await?;
    engine.stop().await?;
    Ok(report(&ended, args.json))
}

/// A path to a workflow file names its project too.
fn locate(folder: &Path, workflow: &str) -> (std::path::PathBuf, String) {
    let path = Path::new(workflow);
    let root = path.parent().and_then(|workflows| {
        workflows.ends_with("workflows").then(|| workflows.parent().unwrap_or(Path::new(".")).to_owned())
    });
    match root {
        Some(root) if path.is_file() => {
            let root = if root.as_os_str().is_empty() { ".".into() } else { root };
            (root, workflow.to_owned())
        }
        _ => (folder.to_owned(), workflow.to_owned()),
    }
}

/// The version a name or a file stands for.
fn pick(project: &Project, versions: &[Version], workflow: &str) -> anyhow::Result<Version> {
    let by_name = versions.iter().find(|version| version.workflow == workflow);
    let by_file = || {
        let place = project.workflows.iter().position(|source| source.file == Path::new(workflow))?;
        let tree = baton_core::definition::source::read(&project.workflows[place].text).ok()?.to_json();
        let name = tree.get("name")?.as_str()?.to_owned();
        versions.iter().find(|version| version.workflow == name)
    };
    by_name.or_else(by_file).cloned().ok_or_else(|| {
        let names: Vec<&str> = versions.iter().map(|version| version.workflow.as_str()).collect();
        let nearest = baton_core::expr::nearest(workflow, names.iter().copied());
        let message = format!("no workflow `{workflow}` in {}", project.root.join("workflows").display());
        let hint = match nearest {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None if names.is_empty() => "`baton init FOLDER` makes a project to start from".to_owned(),
            None => format!("there are {}", names.join(", ")),
        };
        Misuse::new(message).hint(hint).into()
    })
}

/// Follows one run: what was recorded before, then what the engine records.
pub struct Follower {
    engine: Engine,
    store: baton_store::sqlite::Store,
    tenant: baton_core::id::TenantId,
    id: RunId,
    watch: tokio::sync::broadcast::Receiver<Recorded>,
    library: baton_engine::Library,
    run: Run,
    entries: Vec<Entry>,
    progress: Option<Progress>,
}

/// A run at rest.
pub struct Ended {
    pub run: Run,
    pub entries: Vec<Entry>,
}

impl Follower {
    /// Begins to watch at once, so that nothing recorded from now on is missed.
    pub fn of(engine: &Engine, system: &System, id: RunId) -> Self {
        Self {
            watch: engine.watch(),
            engine: engine.clone(),
            store: system.store.clone(),
            tenant: system.tenant.clone(),
            library: baton_engine::Library::new(Arc::new(system.store.clone())),
            id,
            run: Run::new(),
            entries: Vec::new(),
            progress: None,
        }
    }

    /// Folds what was recorded before.
    pub async fn catch_up(&mut self) -> anyhow::Result<&Run> {
        loop {
            let after = self.entries.len() as u64;
            let more = self.store.entries(&self.tenant, &self.id, after, ENTRIES_PAGE).await?;
            if more.is_empty() {
                return Ok(&self.run);
            }
            for entry in more {
                let entry = baton_engine::decode(&entry).context("an entry cannot be read back")?;
                self.fold(entry).await?;
            }
        }
    }

    /// From here on each entry is told.
    pub fn tell(&mut self, progress: Option<Progress>) {
        self.progress = progress;
    }

    /// Until the run has ended, or waits for somebody outside. Questions are answered from `says`.
    pub async fn to_rest(mut self, mut says: VecDeque<String>) -> anyhow::Result<Ended> {
        let mut said = 0_u32;
        while !self.run.is_at_rest(self.run.now() + TIMER_WAIT_MAX) || self.run.started().is_none() {
            self.next().await?;
            let asks_customer = self.run.asks().iter().any(|ask| matches!(ask, Ask::Customer(_)));
            if asks_customer && let Some(text) = says.pop_front() {
                said += 1;
                self.say(&text, said).await?;
                self.next().await?;
            }
        }
        Ok(Ended { run: self.run, entries: self.entries })
    }

    /// Waits for the next entry; what a slow watcher missed is read from the store.
    pub async fn next(&mut self) -> anyhow::Result<()> {
        loop {
            match self.watch.recv().await {
                Ok(Recorded::Entry { run, seq, entry, .. }) if run == self.id => {
                    let known = self.entries.len() as u64;
                    if seq == known + 1 {
                        return self.fold((*entry).clone()).await;
                    } else if seq > known {
                        self.catch_up().await?;
                        return Ok(());
                    }
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => {
                    self.catch_up().await?;
                    return Ok(());
                }
                Err(RecvError::Closed) => anyhow::bail!("the engine stopped"),
            }
        }
    }

    async fn fold(&mut self, entry: Entry) -> anyhow::Result<()> {
        for hash in baton_engine::owner::versions_of(std::slice::from_ref(&entry), &[], None) {
            self.run.know(hash.clone(), self.library.version(&hash).await?);
        }
        self.run.fold(&entry);
        if let Some(progress) = &mut self.progress {
            progress.tell(&self.run, &entry);
        }
        self.entries.push(entry);
        Ok(())
    }

    async fn say(&self, text: &str, number: u32) -> anyhow::Result<()> {
        let signal = Signal {
            name: MESSAGE.to_owned(),
            payload: Arc::new(json!({ "text": text })),
            source: String::new(),
            sequence: None,
            after_gap: false,
        };
        if self.progress.is_some() {
            progress::said(text);
        }
        let command = format!("say-{number}-{}", uuid::Uuid::now_v7());
        self.engine.submit(&self.tenant, &self.id, &command, &Incoming::Signal(signal)).await?;
        Ok(())
    }
}

/// A run's end, for people or programs.
pub fn report(ended: &Ended, as_json: bool) -> Exit {
    let run = &ended.run;
    if as_json {
        print::pretty(&as_response(run));
    } else {
        progress::conclude(run);
    }
    match run.state() {
        State::Completed => Exit::Completed,
        state if state.is_end() => Exit::Failed,
        _ => Exit::Waiting,
    }
}

/// A run as seed 004's API answers it.
pub fn as_response(run: &Run) -> Value {
    let (status, compensated) = seed_status(run.state());
    let nodes = run.nodes();
    let by_node: serde_json::Map<String, Value> =
        nodes.iter().filter(|row| row.cost_usd > 0.0).map(|row| (row.node.to_string(), row.cost_usd.into())).collect();
    let trace: Vec<Value> = nodes
        .iter()
        .filter(|row| row.duration_ms.is_some())
        .map(|row| {
            json!({
                "node_id": row.node, "kind": row.kind, "duration_ms": row.duration_ms,
                "success": row.status == "completed", "status": row.status, "error": row.error,
            })
        })
        .collect();
    let end = run.finished();
    let duration = run.now().since(run.started_at()).as_millis();
    json!({
        "execution_id": run.id(),
        "status": status,
        "state": run.state(),
        "compensated": compensated,
        "output": end.map(|end| (*end.output).clone()),
        "outputs": run.outputs(),
        "error": run.fault(),
        "undone": end.and_then(|end| end.undone.clone()),
        "waits_for": run.asks().iter().map(|ask| waits_for(ask)).collect::<Vec<_>>(),
        "trace": {
            "workflow_id": run.workflow().map(|workflow| workflow.name.clone()),
            "started_at": run.started_at().to_string(),
            "completed_at": run.state().is_end().then(|| run.now().to_string()),
            "nodes": trace,
            "costs": { "total_usd": run.cost().as_f64(), "by_node": by_node },
        },
        "total_cost_usd": run.cost().as_f64(),
        "duration_ms": u64::try_from(duration).unwrap_or(u64::MAX),
    })
}

/// Who must say something, and where.
pub fn waits_for(ask: &Ask) -> Value {
    match ask {
        Ask::Human(node) => json!({ "kind": "human", "node": node }),
        Ask::Customer(node) => json!({ "kind": "customer", "node": node }),
        Ask::Doubt(effect) => json!({ "kind": "doubt", "effect": effect.to_string() }),
        Ask::Approval(effect) => json!({ "kind": "approval", "effect": effect.to_string() }),
    }
}
