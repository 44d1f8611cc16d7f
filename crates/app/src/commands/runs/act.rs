//! Commands to a run: submits them to its inbox, then executes the run until it is idle.

use std::time::{Duration, Instant};

use baton_core::id::RunId;
use baton_core::run::{
    CallRole, DecisionChannel, DecisionMaker, DoubtResolution, IncomingCommand, Run, RunRefusal, RunState,
};
use baton_engine::{DeliveryResult, RoutingQueues, RunFollower};
use baton_ports::journal::{InboxReceipt, InboxSubmission, JournalStore};
use baton_ports::read::ReadModel;
use baton_ports::registry::WorkflowRegistry;
use serde_json::{Value, json};

use super::record::{self, RecordedRun};
use crate::cli::RunActionArgs;
use crate::commands::run::print_result;
use crate::progress::{self, RunProgress};
use crate::project::{Project, shell_quote};
use crate::wiring::ProjectSystem;
use crate::{CommandExit, UsageError, print};

/// How long the result of a run that another process moves is waited for.
const ELSEWHERE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the state of such a run is read.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

pub async fn run(project: &Project, args: &RunActionArgs, incoming: IncomingCommand) -> anyhow::Result<CommandExit> {
    let system = record::system(project)?;
    let run = record::head(&system, &args.run).await?.run;
    let incoming = verify_decider(&system, incoming).await?;
    act(&system, &run, args, &incoming).await
}

/// Adds the verified facts about the decider to a decision. The command line accepts any name, because the owner of the
/// machine can type any, and the audit trail records that the name was typed here. Roles and skills come from the
/// routing queue's profile of that name.
async fn verify_decider(system: &ProjectSystem, incoming: IncomingCommand) -> anyhow::Result<IncomingCommand> {
    let known = async |by: DecisionMaker| {
        let known = RoutingQueues::default().decider(&system.store, &system.tenant, &by.name).await?;
        anyhow::Ok(DecisionMaker { via: Some(DecisionChannel::CommandLine), ..known })
    };
    Ok(match incoming {
        IncomingCommand::Answer { node, by, decision } => {
            IncomingCommand::Answer { node, by: known(by).await?, decision }
        }
        IncomingCommand::Approve { effect, by, approved, note } => {
            IncomingCommand::Approve { effect, by: known(by).await?, approved, note }
        }
        other => other,
    })
}

/// Continues from a failure. The project's files are saved first, because a user who has corrected a file expects the
/// corrected version.
pub async fn retry(project: &Project, args: &RunActionArgs, same_version: bool) -> anyhow::Result<CommandExit> {
    let mut system = record::system(project)?;
    let record = RecordedRun::read(&system, &args.run).await?;
    let name = record.run().workflow().map(|workflow| workflow.name.clone());
    let newest = match name.filter(|_| !same_version) {
        Some(name) => {
            let saved = system.save_workflows(project).await?;
            // A workflow that was removed from the folder continues with its last saved version. An invalid one must be
            // fixed first.
            if saved.workflows.is_rejected(&name) {
                saved.workflows.find(project, &name)?;
            }
            system.store.active(&system.tenant, &name).await?
        }
        None => None,
    };
    let bundle = newest.map(|version| version.bundle).or_else(|| record.run().bundle().cloned());
    let bundle = bundle.ok_or_else(|| UsageError::new(format!("`{}` has not begun", record.head.run)))?;
    let incoming = IncomingCommand::Retry { by: args.by.clone(), bundle };
    act(&system, &record.head.run, args, &incoming).await
}

