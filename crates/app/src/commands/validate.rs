//! `baton validate`: what is wrong with definitions, where, and the way out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use baton_core::definition::{self, Catalog, Checked, Code, Diagnostic, Severity};
use baton_ports::clock::SystemClock;
use serde_json::{Value, json};

use crate::cli::Validate;
use crate::config::Settings;
use crate::project::{self, Doubt, Fault, Part, Project, Server, Source, Triggers, shown};
use crate::{Exit, Misuse, print, wire};

/// What was found.
#[derive(Default)]
struct Found {
    reports: Vec<Report>,
    /// What projects name and nobody has.
    doubts: Vec<Doubt>,
    /// Of triggers.
    faults: Vec<anyhow::Error>,
    /// Of the settings, and of other files that are no workflows.
    unread: Vec<anyhow::Error>,
}

/// What came of one file.
struct Report {
    file: String,
    text: String,
    checked: Checked,
}

pub fn run(folder: &Path, args: &Validate) -> anyhow::Result<Exit> {
    let paths = if args.paths.is_empty() { vec![folder.to_owned()] } else { args.paths.clone() };
    let found = match found(folder, &paths) {
        Ok(found) => found,
        // An editor asked in JSON, and is answered in JSON.
        Err(error) if args.json && error.is::<Misuse>() => {
            print::pretty(&json!({ "ok": false, "error": error.to_string(), "files": [], "doubts": [] }));
            return Ok(Exit::Usage);
        }
        Err(error) => return Err(error),
    };
    let counts = Counts::of(&found);
    let is_ok = counts.is_ok(args.strict);
    if args.json {
        print::pretty(&as_json(&found, &counts, is_ok));
    } else {
        tell(&found, &counts);
    }
    Ok(if is_ok { Exit::Completed } else { Exit::Usage })
}

fn found(folder: &Path, paths: &[PathBuf]) -> anyhow::Result<Found> {
    let mut projects = Projects::default();
    let mut found = Found::default();
    for path in paths {
        if path.is_dir() || path == folder {
            let Opened { project, faults } = projects.at(path)?;
            if faults.is_empty() && !project.is_there() {
                return Err(project.not_there().into());
            }
            let parts: Vec<Part> = faults.iter().map(|fault| fault.part).collect();
            found.unread.extend(faults.drain(..).map(|fault| fault.error));
            match of_project(project, &parts) {
                Ok(reports) => found.reports.extend(reports),
                // Where something cannot be read, what follows from that is no news.
                Err(error) if parts.is_empty() => return Err(error),
                Err(_) => {}
            }
            // `baton serve` does not start with one that cannot be read.
            found.faults.extend(Triggers::read_all(&project.root).1);
            match wire::models(project, Arc::new(SystemClock)).and_then(|models| Ok((models, project.tenant()?))) {
                Ok((models, tenant)) => found.doubts.extend(project.doubts(&models, &tenant)),
                Err(error) if parts.is_empty() => return Err(error),
                Err(_) => {}
            }
            found.doubts.extend(project.servers.iter().filter_map(Server::silence));
        } else {
            found.reports.push(of_file(path, &mut projects)?);
        }
    }
    Ok(found)
}

/// Projects that were opened, so that many files of one are checked against it without reading it anew.
#[derive(Default)]
struct Projects(BTreeMap<PathBuf, Opened>);

struct Opened {
    project: Project,
    faults: Vec<Fault>,
}

impl Projects {
    fn at(&mut self, root: &Path) -> anyhow::Result<&mut Opened> {
        if !self.0.contains_key(root) {
            let (project, faults) = Project::open_all(root)?;
            self.0.insert(root.to_owned(), Opened { project, faults });
        }
        self.0.get_mut(root).ok_or_else(|| Misuse::new(format!("{} cannot be opened", shown(root))).into())
    }
}

fn of_project(project: &Project, unread: &[Part]) -> anyhow::Result<Vec<Report>> {
    let mut catalog = wire::whole_catalog(project)?;
    let mut reports: Vec<Report> =
        project.check(&mut catalog).into_iter().map(|(source, checked)| report(source, checked)).collect();
    // What a file may define that cannot be read is not said to be missing.
    let may_be_there = |code: Code| match code {
        Code::UnknownAgent => unread.contains(&Part::Agents),
        Code::UnknownTool => unread.contains(&Part::Tools),
        _ => false,
    };
    for report in &mut reports {
        report.checked.diagnostics.retain(|found| !may_be_there(found.code));
    }
    reports.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(reports)
}

