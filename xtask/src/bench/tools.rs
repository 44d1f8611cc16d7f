//! `cargo xtask bench tools`: what the pipeline of tool calls costs, without the journal, and a catalogue of 10,000 tools.
//!
//! Measured is what is shipped, the profile `dist`: `release` has less inlined between rooms, and nobody is handed it.

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
