//! Runs other programs: to the end, captured, echoed line by line, or with a time limit.
//!
//! Nothing started here can read from the terminal, so no stage can hang on a prompt.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::report;

/// Polling interval for a process with a time limit.
const POLL: Duration = Duration::from_millis(20);

/// The output of a process, and its exit status.
pub struct FinishedProcess {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl FinishedProcess {
    /// Both streams, standard output first, to show why something failed.
    pub fn combined_output(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Runs to the end, with output passed through. Fails on any exit code but 0, naming the command.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = status(command)?;
    if !status.success() {
        bail!("`{}` ended with {status}", command_line(command));
    }
    Ok(())
}

/// Runs to the end, with output passed through.
pub fn status(command: &mut Command) -> anyhow::Result<ExitStatus> {
    command.stdin(Stdio::null()).status().with_context(|| could_not_start(command))
}

/// Runs to the end and captures the output.
pub fn capture(command: &mut Command) -> anyhow::Result<FinishedProcess> {
    let output = command.stdin(Stdio::null()).output().with_context(|| could_not_start(command))?;
    Ok(FinishedProcess {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Like [`capture`], but fails on any exit code but 0 with the output of the process.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let finished = capture(command)?;
    if !finished.status.success() {
        bail!("`{}` ended with {}\n{}", command_line(command), finished.status, finished.stderr.trim_end());
    }
    Ok(finished.stdout)
}

/// Like [`capture`], but also shows every line as it arrives, on the same stream.
pub fn echo(command: &mut Command) -> anyhow::Result<FinishedProcess> {
    let mut child = piped(command)?;
    let out = drain(child.stdout.take(), Some(report::line));
    let err = drain(child.stderr.take(), Some(report::stderr_line));
    let status = child.wait().with_context(|| could_not_start(command))?;
    Ok(FinishedProcess { status, stdout: join_reader(out), stderr: join_reader(err) })
}

/// Like [`capture`], but a process that is still running after `limit` is killed and reported as an error.
pub fn run_within(command: &mut Command, limit: Duration) -> anyhow::Result<FinishedProcess> {
    let mut child = piped(command)?;
    let out = drain(child.stdout.take(), None);
    let err = drain(child.stderr.take(), None);
    let Some(status) = wait(&mut child, limit)? else {
        child.kill().ok();
        child.wait().ok();
        bail!("`{}` was still running after {} s and was stopped", command_line(command), limit.as_secs());
    };
    Ok(FinishedProcess { status, stdout: join_reader(out), stderr: join_reader(err) })
}

/// Whether a cargo subcommand such as `nextest` is installed.
pub fn is_installed(command: &mut Command) -> bool {
    capture(command).is_ok_and(|finished| finished.status.success())
}

/// The command as a person would type it, for messages.
pub fn command_line(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    std::iter::once(name).chain(command.get_args()).map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

fn could_not_start(command: &Command) -> String {
    format!("`{}` could not be started", command_line(command))
}

fn piped(command: &mut Command) -> anyhow::Result<Child> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| could_not_start(command))
}

/// Reads a stream on a thread of its own, so that neither pipe can fill up while the other is read.
fn drain<R: Read + Send + 'static>(stream: Option<R>, show: Option<fn(String)>) -> Option<JoinHandle<String>> {
    stream.map(|stream| {
        std::thread::spawn(move || {
            let mut kept = String::new();
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
                kept.push_str(&text);
                kept.push('\n');
                if let Some(show) = show {
                    show(text);
                }
                line.clear();
            }
            kept
        })
    })
}

fn join_reader(reader: Option<JoinHandle<String>>) -> String {
    reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
}

/// `None` if the limit passed first.
fn wait(child: &mut Child, limit: Duration) -> anyhow::Result<Option<ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() > limit {
            return Ok(None);
        }
        std::thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failing_command_is_named_with_its_exit_and_what_it_said() {
        let error = output(&mut shell("echo why >&2; exit 3")).unwrap_err().to_string();
        assert!(error.contains("sh -c"), "{error}");
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.contains("why"), "{error}");
    }

    #[test]
    fn both_streams_are_kept_apart() {
        let finished = capture(&mut shell("echo out; echo err >&2")).unwrap();
        assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("out\n", "err\n"));
    }

    #[test]
    fn a_process_over_its_limit_is_stopped() {
        let error = run_within(&mut shell("exec sleep 600"), Duration::from_millis(50)).err().unwrap().to_string();
        assert!(error.contains("still running"), "{error}");
    }

    #[test]
    fn a_process_under_its_limit_ends_as_it_would() {
        let finished = run_within(&mut shell("echo done; exit 4"), Duration::from_secs(60)).unwrap();
        assert_eq!((finished.status.code(), finished.stdout.as_str()), (Some(4), "done\n"));
    }

    #[test]
    fn a_missing_program_is_an_error_that_names_it() {
        let error = capture(&mut Command::new("no-such-program-anywhere")).err().unwrap().to_string();
        assert!(error.contains("no-such-program-anywhere"), "{error}");
    }
}
