//! `baton generate`: a model drafts a workflow for a goal. The draft is validated like any other and repaired until it
//! can run.

use std::path::{Path, PathBuf};

use anyhow::Context;
use baton_core::definition;
use baton_core::graph::InputDeclaration;
use baton_engine::drafting::{self, DraftError, DraftRequest, DraftResult, TOOLS_FOUND};
use baton_ports::catalogue::ToolCatalogue as _;
use baton_ports::models::ModelCaller;
use serde_json::json;

use crate::cli::GenerateArgs;
use crate::project::{Project, display_path, shell_quote};
use crate::wiring::ProjectSystem;
use crate::{CommandExit, UsageError, print};

/// The folder of the workflows.
const FOLDER: &str = "workflows";

pub async fn run(folder: &Path, args: GenerateArgs) -> anyhow::Result<CommandExit> {
    let goal = args.goal.trim();
    drafting::check_goal(goal).map_err(|error| usage_error(&error))?;
    let project = Project::open(folder)?;
    if !project.exists() {
        return Err(project.not_a_project().into());
    }
    // Check before any model call is paid for: the target must be free and writable.
    if !args.print {
        args.name.iter().try_for_each(|name| refuse_taken(&project, name))?;
        let folder = Some(project.root.join(FOLDER)).filter(|folder| folder.is_dir());
        let folder = folder.unwrap_or_else(|| project.root.clone());
        if std::fs::metadata(&folder).is_ok_and(|about| about.permissions().readonly()) {
            return Err(UsageError::new(format!("{} cannot be written to", display_path(&folder))).into());
        }
    }
    let mut system = ProjectSystem::open(&project)?;
    system.load_extensions(&project).await?;
    project.check(&mut system.catalog);
    let drafted = draft(&system, &project, goal, args.name.as_deref()).await;
    system.close().await;
    let drafted = drafted?;
    print_draft(&project, &args, &drafted)
}

async fn draft(
    system: &ProjectSystem,
    project: &Project,
    goal: &str,
    name: Option<&str>,
) -> anyhow::Result<DraftResult> {
    let drafting = DraftRequest {
        models: &*system.models,
        asker: &ModelCaller::of(system.tenant.clone(), format!("generate-{}", uuid::Uuid::now_v7())),
        catalog: &system.catalog,
        first: tool_candidates(system, goal).await,
        language: project.settings.tools.language.tag(),
    };
    // Uses the requested name, or the model's name made unique.
    let named = |own: Option<&str>| name.map(str::to_owned).or_else(|| own.map(|own| free_name(project, own)));
    drafting.draft(goal, &named).await.map_err(|error| match error {
        DraftError::GoalTooLong { .. } => usage_error(&error).into(),
        DraftError::NoPlanner => UsageError::new(error.to_string()).into(),
        DraftError::Prompt(_) => error.into(),
        DraftError::Model(ref failed) => {
            let hint = failed.fault.suggested_action.as_ref().map(|action| format!("\n  hint: {action}"));
            anyhow::anyhow!("{error}{}", hint.unwrap_or_default())
        }
    })
}

/// Tools that are always offered, then those that match the goal, as in `baton tools search`.
async fn tool_candidates(system: &ProjectSystem, goal: &str) -> Vec<String> {
    let (found, fault) = system.tools.search(&system.tenant, goal, TOOLS_FOUND).await;
    if let Some(fault) = fault {
        print::note(format_args!("note: {fault}"));
    }
    let shipped = system.tools.shipped().iter().map(ToString::to_string);
    shipped.chain(found.iter().map(|tool| tool.name.to_string())).collect()
}

fn usage_error(error: &DraftError) -> UsageError {
    UsageError::new(error.to_string()).hint("baton generate \"Get the weather, and mail me if it rains\"")
}

fn print_draft(project: &Project, args: &GenerateArgs, drafted: &DraftResult) -> anyhow::Result<CommandExit> {
    let file = match &drafted.name {
        Some(name) if drafted.is_runnable() && !args.print => Some(write(project, name, &drafted.text)?),
        _ => None,
    };
    if args.json {
        print::pretty(&json!({
            "ok": drafted.is_runnable(),
            "name": drafted.name,
            "file": file.as_deref().map(display_path),
            "definition": drafted.definition,
            "diagnostics": drafted.diagnostics,
            "problem": drafted.problem,
            "replies": drafted.replies,
            "cost_usd": drafted.cost.as_f64(),
        }));
        return Ok(if drafted.is_runnable() { CommandExit::Completed } else { CommandExit::Failed });
    }
    let shown_file = file.as_deref().map_or_else(|| "draft".to_owned(), display_path);
    for found in &drafted.diagnostics {
        print::note(definition::render(found, &shown_file, &drafted.text).trim_end());
    }
    let spent = format!("{}, {}", print::count_words(drafted.replies, "reply", "replies"), drafted.cost);
    if !drafted.is_runnable() {
        let problem = drafted.problem.as_deref().unwrap_or("the last draft may not run");
        let hint = "say more of the goal, or which tools it needs; `workflow_planner` may have a stronger `model`";
        return Err(anyhow::anyhow!("no workflow after {spent}: {problem}\n  hint: {hint}"));
    }
    match (&file, &drafted.name) {
        (Some(file), Some(name)) => {
            print::line(format_args!("{}  ({spent})", display_path(file)));
            let (command, sets) = (project.command(), required_inputs(&drafted.input));
            print::line(format_args!("\nNext:\n  {command} graph {name}\n  {command} run {name}{sets}"));
        }
        _ => print::line(drafted.text.trim_end()),
    }
    Ok(CommandExit::Completed)
}

/// The arguments that a command line needs to start the workflow: `-s city=TEXT`.
fn required_inputs(input: &InputDeclaration) -> String {
    let value = |word: Option<&str>| match word {
        Some(word @ ("string" | "number" | "integer" | "boolean")) => word.replace("string", "text").to_uppercase(),
        _ => "JSON".to_owned(),
    };
    input.required_keys().map(|(key, word)| format!(" -s {}={}", shell_quote(key), value(word))).collect()
}

fn is_taken(project: &Project, name: &str) -> bool {
    project.workflows.iter().any(|source| source.file.file_stem().is_some_and(|stem| stem == name))
}

/// The name, or the first of `NAME_2`, `NAME_3`, … that no workflow has.
fn free_name(project: &Project, name: &str) -> String {
    let numbered = (2_usize..).map(|number| format!("{name}_{number}"));
    std::iter::once(name.to_owned()).chain(numbered).find(|name| !is_taken(project, name)).unwrap_or_default()
}

fn refuse_taken(project: &Project, name: &str) -> Result<(), UsageError> {
    let is_file_name = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']);
    if !is_file_name {
        let message = format!("`{name}` is no name of a file in {FOLDER}/");
        return Err(UsageError::new(message).hint("leave out `/` and a dot at the beginning"));
    }
    match is_taken(project, name) {
        true => Err(UsageError::new(format!("a workflow `{name}` is there already"))
            .hint("give the new one another name with --name")),
        false => Ok(()),
    }
}

/// Writes the file into `workflows/`. Never overwrites a file.
fn write(project: &Project, name: &str, text: &str) -> anyhow::Result<PathBuf> {
    refuse_taken(project, name)?;
    let folder = project.root.join(FOLDER);
    std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", display_path(&folder)))?;
    let file = folder.join(format!("{name}.yaml"));
    std::fs::write(&file, text).with_context(|| format!("{} cannot be written", display_path(&file)))?;
    Ok(file)
}
