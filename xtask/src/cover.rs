//! `cargo xtask cover`: line coverage of the tests.

use std::process::ExitCode;

use clap::Args;

use crate::process;
use crate::report;
use crate::workspace::Workspace;

/// Report which lines the tests walk, per file. Needs `cargo-llvm-cov`; exits 2 when it is not installed.
///
/// This is line cover. That every (state, command) pair of a run is walked or refused is a test of its own in `core`.
#[derive(Args)]
pub struct CoverOptions {
    /// Also write a page to read, under `target/llvm-cov/html`.
    #[arg(long)]
    html: bool,
    /// Only tests whose name contains this.
    filter: Option<String>,
}

pub fn run(options: &CoverOptions, workspace: &Workspace) -> anyhow::Result<ExitCode> {
    if !process::is_installed(&mut workspace.cargo(["llvm-cov", "--version"])) {
        report::stderr_line("error: cargo-llvm-cov is not installed");
        report::stderr_line("hint: `cargo install --locked cargo-llvm-cov` and `rustup component add llvm-tools`");
        return Ok(ExitCode::from(crate::EXIT_USAGE));
    }
    let mut command = workspace.cargo(["llvm-cov", "--workspace"]);
    command.args(options.html.then_some("--html"));
    if let Some(filter) = &options.filter {
        command.args(["--", filter]);
    }
    process::run(&mut command)?;
    Ok(ExitCode::SUCCESS)
}
