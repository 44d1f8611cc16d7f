//! A process between this one and a server that is a local program: it ends the server when this process ends, for
//! whatever reason.
//!
//! This process may be killed, and then no code of it can end a server. The operating system only closes its pipes.
//! The supervisor therefore forwards the standard input to the server and detects its end; the server writes its
//! output and errors directly to this process. The signal that Linux sends to the children of a dying process
//! (`PR_SET_PDEATHSIG`) is not sufficient: it is sent when the thread that started the child ends, and only to that
//! child, not to the processes it started.

use std::ffi::{OsStr, OsString};
use std::io::{Write as _, copy, sink, stderr, stdin};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long a server may take to exit after its input has ended.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// Starts a program, and ends it with its whole process group once the input ends or the program exits. To be called
/// in a process of its own group, which ends with it; no exit status is reported.
pub fn supervise(program: &OsStr, arguments: &[OsString]) -> ! {
    let started = Command::new(program).args(arguments).stdin(Stdio::piped()).spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => {
            // There may be no reader left.
            let _ = writeln!(stderr(), "{}: {error}", cannot_start(&program.to_string_lossy()));
            std::process::exit(1);
        }
    };
    let input = child.stdin.take();
    std::thread::spawn(move || {
        // A server may close its input and continue; the end of this process's input is awaited all the same.
        let _ = input.map(|mut input| copy(&mut stdin(), &mut input));
        let _ = copy(&mut stdin(), &mut sink());
        std::thread::sleep(SHUTDOWN_GRACE);
        end_group()
    });
    let _ = child.wait();
    // Kills processes that the program started and left behind.
    end_group()
}

/// The start of the supervisor's message that there is no such program.
pub(super) fn cannot_start(command: &str) -> String {
    format!("`{command}` cannot be started")
}

/// Ends this process and all of its group, unless the group belongs to another process.
fn end_group() -> ! {
    #[cfg(target_os = "linux")]
    {
        let group = rustix::process::getpgrp();
        if group == rustix::process::getpid() {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
    std::process::exit(1)
}
