//! `baton tools call`: a single tool call.

use anyhow::Context;
use baton_core::graph::input::is_text;
use baton_core::id::RunId;
use baton_core::tool::ToolEnvelope;
use baton_engine::one_call::{self, envelope};
use baton_engine::{OneCall, RunFollower};
use baton_ports::tools::ToolGateway as _;
use serde_json::Value;

use crate::call_failure::print_failure;
use crate::cli::ToolCallArgs;
use crate::commands::json as given;
use crate::commands::run::{exit_code, print_accepted, start_error};
use crate::progress::{self, RunProgress};
use crate::project::Project;
use crate::wiring::ProjectSystem;
use crate::{CommandExit, UsageError, print};

pub async fn run(project: &Project, args: &ToolCallArgs) -> anyhow::Result<CommandExit> {
    let arguments = given::parse_argument("--input", &args.input)?;
    if !arguments.is_object() {
        return Err(UsageError::new("--input is an object: the tool's arguments by name").into());
    }
    let id = match &args.id {
        Some(id) => RunId::parse(id).map_err(|error| UsageError::new(error.to_string()))?,
        None => RunId::new(uuid::Uuid::now_v7().to_string()),
    };
    let mut context = given::parse_argument("--context", &args.context)?;
    crate::consumer_key::into_context(&mut context);
    let mut system = ProjectSystem::open(project)?;
    system.load_extensions(project).await?;
    let tool = resolve_name(project, &system, &args.name)?;
    let Value::Object(arguments) = given::apply_sets(arguments, &args.sets, |key| takes_text(&system, &tool, key))?
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
    let moved = system.run_with_engine(async |engine| {
        let mut follower = progress::follower(engine, &system);
        engine.start(start).await.map_err(|error| start_error(error, &system.command))?;
        if args.detach {
            return Ok(None);
        }
        follower.set_callback(progress::entry_printer((!args.json).then(|| RunProgress::new(&id, &version))));
        follower.follow(&id).await?;
        follower.wait_idle(&id).await?;
        Ok(Some(follower))
    });
    if let Some(follower) = moved.await? {
        return print_result(&follower, &id, &system.command, args.json);
    }
    print_accepted(&id, &system.command, args.json);
    Ok(CommandExit::Waiting)
}

/// Whether the tool's schema accepts only text for an argument.
fn takes_text(system: &ProjectSystem, tool: &str, argument: &str) -> bool {
    let facts = system.tools.facts_for(&system.tenant, tool);
    facts.is_some_and(|facts| facts.parameters.get("properties").and_then(|all| all.get(argument)).is_some_and(is_text))
}

/// The canonical name of the tool. The error states why the tool is missing, or suggests a similar name.
fn resolve_name(project: &Project, system: &ProjectSystem, name: &str) -> anyhow::Result<String> {
    let names = system.tools.names_for(&system.tenant);
    if names.iter().any(|known| known == name) {
        return Ok(name.to_owned());
    }
    let left_out = project.documents.iter().find_map(|document| Some((document, document.left_out.get(name)?)));
    Err(match left_out {
        Some((document, why)) => UsageError::new(format!("`{name}` is no tool: {why}"))
            .hint(format!("{} says which operations are tools", document.file)),
        None => UsageError::new(format!("there is no tool `{name}`")).hint(super::suggestion(name, &names)),
    }
    .into())
}

/// Prints the result of the call, or what it waits for.
fn print_result(follower: &RunFollower, id: &RunId, command: &str, as_json: bool) -> anyhow::Result<CommandExit> {
    let run = follower.run(id).context("the run was not recorded")?;
    let envelope = envelope(run);
    if as_json {
        print::pretty(&one_call::as_json(run, envelope, &follower.open_waits()));
    } else {
        match envelope.filter(|_| run.state().is_end()) {
            Some(envelope) => print_envelope(&envelope),
            None => progress::print_result(run, follower, command),
        }
    }
    Ok(exit_code(run))
}

fn print_envelope(envelope: &ToolEnvelope) {
    match envelope.success {
        true => print::pretty(&envelope.data),
        false => print_failure(envelope),
    }
}
