//! The project's own tool: lints, tests, simulation and measurements, the same on every machine.
//!
//! It depends on no product crate. It runs `cargo`, `git` and the `baton` binary as processes and reads what they print,
//! so that a crate that does not compile never stops the tool that reports it.
//!
//! Start at [`XtaskCommand`]. Each verb has a file of its own, and gets the [`Workspace`] that it works on.
//!
//! Deliberately absent: anything the product needs at run time, and network code except for the load generators and
//! mocks of benchmarks and fault tests.

// The commands, one file each.
mod bench;
mod cover;
mod faults;
mod fuzz;
mod lints;
mod measure;
mod sim;
mod test;

// The project: its location, its builds, and its sources.
mod build;
mod code;
mod metadata;
mod page;
mod workspace;

// Running programs, and reporting on them.
mod process;
mod report;
mod stages;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Incorrect usage, or a required tool is not installed. The same number as in the `baton` binary.
const EXIT_USAGE: u8 = 2;

/// Checks, tests and measures Baton.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 100)]
struct XtaskCli {
    #[command(subcommand)]
    verb: XtaskCommand,
}

#[derive(Subcommand)]
enum XtaskCommand {
    Lint(lints::LintOptions),
    Test(test::TestOptions),
    Sim(sim::SimOptions),
    Faults(faults::FaultsOptions),
    Bench(bench::BenchOptions),
    #[command(hide = true)]
    MockModel(bench::models::mock::MockModelOptions),
    Measure(measure::MeasureOptions),
    Cover(cover::CoverOptions),
    Fuzz(fuzz::FuzzOptions),
}

fn main() -> ExitCode {
    let cli = XtaskCli::parse();
    match run(&cli.verb) {
        Ok(code) => code,
        Err(error) => {
            report::error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(verb: &XtaskCommand) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::locate()?;
    match verb {
        XtaskCommand::Lint(options) => lints::run(options, &workspace),
        XtaskCommand::Test(options) => test::run(options, &workspace),
        XtaskCommand::Sim(options) => sim::run(options, &workspace),
        XtaskCommand::Faults(options) => faults::run(options, &workspace),
        XtaskCommand::Bench(options) => bench::run(options, &workspace),
        XtaskCommand::MockModel(options) => bench::models::mock::serve(options),
        XtaskCommand::Measure(options) => measure::run(options, &workspace),
        XtaskCommand::Cover(options) => cover::run(options, &workspace),
        XtaskCommand::Fuzz(options) => fuzz::run(options, &workspace),
    }
}
