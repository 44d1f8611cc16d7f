//! `cargo xtask test`: every test, and everything a test needs built, in one command.

mod api;
mod certificates;
mod chroma;
mod clients;
mod closing_lines;
mod generated;
mod mail;
mod mcp;
mod openapi;
mod page;
mod postgres;
mod radicale;
mod server_process;
mod smoke;
mod system;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use crate::build::{self, BuildSelection, BuiltExecutable};
use crate::faults;
use crate::fuzz;
use crate::process;
use crate::report;
use crate::sim;
use crate::stages::StageClock;
use crate::workspace::Workspace;

use self::postgres::PostgresServer;
use self::radicale::RadicaleServer;

/// The optimised profile without debug information that tests, demo and bench smoke share.
pub const PROFILE: &str = "ci";

/// Minutes of simulation: as many seeds as fit, from seed 0 upwards. The documented million is `cargo xtask sim --seeds
/// 1000000`.
const SIM_MINUTES: u32 = 5;

/// Run every test: unit tests, test files, documentation, then simulation and its mutants, fuzz targets, demo and bench
/// smoke.
///
/// The simulation runs for five minutes from seed 0 on, and every mutant must be found. The million seeds of a release
/// are `cargo xtask sim --seeds 1000000`.
///
/// Uses `cargo nextest` where it is installed, else `cargo test`. A part this tree does not have yet is named in the
/// table as left out. Ends with the test runner's own closing lines; exits 0 when all passed, 1 when anything failed.
#[derive(Args)]
pub struct TestOptions {
    /// Only unit tests and test files: no documentation, simulation, fuzz targets, demo or bench.
    #[arg(long)]
    quick: bool,
    /// Only tests whose name contains this; implies `--quick`.
    filter: Option<String>,
}

pub fn run(options: &TestOptions, workspace: &Workspace) -> anyhow::Result<ExitCode> {
    let mut stages = StageClock::default();
    let mut closing = Vec::new();
    let result = stages_of(options, workspace, &mut stages, &mut closing);
    report::line(format_args!("\n{}\n", stages.table()));
    if let Err(error) = &result {
        report::line(format_args!("FAILED: {error:#}"));
    }
    for line in closing {
        report::line(line);
    }
    Ok(if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the stages until one fails. The runner's closing lines are returned separately, whatever happens after them.
fn stages_of(
    options: &TestOptions,
    workspace: &Workspace,
    stages: &mut StageClock,
    closing: &mut Vec<String>,
) -> anyhow::Result<()> {
    let built = stages.run("build", || build::build(workspace, PROFILE, &BuildSelection::Everything))?;
    let runner = TestRunner::find(workspace);
    let radicale = servers(workspace, stages);
    let postgres = database(stages);
    let of_postgres = postgres.iter().flat_map(|server| server.variables().to_vec());
    let variables = radicale.iter().map(RadicaleServer::variable).chain(of_postgres).collect();
    stages.run("tests", || runner.run(workspace, options.filter.as_deref(), variables, closing))?;
    drop((radicale, postgres));
    if options.quick || options.filter.is_some() {
        return Ok(());
    }
    if matches!(runner, TestRunner::Nextest) {
        stages.run("doc tests", || documentation(workspace))?;
    }
    match build::binary(&built, sim::BINARY) {
        Some(binary) => {
            stages.run("sim", || sim::search(binary, SIM_MINUTES))?;
            stages.run("mutants", || sim::mutants(binary))?;
        }
        None => stages.leave_out("sim", &format!("no binary `{}` in this tree", sim::BINARY)),
    }
    fuzz_targets(&built, stages)?;
    smoke::run(workspace.root(), &built, stages)?;
    faults::smoke(workspace.root(), &built, stages)?;
    clients::run(workspace.root(), &built, stages)?;
    chroma::run(&built, stages)?;
    mail::run(workspace.root(), &built, stages)?;
    mcp::run(workspace.root(), &built, stages)?;
    openapi::run(&built, stages)?;
    api::run(workspace.root(), &built, stages)?;
    generated::run(workspace.root(), &built, stages)?;
    page::run(workspace, &built, stages)
}

/// The server for calendar tests. They skip themselves if there is none.
fn servers(workspace: &Workspace, stages: &mut StageClock) -> Option<RadicaleServer> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.root().join("target"), PathBuf::from);
    match RadicaleServer::start(&target.join("test-servers")) {
        Ok(radicale) => Some(radicale),
        Err(missing) => {
            stages.leave_out("radicale", &format!("{missing:#}"));
            None
        }
    }
}

/// The server for query tests. They report that and pass if there is none.
fn database(stages: &mut StageClock) -> Option<PostgresServer> {
    match PostgresServer::start() {
        Ok(server) => Some(server),
        Err(missing) => {
            stages.leave_out("postgres", &format!("{missing:#}"));
            None
        }
    }
}

fn fuzz_targets(built: &[BuiltExecutable], stages: &mut StageClock) -> anyhow::Result<()> {
    let targets: Vec<&BuiltExecutable> = fuzz::among(built).collect();
    if targets.is_empty() {
        stages.leave_out("fuzz", "no test file named fuzz_* in this tree");
        return Ok(());
    }
    stages.run("fuzz", || fuzz::run_all(&targets, fuzz::SECONDS, None))
}

/// The test runner.
enum TestRunner {
    Nextest,
    /// Plain `cargo test`, which runs documentation tests as well.
    Cargo,
}

impl TestRunner {
    fn find(workspace: &Workspace) -> Self {
        if process::is_installed(&mut workspace.cargo(["nextest", "--version"])) {
            return Self::Nextest;
        }
        report::line(
            "cargo-nextest is not installed, so `cargo test` runs the tests: `cargo install --locked cargo-nextest`",
        );
        Self::Cargo
    }

    fn run(
        &self,
        workspace: &Workspace,
        filter: Option<&str>,
        variables: Vec<(&str, String)>,
        closing: &mut Vec<String>,
    ) -> anyhow::Result<()> {
        let mut command = match self {
            Self::Nextest => {
                workspace.cargo(["nextest", "run", "--cargo-profile", PROFILE, "--workspace", "--no-fail-fast"])
            }
            Self::Cargo => workspace.cargo(["test", "--profile", PROFILE, "--workspace", "--no-fail-fast"]),
        };
        command.args(filter).envs(variables);
        let finished = process::echo(&mut command)?;
        *closing = match self {
            Self::Nextest => closing_lines::of_nextest(&finished.stderr),
            Self::Cargo => closing_lines::of_cargo(&finished.stdout),
        };
        if !finished.status.success() {
            bail!("`{}` ended with {}", process::command_line(&command), finished.status);
        }
        Ok(())
    }
}

/// Each package prints a line even if it has nothing to run, so the output is shown only on failure.
fn documentation(workspace: &Workspace) -> anyhow::Result<()> {
    let mut command = workspace.cargo(["test", "--quiet", "--doc", "--profile", PROFILE, "--workspace"]);
    let finished = process::capture(&mut command)?;
    if !finished.status.success() {
        report::line(finished.combined_output().trim_end());
        bail!("`{}` ended with {}", process::command_line(&command), finished.status);
    }
    closing_lines::of_cargo(&finished.stdout).iter().filter(|line| !line.contains(" 0 passed")).for_each(report::line);
    Ok(())
}
