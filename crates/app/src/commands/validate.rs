//! `baton validate`: reports errors in definitions, where they are, and how to fix them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use baton_core::definition::{self, CheckedDefinition, DefinitionCatalog, Diagnostic, DiagnosticCode, Severity};
use baton_ports::clock::SystemClock;
use serde_json::{Value, json};

use crate::cli::ValidateArgs;
use crate::config::ProjectSettings;
use crate::project::{
    self, Project, ProjectError, ProjectPart, ProjectServer, ProjectTriggers, ProjectWarning, WorkflowFile,
    display_path,
};
use crate::{CommandExit, UsageError, print, wiring};

/// The findings.
#[derive(Default)]
struct ValidateReport {
    reports: Vec<FileReport>,
    /// References of projects that cannot be resolved.
    warnings: Vec<ProjectWarning>,
    /// Errors in triggers.
    project_errors: Vec<anyhow::Error>,
    /// Errors in the settings, and in other files that are not workflows.
    unreadable_parts: Vec<anyhow::Error>,
}

/// The findings in one file.
struct FileReport {
    file: String,
    text: String,
    checked: CheckedDefinition,
}

pub fn run(folder: &Path, args: &ValidateArgs) -> anyhow::Result<CommandExit> {
    let paths = if args.paths.is_empty() { vec![folder.to_owned()] } else { args.paths.clone() };
    let found = match validate_paths(folder, &paths) {
        Ok(found) => found,
        // An editor that asked in JSON gets the error in JSON.
        Err(error) if args.json && error.is::<UsageError>() => {
            print::pretty(&json!({ "ok": false, "error": error.to_string(), "files": [], "doubts": [] }));
            return Ok(CommandExit::Usage);
        }
        Err(error) => return Err(error),
    };
    let counts = DiagnosticCounts::of(&found);
    let is_ok = counts.is_ok(args.strict);
    if args.json {
        print::pretty(&as_json(&found, &counts, is_ok));
    } else {
        print_report(&found, &counts);
    }
    Ok(if is_ok { CommandExit::Completed } else { CommandExit::Usage })
}

fn validate_paths(folder: &Path, paths: &[PathBuf]) -> anyhow::Result<ValidateReport> {
    let mut projects = ProjectCache::default();
    let mut found = ValidateReport::default();
    for path in paths {
        if path.is_dir() || path == folder {
            let CachedProject { project, errors: faults } = projects.open_project(path)?;
            if faults.is_empty() && !project.exists() {
                return Err(project.not_a_project().into());
            }
            let parts: Vec<ProjectPart> = faults.iter().map(|fault| fault.part).collect();
            found.unreadable_parts.extend(faults.drain(..).map(|fault| fault.error));
            match of_project(project, &parts) {
                Ok(reports) => found.reports.extend(reports),
                // If a part cannot be read, errors that follow from that are not reported.
                Err(error) if parts.is_empty() => return Err(error),
                Err(_) => {}
            }
            // `baton serve` does not start with a trigger that cannot be read.
            found.project_errors.extend(ProjectTriggers::read_partial(&project.root).1);
            match wiring::models(project, Arc::new(SystemClock)).and_then(|models| Ok((models, project.tenant()?))) {
                Ok((models, tenant)) => found.warnings.extend(project.warnings(&models, &tenant)),
                Err(error) if parts.is_empty() => return Err(error),
                Err(_) => {}
            }
            found.warnings.extend(project.servers.iter().filter_map(ProjectServer::silence_warning));
        } else {
            found.reports.push(of_file(path, &mut projects)?);
        }
    }
    Ok(found)
}

/// Projects that are already open, so that many files of one project are checked without reading it again.
#[derive(Default)]
struct ProjectCache(BTreeMap<PathBuf, CachedProject>);

struct CachedProject {
    project: Project,
    errors: Vec<ProjectError>,
}

impl ProjectCache {
    fn open_project(&mut self, root: &Path) -> anyhow::Result<&mut CachedProject> {
        if !self.0.contains_key(root) {
            let (project, faults) = Project::open_partial(root)?;
            self.0.insert(root.to_owned(), CachedProject { project, errors: faults });
        }
        self.0.get_mut(root).ok_or_else(|| UsageError::new(format!("{} cannot be opened", display_path(root))).into())
    }
}

fn of_project(project: &Project, unread: &[ProjectPart]) -> anyhow::Result<Vec<FileReport>> {
    let mut catalog = wiring::blocking_catalog(project)?;
    let mut reports: Vec<FileReport> =
        project.check(&mut catalog).into_iter().map(|(source, checked)| report(source, checked)).collect();
    // A name is not reported as missing if a file that may define it cannot be read.
    let may_be_there = |code: DiagnosticCode| match code {
        DiagnosticCode::UnknownAgent => unread.contains(&ProjectPart::Agents),
        DiagnosticCode::UnknownTool => unread.contains(&ProjectPart::Tools),
        _ => false,
    };
    for report in &mut reports {
        report.checked.diagnostics.retain(|found| !may_be_there(found.code));
    }
    reports.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(reports)
}

