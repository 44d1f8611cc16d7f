//! `cargo xtask fuzz`: fuzzing for any length of time, on stable Rust.
//!
//! A fuzz target is an ordinary test file named `fuzz_*` in a package's `tests` folder. CONTRIBUTING.md defines the
//! contract, which is checked here: a target that reports no executions, or zero executions, has failed.

use std::num::NonZero;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use crate::build::{self, BuildSelection, BuiltExecutable, ExecutableKind};
use crate::process;
use crate::report;
use crate::test::PROFILE;
use crate::workspace::Workspace;

/// Default duration of one target.
pub const SECONDS: u64 = 60;

/// The prefix of a target's name.
const PREFIX: &str = "fuzz_";

/// The variable that sets a target's duration.
const VARIABLE: &str = "BATON_FUZZ_SECONDS";

/// The variable that sets the seed to repeat.
const SEED: &str = "BATON_FUZZ_SEED";

/// Extra time of a target, to start and to shrink a failing input. A target that takes longer hangs on an input.
const GRACE: Duration = Duration::from_secs(120);

/// Run the fuzz targets and report how many inputs each tried.
#[derive(Args)]
pub struct FuzzOptions {
    /// Only targets whose name contains this.
    filter: Option<String>,
    /// Seconds for each target.
    #[arg(long, default_value_t = SECONDS, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Repeat the inputs of this seed, as a failure printed it.
    #[arg(long, value_name = "X")]
    seed: Option<u64>,
}

pub fn run(options: &FuzzOptions, workspace: &Workspace) -> anyhow::Result<ExitCode> {
    let wanted =
        |name: &str| name.starts_with(PREFIX) && options.filter.as_ref().is_none_or(|part| name.contains(part));
    let metadata = workspace.members()?;
    let mut built = Vec::new();
    for package in metadata.members() {
        for target in package.targets.iter().filter(|target| target.is("test") && wanted(&target.name)) {
            let selection = BuildSelection::Test { package: &package.name, name: &target.name };
            built.extend(build::build(workspace, PROFILE, &selection)?);
        }
    }
    let targets: Vec<&BuiltExecutable> = among(&built).collect();
    if targets.is_empty() {
        bail!(
            "no test file named {PREFIX}* {}",
            options.filter.as_ref().map_or(String::new(), |part| format!("with `{part}` in it"))
        );
    }
    run_all(&targets, options.seconds, options.seed)?;
    Ok(ExitCode::SUCCESS)
}

/// The fuzz targets among the executables.
pub fn among(built: &[BuiltExecutable]) -> impl Iterator<Item = &BuiltExecutable> {
    built.iter().filter(|one| one.kind == ExecutableKind::Test && one.name.starts_with(PREFIX))
}

/// Runs each target for the given time, as many in parallel as there are cores. Starts no further target after one has
/// failed.
pub fn run_all(targets: &[&BuiltExecutable], seconds: u64, seed: Option<u64>) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let next = AtomicUsize::new(0);
    let worker = || {
        while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
            fuzz(target, seconds, seed).inspect_err(|_| next.store(targets.len(), Ordering::Relaxed))?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores.min(targets.len())).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .try_for_each(|one| one.join().unwrap_or_else(|_| bail!("a thread that runs fuzz targets panicked")))
    })
}

fn fuzz(target: &BuiltExecutable, seconds: u64, seed: Option<u64>) -> anyhow::Result<()> {
    let mut command = Command::new(&target.path);
    command.args(["--nocapture", "--test-threads", "1"]).current_dir(&target.folder).env(VARIABLE, seconds.to_string());
    if let Some(seed) = seed {
        command.env(SEED, seed.to_string());
    }
    let finished = process::run_within(&mut command, Duration::from_secs(seconds) + GRACE)
        .with_context(|| format!("fuzz target `{}` hangs on an input", target.name))?;
    if !finished.status.success() {
        report::line(finished.combined_output().trim_end());
        bail!("fuzz target `{}` found something: what it printed is above", target.name);
    }
    match executions(&finished.stdout) {
        Some(count) if count > 0 => {
            report::line(format_args!("  {:<24} {count:>12} executions in {seconds} s", target.name));
            Ok(())
        }
        _ => bail!(
            "fuzz target `{}` does not say what it did: it prints one line `fuzz NAME: N executions` (CONTRIBUTING.md)",
            target.name
        ),
    }
}

/// The sum over lines like `fuzz definitions: 1234 executions`, which libtest may prefix with other words.
fn executions(told: &str) -> Option<u64> {
    let counts = told.lines().filter_map(|line| {
        let (before, _) = line.split_once(" executions")?;
        let (name, count) = before.rsplit_once(": ")?;
        name.contains("fuzz ").then(|| count.parse::<u64>().ok())?
    });
    counts.reduce(u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn executions_are_read_from_a_target_and_summed() {
        assert_eq!(executions("running 1 test\nfuzz codec: 1234 executions\ntest result: ok\n"), Some(1234));
        assert_eq!(executions("test a ... fuzz codec: 2 executions\nfuzz codec: 3 executions in 1 s\n"), Some(5));
    }

    #[test]
    fn a_target_that_says_nothing_is_not_counted() {
        assert_eq!(executions("running 1 test\ntest result: ok\n"), None);
        assert_eq!(executions("fuzz codec: many executions\n"), None);
        assert_eq!(executions("no executions\n"), None);
    }

    /// Uses scripts in place of compiled targets, run in the given folder.
    fn outcome_of(scripts: &[&str], folder: &Path) -> Result<(), String> {
        use std::os::unix::fs::PermissionsExt;
        let place = |(number, script): (usize, &&str)| {
            let (name, folder) = (format!("fuzz_script_{number}"), folder.to_owned());
            let path = folder.join(&name);
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            BuiltExecutable { name, kind: ExecutableKind::Test, path, folder }
        };
        let targets: Vec<BuiltExecutable> = scripts.iter().enumerate().map(place).collect();
        run_all(&targets.iter().collect::<Vec<_>>(), 7, Some(11)).map_err(|error| error.to_string())
    }

    fn outcome(script: &str) -> Result<(), String> {
        outcome_of(&[script], tempfile::tempdir().unwrap().path())
    }

    #[test]
    fn a_target_is_told_its_time_and_its_seed() {
        let script = "[ $BATON_FUZZ_SECONDS = 7 ] && [ $BATON_FUZZ_SEED = 11 ] && echo 'fuzz script: 5 executions'";
        assert_eq!(outcome(script), Ok(()));
    }

    #[test]
    fn a_target_that_fails_idles_or_is_silent_has_failed() {
        assert!(outcome("exit 101").unwrap_err().contains("found something"));
        assert!(outcome("echo 'fuzz script: 0 executions'").unwrap_err().contains("does not say"));
        assert!(outcome("true").unwrap_err().contains("does not say"));
    }

    #[test]
    fn every_target_is_run_and_one_that_fails_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let counts = "echo ran >> ran.txt && echo 'fuzz script: 5 executions'";
        assert_eq!(outcome_of(&[counts; 5], folder.path()), Ok(()));
        assert_eq!(std::fs::read_to_string(folder.path().join("ran.txt")).unwrap().lines().count(), 5);
        let failed = outcome_of(&[counts, counts, "exit 101", counts], folder.path()).unwrap_err();
        assert!(failed.contains("`fuzz_script_2` found something"), "{failed}");
        assert_eq!(outcome_of(&[], folder.path()), Ok(()));
    }
}
