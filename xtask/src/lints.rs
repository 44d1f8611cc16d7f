//! `cargo xtask lint`: what must hold for every commit, beyond that it compiles and its tests pass.

mod arrows;
mod clippy;
mod generated;
mod licences;
mod page;
mod purity;
mod sources;
mod spdx;

use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, ValueEnum};

use crate::report;
use crate::workspace::Workspace;

/// Findings shown per lint; a lint that fails everywhere should not bury the others.
const FINDINGS_SHOWN_MAX: usize = 60;

/// Check the lints: arrows between crates, purity, generated files, source rules, clippy, licences.
///
/// Exits with 0 when all pass and with 1 when one fails. A missing `rustfmt` or `clippy` is reported, and fails only
/// where the variable CI is set.
#[derive(Args)]
pub struct LintOptions {
    /// Check only these lints (repeat, or separate by commas).
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<LintName>,
    /// Write the generated files instead of comparing them.
    #[arg(long)]
    write: bool,
    /// The cargo profile for clippy and for the binary that generates files. `.ci/run` says `ci`, which shares build
    /// scripts and procedural macros with the tests.
    #[arg(long, default_value = "dev")]
    profile: String,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
enum LintName {
    /// Which crate may depend on which, as in ARCHITECTURE.md.
    Arrows,
    /// What `core` and `agents` may depend on transitively.
    Purity,
    /// File names, words and type names that are not allowed, machine paths.
    Sources,
    /// Licences and origins of dependencies.
    Licences,
    /// `cargo fmt --check`.
    Format,
    /// `cargo clippy`, warnings denied.
    Clippy,
    /// The web page is formatted, tested, and committed as it is built.
    Page,
    /// Reference files that the binary writes.
    Generated,
}

/// The result of one lint.
enum LintOutcome {
    Passed(String),
    /// Nothing was checked, with the reason.
    Skipped(String),
    /// One text per finding. Each names the item, the place and how to fix it.
    Failed(Vec<String>),
}

impl LintOutcome {
    /// Passed where there are no findings.
    fn from_findings(findings: Vec<String>, note: String) -> Self {
        if findings.is_empty() { Self::Passed(note) } else { Self::Failed(findings) }
    }
}

pub fn run(options: &LintOptions, workspace: &Workspace) -> anyhow::Result<ExitCode> {
    let chosen = |name: &LintName| options.only.is_empty() || options.only.contains(name);
    let mut failed = Vec::new();
    for name in LintName::value_variants().iter().copied().filter(chosen) {
        let started = Instant::now();
        let outcome = check(name, options, workspace)?;
        let word = word(name);
        let seconds = started.elapsed().as_secs_f64();
        match outcome {
            LintOutcome::Passed(note) => report::line(format_args!("  passed   {word:<10} {seconds:>6.1} s  {note}")),
            LintOutcome::Skipped(why) => report::line(format_args!("  skipped  {word:<10} {seconds:>6.1} s  {why}")),
            LintOutcome::Failed(findings) => {
                report::line(format_args!("  FAILED   {word:<10} {seconds:>6.1} s  {} found", findings.len()));
                show(&findings);
                failed.push(word);
            }
        }
    }
    if failed.is_empty() {
        report::line("lints: all passed");
        return Ok(ExitCode::SUCCESS);
    }
    report::line(format_args!("lints: failed: {}", failed.join(", ")));
    Ok(ExitCode::FAILURE)
}

fn check(name: LintName, options: &LintOptions, workspace: &Workspace) -> anyhow::Result<LintOutcome> {
    match name {
        LintName::Arrows => arrows::check(workspace),
        LintName::Purity => purity::check(workspace),
        LintName::Sources => sources::check(workspace),
        LintName::Licences => licences::check(workspace),
        LintName::Format => clippy::format(workspace),
        LintName::Clippy => clippy::clippy(workspace, &options.profile),
        LintName::Page => page::check(workspace, options.write),
        LintName::Generated => generated::check(workspace, &options.profile, options.write),
    }
}

fn show(findings: &[String]) {
    for finding in findings.iter().take(FINDINGS_SHOWN_MAX) {
        report::line(format_args!("    {}", finding.replace('\n', "\n      ")));
    }
    if findings.len() > FINDINGS_SHOWN_MAX {
        report::line(format_args!("    … and {} more", findings.len() - FINDINGS_SHOWN_MAX));
    }
}

/// The lint's name as `--only` takes it.
fn word(name: LintName) -> String {
    name.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}
