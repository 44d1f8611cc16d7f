//! `baton test`: the workflow tests of a project. The format is `docs/reference/test-format.md`.

mod case;
mod clock;
mod comparison;
mod environment;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use baton_expr::nearest;
use serde_json::{Value, json};

use crate::cli;
use crate::progress::RunProgress;
use crate::project::{Project, display_path, yaml_files};
use crate::{CommandExit, UsageError, print, wiring};

use case::WorkflowTest;
use comparison::TestDifference;
use environment::TestTrace;

pub async fn run(folder: &Path, args: cli::TestArgs) -> anyhow::Result<CommandExit> {
    let mut project = Project::open(folder)?;
    isolate_settings(&mut project);
    let cases = select_tests(&project, &args)?;
    check_workflows(&project, &cases)?;
    let mut outcomes = Vec::new();
    for case in &cases {
        let outcome = TestOutcome::of(&mut project, case).await?;
        if !args.json {
            outcome.print_outcome();
        }
        outcomes.push(outcome);
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.has_passed()).count();
    let passed = outcomes.len() - failed;
    if args.json {
        let tests: Vec<Value> = outcomes.iter().map(TestOutcome::as_json).collect();
        print::pretty(&json!({ "passed": passed, "failed": failed, "tests": tests }));
    } else {
        print::line(format_args!("{passed} passed, {failed} failed"));
    }
    Ok(if failed == 0 { CommandExit::Completed } else { CommandExit::Failed })
}

/// Models are scripted, e-mail stays in the outbox and texts are embedded locally, whatever the settings are. A test
/// contacts no external service.
fn isolate_settings(project: &mut Project) {
    project.settings.models.script_only();
    project.settings.tools.disable_external_services();
    project.settings.memory.embedder = baton_memory::EmbedderProvider::Builtin;
}

/// The selected tests. All of them are read and checked before the first one runs.
fn select_tests(project: &Project, args: &cli::TestArgs) -> anyhow::Result<Vec<WorkflowTest>> {
    let folder = project.root.join("tests");
    let files = if args.files.is_empty() { yaml_files(&folder)? } else { args.files.clone() };
    let mut cases = Vec::new();
    let mut wrong = Vec::new();
    for file in &files {
        match case::read(file, &project.root) {
            Ok(of_file) => cases.extend(of_file),
            Err(error) if error.is::<UsageError>() => wrong.push(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    wrong.extend(duplicate_names(&cases));
    if !wrong.is_empty() {
        return Err(UsageError::new(wrong.join("\n")).hint("the format is docs/reference/test-format.md").into());
    }
    if cases.is_empty() && !project.exists() {
        return Err(project.not_a_project().into());
    }
    if cases.is_empty() {
        let message = format!("there are no tests in {}", display_path(&folder));
        return Err(UsageError::new(message).hint("write one; docs/reference/test-format.md says how").into());
    }
    match &args.filter {
        Some(part) => filtered(cases, part),
        None => Ok(cases),
    }
}

/// Checks that every workflow under test exists and can run. Other errors in the project are ignored.
fn check_workflows(project: &Project, cases: &[WorkflowTest]) -> anyhow::Result<()> {
    let sorted = project.check_workflows(&mut wiring::catalog(project)?)?;
    for case in cases {
        let is_there = sorted.ready.iter().any(|ready| ready.name == case.workflow);
        if !is_there {
            let of_test = || format!("{}: test `{}`", display_path(&case.file), case.name);
            sorted.find(project, &case.workflow).with_context(of_test)?;
        }
    }
    Ok(())
}

fn filtered(mut cases: Vec<WorkflowTest>, part: &str) -> anyhow::Result<Vec<WorkflowTest>> {
    let names: Vec<String> = cases.iter().map(|case| case.name.clone()).collect();
    cases.retain(|case| case.name.contains(part));
    if cases.is_empty() {
        let message = format!("no test's name contains `{part}`");
        let hint = match nearest(part, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are:\n    {}", names.join("\n    ")),
        };
        return Err(UsageError::new(message).hint(hint).into());
    }
    Ok(cases)
}

fn duplicate_names(cases: &[WorkflowTest]) -> Vec<String> {
    let mut seen: BTreeMap<&str, &PathBuf> = BTreeMap::new();
    let mut twice = Vec::new();
    for case in cases {
        if let Some(first) = seen.insert(&case.name, &case.file) {
            twice.push(format!(
                "{}: a test named `{}` is in {} already",
                display_path(&case.file),
                case.name,
                display_path(first)
            ));
        }
    }
    twice
}

/// The result of one test.
struct TestOutcome<'a> {
    case: &'a WorkflowTest,
    played: TestTrace,
    differences: Vec<TestDifference>,
    duration_ms: u64,
}

impl<'a> TestOutcome<'a> {
    async fn of(project: &mut Project, case: &'a WorkflowTest) -> anyhow::Result<Self> {
        let began = Instant::now();
        let played = environment::run_test(project, case).await?;
        let differences = comparison::differences(case, &played);
        let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Self { case, played, differences, duration_ms })
    }

    fn has_passed(&self) -> bool {
        self.differences.is_empty()
    }

    fn print_outcome(&self) {
        let (colour, sign) = if self.has_passed() { ("32", "✓") } else { ("31", "✗") };
        print::line(format_args!("{} {} ({} ms)", print::paint(colour, sign), self.case.name, self.duration_ms));
        if self.has_passed() {
            return;
        }
        self.differences.iter().for_each(TestDifference::print_difference);
        print::line("    what happened");
        let id = environment::run_id();
        let mut progress = RunProgress::resumed(&id).indented();
        for entry in &self.played.entries {
            progress.print_entry(&id, entry);
        }
    }

    fn as_json(&self) -> Value {
        json!({
            "name": self.case.name,
            "workflow": self.case.workflow,
            "file": display_path(&self.case.file),
            "passed": self.has_passed(),
            "differences": self.differences,
            "duration_ms": self.duration_ms,
        })
    }
}
