//! Acting on a run: into its inbox, and then with it until it rests.

use baton_core::id::RunId;
use baton_core::run::{Decider, Incoming, Refusal, Resolution, Role, Run, State, Via};
use baton_engine::{Delivered, Desks, Follower};
use baton_ports::journal::{Journal, Submit, Submitted};
use baton_ports::read::Read;
use baton_ports::registry::Registry;
use serde_json::{Value, json};

use super::record::{self, Record};
use crate::cli::RunsAct;
use crate::commands::run::report;
use crate::project::{Project, in_shell};
use crate::told::{self, Progress};
use crate::wire::System;
use crate::{Exit, Misuse, print};

pub async fn run(project: &Project, args: &RunsAct, incoming: Incoming) -> anyhow::Result<Exit> {
    let system = record::system(project)?;
    let run = record::head(&system, &args.run).await?.run;
    let incoming = established(&system, incoming).await?;
    act(&system, &run, args, &incoming).await
}

/// A decision with what is established of who decides. The command line is believed a name, as whoever owns the machine may
/// type any, and the audit trail says that it was typed here; roles and skills are those that the desk has of the name.
async fn established(system: &System, incoming: Incoming) -> anyhow::Result<Incoming> {
    let known = async |by: Decider| {
        let known = Desks::default().decider(&system.store, &system.tenant, &by.name).await?;
        anyhow::Ok(Decider { via: Some(Via::CommandLine), ..known })
    };
    Ok(match incoming {
        Incoming::Answer { node, by, decision } => Incoming::Answer { node, by: known(by).await?, decision },
        Incoming::Approve { effect, by, approved, note } => {
            Incoming::Approve { effect, by: known(by).await?, approved, note }
        }
        other => other,
    })
}

/// Goes on from a failure. The project's files are saved first: whoever corrected one means the corrected one.
pub async fn retry(project: &Project, args: &RunsAct, same_version: bool) -> anyhow::Result<Exit> {
    let mut system = record::system(project)?;
    let record = Record::read(&system, &args.run).await?;
    let name = record.run().workflow().map(|workflow| workflow.name.clone());
    let newest = match name.filter(|_| !same_version) {
        Some(name) => {
            let saved = system.save(project).await?;
            // One that is gone from the folder goes on with what was saved last; one that is broken is to be mended.
            if saved.workflows.is_unready(&name) {
                saved.workflows.find(project, &name)?;
            }
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
        return Ok(accepted(run, &Telling { args, command: &system.command }));
    }
    let moves = system.working(async |engine| {
        let mut follower = told::follower(engine, system);
        follower.follow(run).await?;
        let before = follower.run(run).cloned().unwrap_or_default();
        follower.tell(told::telling((!args.json).then(|| Progress::going_on(run))));
        let delivered = follower.deliver(run, incoming).await?;
        if matches!(delivered, Delivered::Taken) {
            with_ancestors(system, &mut follower, run).await?;
        }
        until_rest(&delivered, &mut follower).await?;
        Ok((before, delivered, follower))
    });
    let (before, delivered, follower) = moves.await?;
    let is_settled = |resolution: &Resolution| !matches!(resolution, Resolution::Repeat);
    if let (Incoming::Resolve { effect, by, resolution }, Delivered::Taken, true) =
        (incoming, &delivered, before.state().is_end())
        && is_settled(resolution)
        && !args.json
    {
        print::line(format_args!("`{effect}` is settled by `{by}`; the run stays {}", before.state()));
        return Ok(Exit::Completed);
    }
    conclude(&delivered, &follower, run, Telling { args, command: &system.command }, wanted(incoming))
}

/// A run that others wait for is followed with them: what it comes to moves them on.
async fn with_ancestors(system: &System, follower: &mut Follower, run: &RunId) -> anyhow::Result<()> {
    let mut head = system.store.run(&system.tenant, run).await?;
    while let Some(parent) = head.and_then(|head| head.parent) {
        follower.follow_silently(&parent).await?;
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
        // Of what could not be undone: it is tried again.
        Incoming::Resolve { effect, resolution: Resolution::Repeat, .. } if effect.call.role == Role::Undo => {
            &[State::Compensated]
        }
        Incoming::Start(_)
        | Incoming::Signal(_)
        | Incoming::Answer { .. }
        | Incoming::Approve { .. }
        | Incoming::Fill { .. }
        | Incoming::Resolve { .. }
        | Incoming::ChildEnded { .. }
        | Incoming::ChildUndone { .. }
        | Incoming::Resume { .. }
        | Incoming::Retry { .. }
        | Incoming::Fork { .. } => &[],
    }
}

/// How what became of it is told: as asked for, and with the words a command line on this project begins with.
pub struct Telling<'a> {
    pub args: &'a RunsAct,
    pub command: &'a str,
}