fn of_file(path: &Path, projects: &mut ProjectCache) -> anyhow::Result<FileReport> {
    let source = WorkflowFile { text: project::read(path)?, file: path.to_owned() };
    let catalog = match project_of(path) {
        Some(root) => {
            let CachedProject { project, errors: faults } = projects.open_project(&root)?;
            if !faults.is_empty() {
                return Err(faults.swap_remove(0).error);
            }
            let mut catalog = wiring::blocking_catalog(project)?;
            project.check(&mut catalog);
            catalog
        }
        None => shipped_catalog()?,
    };
    let checked = definition::check(&source.text, &catalog);
    Ok(report(&source, checked))
}

fn report(source: &WorkflowFile, checked: CheckedDefinition) -> FileReport {
    FileReport { file: display_path(&source.file), text: source.shown_text().into_owned(), checked }
}

/// The project of a file, by the folder `workflows/` that contains it.
fn project_of(file: &Path) -> Option<PathBuf> {
    let workflows = file.parent().filter(|parent| parent.ends_with("workflows"))?;
    let root = workflows.parent()?;
    Some(if root.as_os_str().is_empty() { PathBuf::from(".") } else { root.to_owned() })
}

/// The catalogue for a file outside any project: only what is shipped.
fn shipped_catalog() -> anyhow::Result<DefinitionCatalog> {
    let bare = Project {
        root: PathBuf::from("."),
        settings: ProjectSettings::default(),
        agents: baton_engine::shipped_agents(),
        own_agents: BTreeSet::new(),
        tools: Vec::new(),
        servers: Vec::new(),
        unsupported: Vec::new(),
        documents: Vec::new(),
        tool_warnings: Vec::new(),
        secrets_named: Vec::new(),
        replies: Vec::new(),
        workflows: Vec::new(),
    };
    wiring::catalog(&bare)
}

/// The number of findings by severity.
#[derive(Default)]
struct DiagnosticCounts {
    workflows: usize,
    errors: usize,
    drafts: usize,
    warnings: usize,
    hints: usize,
}

impl DiagnosticCounts {
    fn of(all: &ValidateReport) -> Self {
        let mut counts = Self { workflows: all.reports.len(), warnings: all.warnings.len(), ..Self::default() };
        counts.errors += all.project_errors.len() + all.unreadable_parts.len();
        for found in all.reports.iter().flat_map(|report| &report.checked.diagnostics) {
            match found.severity {
                Severity::Error => counts.errors += 1,
                Severity::Draft => counts.drafts += 1,
                Severity::Warning => counts.warnings += 1,
                Severity::Hint => counts.hints += 1,
            }
        }
        counts
    }

    fn is_ok(&self, is_strict: bool) -> bool {
        self.errors == 0 && self.drafts == 0 && (!is_strict || self.warnings == 0)
    }

    fn summary(&self) -> String {
        let found: Vec<String> =
            [(self.errors, "error"), (self.drafts, "draft"), (self.warnings, "warning"), (self.hints, "hint")]
                .into_iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, word)| print::count_noun(count, word))
                .collect();
        let found = if found.is_empty() { "nothing found".to_owned() } else { found.join(", ") };
        format!("{}: {found}", print::count_noun(self.workflows, "workflow"))
    }
}

fn print_report(all: &ValidateReport, counts: &DiagnosticCounts) {
    all.unreadable_parts.iter().for_each(print::error);
    for report in &all.reports {
        for found in &report.checked.diagnostics {
            let text = definition::render(found, &report.file, &report.text);
            let word = found.severity.to_string();
            let rest = text.strip_prefix(&word).unwrap_or(&text);
            print::line(format_args!("{}{rest}", print::paint(colour(found), &word)));
        }
    }
    for doubt in &all.warnings {
        let ProjectWarning { place, message, hint } = doubt;
        let word = print::paint("33", "warning");
        print::line(format_args!("{word}: {place}: {message}\n  hint: {hint}"));
    }
    for fault in &all.project_errors {
        print::line(format_args!("{}: {fault:#}", print::paint("31", "error")));
    }
    print::line(counts.summary());
}

fn colour(found: &Diagnostic) -> &'static str {
    match found.severity {
        Severity::Error => "31",
        Severity::Draft | Severity::Warning => "33",
        Severity::Hint => "36",
    }
}

fn as_json(all: &ValidateReport, counts: &DiagnosticCounts, is_ok: bool) -> Value {
    let files = all.reports.iter().map(|report| {
        json!({
            "file": report.file,
            "workflow": report.checked.workflow.as_ref().map(|workflow| workflow.name.clone()),
            "ready": report.checked.runnable().is_some(),
            "diagnostics": report.checked.diagnostics,
        })
    });
    let faults: Vec<String> =
        all.unreadable_parts.iter().chain(&all.project_errors).map(|fault| format!("{fault:#}")).collect();
    json!({
        "ok": is_ok,
        "error": all.unreadable_parts.first().map(ToString::to_string),
        "files": files.collect::<Vec<_>>(),
        "doubts": all.warnings,
        "faults": faults,
        "errors": counts.errors,
        "drafts": counts.drafts,
        "warnings": counts.warnings,
        "hints": counts.hints,
    })
}