async fn act(
    system: &ProjectSystem,
    run: &RunId,
    args: &RunActionArgs,
    incoming: &IncomingCommand,
) -> anyhow::Result<CommandExit> {
    if args.detach {
        submit_only(system, run, incoming).await?;
        return Ok(print_accepted(run, &OutcomeStyle { args, command: &system.command }));
    }
    let moves = system.run_with_engine(async |engine| {
        let mut follower = progress::follower(engine, system);
        follower.follow(run).await?;
        let before = follower.run(run).cloned().unwrap_or_default();
        follower.set_callback(progress::entry_printer((!args.json).then(|| RunProgress::resumed(run))));
        let mut delivered = follower.deliver(run, incoming).await?;
        if matches!(delivered, DeliveryResult::Accepted)
            && is_moved_elsewhere(&mut follower, run, before.state(), target_states(incoming)).await?
        {
            delivered = DeliveryResult::Applied;
        }
        if matches!(delivered, DeliveryResult::Applied) {
            follow_ancestors(system, &mut follower, run).await?;
        }
        wait_until_idle(&delivered, &mut follower).await?;
        Ok((before, delivered, follower))
    });
    let (before, delivered, follower) = moves.await?;
    let is_settled = |resolution: &DoubtResolution| !matches!(resolution, DoubtResolution::Repeat);
    if let (IncomingCommand::Resolve { effect, by, resolution }, DeliveryResult::Applied, true) =
        (incoming, &delivered, before.state().is_end())
        && is_settled(resolution)
        && !args.json
    {
        print::line(format_args!("`{effect}` is settled by `{by}`; the run stays {}", before.state()));
        return Ok(CommandExit::Completed);
    }
    print_outcome(&delivered, &follower, run, OutcomeStyle { args, command: &system.command }, target_states(incoming))
}

/// Waits while another process moves the run. Returns whether the run reached its end or a target state there, which it
/// did not have before the command.
async fn is_moved_elsewhere(
    follower: &mut RunFollower,
    run: &RunId,
    before: RunState,
    targets: &[RunState],
) -> anyhow::Result<bool> {
    let until = Instant::now() + ELSEWHERE_TIMEOUT;
    loop {
        let state = follower.run(run).map_or(before, Run::state);
        if state != before && (state.is_end() || targets.contains(&state)) {
            return Ok(true);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        follower.wait_for_change(left.min(POLL_INTERVAL)).await?;
    }
}

/// A run that others wait for is followed together with them, because its result lets them continue.
async fn follow_ancestors(system: &ProjectSystem, follower: &mut RunFollower, run: &RunId) -> anyhow::Result<()> {
    let mut head = system.store.run(&system.tenant, run).await?;
    while let Some(parent) = head.and_then(|head| head.parent) {
        follower.follow_silently(&parent).await?;
        head = system.store.run(&system.tenant, &parent).await?;
    }
    Ok(())
}

/// The states in which the request is fulfilled, in addition to the run's completion.
fn target_states(incoming: &IncomingCommand) -> &'static [RunState] {
    match incoming {
        IncomingCommand::Pause { .. } => &[RunState::Paused],
        IncomingCommand::Cancel { .. } => &[RunState::Cancelled, RunState::Compensated],
        IncomingCommand::Rollback { .. } => &[RunState::Compensated],
        // For a compensation that failed: it is tried again.
        IncomingCommand::Resolve { effect, resolution: DoubtResolution::Repeat, .. }
            if effect.call.role == CallRole::Undo =>
        {
            &[RunState::Compensated]
        }
        IncomingCommand::Start(_)
        | IncomingCommand::Signal(_)
        | IncomingCommand::Answer { .. }
        | IncomingCommand::Approve { .. }
        | IncomingCommand::Fill { .. }
        | IncomingCommand::Resolve { .. }
        | IncomingCommand::ChildEnded { .. }
        | IncomingCommand::ChildUndone { .. }
        | IncomingCommand::Resume { .. }
        | IncomingCommand::Retry { .. }
        | IncomingCommand::Fork { .. } => &[],
    }
}

/// How to print the result: the output format, and how a command line for this project begins.
pub struct OutcomeStyle<'a> {
    pub args: &'a RunActionArgs,
    pub command: &'a str,
}

/// Executes the run until it is idle, if it accepted the command.
pub async fn wait_until_idle(delivered: &DeliveryResult, follower: &mut RunFollower) -> anyhow::Result<()> {
    match delivered {
        DeliveryResult::Applied => Ok(follower.wait_all_idle().await?),
        DeliveryResult::Refused(_) | DeliveryResult::Accepted => Ok(()),
    }
}

