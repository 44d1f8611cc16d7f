//! How a child died.

use std::process::ExitStatus;

use baton_core::agent::ProgramOutcome;
use baton_core::fault::Fault;
use baton_ports::sandbox::SandboxLimits;

use super::fault;
use super::frame::ProgramFailureKind;
use super::segment::failed;
use crate::code;

/// Maximum number of bytes of the child's standard error that are read.
pub(super) const STDERR_BYTES_MAX: usize = 2_048;

/// How an exchange ended without a response.
#[derive(Debug)]
pub(super) enum ExchangeError {
    /// It did not respond in time, and was killed by the parent.
    Hung,
    /// Its response is one that Baton's own code never sends, and it was killed by the parent.
    Compromised(&'static str),
    /// It exited by itself, or was killed by another process. `words` is what it wrote to its standard error.
    Ended { status: ExitStatus, words: String },
    /// How it ended is unknown.
    Lost(String),
}

impl ExchangeError {
    /// Converts to the outcome of the program.
    ///
    /// # Errors
    /// The program did not cause it: it may be run again.
    pub(super) fn into_ran(self, limits: &SandboxLimits) -> Result<ProgramOutcome, Fault> {
        let program = |cause, told: &str| Ok(failed(fault::of_program(cause, told, limits)));
        let crashed = |how: String| Ok(failed(Fault::new(code::CODE_CRASHED, how)));
        match self {
            Self::Hung => {
                program(ProgramFailureKind::Time, "its process was ended from outside: it did not stop by itself")
            }
            Self::Compromised(how) => crashed(format!("its process did what our own code never does: {how}")),
            Self::Lost(how) => Err(Fault::new(code::SANDBOX_KILLED, format!("the program's process is lost: {how}"))),
            Self::Ended { status, words } => match signal::of(status) {
                Some(signal::SignalKind::Time) => {
                    program(ProgramFailureKind::Time, "its process used up its processor time")
                }
                Some(signal::SignalKind::Call) => {
                    program(ProgramFailureKind::Denied, "its process made a system call that none may make")
                }
                Some(signal::SignalKind::Abort) if words.contains("memory allocation of") => {
                    program(ProgramFailureKind::Memory, "its process could get no more")
                }
                Some(signal::SignalKind::Abort) if words.contains("overflowed its stack") => {
                    program(ProgramFailureKind::Recursion, "its process ran out of stack")
                }
                Some(signal::SignalKind::Outside) => {
                    let message =
                        format!("the program's process was ended by somebody else ({status}); it can be run again");
                    Err(Fault::new(code::SANDBOX_KILLED, message))
                }
                Some(signal::SignalKind::Abort | signal::SignalKind::Other) | None => {
                    crashed(format!("its process ended ({status}): {}", first_line(&words)))
                }
            },
        }
    }
}

fn first_line(words: &str) -> &str {
    words.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing")
}

#[cfg(target_os = "linux")]
mod signal {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    pub(super) enum SignalKind {
        Time,
        Call,
        Abort,
        Outside,
        Other,
    }

    pub(super) fn of(status: ExitStatus) -> Option<SignalKind> {
        Some(match status.signal()? {
            libc::SIGXCPU => SignalKind::Time,
            libc::SIGSYS => SignalKind::Call,
            libc::SIGABRT => SignalKind::Abort,
            libc::SIGKILL | libc::SIGTERM | libc::SIGINT | libc::SIGHUP | libc::SIGQUIT => SignalKind::Outside,
            _ => SignalKind::Other,
        })
    }
}

#[cfg(not(target_os = "linux"))]
mod signal {
    use std::process::ExitStatus;

    #[expect(dead_code, reason = "told apart on Linux only, where processes have limits that end them")]
    pub(super) enum SignalKind {
        Time,
        Call,
        Abort,
        Outside,
        Other,
    }

    pub(super) fn of(_status: ExitStatus) -> Option<SignalKind> {
        None
    }
}
