//! `cargo xtask sim`: searches the seeds of the simulation for a failing run.

use std::path::Path;
use std::process::{Command, ExitCode};

use clap::Args;

use crate::build::{self, BuildSelection};
use crate::process;
use crate::test::PROFILE;
use crate::workspace::Workspace;

/// The binary of package `baton-sim`, which takes the same flags as this verb.
pub const BINARY: &str = "baton-sim";

/// Search seeds for a violation, repeat one seed, or prove that planted mutants are found.
///
/// Built with the optimised `ci` profile. A violation prints the seed that repeats it and exits 1. After a search the
/// coverage table is printed, and from 20,000 seeds on an empty cell is a failure too. The million seeds of a release:
/// `cargo xtask sim --seeds 1000000`. What the build machine does: `cargo xtask sim --minutes 5`, then
/// `cargo xtask sim --mutants`.
#[derive(Args)]
pub struct SimOptions {
    /// How many seeds to search.
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// Run this one seed and tell its story.
    #[arg(long, value_name = "X", conflicts_with_all = ["seeds", "mutants", "minutes"])]
    seed: Option<u64>,
    /// Plant each mutant in turn; every one must be found.
    #[arg(long)]
    mutants: bool,
    /// Stop searching after so many minutes, however many seeds that is.
    #[arg(long, value_name = "M")]
    minutes: Option<u32>,
    /// What else to hand to the simulation, behind `--`.
    #[arg(last = true)]
    rest: Vec<String>,
}

impl SimOptions {
    /// The simulation's own arguments.
    fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut flag = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                arguments.extend([name.to_owned(), value]);
            }
        };
        flag("--seeds", self.seeds.map(|seeds| seeds.to_string()));
        flag("--seed", self.seed.map(|seed| seed.to_string()));
        flag("--minutes", self.minutes.map(|minutes| minutes.to_string()));
        arguments.extend(self.mutants.then(|| "--mutants".to_owned()));
        arguments.extend(self.rest.iter().cloned());
        arguments
    }
}

pub fn run(options: &SimOptions, workspace: &Workspace) -> anyhow::Result<ExitCode> {
    let package = BuildSelection::Binary { package: "baton-sim", name: BINARY };
    let built = build::build(workspace, PROFILE, &package)?;
    let Some(binary) = build::binary(&built, BINARY) else {
        anyhow::bail!("package `baton-sim` built no binary `{BINARY}`");
    };
    let status = process::status(Command::new(binary).current_dir(workspace.root()).args(options.arguments()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Tries seeds from 0 upwards for a number of minutes, with a binary that is already built.
pub fn search(binary: &Path, minutes: u32) -> anyhow::Result<()> {
    process::run(Command::new(binary).args(["--minutes", &minutes.to_string()]))
}

/// Runs each mutant in turn, with a binary that is already built. Every one must be detected.
pub fn mutants(binary: &Path) -> anyhow::Result<()> {
    process::run(Command::new(binary).arg("--mutants"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct SimCommandLine {
        #[command(flatten)]
        options: SimOptions,
    }

    fn arguments(line: &[&str]) -> Vec<String> {
        SimCommandLine::try_parse_from(std::iter::once(&"sim").chain(line)).unwrap().options.arguments()
    }

    #[test]
    fn the_flags_are_handed_on() {
        assert_eq!(arguments(&["--seeds", "9", "--minutes", "5"]), ["--seeds", "9", "--minutes", "5"]);
        assert_eq!(arguments(&["--mutants"]), ["--mutants"]);
        assert_eq!(arguments(&["--seed", "7", "--", "--verbose"]), ["--seed", "7", "--verbose"]);
    }

    #[test]
    fn one_seed_goes_with_no_search() {
        assert!(SimCommandLine::try_parse_from(["sim", "--seed", "7", "--seeds", "9"]).is_err());
    }
}
