//! `baton workflows`, `baton export`, `baton import`: workflow versions, and their export to and import from files.

use std::path::{Path, PathBuf};

use anyhow::Context;
use baton_core::bundle::Bundle;
use baton_core::definition::{self, yaml};
use baton_ports::registry::{WorkflowRegistry as _, WorkflowVersion};
use serde_json::{Value, json};

use crate::cli::{ExportArgs, WorkflowFormatArg, WorkflowImportArgs, WorkflowsCommand};
use crate::project::{self, Project, display_path};
use crate::wiring::{self, ProjectSystem};
use crate::{CommandExit, UsageError, print};

/// The folder of a project's workflows.
const FOLDER: &str = "workflows";
/// The argument that means standard input in place of a file.
const STDIN: &str = "-";

pub async fn run(folder: &Path, args: WorkflowsCommand) -> anyhow::Result<CommandExit> {
    let project = Project::open(folder)?;
    match args {
        WorkflowsCommand::Versions { name, json } => versions(&project, &name, json).await,
    }
}

/// The versions of a workflow, newest first, with the system that stores them. Does not create a database if nothing
/// was saved.
async fn saved_versions(
    project: &Project,
    name: &str,
) -> anyhow::Result<Option<(ProjectSystem, Vec<WorkflowVersion>)>> {
    if !project.has_database() {
        return Ok(None);
    }
    let system = ProjectSystem::open(project)?;
    let versions = system.store.versions(&system.tenant, name).await?;
    Ok(Some((system, versions)))
}

async fn versions(project: &Project, name: &str, as_json: bool) -> anyhow::Result<CommandExit> {
    let versions = saved_versions(project, name).await?.map(|(_, versions)| versions).unwrap_or_default();
    if versions.is_empty() {
        let message = format!("no version of `{name}` was saved");
        let hint = format!("a version is saved when a workflow is run or imported: `{} run {name}`", project.command());
        return Err(UsageError::new(message).hint(hint).into());
    }
    if as_json {
        print::pretty(&json!({ "workflow": name, "versions": versions }));
        return Ok(CommandExit::Completed);
    }
    for version in versions {
        let (at, label) = (version.created_at, &version.label);
        let active = if version.active { "active" } else { "" };
        let line = format!("{:>4}  {}  {at}  {active:6}  {label}", version.revision, version.bundle.short());
        print::line(line.trim_end());
    }
    Ok(CommandExit::Completed)
}

pub async fn export(folder: &Path, args: ExportArgs) -> anyhow::Result<CommandExit> {
    let project = Project::open(folder)?;
    let definition = match args.revision {
        Some(0) => of_file(&project, &args.name)?,
        revision => of_version(&project, &args.name, revision).await?,
    };
    let by_name = args.out.as_deref().and_then(Path::extension).is_some_and(|end| end == "json");
    let format = args.format.unwrap_or(if by_name { WorkflowFormatArg::Json } else { WorkflowFormatArg::Yaml });
    let text = serialize_definition(&definition, format)?;
    match &args.out {
        None => print::line(text.trim_end()),
        Some(file) => {
            write_new(file, &text)?;
            print::line(display_path(file));
        }
    }
    Ok(CommandExit::Completed)
}

/// The definition of a saved version, or the file's if no version was ever saved.
async fn of_version(project: &Project, name: &str, revision: Option<u32>) -> anyhow::Result<Value> {
    let saved = saved_versions(project, name).await?;
    let newest = saved.as_ref().and_then(|(_, versions)| versions.first());
    let wanted = match (revision, newest) {
        (None, None) => return of_file(project, name),
        (Some(wanted), _) => wanted,
        (None, Some(newest)) => newest.revision,
    };
    let is_it = |(system, versions): (ProjectSystem, Vec<WorkflowVersion>)| {
        let version = versions.into_iter().find(|version| version.revision == wanted)?;
        Some((system, version))
    };
    let Some((system, version)) = saved.and_then(is_it) else {
        let hint = format!("`{} workflows versions {name}` lists those there are", project.command());
        return Err(UsageError::new(format!("`{name}` has no revision {wanted}")).hint(hint).into());
    };
    let text = system.store.bundle(&version.bundle).await?;
    let text = text.with_context(|| format!("the text of revision {wanted} of `{name}` is not in the store"))?;
    let bundle: Bundle = serde_json::from_slice(&text).context("a saved version cannot be read")?;
    Ok(bundle.definition)
}

/// The definition in the project's file, whether or not it can run.
fn of_file(project: &Project, name: &str) -> anyhow::Result<Value> {
    match project.workflows.iter().find(|source| source.name() == name) {
        Some(source) => project::read_value(&source.file),
        None => {
            let message =
                format!("no workflow `{name}`, neither saved nor in {}", display_path(&project.root.join(FOLDER)));
            Err(UsageError::new(message).into())
        }
    }
}

