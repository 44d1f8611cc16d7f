//! `baton runs fork`: a new run that starts at a point in the history of another.

use std::collections::BTreeMap;

use baton_core::id::RunId;
use baton_core::run::{NodeAddress, RunForked, entries_before};
use baton_engine::RunFork;
use baton_expr::nearest;
use serde_json::Value;

use super::act;
use super::record::{self, RecordedRun};
use crate::cli::RunActionArgs;
use crate::commands::run::{print_accepted, start_error};
use crate::progress::{self, RunProgress};
use crate::project::Project;
use crate::{CommandExit, UsageError, print};

/// The options of a fork.
pub struct ForkOptions {
    pub at: String,
    pub variables: Vec<(String, Value)>,
    pub id: Option<String>,
    pub owns_undo: bool,
}

pub async fn run(project: &Project, args: &RunActionArgs, wanted: ForkOptions) -> anyhow::Result<CommandExit> {
    let mut system = record::system(project)?;
    if args.detach {
        system.accept_only();
    }
    let record = RecordedRun::read(&system, &args.run).await?;
    let node = NodeAddress::parse(&wanted.at);
    let past = entries_before(&record.followed.entries, &node).ok_or_else(|| node_not_reached(&record, &wanted.at))?;
    let id = match &wanted.id {
        Some(id) => RunId::parse(id).map_err(|error| UsageError::new(error.to_string()))?,
        None => RunId::new(uuid::Uuid::now_v7().to_string()),
    };
    check_variables(&record, &wanted.variables)?;
    let forked = RunForked {
        run: id.clone(),
        from: record.head.run.clone(),
        by: args.by.clone(),
        variables: BTreeMap::from_iter(wanted.variables),
        owns_undo: wanted.owns_undo,
    };
    let fork = RunFork { tenant: system.tenant.clone(), workflow: record.head.workflow.clone(), past, forked };
    let moves = system.run_with_engine(async |engine| {
        let mut follower = progress::follower(engine, &system);
        follower.expect(&id);
        engine.fork(fork).await.map_err(|error| start_error(error, &system.command))?;
        if args.detach {
            return Ok(None);
        }
        if !args.json {
            print::line(format_args!("run {id}, forked from {} at `{node}`", record.head.run));
        }
        follower.set_callback(progress::entry_printer((!args.json).then(|| RunProgress::resumed(&id))));
        let delivered = follower.follow_new(&id).await?;
        act::wait_until_idle(&delivered, &mut follower).await?;
        Ok(Some((delivered, follower)))
    });
    let Some((delivered, follower)) = moves.await? else {
        print_accepted(&id, &system.command, args.json);
        return Ok(CommandExit::Waiting);
    };
    act::print_outcome(&delivered, &follower, &id, act::OutcomeStyle { args, command: &system.command }, &[])
}

/// A variable that does not exist is treated as a spelling mistake.
fn check_variables(record: &RecordedRun, variables: &[(String, Value)]) -> anyhow::Result<()> {
    let names = record.run().variable_names();
    let Some((key, _)) = variables.iter().find(|(key, _)| !names.contains(key)) else { return Ok(()) };
    let refused = UsageError::new(format!("`{}` has no variable `{key}`", record.head.run));
    Err(match nearest(key, names.iter().map(String::as_str)) {
        Some(near) => refused.hint(format!("did you mean `{near}`?")),
        None => refused.hint(format!("it has {}", Vec::from_iter(names).join(", "))),
    }
    .into())
}

fn node_not_reached(record: &RecordedRun, at: &str) -> UsageError {
    let nodes: Vec<String> = record.run().nodes().iter().map(|row| row.node.to_string()).collect();
    let begun =
        || nodes.iter().filter(|node| entries_before(&record.followed.entries, &NodeAddress::parse(node)).is_some());
    let message = format!("`{at}` was never begun in `{}`", record.head.run);
    if nodes.iter().any(|node| node == at) {
        return UsageError::new(message).hint("fork at a node that ran; `baton runs show` lists them");
    }
    match nearest(at, begun().map(String::as_str)) {
        Some(near) => UsageError::new(message).hint(format!("did you mean `{near}`?")),
        None => {
            let begun: Vec<&str> = begun().map(String::as_str).collect();
            UsageError::new(message).hint(format!("these were: {}", begun.join(", ")))
        }
    }
}
