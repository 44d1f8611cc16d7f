//! Files that the `baton` binary generates about itself. They are committed so that they can be read without building
//! it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use crate::build::{self, BuildSelection};
use crate::process;
use crate::workspace::Workspace;

use super::LintOutcome;

/// A file, and the arguments with which `baton` prints it. A new file takes one line.
const TABLE: &[(&str, &[&str])] = &[
    ("docs/reference/workflow.schema.json", &["reference", "workflow-schema"]),
    ("docs/reference/cli.md", &["reference", "cli"]),
    ("docs/reference/openapi.json", &["reference", "openapi"]),
    ("docs/errors/README.md", &["reference", "errors"]),
];

/// Printing a page is instant. A binary that takes longer is blocked.
const LIMIT: Duration = Duration::from_secs(60);

/// The documented exit code of `baton` for unknown arguments.
const EXIT_UNKNOWN: i32 = 2;

/// Compares each file with the output of the binary, or writes it.
pub fn check(workspace: &Workspace, profile: &str, write: bool) -> anyhow::Result<LintOutcome> {
    let built = build::build(workspace, profile, &BuildSelection::Everything)?;
    let baton = build::binary(&built, "baton").context("the workspace builds no binary named `baton`")?;
    let mut findings = Vec::new();
    let mut fresh = 0;
    for (file, arguments) in TABLE {
        let page = page(baton, arguments)?;
        let committed = workspace.root().join(file);
        let before = std::fs::read_to_string(&committed).ok();
        if write && let BinaryPage::Content(text) = &page {
            if let Some(folder) = committed.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(&committed, text)?;
            fresh += 1;
            continue;
        }
        match compare_file(file, before.as_deref(), &page) {
            Ok(checked) => fresh += usize::from(checked),
            Err(finding) => findings.push(finding),
        }
    }
    let verb = if write { "written" } else { "fresh" };
    Ok(LintOutcome::from_findings(
        findings,
        format!("{fresh} of {} {verb}; the rest the binary does not print yet", TABLE.len()),
    ))
}

/// The output of the binary.
enum BinaryPage {
    Content(String),
    /// The binary does not know these arguments.
    NotOffered,
    Failed(String),
}

fn page(baton: &Path, arguments: &[&str]) -> anyhow::Result<BinaryPage> {
    let finished = process::run_within(Command::new(baton).args(arguments), LIMIT)?;
    Ok(match finished.status.code() {
        Some(0) if !finished.stdout.is_empty() => BinaryPage::Content(finished.stdout),
        Some(0 | EXIT_UNKNOWN) => BinaryPage::NotOffered,
        _ => BinaryPage::Failed(format!(
            "`baton {}` ended with {}\n{}",
            arguments.join(" "),
            finished.status,
            finished.combined_output()
        )),
    })
}

/// `Ok(true)` for a file that is up to date. `Ok(false)` for one that neither the binary nor the tree has yet.
fn compare_file(file: &str, before: Option<&str>, page: &BinaryPage) -> Result<bool, String> {
    const WAY_OUT: &str = "run `cargo xtask lint --write` and commit what it writes";
    match (before, page) {
        (None, BinaryPage::NotOffered) => Ok(false),
        (Some(_), BinaryPage::NotOffered) => Err(format!("{file} is committed, but the binary no longer prints it")),
        (_, BinaryPage::Failed(told)) => Err(format!("{file} cannot be compared: {told}")),
        (None, BinaryPage::Content(_)) => Err(format!("{file} is missing; {WAY_OUT}")),
        (Some(before), BinaryPage::Content(text)) if before == text => Ok(true),
        (Some(before), BinaryPage::Content(text)) => {
            let line = 1 + before.lines().zip(text.lines()).take_while(|(old, new)| old == new).count();
            Err(format!("{file}:{line}: is not what the binary prints; {WAY_OUT}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> BinaryPage {
        BinaryPage::Content(text.to_owned())
    }

    #[test]
    fn a_file_that_is_what_the_binary_prints_is_fresh() {
        assert_eq!(compare_file("a.md", Some("one\ntwo\n"), &text("one\ntwo\n")), Ok(true));
    }

    #[test]
    fn a_stale_file_is_named_with_its_first_different_line() {
        let finding = compare_file("a.md", Some("one\ntwo\n"), &text("one\n2\n")).unwrap_err();
        assert!(finding.starts_with("a.md:2:") && finding.contains("--write"), "{finding}");
    }

    #[test]
    fn a_file_cut_short_is_stale() {
        assert!(compare_file("a.md", Some("one\n"), &text("one\ntwo\n")).is_err());
    }

    #[test]
    fn a_page_without_a_file_and_a_file_without_a_page_are_findings() {
        assert!(compare_file("a.md", None, &text("one\n")).is_err());
        assert!(compare_file("a.md", Some("one\n"), &BinaryPage::NotOffered).is_err());
        assert_eq!(compare_file("a.md", None, &BinaryPage::NotOffered), Ok(false));
    }

    #[test]
    fn a_binary_that_fails_is_a_finding() {
        assert!(compare_file("a.md", None, &BinaryPage::Failed("it ended".to_owned())).is_err());
    }
}
