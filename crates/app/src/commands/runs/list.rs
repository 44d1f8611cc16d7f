//! `baton runs list`.

use baton_core::expr::nearest;
use baton_core::id::RunId;
use baton_core::run::State;
use baton_core::time::Time;
use baton_ports::clock::Clock;
use baton_ports::read::{PAGE_MAX, Read, RunFilter, RunHead};
use serde_json::json;

use super::record;
use crate::cli::RunsList;
use crate::project::Project;
use crate::wire::System;
use crate::{Exit, Misuse, print};

pub async fn run(project: &Project, args: &RunsList) -> anyhow::Result<Exit> {
    let state = args.state.as_deref().map(state).transpose()?;
    let has_run = project.root.join(&project.settings.database).exists();
    let heads = if has_run { heads(&record::system(project)?, args, state).await? } else { Vec::new() };
    if args.json {
        print::pretty(&json!(heads));
    } else if heads.is_empty() {
        print::line("no runs");
    } else {
        let now = baton_ports::clock::SystemClock.now();
        heads.iter().for_each(|head| print::line(row(head, now)));
    }
    Ok(Exit::Completed)
}

fn state(word: &str) -> anyhow::Result<State> {
    State::parse(word).ok_or_else(|| {
        let words = || State::ALL.into_iter().map(State::word);
        let hint = match nearest(word, words()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", words().collect::<Vec<_>>().join(", ")),
        };
        Misuse::new(format!("no state `{word}`")).hint(hint).into()
    })
}

async fn heads(system: &System, args: &RunsList, state: Option<State>) -> anyhow::Result<Vec<RunHead>> {
    let mut heads: Vec<RunHead> = Vec::new();
    let mut before = args.before.as_deref().map(RunId::from);
    while heads.len() < args.limit {
        let limit = (args.limit - heads.len()).min(PAGE_MAX);
        let filter = RunFilter { state, workflow: args.workflow.clone(), before, limit };
        let page = system.store.runs(&system.tenant, filter).await?;
        let is_last = page.len() < limit;
        heads.extend(page);
        before = heads.last().map(|head| head.run.clone());
        if is_last {
            break;
        }
    }
    Ok(heads)
}

fn row(head: &RunHead, now: Time) -> String {
    let took = head.started_at.map(|began| head.ended_at.unwrap_or(now).since(began).as_secs_f64());
    let took = took.map(|seconds| format!("{seconds:.1} s")).unwrap_or_default();
    let colour = match head.state {
        State::Completed => "32",
        State::Failed | State::TimedOut => "31",
        State::Pending
        | State::Running
        | State::Waiting
        | State::Paused
        | State::Compensating
        | State::Compensated
        | State::Cancelled => "33",
    };
    // Padded before it is painted: a terminal's colours have a length too.
    let state = print::paint(colour, &format!("{:<12}", head.state.word()));
    let fault = head.fault.as_deref().unwrap_or_default();
    let began = head.started_at.unwrap_or(head.created_at).to_string();
    format!("{}  {state} {:<24} {began}  {took:>9}  {}  {fault}", head.run, head.workflow, head.cost)
        .trim_end()
        .to_owned()
}
