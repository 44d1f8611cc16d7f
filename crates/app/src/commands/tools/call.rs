//! `baton tools call`: one call from outside.

use anyhow::Context;
use baton_core::graph::input::is_text;
use baton_core::id::RunId;
use baton_core::tool::Envelope;
use baton_engine::one_call::{self, envelope};
use baton_engine::{Follower, OneCall};
use baton_ports::tools::Tools as _;
use serde_json::Value;

use crate::cli::ToolsCall;
use crate::commands::json as given;
use crate::commands::run::{accepted, exit_of, not_begun};
use crate::one_call::tell_failure;
use crate::project::Project;
use crate::told::{self, Progress};
use crate::wire::System;
use crate::{Exit, Misuse, print};

pub async fn run(project: &Project, args: &ToolsCall) -> anyhow::Result<Exit> {
    let arguments = given::given("--input", &args.input)?;
    if !arguments.is_object() {
        return Err(Misuse::new("--input is an object: the tool's arguments by name").into());
    }
    let id = match &args.id {
        Some(id) => RunId::parse(id).map_err(|error| Misuse::new(error.to_string()))?,
        None => RunId::new(uuid::Uuid::now_v7().to_string()),
    };
    let mut context = given::given("--context", &args.context)?;
    crate::key::into_context(&mut context);
    let mut system = System::open(project)?;
    system.learn(project).await?;
    let tool = known(project, &system, &args.name)?;
    let Value::Object(arguments) = given::with_sets(arguments, &args.sets, |key| takes_text(&system, &tool, key))?
    else {
        anyhow::bail!("arguments are an object");
    };
    let caller = project.settings.caller(&context);
    let tenant = system.tenant.clone();
    let call = OneCall { run: id.clone(), tenant, tool: tool.clone(), arguments, context, caller };
    let (start, version) = call.begin(&*system.tools, &system.store, system.clock.now()).await?;
    if args.detach {
        system.accept_only();
    }
    let moved = system.working(async |engine| {
        let mut follower = told::follower(engine, &system);
        engine.start(start).await.map_err(|error| not_begun(error, &system.command))?;
        if args.detach {
            return Ok(None);
        }
        follower.tell(told::telling((!args.json).then(|| Progress::new(&id, &version))));
        follower.follow(&id).await?;
        follower.until_rest(&id).await?;
        Ok(Some(follower))
    });
    if let Some(follower) = moved.await? {
        return report(&follower, &id, &system.command, args.json);
    }
    accepted(&id, &system.command, args.json);
    Ok(Exit::Waiting)
}

/// Whether the tool's own schema lets an argument be nothing but text.
fn takes_text(system: &System, tool: &str, argument: &str) -> bool {
    let facts = system.tools.facts_for(&system.tenant, tool);
    facts.is_some_and(|facts| facts.parameters.get("properties").and_then(|all| all.get(argument)).is_some_and(is_text))
}

/// The tool's own name, or why there is none, or which may have been meant.
fn known(project: &Project, system: &System, name: &str) -> anyhow::Result<String> {
    let names = system.tools.names_for(&system.tenant);
    if names.iter().any(|known| known == name) {
        return Ok(name.to_owned());
    }
    let left_out = project.documents.iter().find_map(|document| Some((document, document.left_out.get(name)?)));
    Err(match left_out {
        Some((document, why)) => Misuse::new(format!("`{name}` is no tool: {why}"))
            .hint(format!("{} says which operations are tools", document.file)),
        None => Misuse::new(format!("there is no tool `{name}`")).hint(super::meant(name, &names)),
    }
    .into())
}

/// What the call came to, or what it waits for.
fn report(follower: &Follower, id: &RunId, command: &str, as_json: bool) -> anyhow::Result<Exit> {
    let run = follower.run(id).context("the run was not recorded")?;
    let envelope = envelope(run);
    if as_json {
        print::pretty(&one_call::as_json(run, envelope, &follower.open()));
    } else {
        match envelope.filter(|_| run.state().is_end()) {
            Some(envelope) => tell(&envelope),
            None => told::conclude(run, follower, command),
        }
    }
    Ok(exit_of(run))
}

fn tell(envelope: &Envelope) {
    match envelope.success {
        true => print::pretty(&envelope.data),
        false => tell_failure(envelope),
    }
}
