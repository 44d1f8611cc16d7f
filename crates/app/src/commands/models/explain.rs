//! `baton models explain`: all reasons for one call, or for every call of a run.

use baton_ports::decisions::{DecisionFilter, DecisionLog as _, ModelDecision};

use super::decisions::{as_json, choice, print_decision};
use super::show::print_choice;
use super::store;
use crate::cli::models::ExplainArgs;
use crate::project::Project;
use crate::{CommandExit, UsageError, print};

/// Maximum number of attempts to explain, newest first.
const EXPLAINED_MAX: usize = 1_000;

pub async fn run(project: &Project, args: &ExplainArgs) -> anyhow::Result<CommandExit> {
    let found = find_decisions(project, &args.what).await?;
    if found.is_empty() {
        return Err(UsageError::new(format!("no call of `{}` is recorded", args.what))
            .hint("`baton models decisions` shows the newest; records may be lost at a crash")
            .into());
    }
    if args.json {
        print::pretty(&found.iter().rev().map(as_json).collect());
        return Ok(CommandExit::Completed);
    }
    for decision in found.iter().rev() {
        print_decision(decision);
        if let Some(message) = &decision.error_message {
            print::line(format_args!("  {message}"));
        }
        if let Some(choice) = choice(decision) {
            print_choice(&choice);
        }
    }
    if found.len() == EXPLAINED_MAX {
        print::line(format_args!("these are the newest {EXPLAINED_MAX}; name one call for older ones"));
    }
    Ok(CommandExit::Completed)
}

/// Finds decisions by the key of a call, else by the run.
async fn find_decisions(project: &Project, what: &str) -> anyhow::Result<Vec<ModelDecision>> {
    let tenant = project.settings.tenant.as_str().into();
    let Some(store) = store(project)? else { return Ok(Vec::new()) };
    let filter = DecisionFilter { limit: EXPLAINED_MAX, ..DecisionFilter::default() };
    let of_call = store.decisions(&tenant, DecisionFilter { key: Some(what.to_owned()), ..filter.clone() }).await?;
    if !of_call.is_empty() {
        return Ok(of_call);
    }
    Ok(store.decisions(&tenant, DecisionFilter { run: Some(what.into()), ..filter }).await?)
}
