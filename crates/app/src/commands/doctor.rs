//! `baton doctor`: checks that a project has everything it needs, and shows how to fix what is missing.

mod composio;
mod connectivity;
mod database;
mod machine;
mod programs;
mod services;
mod unused_variables;

use std::path::Path;
use std::sync::Arc;

use baton_ports::clock::SystemClock;
use baton_store::sqlite::CheckDepth;
use serde::Serialize;
use serde_json::json;

use crate::cli::DoctorArgs;
use crate::project::{Project, ProjectTriggers, ProjectWarning, display_path};
use crate::{CommandExit, config, print, wiring};

pub async fn run(folder: &Path, args: DoctorArgs) -> anyhow::Result<CommandExit> {
    let mut checks = machine::checks(folder);
    if let Some(project) = project(folder, &mut checks) {
        // Check this first. Other checks that read the database would fail with the same error.
        let pages = database::pages(&project, if args.full { CheckDepth::Full } else { CheckDepth::Quick }).await;
        let is_readable = pages.iter().all(|check| check.state != DoctorStatus::Fail);
        checks.extend(pages);
        if !is_readable {
            return Ok(print_checks(checks, args.json));
        }
        checks.push(workflows(&project).await);
        checks.extend(names(&project));
        checks.extend(triggers(&project));
        checks.extend(unused_variables::checks(&project));
        checks.extend(connectivity::models(&project).await);
        checks.push(connectivity::mail(&project).await);
        checks.extend(composio::checks(&project).await);
        checks.extend(connectivity::servers(&project).await);
        checks.extend(services::checks(&project).await);
        checks.push(programs::check(&project).await);
        checks.extend(database::checks(&project).await);
    }
    Ok(print_checks(checks, args.json))
}

fn print_checks(mut checks: Vec<DoctorCheck>, as_json: bool) -> CommandExit {
    drop_repeated_hints(&mut checks);
    let is_well = checks.iter().all(|check| check.state != DoctorStatus::Fail);
    if as_json {
        print::pretty(&json!({ "ok": is_well, "checks": checks }));
    } else {
        checks.iter().for_each(print_check);
    }
    if is_well { CommandExit::Completed } else { CommandExit::Failed }
}

/// A check and its result.
#[derive(Debug, Serialize)]
struct DoctorCheck {
    what: &'static str,
    state: DoctorStatus,
    says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum DoctorStatus {
    Ok,
    Warn,
    Fail,
}

impl DoctorCheck {
    fn ok(what: &'static str, says: impl Into<String>) -> Self {
        Self { what, state: DoctorStatus::Ok, says: says.into(), hint: None }
    }

    fn warn(what: &'static str, says: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what, state: DoctorStatus::Warn, says: says.into(), hint: Some(hint.into()) }
    }

    fn fail(what: &'static str, says: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what, state: DoctorStatus::Fail, says: says.into(), hint: Some(hint.into()) }
    }
}

/// One fault can fail several checks. Only the first of them shows the hint.
fn drop_repeated_hints(checks: &mut [DoctorCheck]) {
    for place in 1..checks.len() {
        let (before, rest) = checks.split_at_mut(place);
        let check = &mut rest[0];
        let same = |other: &&DoctorCheck| other.state == DoctorStatus::Fail && other.says == check.says;
        if check.state == DoctorStatus::Fail
            && let Some(first) = before.iter().find(same)
        {
            (check.says, check.hint) = (format!("as `{}` says", first.what), None);
        }
    }
}

fn print_check(check: &DoctorCheck) {
    let (colour, word) = match check.state {
        DoctorStatus::Ok => ("32", "ok  "),
        DoctorStatus::Warn => ("33", "warn"),
        DoctorStatus::Fail => ("31", "fail"),
    };
    print::line(format_args!("{} {:<10} {}", print::paint(colour, word), check.what, check.says));
    if let Some(hint) = &check.hint {
        print::line(format_args!("                hint: {hint}"));
    }
}

fn project(folder: &Path, checks: &mut Vec<DoctorCheck>) -> Option<Project> {
    let file = folder.join(config::FILE);
    let is_project = file.is_file();
    match Project::open(folder) {
        Ok(project) if is_project => {
            checks.push(DoctorCheck::ok("project", display_path(folder)));
            Some(project)
        }
        Ok(project) => {
            let says = format!("{} is not there; the defaults hold", display_path(&file));
            checks.push(DoctorCheck::warn(
                "project",
                says,
                "`baton init FOLDER` makes a project; `-C FOLDER` names one",
            ));
            Some(project)
        }
        Err(error) => {
            checks.push(DoctorCheck::fail(
                "project",
                format!("{error:#}"),
                "correct it; nothing else can be looked at before",
            ));
            None
        }
    }
}

/// References in the project that cannot be resolved. Errors that prevent reading the settings are reported by the
/// other checks.
fn names(project: &Project) -> Vec<DoctorCheck> {
    let (Ok(models), Ok(tenant)) = (wiring::models(project, Arc::new(SystemClock)), project.tenant()) else {
        return Vec::new();
    };
    let doubts = project.warnings(&models, &tenant);
    if doubts.is_empty() {
        return vec![DoctorCheck::ok("names", "every model that is named has a price, and every secret is set")];
    }
    let warn =
        |doubt: ProjectWarning| DoctorCheck::warn("names", format!("{}: {}", doubt.place, doubt.message), doubt.hint);
    doubts.into_iter().map(warn).collect()
}

/// Valid triggers are covered by [`names`].
fn triggers(project: &Project) -> Option<DoctorCheck> {
    let error = ProjectTriggers::read(&project.root).err()?;
    Some(DoctorCheck::fail("triggers", format!("{error:#}"), "correct it; `baton serve` does not start before"))
}

async fn workflows(project: &Project) -> DoctorCheck {
    let mut catalog = match wiring::registered_catalog(project).await {
        Ok(catalog) => catalog,
        Err(error) => {
            return DoctorCheck::fail("workflows", format!("{error:#}"), "correct it in the settings or the file");
        }
    };
    let checked = project.check(&mut catalog);
    let unready = checked.iter().filter(|(_, checked)| checked.runnable().is_none()).count();
    match (checked.len(), unready) {
        (0, _) => DoctorCheck::warn("workflows", "there are none", "put one into workflows/"),
        (all, 0) => DoctorCheck::ok("workflows", format!("{all}, all ready to run")),
        (all, unready) => {
            DoctorCheck::fail("workflows", format!("{unready} of {all} cannot run"), "`baton validate` says why")
        }
    }
}