fn serialize_definition(definition: &Value, format: WorkflowFormatArg) -> anyhow::Result<String> {
    Ok(match format {
        WorkflowFormatArg::Yaml => yaml::to_yaml(definition),
        WorkflowFormatArg::Json => serde_json::to_string_pretty(definition)? + "\n",
    })
}

/// Writes a new file. Never overwrites one.
fn write_new(file: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", display_path(folder)))?;
    }
    let made = std::fs::OpenOptions::new().write(true).create_new(true).open(file);
    let mut made = match made {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(UsageError::new(format!("{} is there already", display_path(file)))
                .hint("name another file")
                .into());
        }
        made => made.with_context(|| format!("{} cannot be written", display_path(file)))?,
    };
    made.write_all(text.as_bytes()).with_context(|| format!("{} cannot be written", display_path(file)))
}

pub async fn import(folder: &Path, args: WorkflowImportArgs) -> anyhow::Result<CommandExit> {
    let project = Project::open(folder)?;
    if !project.exists() {
        return Err(project.not_a_project().into());
    }
    let (mut definition, from, text) = match args.file.as_str() {
        STDIN => (project::read_argument(STDIN)?, "standard input".to_owned(), None),
        file => {
            let path = Path::new(file);
            let text = String::from_utf8(project::read(path)?).ok();
            (project::read_value(path)?, file.to_owned(), text)
        }
    };
    if let Some(name) = &args.name
        && !yaml::rename_workflow(&mut definition, name)
    {
        return Err(UsageError::new("the file holds no workflow: it is no mapping of keys").into());
    }
    // The original text with its comments, unless the workflow is renamed.
    let text = text.filter(|_| args.name.is_none()).unwrap_or_else(|| yaml::to_yaml(&definition));
    let name = check_definition(&project, &text, &from).await?;
    let file = import_path(&project, &name, &definition, args.replace)?;
    if let Some(file) = &file {
        std::fs::create_dir_all(project.root.join(FOLDER)).context("workflows/ cannot be made")?;
        std::fs::write(file, &text).with_context(|| format!("{} cannot be written", display_path(file)))?;
    }
    // Reopen the project with its new file, because subworkflows and agents may come from any part of it.
    let project = Project::open(&project.root)?;
    let mut system = ProjectSystem::open(&project)?;
    let saved = system.save_workflows(&project).await?;
    system.close().await;
    let version = saved.versions.iter().find(|version| version.workflow == name);
    let version = version.with_context(|| format!("`{name}` was written and cannot run; `baton validate` says why"))?;
    let source = project.workflows.iter().find(|source| source.name() == name);
    if args.json {
        let file = source.map(|source| display_path(&source.file));
        print::pretty(&json!({ "ok": true, "workflow": name, "file": file, "version": version }));
    } else {
        let how = if file.is_some() { "taken in" } else { "is there already, word for word" };
        print::line(format_args!("`{name}` {how}: revision {}", version.revision));
    }
    Ok(CommandExit::Completed)
}

/// Returns the workflow's name if it can run. Otherwise returns its errors, and nothing is changed.
async fn check_definition(project: &Project, text: &str, from: &str) -> anyhow::Result<String> {
    let mut catalog = wiring::registered_catalog(project).await?;
    project.check(&mut catalog);
    let checked = definition::check(text.as_bytes(), &catalog);
    match (checked.runnable(), checked.diagnostics.iter().min_by_key(|found| found.severity)) {
        (Some((workflow, _)), _) => Ok(workflow.name.clone()),
        (None, Some(worst)) => Err(UsageError::from_diagnostic(worst, from, text).into()),
        (None, None) => Err(UsageError::new(format!("{from} is no workflow")).into()),
    }
}

/// The path to write to. `None` if the project already has an identical definition.
fn import_path(project: &Project, name: &str, definition: &Value, replace: bool) -> anyhow::Result<Option<PathBuf>> {
    if let Some(source) = project.workflows.iter().find(|source| source.name() == name) {
        let is_same = project::read_value(&source.file).is_ok_and(|known| known == *definition);
        return match (is_same, replace) {
            (true, _) => Ok(None),
            (false, true) => Ok(Some(source.file.clone())),
            (false, false) => {
                let message = format!("`{name}` is in {} already, and says something else", display_path(&source.file));
                let hint = "--replace takes its place, and its versions stay; --name takes it in under another name";
                Err(UsageError::new(message).hint(hint).into())
            }
        };
    }
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
    if name.starts_with('.') || !name.chars().all(is_plain) {
        let message = format!("`{name}` is no name of a file in {FOLDER}/");
        return Err(UsageError::new(message).hint("give it another with --name").into());
    }
    let file = project.root.join(FOLDER).join(format!("{}.yaml", name.replace(' ', "_")));
    match file.exists() {
        true => Err(UsageError::new(format!("{} is there already, with another workflow", display_path(&file))).into()),
        false => Ok(Some(file)),
    }
}
