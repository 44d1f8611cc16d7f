//! The binary in the hands of a new user: the demo and a short bench, each in an empty folder.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::bench;
use crate::build::{self, BuiltExecutable};
use crate::process;
use crate::report;
use crate::stages::StageClock;

/// The demo takes seconds.
const DEMO_LIMIT: Duration = Duration::from_secs(3 * 60);

/// `bench --smoke` checks that every case works, not how fast it is. So do the HTTP and model benchmarks after it.
const BENCH_LIMIT: Duration = Duration::from_secs(10 * 60);

/// An existing subcommand answers `--help` immediately.
const HELP_LIMIT: Duration = Duration::from_secs(30);

/// The folder of the binary's subcommands, one file each.
const COMMANDS: &str = "crates/app/src/commands";

/// Maximum number of lines of a failed run to print. The last ones are the most useful.
const LINES_SHOWN_MAX: usize = 80;

/// Runs the subcommands that exist in the tree. A subcommand exists if its source file does, so one that stops working
/// fails here and is not silently skipped.
pub fn run(root: &Path, built: &[BuiltExecutable], stages: &mut StageClock) -> anyhow::Result<()> {
    for (stage, arguments, limit) in
        [("demo", &["demo"][..], DEMO_LIMIT), ("bench smoke", &["bench", "--smoke"][..], BENCH_LIMIT)]
    {
        let verb = arguments[0];
        let baton = build::binary(built, "baton").context("the workspace builds no binary named `baton`")?;
        if root.join(COMMANDS).join(format!("{verb}.rs")).is_file() || offers(baton, verb)? {
            stages.run(stage, || {
                smoke(baton, arguments, limit)?;
                if verb != "bench" {
                    return Ok(());
                }
                bench::http::smoke(baton)?;
                bench::models::smoke(baton)
            })?;
        } else {
            stages.leave_out(stage, &format!("this tree's binary has no `baton {verb}`"));
        }
    }
    Ok(())
}

/// Whether the binary has that subcommand. Its help page then names it.
fn offers(baton: &Path, subcommand: &str) -> anyhow::Result<bool> {
    let finished = process::run_within(Command::new(baton).args([subcommand, "--help"]), HELP_LIMIT)?;
    Ok(finished.status.success() && finished.stdout.contains(subcommand))
}

fn smoke(baton: &Path, arguments: &[&str], limit: Duration) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut command = Command::new(baton);
    command.args(arguments).current_dir(folder.path());
    let finished = process::run_within(&mut command, limit)?;
    if finished.status.success() {
        return Ok(());
    }
    let told = finished.combined_output();
    let lines: Vec<&str> = told.lines().collect();
    for line in &lines[lines.len().saturating_sub(LINES_SHOWN_MAX)..] {
        report::line(line);
    }
    bail!("`{}` ended with {}", process::command_line(&command), finished.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_that_says_nothing_offers_nothing() {
        assert!(!offers(Path::new("true"), "demo").unwrap());
        assert!(!offers(Path::new("false"), "demo").unwrap());
        assert!(offers(Path::new("echo"), "demo").unwrap());
    }

    #[test]
    fn a_failing_run_fails_the_smoke() {
        assert!(smoke(Path::new("true"), &["demo"], HELP_LIMIT).is_ok());
        let error = smoke(Path::new("false"), &["demo"], HELP_LIMIT).unwrap_err().to_string();
        assert!(error.contains("false demo"), "{error}");
    }
}
