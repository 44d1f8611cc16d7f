//! A process between us and a server that is a program of this machine: it ends the server when we end, however we do.
//!
//! We may be killed, and then nothing of ours runs that could end a server. What the system does by itself is to close our
//! pipes. So the attendant passes our words on to the server and sees their end; the server's own words and errors go to us
//! directly. The signal that Linux sends to the children of whoever dies (`PR_SET_PDEATHSIG`) would not do: it is sent when
//! the thread ends that started the child, and to that child alone, not to what it started.

use std::ffi::{OsStr, OsString};
use std::io::{Write as _, copy, sink, stderr, stdin};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long a server whose input has ended may take to end by itself.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// Starts a program and ends it, with all of its group, once the input ends or the program has ended. To be called by a
/// process of its own group, which ends with it: nobody asks how.
pub fn supervise(program: &OsStr, arguments: &[OsString]) -> ! {
    let started = Command::new(program).args(arguments).stdin(Stdio::piped()).spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => {
            // Nobody may be left to hear it.
            let _ = writeln!(stderr(), "{}: {error}", cannot_start(&program.to_string_lossy()));
            std::process::exit(1);
        }
    };
    let input = child.stdin.take();
    std::thread::spawn(move || {
        // A server may close its input and go on; the end of ours is waited for all the same.
        let _ = input.map(|mut input| copy(&mut stdin(), &mut input));
        let _ = copy(&mut stdin(), &mut sink());
        std::thread::sleep(SHUTDOWN_GRACE);
        end_group()
    });
    let _ = child.wait();
    // What it started and left behind.
    end_group()
}

/// How the attendant begins to say that there is no such program.
pub(super) fn cannot_start(command: &str) -> String {
    format!("`{command}` cannot be started")
}

/// Ends this process and all of its group, unless the group is somebody else's.
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
