//! `baton run`: a run from its start to its end, or to where it waits, told as it goes.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use baton_core::id::RunId;
use baton_core::run::{Ask, Incoming, MESSAGE, Run, Signal, State, seed_status};
use baton_engine::Start;
use baton_ports::registry::Version;
use serde_json::{Value, json};

use super::json as given;
use crate::cli;
use crate::follow::{self, Follower, Progress};
use crate::project::Project;
use crate::wire::System;
use crate::{Exit, Misuse, print};

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
    let context = given::given("--context", &args.context)?;
    let start = Start {
        run: id.clone(),
        tenant: system.tenant.clone(),
        workflow: version.workflow.clone(),
        bundle: version.bundle.clone(),
        input,
        caller: project.settings.caller(&context),
        context,
    };
    if args.detach {
        system.accept_only();
    }
    let engine = system.engine().await?;
    let mut follower = Follower::new(&engine, &system);
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
    follower.follow(&id).await?;
    converse(&mut follower, &id, args.says.into(), !args.json).await?;
    engine.stop().await?;
    report(&follower, &id, args.json)
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

/// Answers the agents' questions, in order, as long as there are answers.
async fn converse(
    follower: &mut Follower,
    id: &RunId,
    mut says: VecDeque<String>,
    is_told: bool,
) -> anyhow::Result<()> {
    loop {
        follower.until_rest(id).await?;
        let question = follower.asks().into_iter().find(|(_, ask)| matches!(ask, Ask::Customer(_)));
        let (Some((asker, _)), Some(text)) = (question, says.pop_front()) else { return Ok(()) };
        if is_told {
            follow::said(&text);
        }
        follower.deliver(&asker, &message(&text)).await?;
    }
}

/// A customer's words.
pub fn message(text: &str) -> Incoming {
    signal(MESSAGE, json!({ "text": text }))
}

pub fn signal(name: &str, payload: Value) -> Incoming {
    Incoming::Signal(Signal {
        name: name.to_owned(),
        payload: Arc::new(payload),
        source: String::new(),
        sequence: None,
        after_gap: false,
    })
}

/// A run's end, or what it waits for, for people or programs.
pub fn report(follower: &Follower, id: &RunId, as_json: bool) -> anyhow::Result<Exit> {
    let run = follower.run(id).context("the run was not recorded")?;
    if as_json {
        print::pretty(&as_response(run, &follower.asks()));
    } else {
        follow::conclude(run, &follower.asks());
    }
    Ok(exit_of(run.state()))
}

pub fn exit_of(state: State) -> Exit {
    match state {
        State::Completed => Exit::Completed,
        state if state.is_end() => Exit::Failed,
        _ => Exit::Waiting,
    }
}

/// A run as seed 004's API answers it.
pub fn as_response(run: &Run, asks: &[(RunId, Ask)]) -> Value {
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
        "waits_for": asks.iter().map(|(run, ask)| waits_for(run, ask)).collect::<Vec<_>>(),
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
fn waits_for(run: &RunId, ask: &Ask) -> Value {
    match ask {
        Ask::Human(node) => json!({ "kind": "human", "run": run, "node": node }),
        Ask::Customer(node) => json!({ "kind": "customer", "run": run, "node": node }),
        Ask::Doubt(effect) => json!({ "kind": "doubt", "run": run, "effect": effect.to_string() }),
        Ask::Approval(effect) => json!({ "kind": "approval", "run": run, "effect": effect.to_string() }),
    }
}
