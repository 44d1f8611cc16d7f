//! `baton serve` in a project of its own, with the shim loaded.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::client::FaultsClient;
use super::shim::ShimControl;
use crate::process;

/// Number of log lines to keep, the newest ones.
const LOG_LINES_MAX: usize = 400;
/// Time limit for a start, sufficient for a slow machine.
const START_MAX: Duration = Duration::from_secs(120);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Files of the project. `PORT` in them stands for the service's port.
const FILES: [&str; 8] = [
    "baton.toml",
    "workflows/order.yaml",
    "workflows/parcel.yaml",
    "workflows/gate.yaml",
    "workflows/talk.yaml",
    "agents/agents.yaml",
    "replies/replies.yaml",
    "tools/services.yaml",
];
const PROJECT: &str = "xtask/faults/project";

/// Everything that is needed to start the server repeatedly.
pub struct ShimProject {
    pub binary: PathBuf,
    pub library: PathBuf,
    folder: PathBuf,
    /// The port of the first start.
    port: u16,
    key: String,
}

impl ShimProject {
    /// Creates a copy of the project whose tools call this port.
    pub fn new(root: &Path, folder: &Path, binary: &Path, library: &Path, service: u16) -> anyhow::Result<Self> {
        for file in FILES {
            let text = std::fs::read_to_string(root.join(PROJECT).join(file)).with_context(|| format!("no {file}"))?;
            let place = folder.join(file);
            place.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::write(place, text.replace("PORT", &service.to_string()))?;
        }
        std::fs::create_dir_all(folder.join(".baton"))?;
        let (binary, library) = (binary.to_owned(), library.to_owned());
        Ok(Self { binary, library, folder: folder.to_owned(), port: 0, key: String::new() })
    }

    /// The folder of the database.
    pub fn data(&self) -> PathBuf {
        self.folder.join(".baton")
    }

    pub fn client(&self) -> FaultsClient {
        FaultsClient { port: self.port, key: self.key.clone() }
    }

    /// Starts the server, on the same port each time.
    ///
    /// # Errors
    /// The server ends before it listens. The error contains its output.
    pub fn start(&mut self, control: &ShimControl) -> anyhow::Result<ShimServer> {
        let mut command = Command::new(&self.binary);
        command.current_dir(&self.folder).args(["serve", "--listen", &format!("127.0.0.1:{}", self.port), "--json"]);
        control.apply(&mut command, &self.library, &self.data());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("the server cannot be started")?;
        let log = ServerLog::of(child.stderr.take());
        let stdout = child.stdout.take().context("its output is not captured")?;
        let mut server = ShimServer { child, log };
        let Some(line) = first_line(stdout) else {
            let status = server.wait(START_MAX)?.map_or_else(|| "goes on".to_owned(), |status| status.to_string());
            bail!("the server did not listen: {status}\n{}", server.log.text());
        };
        let said: Value = serde_json::from_str(&line).with_context(|| format!("the server said `{line}`"))?;
        let port = said["url"].as_str().and_then(|url| url.rsplit(':').next()?.parse().ok());
        self.port = port.with_context(|| format!("the server named no port: {said}"))?;
        if let Some(key) = said["key"].as_str() {
            key.clone_into(&mut self.key);
        }
        ensure!(!self.key.is_empty(), "the server made no key");
        Ok(server)
    }
}

/// `None` if the process ends, or prints nothing in time.
fn first_line(stdout: impl Read + Send + 'static) -> Option<String> {
    let (tell, heard) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        if stdout.read_line(&mut line).is_ok_and(|read| read > 0) {
            let _ = tell.send(line);
        }
        // Keep reading, so that later output cannot fill the pipe.
        drop(tell);
        let _ = std::io::copy(&mut stdout, &mut std::io::sink());
    });
    heard.recv_timeout(START_MAX).ok()
}

/// The running server.
pub struct ShimServer {
    child: Child,
    log: ServerLog,
}

impl ShimServer {
    /// Asks the server to end.
    pub fn terminate(&self) -> anyhow::Result<()> {
        process::output(Command::new("kill").args(["-TERM", &self.child.id().to_string()])).map(drop)
    }

    /// Kills the server, as a power cut would.
    pub fn kill(&mut self) {
        // The process may already have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The exit status, if the server ends within the limit.
    pub fn wait(&mut self, limit: Duration) -> anyhow::Result<Option<ExitStatus>> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if began.elapsed() >= limit {
                return Ok(None);
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// # Errors
    /// The server has ended. The error contains its last output.
    pub fn check_running(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("the server ended with {status} and nobody asked it to\n{}", self.log.text()),
            None => Ok(()),
        }
    }

    /// Processor time that the server has used so far, in hundredths of a second.
    pub fn processor_ticks(&self) -> Option<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
        let mut next = || fields.next()?.parse::<u64>().ok();
        Some(next()? + next()?)
    }

    /// The last output on standard error. Complete once the server has ended.
    pub fn log(&mut self) -> String {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            self.log.end();
        }
        self.log.text()
    }
}

impl Drop for ShimServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A reader for the standard error of a process.
struct ServerLog {
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl ServerLog {
    fn of(stderr: Option<impl Read + Send + 'static>) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = lines.clone();
        let reader = stderr.map(|stderr| {
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    if kept.len() >= LOG_LINES_MAX {
                        kept.drain(..LOG_LINES_MAX / 2);
                    }
                    kept.push(line);
                }
            })
        });
        Self { lines, reader }
    }

    fn end(&mut self) {
        if let Some(reader) = self.reader.take() {
            // The thread does not panic, and ends with the pipe.
            let _ = reader.join();
        }
    }

    fn text(&self) -> String {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }
}
