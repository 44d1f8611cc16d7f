//! A server that is a program on this machine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use baton_core::redact;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::supervisor::cannot_start;
use crate::launch::{LaunchCommand, with_pipes};

/// Variables that a program needs to be found and to find its own files. All others must be named in the definition.
const INHERITED: &[&str] = &["HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ", "USER"];
/// Number of bytes kept of the end of its standard error.
const STDERR_BYTES_MAX: usize = 2_000;
/// Minimum size of a given value, in bytes, to be redacted from the program's output. Shorter ones are ordinary
/// words, such as `yes`.
const GIVEN_BYTES_MIN: usize = 6;
const STDERR_WAIT: Duration = Duration::from_millis(500);

/// A running program with its supervisor. Dropping it kills the whole process group: launchers such as `npx` start
/// the server as a child of theirs.
pub(super) struct McpProcess {
    child: Child,
    stderr_tail: Arc<Mutex<Vec<u8>>>,
    /// Values of its environment, which the program may print and which must not be shown.
    secrets: Vec<String>,
    reader: JoinHandle<()>,
}

impl McpProcess {
    pub(super) fn start(
        command: &str,
        arguments: &[String],
        environment: &BTreeMap<String, String>,
        attendant: Option<&LaunchCommand>,
    ) -> Result<(Self, ChildStdout, ChildStdin), String> {
        let mut program = match attendant {
            Some(attendant) => {
                let mut program = attendant.command();
                program.arg("--").arg(command);
                program
            }
            None => {
                let mut program = Command::new(command);
                program.env_clear();
                with_pipes(&mut program);
                program
            }
        };
        program.args(arguments);
        program.envs(INHERITED.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))));
        program.envs(environment);
        let mut child = program.spawn().map_err(|error| format!("{}: {error}", cannot_start(command)))?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(format!("`{command}` has no pipes"));
        };
        let last_words = Arc::<Mutex<Vec<u8>>>::default();
        let hearing = tokio::spawn(read_stderr(stderr, last_words.clone()));
        let given = environment.values().filter(|value| value.len() >= GIVEN_BYTES_MIN).cloned().collect();
        Ok((Self { child, stderr_tail: last_words, secrets: given, reader: hearing }, stdout, stdin))
    }

    /// Returns the same for a program that is about to end, whose last output may not have been read yet.
    pub(super) async fn final_stderr_tail(&mut self) -> String {
        // If the program does not end, use what it has printed so far.
        drop(tokio::time::timeout(STDERR_WAIT, &mut self.reader).await);
        self.stderr_tail()
    }

    /// Returns the end of its standard error on one line, with given values and personal data redacted.
    pub(super) fn stderr_tail(&self) -> String {
        let words = self.stderr_tail.lock().unwrap_or_else(PoisonError::into_inner);
        let said = String::from_utf8_lossy(&words).into_owned();
        let said = self.secrets.iter().fold(said, |said, given| said.replace(given, "[REDACTED]"));
        let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
        redact::text(&line).into_owned()
    }
}

impl Drop for McpProcess {
    fn drop(&mut self) {
        #[cfg(target_os = "linux")]
        if let Some(group) = self.child.id().and_then(|id| rustix::process::Pid::from_raw(id.try_into().ok()?)) {
            // If the group no longer exists, there is nothing to kill.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.start_kill();
    }
}

/// Reads to the end, so that a full pipe never blocks the program, and keeps the last bytes.
async fn read_stderr(mut stderr: ChildStderr, into: Arc<Mutex<Vec<u8>>>) {
    let mut chunk = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut chunk).await {
        let mut words = into.lock().unwrap_or_else(PoisonError::into_inner);
        words.extend_from_slice(&chunk[..count]);
        let beyond = words.len().saturating_sub(STDERR_BYTES_MAX);
        words.drain(..beyond);
    }
}
