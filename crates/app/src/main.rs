//! The binary: configuration, command line, wiring. The only room that knows all rooms.

mod bench;
mod cli;
mod commands;
mod config;
mod ending;
mod key;
mod limits;
mod metrics;
mod misuse;
mod one_call;
mod print;
mod project;
mod sources;
mod told;
mod traces;
mod vault;
mod wire;

use std::process::ExitCode;

use clap::Parser;

pub use misuse::Misuse;

/// Requests take and give back many small pieces of memory, on all processors.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let logs = print::telemetry(matches!(cli.command, cli::Command::Serve(_)));
    match logs.map_err(Into::into).and_then(|()| commands::run(cli)) {
        Ok(exit) => exit.into(),
        Err(error) => {
            print::error(&error);
            Exit::of(&error).into()
        }
    }
}

/// How a command ended, for programs that call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
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

impl Exit {
    fn of(error: &anyhow::Error) -> Self {
        if error.is::<Misuse>() {
            Self::Usage
        } else if error.is::<ending::Unfinished>() {
            Self::Unfinished
        } else {
            Self::Failed
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
