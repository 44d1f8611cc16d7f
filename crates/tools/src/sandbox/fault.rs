//! Faults of a program, or of the sandbox itself. Each code has a page in `docs/errors/tools/`.

use std::time::Duration;

use baton_core::fault::Fault;
use baton_ports::sandbox::SandboxLimits;

use super::frame::ProgramFailureKind;
use crate::code;

/// The fault of a program's own failure, with its message and its limits.
pub(super) fn of_program(cause: ProgramFailureKind, told: &str, limits: &SandboxLimits) -> Fault {
    let (code, says) = match cause {
        ProgramFailureKind::Invalid => (code::CODE_INVALID, "it is no program that can be run".to_owned()),
        ProgramFailureKind::Raised => (code::CODE_RAISED, "it raised an exception".to_owned()),
        ProgramFailureKind::Denied => (code::CODE_DENIED, "it reached for what a program may not have".to_owned()),
        ProgramFailureKind::Time => (code::CODE_TIMEOUT, format!("it ran longer than {}", seconds(limits.time))),
        ProgramFailureKind::Memory => {
            (code::CODE_MEMORY, format!("it took more than {} MB of memory", limits.memory_bytes >> 20))
        }
        ProgramFailureKind::Recursion => {
            (code::CODE_RECURSION, format!("its calls nest deeper than {}", limits.recursion))
        }
        ProgramFailureKind::Output => (code::CODE_OUTPUT, format!("it gives more than {} bytes", limits.output_bytes)),
        ProgramFailureKind::Calls => (code::CODE_CALLS, format!("it makes more than {} calls", limits.calls)),
        ProgramFailureKind::Value => (code::CODE_VALUE, "it gives what has no JSON form".to_owned()),
        ProgramFailureKind::NotAwaited => {
            (code::CODE_NOT_AWAITED, "it awaits some of its calls and not all".to_owned())
        }
        ProgramFailureKind::Differs => (code::CODE_DIFFERS, "run again, it does not do what it did".to_owned()),
        ProgramFailureKind::State => (code::CODE_STATE, "it holds too much to be paused".to_owned()),
        ProgramFailureKind::Snapshot => (code::SNAPSHOT_REFUSED, "its snapshot cannot be used".to_owned()),
    };
    Fault::new(code, format!("{says}\n{told}"))
}

pub(super) fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}
