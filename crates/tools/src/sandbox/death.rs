//! Of what a child died.

use std::process::ExitStatus;

use baton_core::agent::Ran;
use baton_core::fault::Fault;
use baton_ports::sandbox::Limits;

use super::fault;
use super::frame::Cause;
use super::leg::failed;
use crate::code;

/// Bytes of the child's last words that are looked at.
pub(super) const LAST_WORDS_MAX: usize = 2_048;

/// How an exchange ended without an answer.
#[derive(Debug)]
pub(super) enum Death {
    /// It did not answer in time, and was killed by us.
    Hung,
    /// It answered what our own code never would, and was killed by us.
    Turned(&'static str),
    /// It ended by itself, or somebody else ended it. `words` is what it wrote on its standard error.
    Ended { status: ExitStatus, words: String },
    /// It cannot be said how it ended.
    Lost(String),
}

impl Death {
    /// What the program came to.
    ///
    /// # Errors
    /// It was not the program's doing: it may be run again.
    pub(super) fn ran(self, limits: &Limits) -> Result<Ran, Fault> {
        let program = |cause, told: &str| Ok(failed(fault::of_program(cause, told, limits)));
        let crashed = |how: String| Ok(failed(Fault::new(code::CODE_CRASHED, how)));
        match self {
            Self::Hung => program(Cause::Time, "its process was ended from outside: it did not stop by itself"),
            Self::Turned(how) => crashed(format!("its process did what our own code never does: {how}")),
            Self::Lost(how) => Err(Fault::new(code::SANDBOX_KILLED, format!("the program's process is lost: {how}"))),
            Self::Ended { status, words } => match signal::of(status) {
                Some(signal::Kind::Time) => program(Cause::Time, "its process used up its processor time"),
                Some(signal::Kind::Call) => program(Cause::Denied, "its process made a system call that none may make"),
                Some(signal::Kind::Abort) if words.contains("memory allocation of") => {
                    program(Cause::Memory, "its process could get no more")
                }
                Some(signal::Kind::Abort) if words.contains("overflowed its stack") => {
                    program(Cause::Recursion, "its process ran out of stack")
                }
                Some(signal::Kind::Outside) => {
                    let message =
                        format!("the program's process was ended by somebody else ({status}); it can be run again");
                    Err(Fault::new(code::SANDBOX_KILLED, message))
                }
                Some(signal::Kind::Abort | signal::Kind::Other) | None => {
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

    pub(super) enum Kind {
        Time,
        Call,
        Abort,
        Outside,
        Other,
    }

    pub(super) fn of(status: ExitStatus) -> Option<Kind> {
        Some(match status.signal()? {
            libc::SIGXCPU => Kind::Time,
            libc::SIGSYS => Kind::Call,
            libc::SIGABRT => Kind::Abort,
            libc::SIGKILL | libc::SIGTERM | libc::SIGINT | libc::SIGHUP | libc::SIGQUIT => Kind::Outside,
            _ => Kind::Other,
        })
    }
}

#[cfg(not(target_os = "linux"))]
mod signal {
    use std::process::ExitStatus;

    #[expect(dead_code, reason = "told apart on Linux only, where processes have limits that end them")]
    pub(super) enum Kind {
        Time,
        Call,
        Abort,
        Outside,
        Other,
    }

    pub(super) fn of(_status: ExitStatus) -> Option<Kind> {
        None
    }
}
