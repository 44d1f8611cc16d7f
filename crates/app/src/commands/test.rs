//! `baton test`: the workflow tests of a project. The format is `docs/reference/test-format.md`.

mod case;
mod clock;
mod stage;
mod verdict;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use baton_core::expr::nearest;
use serde_json::{Value, json};

use crate::cli;
use crate::project::{Project, shown, yaml_files};
use crate::told::Progress;
use crate::{Exit, Misuse, print, wire};

use case::Case;
use stage::Played;
use verdict::Difference;

pub async fn run(folder: &Path, args: cli::Test) -> anyhow::Result<Exit> {
    let mut project = Project::open(folder)?;
    indoors(&mut project);
    let cases = chosen(&project, &args)?;
    check_workflows(&project, &cases)?;
    let mut outcomes = Vec::new();
    for case in &cases {
        let outcome = Outcome::of(&mut project, case).await?;
        if !args.json {
            outcome.tell();
        }
        outcomes.push(outcome);
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.has_passed()).count();
    let passed = outcomes.len() - failed;
    if args.json {
        let tests: Vec<Value> = outcomes.iter().map(Outcome::as_json).collect();
        print::pretty(&json!({ "passed": passed, "failed": failed, "tests": tests }));
    } else {
        print::line(format_args!("{passed} passed, {failed} failed"));
    }
    Ok(if failed == 0 { Exit::Completed } else { Exit::Failed })
}

/// Models are scripted, mail stays in the outbox and texts are embedded here, whatever the settings say: a test speaks to
/// nobody.
fn indoors(project: &mut Project) {
    project.settings.models.script_only();
    project.settings.tools.indoors();
    project.settings.memory.embedder = baton_memory::Provider::Builtin;
}

/// The tests asked for, all of them read and checked before the first runs.
fn chosen(project: &Project, args: &cli::Test) -> anyhow::Result<Vec<Case>> {
    let folder = project.root.join("tests");
    let files = if args.files.is_empty() { yaml_files(&folder)? } else { args.files.clone() };
    let mut cases = Vec::new();
    let mut wrong = Vec::new();
    for file in &files {
        match case::read(file, &project.root) {
            Ok(of_file) => cases.extend(of_file),
            Err(error) if error.is::<Misuse>() => wrong.push(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    wrong.extend(names_twice(&cases));
    if !wrong.is_empty() {
        return Err(Misuse::new(wrong.join("\n")).hint("the format is docs/reference/test-format.md").into());
    }
    if cases.is_empty() && !project.is_there() {
        return Err(project.not_there().into());
    }
    if cases.is_empty() {
        let message = format!("there are no tests in {}", shown(&folder));
        return Err(Misuse::new(message).hint("write one; docs/reference/test-format.md says how").into());
    }
    match &args.filter {
        Some(part) => filtered(cases, part),
        None => Ok(cases),
    }
}

/// Every workflow that is tested is there and can run; what else is wrong in the project is not the tests' concern.
fn check_workflows(project: &Project, cases: &[Case]) -> anyhow::Result<()> {
    let sorted = project.sorted(&mut wire::catalog(project)?)?;
    for case in cases {
        let is_there = sorted.ready.iter().any(|ready| ready.name == case.workflow);
        if !is_there {
            let of_test = || format!("{}: test `{}`", shown(&case.file), case.name);
            sorted.find(project, &case.workflow).with_context(of_test)?;
        }
    }
    Ok(())
}

fn filtered(mut cases: Vec<Case>, part: &str) -> anyhow::Result<Vec<Case>> {
    let names: Vec<String> = cases.iter().map(|case| case.name.clone()).collect();
    cases.retain(|case| case.name.contains(part));
    if cases.is_empty() {
        let message = format!("no test's name contains `{part}`");
        let hint = match nearest(part, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are:\n    {}", names.join("\n    ")),
        };
        return Err(Misuse::new(message).hint(hint).into());
    }
    Ok(cases)
}

fn names_twice(cases: &[Case]) -> Vec<String> {
    let mut seen: BTreeMap<&str, &PathBuf> = BTreeMap::new();
    let mut twice = Vec::new();
    for case in cases {
        if let Some(first) = seen.insert(&case.name, &case.file) {
            twice.push(format!("{}: a test named `{}` is in {} already", shown(&case.file), case.name, shown(first)));
        }
    }
    twice
}

/// What came of one test.
struct Outcome<'a> {
    case: &'a Case,
    played: Played,
    differences: Vec<Difference>,
    duration_ms: u64,
}

impl<'a> Outcome<'a> {
    async fn of(project: &mut Project, case: &'a Case) -> anyhow::Result<Self> {
        let began = Instant::now();
        let played = stage::play(project, case).await?;
        let differences = verdict::differences(case, &played);
        let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Self { case, played, differences, duration_ms })
    }

    fn has_passed(&self) -> bool {
        self.differences.is_empty()
    }

    fn tell(&self) {
        let (colour, sign) = if self.has_passed() { ("32", "✓") } else { ("31", "✗") };
        print::line(format_args!("{} {} ({} ms)", print::paint(colour, sign), self.case.name, self.duration_ms));
        if self.has_passed() {
            return;
        }
        self.differences.iter().for_each(Difference::tell);
        print::line("    what happened");
        let id = stage::run_id();
        let mut progress = Progress::going_on(&id).indented();
        for entry in &self.played.entries {
            progress.tell(&id, entry);
        }
    }

    fn as_json(&self) -> Value {
        json!({
            "name": self.case.name,
            "workflow": self.case.workflow,
            "file": shown(&self.case.file),
            "passed": self.has_passed(),
            "differences": self.differences,
            "duration_ms": self.duration_ms,
        })
    }
}