fn of_file(path: &Path, projects: &mut Projects) -> anyhow::Result<Report> {
    let source = Source { text: project::read(path)?, file: path.to_owned() };
    let catalog = match project_of(path) {
        Some(root) => {
            let Opened { project, faults } = projects.at(&root)?;
            if !faults.is_empty() {
                return Err(faults.swap_remove(0).error);
            }
            let mut catalog = wire::whole_catalog(project)?;
            project.check(&mut catalog);
            catalog
        }
        None => shipped()?,
    };
    let checked = definition::check(&source.text, &catalog);
    Ok(report(&source, checked))
}

fn report(source: &Source, checked: Checked) -> Report {
    Report { file: shown(&source.file), text: source.shown_text().into_owned(), checked }
}

/// The project a file belongs to: that of the folder `workflows/` it lies in.
fn project_of(file: &Path) -> Option<PathBuf> {
    let workflows = file.parent().filter(|parent| parent.ends_with("workflows"))?;
    let root = workflows.parent()?;
    Some(if root.as_os_str().is_empty() { PathBuf::from(".") } else { root.to_owned() })
}

/// What a file that belongs to no project may name: what is shipped.
fn shipped() -> anyhow::Result<Catalog> {
    let bare = Project {
        root: PathBuf::from("."),
        settings: Settings::default(),
        agents: baton_engine::shipped_agents(),
        own_agents: BTreeSet::new(),
        tools: Vec::new(),
        servers: Vec::new(),
        unsupported: Vec::new(),
        documents: Vec::new(),
        tool_doubts: Vec::new(),
        secrets_named: Vec::new(),
        replies: Vec::new(),
        workflows: Vec::new(),
    };
    wire::catalog(&bare)
}

/// How much was found, by how bad it is.
#[derive(Default)]
struct Counts {
    workflows: usize,
    errors: usize,
    drafts: usize,
    warnings: usize,
    hints: usize,
}

impl Counts {
    fn of(all: &Found) -> Self {
        let mut counts = Self { workflows: all.reports.len(), warnings: all.doubts.len(), ..Self::default() };
        counts.errors += all.faults.len() + all.unread.len();
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
                .map(|(count, word)| print::counted(count, word))
                .collect();
        let found = if found.is_empty() { "nothing found".to_owned() } else { found.join(", ") };
        format!("{}: {found}", print::counted(self.workflows, "workflow"))
    }
}

fn tell(all: &Found, counts: &Counts) {
    all.unread.iter().for_each(print::error);
    for report in &all.reports {
        for found in &report.checked.diagnostics {
            let text = definition::render(found, &report.file, &report.text);
            let word = found.severity.to_string();
            let rest = text.strip_prefix(&word).unwrap_or(&text);
            print::line(format_args!("{}{rest}", print::paint(colour(found), &word)));
        }
    }
    for doubt in &all.doubts {
        let Doubt { place, message, hint } = doubt;
        let word = print::paint("33", "warning");
        print::line(format_args!("{word}: {place}: {message}\n  hint: {hint}"));
    }
    for fault in &all.faults {
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

fn as_json(all: &Found, counts: &Counts, is_ok: bool) -> Value {
    let files = all.reports.iter().map(|report| {
        json!({
            "file": report.file,
            "workflow": report.checked.workflow.as_ref().map(|workflow| workflow.name.clone()),
            "ready": report.checked.ready().is_some(),
            "diagnostics": report.checked.diagnostics,
        })
    });
    let faults: Vec<String> = all.unread.iter().chain(&all.faults).map(|fault| format!("{fault:#}")).collect();
    json!({
        "ok": is_ok,
        "error": all.unread.first().map(ToString::to_string),
        "files": files.collect::<Vec<_>>(),
        "doubts": all.doubts,
        "faults": faults,
        "errors": counts.errors,
        "drafts": counts.drafts,
        "warnings": counts.warnings,
        "hints": counts.hints,
    })
}
