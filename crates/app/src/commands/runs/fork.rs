//! `baton runs fork`: a new run that begins where another's past is cut.

use std::collections::BTreeMap;

use baton_core::expr::nearest;
use baton_core::id::RunId;
use baton_core::run::{Address, Forked, past_before};
use baton_engine::Fork;
use serde_json::Value;

use super::act;
use super::record::{self, Record};
use crate::cli::RunsAct;
use crate::commands::run::{accepted, not_begun};
use crate::project::Project;
use crate::told::{self, Progress};
use crate::{Exit, Misuse, print};

/// What is asked for.
pub struct Wanted {
    pub at: String,
    pub variables: Vec<(String, Value)>,
    pub id: Option<String>,
    pub owns_undo: bool,
}

pub async fn run(project: &Project, args: &RunsAct, wanted: Wanted) -> anyhow::Result<Exit> {
    let mut system = record::system(project)?;
    if args.detach {
        system.accept_only();
    }
    let record = Record::read(&system, &args.run).await?;
    let node = Address::parse(&wanted.at);
    let past = past_before(&record.followed.entries, &node).ok_or_else(|| never_reached(&record, &wanted.at))?;
    let id = match &wanted.id {
        Some(id) => RunId::parse(id).map_err(|error| Misuse::new(error.to_string()))?,
        None => RunId::new(uuid::Uuid::now_v7().to_string()),
    };
    known(&record, &wanted.variables)?;
    let forked = Forked {
        run: id.clone(),
        from: record.head.run.clone(),
        by: args.by.clone(),
        variables: BTreeMap::from_iter(wanted.variables),
        owns_undo: wanted.owns_undo,
    };
    let fork = Fork { tenant: system.tenant.clone(), workflow: record.head.workflow.clone(), past, forked };
    let moves = system.working(async |engine| {
        let mut follower = told::follower(engine, &system);
        follower.expect(&id);
        engine.fork(fork).await.map_err(|error| not_begun(error, &system.command))?;
        if args.detach {
            return Ok(None);
        }
        if !args.json {
            print::line(format_args!("run {id}, forked from {} at `{node}`", record.head.run));
        }
        follower.tell(told::telling((!args.json).then(|| Progress::going_on(&id))));
        let delivered = follower.follow_new(&id).await?;
        act::until_rest(&delivered, &mut follower).await?;
        Ok(Some((delivered, follower)))
    });
    let Some((delivered, follower)) = moves.await? else {
        accepted(&id, &system.command, args.json);
        return Ok(Exit::Waiting);
    };
    act::conclude(&delivered, &follower, &id, act::Telling { args, command: &system.command }, &[])
}

/// A variable that nobody has is a misspelt one.
fn known(record: &Record, variables: &[(String, Value)]) -> anyhow::Result<()> {
    let names = record.run().variable_names();
    let Some((key, _)) = variables.iter().find(|(key, _)| !names.contains(key)) else { return Ok(()) };
    let refused = Misuse::new(format!("`{}` has no variable `{key}`", record.head.run));
    Err(match nearest(key, names.iter().map(String::as_str)) {
        Some(near) => refused.hint(format!("did you mean `{near}`?")),
        None => refused.hint(format!("it has {}", Vec::from_iter(names).join(", "))),
    }
    .into())
}

fn never_reached(record: &Record, at: &str) -> Misuse {
    let nodes: Vec<String> = record.run().nodes().iter().map(|row| row.node.to_string()).collect();
    let begun = || nodes.iter().filter(|node| past_before(&record.followed.entries, &Address::parse(node)).is_some());
    let message = format!("`{at}` was never begun in `{}`", record.head.run);
    if nodes.iter().any(|node| node == at) {
        return Misuse::new(message).hint("fork at a node that ran; `baton runs show` lists them");
    }
    match nearest(at, begun().map(String::as_str)) {
        Some(near) => Misuse::new(message).hint(format!("did you mean `{near}`?")),
        None => {
            let begun: Vec<&str> = begun().map(String::as_str).collect();
            Misuse::new(message).hint(format!("these were: {}", begun.join(", ")))
        }
    }
}