/// With the run until it rests, where it took what it was given.
pub async fn until_rest(delivered: &Delivered, follower: &mut Follower) -> anyhow::Result<()> {
    match delivered {
        Delivered::Taken => Ok(follower.until_all_rest().await?),
        Delivered::Refused(_) | Delivered::Accepted => Ok(()),
    }
}

/// What became of it; or why it took nothing.
pub fn conclude(
    delivered: &Delivered,
    follower: &Follower,
    run: &RunId,
    telling: Telling<'_>,
    wanted: &[State],
) -> anyhow::Result<Exit> {
    match delivered {
        Delivered::Taken => {
            let exit = report(follower, run, telling.command, telling.args.json)?;
            let is_wanted = follower.run(run).is_some_and(|run| wanted.contains(&run.state()));
            Ok(if is_wanted { Exit::Completed } else { exit })
        }
        Delivered::Refused(refusal) => Ok(refused(run, refusal, follower.run(run), &telling)),
        Delivered::Accepted => Ok(accepted(run, &telling)),
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

fn accepted(run: &RunId, telling: &Telling<'_>) -> Exit {
    if telling.args.json {
        print::json(&json!({ "execution_id": run, "accepted": true }));
    } else {
        let command = telling.command;
        print::line(format_args!("accepted; whoever moves `{run}` takes it from here (`{command} runs work` does)"));
    }
    Exit::Waiting
}

fn refused(run: &RunId, refusal: &Refusal, standing: Option<&Run>, telling: &Telling<'_>) -> Exit {
    let stays = match refusal {
        Refusal::WrongState { command: "roll back", state } if state.is_end() => standing.map(why_it_stays),
        _ => None,
    };
    let (code, hint) = (refusal.code(), stays.unwrap_or_else(|| way_out(run, refusal, telling.command)));
    if telling.args.json {
        let refused = json!({ "code": code, "message": refusal.to_string(), "hint": hint });
        print::json(&json!({ "execution_id": run, "refused": refused }));
    } else {
        print::note(format_args!("refused[{code}]: {refusal}\n  hint: {hint}"));
    }
    Exit::Failed
}

/// Why a run that has ended has nothing that a rollback could undo.
fn why_it_stays(run: &Run) -> String {
    let report = run.saga().report();
    let rows = report.as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let stays = rows.iter().filter(|row| row["state"] == "irreversible");
    let stays: Vec<String> = stays
        .map(|row| {
            format!("`{}` of `{}` cannot be undone: {}", text(row, "tool"), text(row, "node"), text(row, "reason"))
        })
        .collect();
    match (stays.is_empty(), rows.is_empty()) {
        (false, _) => stays.join("; "),
        (true, false) => "all it did is undone already".to_owned(),
        (true, true) => "it did nothing itself that would have to be undone".to_owned(),
    }
}

/// What can be done instead, by why the run said no.
fn way_out(run: &RunId, refusal: &Refusal, command: &str) -> String {
    let run = in_shell(run.as_str());
    match refusal {
        Refusal::NotStarted => format!("it begins once somebody moves it: {command} runs work"),
        Refusal::Ended { state: State::Failed | State::TimedOut, .. } => {
            format!("it can go on from its failure: {command} runs retry {run}")
        }
        Refusal::Ended { .. } | Refusal::AlreadyStarted { .. } => {
            format!("begin another with `{command} run`, or fork this one: {command} runs fork {run} --at NODE")
        }
        Refusal::WrongState { command: "roll back", state } if !state.is_end() => {
            format!("stop it first, undoing what it did: {command} runs cancel {run} --compensate")
        }
        Refusal::WrongState { .. }
        | Refusal::Impossible { .. }
        | Refusal::UnfitForm { .. }
        | Refusal::Lost { .. }
        | Refusal::Duplicate { .. } => {
            format!("see how it stands: {command} runs show {run}")
        }
        Refusal::NothingWaits { .. } | Refusal::NoSuchCall { .. } | Refusal::NotInDoubt { .. } => {
            format!("see what is open: {command} runs show {run}")
        }
        Refusal::AnsweredTwice { .. } | Refusal::NotAllowed { .. } => {
            format!(
                "somebody else must answer: `{command} runs show {run}` says who is asked; --by (or --as) says who answers, and \
                 `{command} people list` which roles and skills they have"
            )
        }
        Refusal::WrongAnswer { .. } => "answer with --approve or --reject, or a form with --form JSON".to_owned(),
        Refusal::TooManySignals { .. } | Refusal::SignalSeen { .. } => {
            format!("see what it has kept: {command} runs journal {run}")
        }
    }
}
