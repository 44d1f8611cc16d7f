//! `cargo xtask bench tools`: the cost of the tool call pipeline without the journal, and of a catalogue with 10,000
//! tools.
//!
//! The benchmark measures the shipped build, profile `dist`. The profile `release` inlines less between crates, and is
//! not distributed.

use std::process::ExitCode;

use clap::Args;

use crate::process;
use crate::report;
use crate::workspace::Workspace;

/// Measure what the pipeline adds to a tool call with every stage on: check, permit, perform, audit row. And how long a
/// catalogue of 10,000 tools takes to be listed and searched.
#[derive(Args)]
pub struct ToolBenchOptions {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(options: &ToolBenchOptions, workspace: &Workspace) -> anyhow::Result<ExitCode> {
    let mut command = workspace.cargo([
        "bench",
        "--quiet",
        "--profile",
        "dist",
        "--package",
        "baton-tools",
        "--bench",
        "pipeline",
        "--",
    ]);
    if options.json {
        command.arg("--json");
    }
    report::line(process::output(&mut command)?.trim_end());
    Ok(ExitCode::SUCCESS)
}
