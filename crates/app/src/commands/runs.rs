//! `baton runs`: looking at runs, and acting on them.

pub mod act;
mod fork;
mod history;
mod key;
mod list;
pub mod record;
mod show;
mod work;

use std::path::Path;

use baton_core::run::{Address, Decision, EffectId, Incoming, Resolution};
use serde_json::Value;

use super::json;
use super::run::{message, signal};
use crate::cli::{Runs, RunsAct};
use crate::project::Project;
use crate::{Exit, Misuse};

pub async fn run(folder: &Path, args: Runs) -> anyhow::Result<Exit> {
    let project = Project::open(folder)?;
    match args {
        Runs::List(args) => list::run(&project, &args).await,
        Runs::Show(args) => show::run(&project, &args).await,
        Runs::Timeline(args) => history::timeline(&project, &args).await,
        Runs::Summary(args) => history::summary(&project, &args).await,
        Runs::Journal(args) => history::journal(&project, &args).await,
        Runs::Fork { act, at, sets, id, owns_undo } => {
            let wanted = fork::Wanted { at, variables: json::pairs(&sets)?, id, owns_undo };
            fork::run(&project, &act, wanted).await
        }
        Runs::Retry { act, same_version } => act::retry(&project, &act, same_version).await,
        Runs::Key(args) => key::run(&project, &args).await,
        Runs::Work(args) => work::run(&project, &args).await,
        other => {
            let (act, incoming) = incoming(other)?;
            act::run(&project, &act, incoming).await
        }
    }
}

/// What the acting commands put into a run's inbox.
fn incoming(args: Runs) -> anyhow::Result<(RunsAct, Incoming)> {
    Ok(match args {
        Runs::Pause(act) => (act.clone(), Incoming::Pause { by: act.by }),
        Runs::Resume(act) => (act.clone(), Incoming::Resume { by: act.by }),
        Runs::Rollback(act) => (act.clone(), Incoming::Rollback { by: act.by, asked_by: Vec::new() }),
        Runs::Cancel { act, compensate } => {
            (act.clone(), Incoming::Cancel { by: act.by, compensate, asked_by: Vec::new() })
        }
        Runs::Signal { act, message: Some(text), .. } => (act, message(&text)),
        Runs::Signal { act, name, payload, .. } => {
            let name = name.ok_or_else(|| Misuse::new("a signal needs a name, or --message TEXT"))?;
            (act, signal(&name, json::given("--payload", &payload)?))
        }
        Runs::Answer { act, node, approve, reject, form, note } => {
            let form = form.map(|form| json::given("--form", &form)).transpose()?;
            let incoming = answer(&act, &node, approve, reject, form, note)?;
            (act, incoming)
        }
        Runs::Resolve { act, effect, done, not_done, repeat } => {
            let done = done.map(|done| json::given("--done", &done)).transpose()?;
            let by = act.by.clone();
            let incoming =
                Incoming::Resolve { effect: call(&effect)?, by, resolution: resolution(done, not_done, repeat)? };
            (act, incoming)
        }
        Runs::List(_)
        | Runs::Show(_)
        | Runs::Timeline(_)
        | Runs::Summary(_)
        | Runs::Journal(_)
        | Runs::Fork { .. }
        | Runs::Retry { .. }
        | Runs::Key(_)
        | Runs::Work(_) => anyhow::bail!("this command acts on no inbox"),
    })
}

/// An answer to a `human` node, or to what a call asks, or leave for a call.
fn answer(
    act: &RunsAct,
    node: &str,
    approve: bool,
    reject: bool,
    form: Option<Value>,
    note: String,
) -> anyhow::Result<Incoming> {
    let by = act.by.clone();
    if node.contains('#') {
        let effect = call(node)?;
        return match (approve, reject, form) {
            (true, false, None) | (false, true, None) => {
                Ok(Incoming::Approve { effect, by: by.into(), approved: approve, note })
            }
            (false, false, Some(form)) => Ok(Incoming::Fill { effect, by, form }),
            _ => Err(Misuse::new(
                "a call is given leave with --approve or what it asks with --form JSON, or refused it with --reject",
            )
            .into()),
        };
    }
    let decision = match (approve, reject, form) {
        (true, false, None) => Decision::Approve { note },
        (false, true, None) => Decision::Reject { note },
        (false, false, Some(form)) => Decision::Fill { form },
        _ => return Err(Misuse::new("say one of --approve, --reject and --form JSON").into()),
    };
    Ok(Incoming::Answer { node: Address::parse(node), by: by.into(), decision })
}

pub fn resolution(done: Option<Value>, not_done: bool, repeat: bool) -> anyhow::Result<Resolution> {
    match (done, not_done, repeat) {
        (Some(output), false, false) => Ok(Resolution::Done { output }),
        (None, true, false) => Ok(Resolution::NotDone),
        (None, false, true) => Ok(Resolution::Repeat),
        _ => Err(Misuse::new("say one of --done JSON, --not-done and --repeat")
            .hint("--done takes what the call would have answered")
            .into()),
    }
}

fn call(text: &str) -> anyhow::Result<EffectId> {
    EffectId::parse(text).ok_or_else(|| {
        Misuse::new(format!("`{text}` names no call"))
            .hint("calls are written `node#0.0`, as `baton runs show` prints them")
            .into()
    })
}
