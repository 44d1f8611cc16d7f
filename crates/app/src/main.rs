//! The binary: configuration, command line and wiring. The only crate that depends on all other crates.

mod bench;
mod call_failure;
mod cli;
mod commands;
mod config;
mod consumer_key;
mod file_size_limit;
mod metrics;
mod print;
mod progress;
mod project;
mod shutdown;
mod sources;
mod traces;
mod usage_error;
mod vault;
mod wiring;

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