/// Prints the result, or why the command was not accepted.
pub fn print_outcome(
    delivered: &DeliveryResult,
    follower: &RunFollower,
    run: &RunId,
    telling: OutcomeStyle<'_>,
    wanted: &[RunState],
) -> anyhow::Result<CommandExit> {
    match delivered {
        DeliveryResult::Applied => {
            let exit = print_result(follower, run, telling.command, telling.args.json)?;
            let is_wanted = follower.run(run).is_some_and(|run| wanted.contains(&run.state()));
            Ok(if is_wanted { CommandExit::Completed } else { exit })
        }
        DeliveryResult::Refused(refusal) => Ok(print_refusal(run, refusal, follower.run(run), &telling)),
        DeliveryResult::Accepted => Ok(print_accepted(run, &telling)),
    }
}

/// Only submits the command. The process that serves the project executes the run.
async fn submit_only(system: &ProjectSystem, run: &RunId, incoming: &IncomingCommand) -> anyhow::Result<()> {
    let submit = InboxSubmission {
        aggregate: run.clone(),
        tenant: system.tenant.clone(),
        command_id: format!("cli-{}", uuid::Uuid::now_v7()),
        payload: serde_json::to_vec(incoming)?.into(),
        at: system.clock.now(),
        creates: None,
    };
    match system.store.submit(submit).await? {
        InboxReceipt::Accepted { .. } | InboxReceipt::Duplicate => Ok(()),
    }
}

fn print_accepted(run: &RunId, telling: &OutcomeStyle<'_>) -> CommandExit {
    if telling.args.json {
        print::json(&json!({ "execution_id": run, "accepted": true }));
    } else {
        let command = telling.command;
        print::line(format_args!("accepted; whoever moves `{run}` takes it from here (`{command} runs work` does)"));
    }
    CommandExit::Waiting
}

fn print_refusal(run: &RunId, refusal: &RunRefusal, standing: Option<&Run>, telling: &OutcomeStyle<'_>) -> CommandExit {
    let stays = match refusal {
        RunRefusal::WrongState { command: "roll back", state } if state.is_end() => standing.map(rollback_reason),
        _ => None,
    };
    let (code, hint) = (refusal.code(), stays.unwrap_or_else(|| refusal_hint(run, refusal, telling.command)));
    if telling.args.json {
        let refused = json!({ "code": code, "message": refusal.to_string(), "hint": hint });
        print::json(&json!({ "execution_id": run, "refused": refused }));
    } else {
        print::note(format_args!("refused[{code}]: {refusal}\n  hint: {hint}"));
    }
    CommandExit::Failed
}

/// Why a run that has ended has nothing to roll back.
fn rollback_reason(run: &Run) -> String {
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

/// An alternative for the caller, by the reason of the refusal.
fn refusal_hint(run: &RunId, refusal: &RunRefusal, command: &str) -> String {
    let run = shell_quote(run.as_str());
    match refusal {
        RunRefusal::NotStarted => format!("it begins once somebody moves it: {command} runs work"),
        RunRefusal::Ended { state: RunState::Failed | RunState::TimedOut, .. } => {
            format!("it can go on from its failure: {command} runs retry {run}")
        }
        RunRefusal::Ended { .. } | RunRefusal::AlreadyStarted { .. } => {
            format!("begin another with `{command} run`, or fork this one: {command} runs fork {run} --at NODE")
        }
        RunRefusal::WrongState { command: "roll back", state } if !state.is_end() => {
            format!("stop it first, undoing what it did: {command} runs cancel {run} --compensate")
        }
        RunRefusal::WrongState { .. }
        | RunRefusal::Impossible { .. }
        | RunRefusal::UnfitForm { .. }
        | RunRefusal::Lost { .. }
        | RunRefusal::Duplicate { .. } => {
            format!("see how it stands: {command} runs show {run}")
        }
        RunRefusal::NothingWaits { .. } | RunRefusal::NoSuchCall { .. } | RunRefusal::NotInDoubt { .. } => {
            format!("see what is open: {command} runs show {run}")
        }
        RunRefusal::AnsweredTwice { .. } | RunRefusal::NotAllowed { .. } => {
            format!(
                "somebody else must answer: `{command} runs show {run}` says who is asked; --by (or --as) says who answers, and \
                 `{command} people list` which roles and skills they have"
            )
        }
        RunRefusal::WrongAnswer { .. } => "answer with --approve or --reject, or a form with --form JSON".to_owned(),
        RunRefusal::TooManySignals { .. } | RunRefusal::SignalSeen { .. } => {
            format!("see what it has kept: {command} runs journal {run}")
        }
    }
}
