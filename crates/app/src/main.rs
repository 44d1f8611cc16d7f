//! The binary: configuration, command line and wiring. The only crate that depends on all other crates.
//!
//! Start at [`cli::CliCommand`]: each command has a file in [`commands`]. [`project::Project`] reads a project folder,
//! and [`wiring::ProjectSystem`] puts the store, the tools, the models, memory and an engine together for it.
//!
//! Deliberately absent: decisions about a run, and HTTP handlers. Other crates have them; the app chooses their
//! implementations and settings.

// The command line.
mod cli;
mod commands;

// A project: its files, its settings, and the crates wired together for it.
mod config;
mod project;
mod wiring;

// Secrets, and tool sources that change while the system runs.
mod consumer_key;
mod sources;
mod vault;

// Output for people, and errors in their input.
mod call_failure;
mod print;
mod progress;
mod usage_error;

// The process: metrics, traces, limits of the system, shutdown.
mod file_size_limit;
mod metrics;
mod shutdown;
mod traces;

// The benchmark.
mod bench;

use std::process::ExitCode;

use clap::Parser;

pub use usage_error::UsageError;

/// Requests allocate and free many small blocks on all processors.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::BatonCli::parse();
    let logs = print::telemetry(matches!(cli.command, cli::CliCommand::Serve(_)));
    match logs.map_err(Into::into).and_then(|()| commands::run(cli)) {
        Ok(exit) => exit.into(),
        Err(error) => {
            print::error(&error);
            CommandExit::of(&error).into()
        }
    }
}

/// How a command ended. Programs read it as the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandExit {
    /// The run completed, the check passed, or the query succeeded.
    Completed = 0,
    Failed = 1,
    /// Incorrect usage, or an invalid definition.
    Usage = 2,
    /// The run waits for a person, a message or a timer.
    Waiting = 3,
    /// Asked to stop, and ended before everything was released: the time limit passed, a second signal arrived, or the
    /// store failed.
    Unfinished = 4,
    /// Interrupted by the user (Ctrl-C). The number is the one that shells use.
    Stopped = 130,
}

impl CommandExit {
    fn of(error: &anyhow::Error) -> Self {
        if error.is::<UsageError>() {
            Self::Usage
        } else if error.is::<shutdown::UncleanShutdown>() {
            Self::Unfinished
        } else {
            Self::Failed
        }
    }
}

impl From<CommandExit> for ExitCode {
    fn from(exit: CommandExit) -> Self {
        Self::from(exit as u8)
    }
}
