//! `baton run`: executes a run to its end, or to where it waits, and shows its progress.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use baton_core::fault::code;
use baton_core::id::RunId;
use baton_core::run::{IncomingCommand, MESSAGE, OpenWait, Run, RunState, Signal, response};
use baton_engine::{RunFollower, RunStart};
use baton_expr::nearest;
use serde_json::{Value, json};

use super::json as given;
use crate::cli;
use crate::progress::{self, RunProgress};
use crate::project::{Project, ProjectWorkflows, ReadyWorkflow, shell_quote};
use crate::wiring::{ProjectSystem, SavedWorkflows};
use crate::{CommandExit, UsageError, call_failure, consumer_key, print};

pub async fn run(folder: &Path, args: cli::RunArgs) -> anyhow::Result<CommandExit> {
    let (folder, wanted) = locate(folder, &args.workflow);
    let project = Project::open(&folder)?;
    if project.workflows.is_empty() {
        // No workflow can run, so no database is created.
        return Err(ProjectWorkflows::default()
            .find(&project, &wanted)
            .err()
            .unwrap_or_else(|| project.not_a_project().into()));
    }
    let mut system = ProjectSystem::open(&project)?;
    let SavedWorkflows { workflows, versions } = system.save_workflows(&project).await?;
    let place = workflows.find(&project, &wanted)?;
    let (workflow, version) = (&workflows.ready[place], &versions[place]);
    let input = given::apply_sets(given::parse_argument("--input", &args.input)?, &args.sets, |key| {
        workflow.input.accepts_only_text(key)
    })?;
    print_notes(&workflows, workflow, &input, &args);
    for doubt in project.name_warnings().iter().filter(|_| !args.json) {
        print::note(format_args!("note: {}: {}; {}", doubt.place, doubt.message, doubt.hint));
    }
    let id = match &args.id {
        Some(id) => RunId::parse(id).map_err(|error| UsageError::new(error.to_string()))?,
        None => RunId::new(uuid::Uuid::now_v7().to_string()),
    };
    let mut context = given::parse_argument("--context", &args.context)?;
    consumer_key::into_context(&mut context);
    let start = RunStart {
        run: id.clone(),
        tenant: system.tenant.clone(),
        workflow: version.workflow.clone(),
        bundle: version.bundle.clone(),
        input,
        caller: project.settings.caller(&context),
        context,
    };
    if let Err(no_turn) = system.agent_registry.take_quota(&system.tenant, system.clock.now()).await {
        return Err(anyhow::Error::new(no_turn).context("the run was not begun"));
    }
    if args.detach {
        system.accept_only();
    }
    let moved = system.run_with_engine(async |engine| {
        let mut follower = progress::follower(engine, &system);
        engine.start(start).await.map_err(|error| start_error(error, &system.command))?;
        if args.detach {
            return Ok(None);
        }
        follower.set_callback(progress::entry_printer((!args.json).then(|| RunProgress::new(&id, version))));
        follower.follow(&id).await?;
        answer_questions(&mut follower, &id, args.says.into(), !args.json).await?;
        Ok(Some(follower))
    });
    if let Some(follower) = moved.await? {
        return print_result(&follower, &id, &system.command, args.json);
    }
    print_accepted(&id, &system.command, args.json);
    Ok(CommandExit::Waiting)
}

/// A path to a workflow file determines its project too.
fn locate(folder: &Path, workflow: &str) -> (std::path::PathBuf, String) {
    let path = Path::new(workflow);
    let root = path.parent().and_then(|workflows| {
        workflows.ends_with("workflows").then(|| workflows.parent().unwrap_or(Path::new(".")).to_owned())
    });
    match root {
        Some(root) if path.is_file() => {
            let root = if root.as_os_str().is_empty() { ".".into() } else { root };
            (root, workflow.to_owned())
        }
        _ => (folder.to_owned(), workflow.to_owned()),
    }
}

/// Prints notes about probable mistakes that do not prevent the run: unknown input keys, and other workflows that
/// cannot run.
fn print_notes(workflows: &ProjectWorkflows, workflow: &ReadyWorkflow, input: &Value, args: &cli::RunArgs) {
    for key in workflow.input.undeclared(input) {
        let declared = workflow.input.0.iter().flatten().map(|(name, _)| name.as_str());
        let near = nearest(key, declared).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        print::note(format_args!("note: `{}` declares no input `{key}`{near}", workflow.name));
    }
    if let Some(note) = workflows.rejected_note().filter(|_| !args.json) {
        print::note(format_args!("note: {note}"));
    }
}

/// The error for a run that could not be started, with how to fix it.
pub fn start_error(error: baton_engine::EngineError, command: &str) -> anyhow::Error {
    match error {
        baton_engine::EngineError::Exists { ref run } => {
            let run = shell_quote(run.as_str());
            let hint = format!("choose another --id, or look at it: {command} runs show {run}");
            UsageError::new(error.to_string()).hint(hint).into()
        }
        baton_engine::EngineError::Input(unfit) => UsageError::new(unfit.to_string())
            .code(code::INPUT_INVALID)
            .hint("give it with --input JSON or --set KEY=VALUE; the workflow declares it under `input:`")
            .into(),
        other => other.into(),
    }
}

/// Prints a run that was accepted and that another process executes.
pub fn print_accepted(id: &RunId, command: &str, as_json: bool) {
    if as_json {
        print::json(&json!({ "execution_id": id, "accepted": true }));
    } else {
        print::line(id);
        print::note(format_args!("accepted; `{command} runs work` moves it"));
    }
}

/// Answers the agents' questions in order, as long as there are answers.
async fn answer_questions(
    follower: &mut RunFollower,
    id: &RunId,
    mut says: VecDeque<String>,
    is_told: bool,
) -> anyhow::Result<()> {
    loop {
        follower.wait_idle(id).await?;
        let question = follower.open_waits().into_iter().find(OpenWait::is_customer_question);
        let (Some(question), Some(text)) = (question, says.pop_front()) else { return Ok(()) };
        if is_told {
            progress::print_customer_message(&text);
        }
        follower.deliver(&question.run, &message(&text)).await?;
    }
}

/// A message of the customer.
pub fn message(text: &str) -> IncomingCommand {
    signal(MESSAGE, json!({ "text": text }))
}

pub fn signal(name: &str, payload: Value) -> IncomingCommand {
    IncomingCommand::Signal(Signal {
        name: name.to_owned(),
        payload: Arc::new(payload),
        source: String::new(),
        sequence: None,
        after_gap: false,
    })
}

/// Prints the end of a run, or what it waits for, for people or for programs.
pub fn print_result(follower: &RunFollower, id: &RunId, command: &str, as_json: bool) -> anyhow::Result<CommandExit> {
    let run = follower.run(id).context("the run was not recorded")?;
    if as_json {
        print::pretty(&response(run, &follower.open_waits()));
    } else if let Some(failed) = baton_engine::one_call::failure(run) {
        call_failure::print_failure(&failed);
    } else {
        progress::print_result(run, follower, command);
    }
    Ok(exit_code(run))
}

/// A run for a single call fails for its caller if the call fails.
pub fn exit_code(run: &Run) -> CommandExit {
    match run.state() {
        RunState::Completed => {
            baton_engine::one_call::failure(run).map_or(CommandExit::Completed, |_| CommandExit::Failed)
        }
        state if state.is_end() => CommandExit::Failed,
        _ => CommandExit::Waiting,
    }
}
