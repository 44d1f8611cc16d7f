//! `cargo xtask faults`: `baton serve` as a real process under repeated system faults.
//!
//! In each round several clients start runs and conversations concurrently while a fault hits the server: a full,
//! broken or stalled disk, a clock that jumps, a tool that never responds, or SIGTERM in the middle of the work. Then
//! the faults end. All acknowledged work must exist, end or wait for a person, and must have acted once. The state of
//! runs is read over HTTP, and the service that the tools call counts their effects. Nothing inspects the internals.
//!
//! A shared library ([`shim`]) injects the faults. It is loaded only into the server.

mod client;
mod liveness;
mod load;
mod modes;
mod random;
mod server;
mod service;
mod shim;
mod trial;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};

use self::modes::ModeTally;
use self::random::SplitMix;
use self::trial::FaultTrial;
use crate::build::{self, BuildSelection, BuiltExecutable};
use crate::report;
use crate::stages::StageClock;
use crate::test::PROFILE;
use crate::workspace::Workspace;

/// Rounds of each mode in `cargo xtask test`.
const SMOKE_ROUNDS: u64 = 3;
/// After this many failed rounds a mode stops.
const FAILURES_MAX: usize = 5;

/// Bring faults of the system over a real server, and look whether everything moves once they end.
///
/// Each round follows from its seed as far as processes let it: `--seed S --rounds 1` plans the same round again. Needs
/// Linux and a C compiler `cc`. Exits 1 where a round failed; its project is kept, and its path is told.
#[derive(Args)]
pub struct FaultsOptions {
    /// Which faults; all unless told.
    modes: Vec<FaultMode>,
    /// Rounds of each.
    #[arg(long, default_value_t = 100)]
    rounds: u64,
    /// The seed of the first round; the next round has the next.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Try this `baton` instead of building one.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Say how each round went.
    #[arg(long, short)]
    verbose: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum FaultMode {
    /// The disk is full, broken or stalled for a while, and well again.
    DiskFull,
    /// The clock steps, by a second to thirty days, forward and back.
    Clock,
    /// SIGTERM while a fault lasts: the server ends within ten seconds, and another goes on.
    Terminate,
    /// A page of the database is zeroed: the server says so or serves, does not spin, and ends when told.
    Damaged,
    /// The database's files are taken away underneath: nothing more is acknowledged that is then lost.
    Moved,
}

impl FaultMode {
    const ALL: [Self; 5] = [Self::DiskFull, Self::Clock, Self::Terminate, Self::Damaged, Self::Moved];

    fn word(self) -> &'static str {
        match self {
            Self::DiskFull => "disk-full",
            Self::Clock => "clock",
            Self::Terminate => "terminate",
            Self::Damaged => "damaged",
            Self::Moved => "moved",
        }
    }
}

pub fn run(options: &FaultsOptions, workspace: &Workspace) -> anyhow::Result<ExitCode> {
    let library = shim::build(workspace.root(), &folder(workspace.root()))?;
    let binary = match &options.binary {
        // The process starts in a different folder, so the path must be absolute.
        Some(named) => std::path::absolute(named)?,
        None => {
            let built =
                build::build(workspace, PROFILE, &BuildSelection::Binary { package: "baton-app", name: "baton" })?;
            build::binary(&built, "baton").context("no binary `baton` was built")?.to_owned()
        }
    };
    let modes = if options.modes.is_empty() { FaultMode::ALL.to_vec() } else { options.modes.clone() };
    let plan = FaultsPlan { root: workspace.root(), binary: &binary, library: &library, verbose: options.verbose };
    let mut is_well = true;
    for mode in modes {
        is_well &= plan.rounds(mode, options.seed, options.rounds)?;
    }
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a few rounds of each mode. The stage is skipped with the reason if the library cannot be built.
pub fn smoke(root: &Path, built: &[BuiltExecutable], stages: &mut StageClock) -> anyhow::Result<()> {
    let binary = build::binary(built, "baton").context("the workspace builds no binary named `baton`")?;
    let library = match shim::build(root, &folder(root)) {
        Ok(library) => library,
        Err(missing) => {
            stages.leave_out("faults", &format!("{missing:#}"));
            return Ok(());
        }
    };
    stages.run("faults", || {
        let plan = FaultsPlan { root, binary, library: &library, verbose: false };
        for mode in FaultMode::ALL {
            ensure!(plan.rounds(mode, 0, SMOKE_ROUNDS)?, "`cargo xtask faults {}` fails", mode.word());
        }
        Ok(())
    })
}

/// The build folder of the library.
fn folder(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from).join("faults")
}

struct FaultsPlan<'a> {
    root: &'a Path,
    binary: &'a Path,
    library: &'a Path,
    verbose: bool,
}

impl FaultsPlan<'_> {
    /// Returns whether all rounds passed. After a failed round the next one starts with a new project.
    fn rounds(&self, mode: FaultMode, seed: u64, rounds: u64) -> anyhow::Result<bool> {
        let began = Instant::now();
        let (mut tally, mut failures, mut done) = (ModeTally::default(), 0, 0);
        let mut trial: Option<FaultTrial> = None;
        for round in seed..seed.saturating_add(rounds) {
            let one = match &mut trial {
                Some(trial) => trial,
                None => trial.insert(FaultTrial::new(self.root, self.binary, self.library)?),
            };
            let from = Instant::now();
            let failed = modes::round(mode, one, round, &mut SplitMix::of(round), &mut tally).err();
            done += 1;
            if self.verbose {
                let word = if failed.is_some() { "FAILED" } else { "well" };
                report::line(format_args!("{:<10} seed {round}: {word} in {:.1?}", mode.word(), from.elapsed()));
            }
            if let Some(failed) = failed {
                failures += 1;
                let kept = trial.take().map(FaultTrial::keep).unwrap_or_default();
                report::line(format_args!(
                    "FAILED: `cargo xtask faults {} --seed {round} --rounds 1`: {failed:#}\n  the project is kept at {}",
                    mode.word(),
                    kept.display()
                ));
                if failures >= FAILURES_MAX {
                    report::line(format_args!("{} is not gone on with after {failures} failures", mode.word()));
                    break;
                }
            }
            if mode == FaultMode::Moved {
                trial = None;
            }
        }
        report::line(format_args!(
            "{:<10} {done} rounds, {failures} failed, in {:.0?}: {tally}",
            mode.word(),
            began.elapsed()
        ));
        Ok(failures == 0)
    }
}
