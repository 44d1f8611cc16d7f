//! `baton runs list`.

use baton_core::id::RunId;
use baton_core::run::RunState;
use baton_expr::nearest;
use baton_ports::clock::{Clock, SystemClock};
use baton_ports::read::{PAGE_MAX, ReadModel, RunFilter, RunHead};

use super::record;
use crate::cli::RunListArgs;
use crate::project::Project;
use crate::wiring::ProjectSystem;
use crate::{CommandExit, UsageError, print};

pub async fn run(project: &Project, args: &RunListArgs) -> anyhow::Result<CommandExit> {
    let state = args.state.as_deref().map(state).transpose()?;
    let has_run = project.has_database();
    let heads = if has_run { heads(&record::system(project)?, args, state).await? } else { Vec::new() };
    if args.json {
        print::pretty(&heads.iter().map(RunHead::as_json).collect());
    } else if heads.is_empty() {
        print::line("no runs");
    } else {
        print_heads(&heads);
    }
    Ok(CommandExit::Completed)
}

fn state(word: &str) -> anyhow::Result<RunState> {
    RunState::parse(word).ok_or_else(|| {
        let words = || RunState::ALL.into_iter().map(RunState::word);
        let hint = match nearest(word, words()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", words().collect::<Vec<_>>().join(", ")),
        };
        UsageError::new(format!("no state `{word}`")).hint(hint).into()
    })
}

async fn heads(system: &ProjectSystem, args: &RunListArgs, state: Option<RunState>) -> anyhow::Result<Vec<RunHead>> {
    let mut heads: Vec<RunHead> = Vec::new();
    let mut before = args.before.as_deref().map(RunId::from);
    let wanted = args.limit as usize;
    while heads.len() < wanted {
        let limit = (wanted - heads.len()).min(PAGE_MAX);
        let states = state.into_iter().collect();
        let filter = RunFilter { states, workflow: args.workflow.clone(), before, limit, ..RunFilter::default() };
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

/// Prints one line for each run, in columns as wide as their contents.
fn print_heads(heads: &[RunHead]) {
    let now = SystemClock.now();
    let widest = |title: &str, of: &dyn Fn(&RunHead) -> usize| heads.iter().map(of).max().unwrap_or(0).max(title.len());
    let run = widest("RUN", &|head| head.run.as_str().len());
    let workflow = widest("WORKFLOW", &|head| head.workflow.len());
    let title = format!(
        "{:<run$}  {:<12} {:<workflow$}  {:<24}  {:>11}  {:>8}",
        "RUN", "STATE", "WORKFLOW", "BEGAN", "TOOK", "COST"
    );
    print::line(print::paint("1", &title));
    for head in heads {
        let (id, name) = (head.run.as_str(), &head.workflow);
        let took = head.started_at.map(|began| print::format_duration(head.ended_at.unwrap_or(now).since(began)));
        // Pad before adding colour: the escape codes have a length too.
        let state = print::paint(colour(head.state), &format!("{:<12}", head.state.word()));
        let began = head.started_at.unwrap_or(head.created_at).to_string();
        let (took, cost) = (took.unwrap_or_default(), head.cost.to_string());
        let fault = head.fault.as_deref().unwrap_or_default();
        let row = format!("{id:<run$}  {state} {name:<workflow$}  {began:<24}  {took:>11}  {cost:>8}  {fault}");
        print::line(row.trim_end());
    }
}

fn colour(state: RunState) -> &'static str {
    match state {
        RunState::Completed => "32",
        RunState::Failed | RunState::TimedOut => "31",
        RunState::Pending
        | RunState::Running
        | RunState::Waiting
        | RunState::Paused
        | RunState::Compensating
        | RunState::Compensated
        | RunState::Cancelled => "33",
    }
}
