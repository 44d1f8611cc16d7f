//! `baton run`: a run from its start to its end, or to where it waits, told as it goes.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use baton_core::expr::nearest;
use baton_core::fault::code;
use baton_core::id::RunId;
use baton_core::run::{Incoming, MESSAGE, Open, Run, Signal, State, response};
use baton_engine::{Follower, Start};
use serde_json::{Value, json};

use super::json as given;
use crate::cli;
use crate::project::{Project, Ready, Sorted, in_shell};
use crate::told::{self, Progress};
use crate::wire::{Saved, System};
use crate::{Exit, Misuse, key, one_call, print};

pub async fn run(folder: &Path, args: cli::Run) -> anyhow::Result<Exit> {
    let (folder, wanted) = locate(folder, &args.workflow);
    let project = Project::open(&folder)?;
    if project.workflows.is_empty() {
        // Nothing can be run, so nothing is made here.
        return Err(Sorted::default().find(&project, &wanted).err().unwrap_or_else(|| project.not_there().into()));
    }
    let mut system = System::open(&project)?;
    let Saved { workflows, versions } = system.save(&project).await?;
    let place = workflows.find(&project, &wanted)?;
    let (workflow, version) = (&workflows.ready[place], &versions[place]);
    let input =
        given::with_sets(given::given("--input", &args.input)?, &args.sets, |key| workflow.input.takes_text(key))?;
    tell_beside(&workflows, workflow, &input, &args);
    for doubt in project.of_names().iter().filter(|_| !args.json) {
        print::note(format_args!("note: {}: {}; {}", doubt.place, doubt.message, doubt.hint));
    }
    let id = match &args.id {
        Some(id) => RunId::parse(id).map_err(|error| Misuse::new(error.to_string()))?,
        None => RunId::new(uuid::Uuid::now_v7().to_string()),
    };
    let mut context = given::given("--context", &args.context)?;
    key::into_context(&mut context);
    let start = Start {
        run: id.clone(),
        tenant: system.tenant.clone(),
        workflow: version.workflow.clone(),
        bundle: version.bundle.clone(),
        input,
        caller: project.settings.caller(&context),
        context,
    };
    if let Err(no_turn) = system.roster.turn(&system.tenant, system.clock.now()).await {
        return Err(anyhow::Error::new(no_turn).context("the run was not begun"));
    }
    if args.detach {
        system.accept_only();
    }
    let moved = system.working(async |engine| {
        let mut follower = told::follower(engine, &system);
        engine.start(start).await.map_err(|error| not_begun(error, &system.command))?;
        if args.detach {
            return Ok(None);
        }
        follower.tell(told::telling((!args.json).then(|| Progress::new(&id, version))));
        follower.follow(&id).await?;
        converse(&mut follower, &id, args.says.into(), !args.json).await?;
        Ok(Some(follower))
    });
    if let Some(follower) = moved.await? {
        return report(&follower, &id, &system.command, args.json);
    }
    accepted(&id, &system.command, args.json);
    Ok(Exit::Waiting)
}

/// A path to a workflow file names its project too.
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

/// What is no reason to refuse the run, and may not be meant: keys nobody asks for, other workflows that cannot run.
fn tell_beside(workflows: &Sorted, workflow: &Ready, input: &Value, args: &cli::Run) {
    for key in workflow.input.undeclared(input) {
        let declared = workflow.input.0.iter().flatten().map(|(name, _)| name.as_str());
        let near = nearest(key, declared).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        print::note(format_args!("note: `{}` declares no input `{key}`{near}", workflow.name));
    }
    if let Some(note) = workflows.note().filter(|_| !args.json) {
        print::note(format_args!("note: {note}"));
    }
}

/// Why nothing was begun, with the way out.
pub fn not_begun(error: baton_engine::Error, command: &str) -> anyhow::Error {
    match error {
        baton_engine::Error::Exists { ref run } => {
            let run = in_shell(run.as_str());
            let hint = format!("choose another --id, or look at it: {command} runs show {run}");
            Misuse::new(error.to_string()).hint(hint).into()
        }
        baton_engine::Error::Input(unfit) => Misuse::new(unfit.to_string())
            .code(code::INPUT_INVALID)
            .hint("give it with --input JSON or --set KEY=VALUE; the workflow declares it under `input:`")
            .into(),
        other => other.into(),
    }
}

/// A run that was accepted and is moved by somebody else.
pub fn accepted(id: &RunId, command: &str, as_json: bool) {
    if as_json {
        print::json(&json!({ "execution_id": id, "accepted": true }));
    } else {
        print::line(id);
        print::note(format_args!("accepted; `{command} runs work` moves it"));
    }
}

/// Answers the agents' questions, in order, as long as there are answers.
async fn converse(
    follower: &mut Follower,
    id: &RunId,
    mut says: VecDeque<String>,
    is_told: bool,
) -> anyhow::Result<()> {
    loop {
        follower.until_rest(id).await?;
        let question = follower.open().into_iter().find(Open::is_question);
        let (Some(question), Some(text)) = (question, says.pop_front()) else { return Ok(()) };
        if is_told {
            told::said(&text);
        }
        follower.deliver(&question.run, &message(&text)).await?;
    }
}

/// A customer's words.
pub fn message(text: &str) -> Incoming {
    signal(MESSAGE, json!({ "text": text }))
}

pub fn signal(name: &str, payload: Value) -> Incoming {
    Incoming::Signal(Signal {
        name: name.to_owned(),
        payload: Arc::new(payload),
        source: String::new(),
        sequence: None,
        after_gap: false,
    })
}

/// A run's end, or what it waits for, for people or programs.
pub fn report(follower: &Follower, id: &RunId, command: &str, as_json: bool) -> anyhow::Result<Exit> {
    let run = follower.run(id).context("the run was not recorded")?;
    if as_json {
        print::pretty(&response(run, &follower.open()));
    } else if let Some(failed) = baton_engine::one_call::failure(run) {
        one_call::tell_failure(&failed);
    } else {
        told::conclude(run, follower, command);
    }
    Ok(exit_of(run))
}

/// A run that is there for one call fails, to whoever asked for it, where the call does.
pub fn exit_of(run: &Run) -> Exit {
    match run.state() {
        State::Completed => baton_engine::one_call::failure(run).map_or(Exit::Completed, |_| Exit::Failed),
        state if state.is_end() => Exit::Failed,
        _ => Exit::Waiting,
    }
}
