//! `baton runs`: inspects and controls runs.

pub mod act;
mod fork;
mod history;
mod key;
mod list;
pub mod record;
mod show;
mod work;

use std::path::Path;

use baton_core::run::{DoubtResolution, EffectId, HumanDecision, IncomingCommand, NodeAddress};
use serde_json::Value;

use super::json;
use super::run::{message, signal};
use crate::cli::{RunActionArgs, RunsCommand};
use crate::project::Project;
use crate::{CommandExit, UsageError};

pub async fn run(folder: &Path, args: RunsCommand) -> anyhow::Result<CommandExit> {
    let project = Project::open(folder)?;
    match args {
        RunsCommand::List(args) => list::run(&project, &args).await,
        RunsCommand::Show(args) => show::run(&project, &args).await,
        RunsCommand::Timeline(args) => history::timeline(&project, &args).await,
        RunsCommand::Summary(args) => history::summary(&project, &args).await,
        RunsCommand::Journal(args) => history::journal(&project, &args).await,
        RunsCommand::Fork { act, at, sets, id, owns_undo } => {
            let wanted = fork::ForkOptions { at, variables: json::pairs(&sets)?, id, owns_undo };
            fork::run(&project, &act, wanted).await
        }
        RunsCommand::Retry { act, same_version } => act::retry(&project, &act, same_version).await,
        RunsCommand::Key(args) => key::run(&project, &args).await,
        RunsCommand::Work(args) => work::run(&project, &args).await,
        other => {
            let (act, incoming) = incoming(other)?;
            act::run(&project, &act, incoming).await
        }
    }
}

/// The command that is submitted to a run's inbox.
fn incoming(args: RunsCommand) -> anyhow::Result<(RunActionArgs, IncomingCommand)> {
    Ok(match args {
        RunsCommand::Pause(act) => (act.clone(), IncomingCommand::Pause { by: act.by }),
        RunsCommand::Resume(act) => (act.clone(), IncomingCommand::Resume { by: act.by }),
        RunsCommand::Rollback(act) => (act.clone(), IncomingCommand::Rollback { by: act.by, asked_by: Vec::new() }),
        RunsCommand::Cancel { act, compensate } => {
            (act.clone(), IncomingCommand::Cancel { by: act.by, compensate, asked_by: Vec::new() })
        }
        RunsCommand::Signal { act, message: Some(text), .. } => (act, message(&text)),
        RunsCommand::Signal { act, name, payload, .. } => {
            let name = name.ok_or_else(|| UsageError::new("a signal needs a name, or --message TEXT"))?;
            (act, signal(&name, json::parse_argument("--payload", &payload)?))
        }
        RunsCommand::Answer { act, node, approve, reject, form, note } => {
            let form = form.map(|form| json::parse_argument("--form", &form)).transpose()?;
            let incoming = answer(&act, &node, approve, reject, form, note)?;
            (act, incoming)
        }
        RunsCommand::Resolve { act, effect, done, not_done, repeat } => {
            let done = done.map(|done| json::parse_argument("--done", &done)).transpose()?;
            let by = act.by.clone();
            let incoming = IncomingCommand::Resolve {
                effect: call(&effect)?,
                by,
                resolution: resolution(done, not_done, repeat)?,
            };
            (act, incoming)
        }
        RunsCommand::List(_)
        | RunsCommand::Show(_)
        | RunsCommand::Timeline(_)
        | RunsCommand::Summary(_)
        | RunsCommand::Journal(_)
        | RunsCommand::Fork { .. }
        | RunsCommand::Retry { .. }
        | RunsCommand::Key(_)
        | RunsCommand::Work(_) => anyhow::bail!("this command acts on no inbox"),
    })
}

/// An answer to a `human` node or to a question of a call, or the decision on a call's approval.
fn answer(
    act: &RunActionArgs,
    node: &str,
    approve: bool,
    reject: bool,
    form: Option<Value>,
    note: String,
) -> anyhow::Result<IncomingCommand> {
    let by = act.by.clone();
    if node.contains('#') {
        let effect = call(node)?;
        return match (approve, reject, form) {
            (true, false, None) | (false, true, None) => {
                Ok(IncomingCommand::Approve { effect, by: by.into(), approved: approve, note })
            }
            (false, false, Some(form)) => Ok(IncomingCommand::Fill { effect, by, form }),
            _ => Err(UsageError::new(
                "a call is given leave with --approve or what it asks with --form JSON, or refused it with --reject",
            )
            .into()),
        };
    }
    let decision = match (approve, reject, form) {
        (true, false, None) => HumanDecision::Approve { note },
        (false, true, None) => HumanDecision::Reject { note },
        (false, false, Some(form)) => HumanDecision::Fill { form },
        _ => return Err(UsageError::new("say one of --approve, --reject and --form JSON").into()),
    };
    Ok(IncomingCommand::Answer { node: NodeAddress::parse(node), by: by.into(), decision })
}

pub fn resolution(done: Option<Value>, not_done: bool, repeat: bool) -> anyhow::Result<DoubtResolution> {
    match (done, not_done, repeat) {
        (Some(output), false, false) => Ok(DoubtResolution::Done { output }),
        (None, true, false) => Ok(DoubtResolution::NotDone),
        (None, false, true) => Ok(DoubtResolution::Repeat),
        _ => Err(UsageError::new("say one of --done JSON, --not-done and --repeat")
            .hint("--done takes what the call would have answered")
            .into()),
    }
}

fn call(text: &str) -> anyhow::Result<EffectId> {
    EffectId::parse(text).ok_or_else(|| {
        UsageError::new(format!("`{text}` names no call"))
            .hint("calls are written `node#0.0`, as `baton runs show` prints them")
            .into()
    })
}
