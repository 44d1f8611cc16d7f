//! `baton doctor`: whether everything a project needs is there, and the way out where it is not.

mod composio;
mod machine;
mod programs;
mod reach;
mod services;
mod unread;
mod work;

use std::path::Path;
use std::sync::Arc;

use baton_ports::clock::SystemClock;
use baton_store::sqlite::Depth;
use serde::Serialize;
use serde_json::json;

use crate::cli::Doctor;
use crate::project::{Doubt, Project, Triggers, shown};
use crate::{Exit, config, print, wire};

pub async fn run(folder: &Path, args: Doctor) -> anyhow::Result<Exit> {
    let mut checks = machine::checks(folder);
    if let Some(project) = project(folder, &mut checks) {
        // First of all: what else asks the database would only run into it.
        let pages = work::pages(&project, if args.full { Depth::Full } else { Depth::Quick }).await;
        let is_readable = pages.iter().all(|check| check.state != State::Fail);
        checks.extend(pages);
        if !is_readable {
            return Ok(told(checks, args.json));
        }
        checks.push(workflows(&project).await);
        checks.extend(names(&project));
        checks.extend(triggers(&project));
        checks.extend(unread::checks(&project));
        checks.extend(reach::models(&project).await);
        checks.push(reach::mail(&project).await);
        checks.extend(composio::checks(&project).await);
        checks.extend(reach::servers(&project).await);
        checks.extend(services::checks(&project).await);
        checks.push(programs::check(&project).await);
        checks.extend(work::checks(&project).await);
    }
    Ok(told(checks, args.json))
}

fn told(mut checks: Vec<Check>, as_json: bool) -> Exit {
    told_once(&mut checks);
    let is_well = checks.iter().all(|check| check.state != State::Fail);
    if as_json {
        print::pretty(&json!({ "ok": is_well, "checks": checks }));
    } else {
        checks.iter().for_each(tell);
    }
    if is_well { Exit::Completed } else { Exit::Failed }
}

/// What was looked at, and what was seen.
#[derive(Debug, Serialize)]
struct Check {
    what: &'static str,
    state: State,
    says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    Warn,
    Fail,
}

impl Check {
    fn ok(what: &'static str, says: impl Into<String>) -> Self {
        Self { what, state: State::Ok, says: says.into(), hint: None }
    }

    fn warn(what: &'static str, says: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what, state: State::Warn, says: says.into(), hint: Some(hint.into()) }
    }

    fn fail(what: &'static str, says: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what, state: State::Fail, says: says.into(), hint: Some(hint.into()) }
    }
}

/// One fault stands in the way of several checks; the first one tells it.
fn told_once(checks: &mut [Check]) {
    for place in 1..checks.len() {
        let (before, rest) = checks.split_at_mut(place);
        let check = &mut rest[0];
        let same = |other: &&Check| other.state == State::Fail && other.says == check.says;
        if check.state == State::Fail
            && let Some(first) = before.iter().find(same)
        {
            (check.says, check.hint) = (format!("as `{}` says", first.what), None);
        }
    }
}

fn tell(check: &Check) {
    let (colour, word) = match check.state {
        State::Ok => ("32", "ok  "),
        State::Warn => ("33", "warn"),
        State::Fail => ("31", "fail"),
    };
    print::line(format_args!("{} {:<10} {}", print::paint(colour, word), check.what, check.says));
    if let Some(hint) = &check.hint {
        print::line(format_args!("                hint: {hint}"));
    }
}

fn project(folder: &Path, checks: &mut Vec<Check>) -> Option<Project> {
    let file = folder.join(config::FILE);
    let is_project = file.is_file();
    match Project::open(folder) {
        Ok(project) if is_project => {
            checks.push(Check::ok("project", shown(folder)));
            Some(project)
        }
        Ok(project) => {
            let says = format!("{} is not there; the defaults hold", shown(&file));
            checks.push(Check::warn("project", says, "`baton init FOLDER` makes a project; `-C FOLDER` names one"));
            Some(project)
        }
        Err(error) => {
            checks.push(Check::fail(
                "project",
                format!("{error:#}"),
                "correct it; nothing else can be looked at before",
            ));
            None
        }
    }
}

/// What the project names and nobody has. What keeps the settings from being read is told by the other checks.
fn names(project: &Project) -> Vec<Check> {
    let (Ok(models), Ok(tenant)) = (wire::models(project, Arc::new(SystemClock)), project.tenant()) else {
        return Vec::new();
    };
    let doubts = project.doubts(&models, &tenant);
    if doubts.is_empty() {
        return vec![Check::ok("names", "every model that is named has a price, and every secret is set")];
    }
    let warn = |doubt: Doubt| Check::warn("names", format!("{}: {}", doubt.place, doubt.message), doubt.hint);
    doubts.into_iter().map(warn).collect()
}

/// Those that are read are among the [`names`].
fn triggers(project: &Project) -> Option<Check> {
    let error = Triggers::read(&project.root).err()?;
    Some(Check::fail("triggers", format!("{error:#}"), "correct it; `baton serve` does not start before"))
}

async fn workflows(project: &Project) -> Check {
    let mut catalog = match wire::known(project).await {
        Ok(catalog) => catalog,
        Err(error) => return Check::fail("workflows", format!("{error:#}"), "correct it in the settings or the file"),
    };
    let checked = project.check(&mut catalog);
    let unready = checked.iter().filter(|(_, checked)| checked.ready().is_none()).count();
    match (checked.len(), unready) {
        (0, _) => Check::warn("workflows", "there are none", "put one into workflows/"),
        (all, 0) => Check::ok("workflows", format!("{all}, all ready to run")),
        (all, unready) => {
            Check::fail("workflows", format!("{unready} of {all} cannot run"), "`baton validate` says why")
        }
    }
}
