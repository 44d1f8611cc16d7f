//! Acting on a run: into its inbox, and then with it until it rests.

use baton_core::id::RunId;
use baton_core::run::{Incoming, Refusal, State};
use baton_engine::Engine;
use baton_ports::journal::{Journal, Submit, Submitted};
use baton_ports::read::Read;
use baton_ports::registry::Registry;
use serde_json::json;

use super::record::{self, Record};
use crate::cli::RunsAct;
use crate::commands::run::report;
use crate::follow::{Delivered, Follower, Progress};
use crate::project::Project;
use crate::wire::System;
use crate::{Exit, Misuse, print};

pub async fn run(project: &Project, args: &RunsAct, incoming: Incoming) -> anyhow::Result<Exit> {
    let system = record::system(project)?;
    let run = record::head(&system, &args.run).await?.run;
    act(&system, &run, args, &incoming).await
}

/// Goes on from a failure. The project's files are saved first: whoever corrected one means the corrected one.
pub async fn retry(project: &Project, args: &RunsAct, same_version: bool) -> anyhow::Result<Exit> {
    let mut system = record::system(project)?;
    let record = Record::read(&system, &args.run).await?;
    let name = record.run().workflow().map(|workflow| workflow.name.clone());
    let newest = match name.filter(|_| !same_version) {
        Some(name) => {
            system.save(project).await?;
            system.store.active(&system.tenant, &name).await?
        }
        None => None,
    };
    let bundle = newest.map(|version| version.bundle).or_else(|| record.run().bundle().cloned());
    let bundle = bundle.ok_or_else(|| Misuse::new(format!("`{}` has not begun", record.head.run)))?;
    let incoming = Incoming::Retry { by: args.by.clone(), bundle };
    act(&system, &record.head.run, args, &incoming).await
}

async fn act(system: &System, run: &RunId, args: &RunsAct, incoming: &Incoming) -> anyhow::Result<Exit> {
    if args.detach {
        leave(system, run, incoming).await?;
        return Ok(accepted(run, args));
    }
    let engine = system.engine().await?;
    let mut follower = Follower::new(&engine, system);
    follower.follow(run).await?;
    follower.tell((!args.json).then(|| Progress::going_on(run)));
    let delivered = follower.deliver(run, incoming).await?;
    if matches!(delivered, Delivered::Taken) {
        with_ancestors(system, &mut follower, run).await?;
    }
    conclude(delivered, &engine, &mut follower, run, args, wanted(incoming)).await
}

/// A run that others wait for is followed with them: what it comes to moves them on.
async fn with_ancestors(system: &System, follower: &mut Follower, run: &RunId) -> anyhow::Result<()> {
    let mut head = system.store.run(&system.tenant, run).await?;
    while let Some(parent) = head.and_then(|head| head.parent) {
        follower.follow(&parent).await?;
        head = system.store.run(&system.tenant, &parent).await?;
    }
    Ok(())
}

/// States in which what was asked for has come to be, besides the run's completion.
fn wanted(incoming: &Incoming) -> &'static [State] {
    match incoming {
        Incoming::Pause { .. } => &[State::Paused],
        Incoming::Cancel { .. } => &[State::Cancelled, State::Compensated],
        Incoming::Rollback { .. } => &[State::Compensated],
        Incoming::Start(_)
        | Incoming::Signal(_)
        | Incoming::Answer { .. }
        | Incoming::Approve { .. }
        | Incoming::Resolve { .. }
        | Incoming::ChildEnded { .. }
        | Incoming::ChildUndone { .. }
        | Incoming::Resume { .. }
        | Incoming::Retry { .. }
        | Incoming::Fork { .. } => &[],
    }
}

/// With the run until it rests, and then what became of it; or why it took nothing.
pub async fn conclude(
    delivered: Delivered,
    engine: &Engine,
    follower: &mut Follower,
    run: &RunId,
    args: &RunsAct,
    wanted: &[State],
) -> anyhow::Result<Exit> {
    if matches!(delivered, Delivered::Taken) {
        follower.until_all_rest().await?;
    }
    engine.stop().await?;
    match delivered {
        Delivered::Taken => {
            let exit = report(follower, run, args.json)?;
            let is_wanted = follower.run(run).is_some_and(|run| wanted.contains(&run.state()));
            Ok(if is_wanted { Exit::Completed } else { exit })
        }
        Delivered::Refused(refusal) => Ok(refused(run, &refusal, args)),
        Delivered::Accepted => Ok(accepted(run, args)),
    }
}

/// Into the inbox and no further: whoever serves the project moves the run.
async fn leave(system: &System, run: &RunId, incoming: &Incoming) -> anyhow::Result<()> {
    let submit = Submit {
        aggregate: run.clone(),
        tenant: system.tenant.clone(),
        command_id: format!("cli-{}", uuid::Uuid::now_v7()),
        payload: serde_json::to_vec(incoming)?.into(),
        at: system.clock.now(),
        creates: None,
    };
    match system.store.submit(submit).await? {
        Submitted::Accepted { .. } | Submitted::Duplicate => Ok(()),
    }
}

fn accepted(run: &RunId, args: &RunsAct) -> Exit {
    if args.json {
        print::json(&json!({ "execution_id": run, "accepted": true }));
    } else {
        print::line(format_args!("accepted; whoever moves `{run}` takes it from here (`baton runs work` does)"));
    }
    Exit::Waiting
}

fn refused(run: &RunId, refusal: &Refusal, args: &RunsAct) -> Exit {
    if args.json {
        let (code, message) = (refusal.code(), refusal.to_string());
        print::json(&json!({ "execution_id": run, "refused": { "code": code, "message": message } }));
    } else {
        print::note(format_args!("refused[{}]: {refusal}", refusal.code()));
    }
    Exit::Failed
}
