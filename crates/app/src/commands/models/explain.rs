//! `baton models explain`: all reasons of one call, or of every call of a run.

use baton_ports::decisions::{Decision, Decisions as _, Filter};

use super::decisions::{as_json, choice, tell};
use super::show::tell_choice;
use super::store;
use crate::cli::models::Explain;
use crate::project::Project;
use crate::{Exit, Misuse, print};

/// Attempts that are explained at once, newest first.
const EXPLAINED_MAX: usize = 1_000;

pub async fn run(project: &Project, args: &Explain) -> anyhow::Result<Exit> {
    let found = found(project, &args.what).await?;
    if found.is_empty() {
        return Err(Misuse::new(format!("no call of `{}` is recorded", args.what))
            .hint("`baton models decisions` shows the newest; records may be lost at a crash")
            .into());
    }
    if args.json {
        print::pretty(&found.iter().rev().map(as_json).collect());
        return Ok(Exit::Completed);
    }
    for decision in found.iter().rev() {
        tell(decision);
        if let Some(message) = &decision.error_message {
            print::line(format_args!("  {message}"));
        }
        if let Some(choice) = choice(decision) {
            tell_choice(&choice);
        }
    }
    if found.len() == EXPLAINED_MAX {
        print::line(format_args!("these are the newest {EXPLAINED_MAX}; name one call for older ones"));
    }
    Ok(Exit::Completed)
}

/// By the key of a call, else by the run.
async fn found(project: &Project, what: &str) -> anyhow::Result<Vec<Decision>> {
    let tenant = project.settings.tenant.as_str().into();
    let Some(store) = store(project)? else { return Ok(Vec::new()) };
    let filter = Filter { limit: EXPLAINED_MAX, ..Filter::default() };
    let of_call = store.decisions(&tenant, Filter { key: Some(what.to_owned()), ..filter.clone() }).await?;
    if !of_call.is_empty() {
        return Ok(of_call);
    }
    Ok(store.decisions(&tenant, Filter { run: Some(what.into()), ..filter }).await?)
}
