//! The project's own tool: walls, tests, simulation and figures, the same on every machine.
//!
//! It has no arrow to a product room. What it knows of Baton it learns as anyone outside does: by running `cargo`,
//! `git` and the `baton` binary as processes and reading what they print. So a broken room never stops the tool that
//! would say which room is broken.
//!
//! The way in is [`Verb`]; each verb has a file of its own. Deliberately absent: anything the product needs at run time,
//! and network code but for the load and the mocks of measurements and of faults.

mod bench;
mod build;
mod code;
mod cover;
mod faults;
mod fuzz;
mod measure;
mod metadata;
mod page;
mod process;
mod report;
mod sim;
mod stages;
mod test;
mod walls;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Wrong usage, or a tool this verb cannot do without is not installed. The same number the `baton` binary uses.
const EXIT_USAGE: u8 = 2;

/// Checks, tests and measures Baton.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Walls(walls::Options),
    Test(test::Options),
    Sim(sim::Options),
    Faults(faults::Options),
    Bench(bench::Options),
    #[command(hide = true)]
    MockModel(bench::models::mock::Options),
    Measure(measure::Options),
    Cover(cover::Options),
    Fuzz(fuzz::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli.verb) {
        Ok(code) => code,
        Err(error) => {
            report::error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(verb: &Verb) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::locate()?;
    match verb {
        Verb::Walls(options) => walls::run(options, &workspace),
        Verb::Test(options) => test::run(options, &workspace),
        Verb::Sim(options) => sim::run(options, &workspace),
        Verb::Faults(options) => faults::run(options, &workspace),
        Verb::Bench(options) => bench::run(options, &workspace),
        Verb::MockModel(options) => bench::models::mock::serve(options),
        Verb::Measure(options) => measure::run(options, &workspace),
        Verb::Cover(options) => cover::run(options, &workspace),
        Verb::Fuzz(options) => fuzz::run(options, &workspace),
    }
}
