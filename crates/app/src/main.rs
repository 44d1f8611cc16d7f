//! The binary: configuration, command line, wiring. The only room that knows all rooms.

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

/// Requests take and give back many small pieces of memory, on all processors.
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

/// How a command ended, for programs that call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandExit {
    /// The run completed, the check passed, the question was answered.
    Completed = 0,
    Failed = 1,
    /// Wrong usage, or a definition that cannot be used.
    Usage = 2,
    /// The run waits: for a person, a message, a timer.
    Waiting = 3,
    /// Told to stop, and ended before everything was given back: the time was up, it was told twice, or the store failed.
    Unfinished = 4,
    /// Stopped by hand (Ctrl-C), as shells number it.
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
